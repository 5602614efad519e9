"""That what a config says of a method reaches its stages: losses of objectives told by hand, rates, networks."""
import zlib
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import kdexplainer
from ikd.config import apply_arguments, default
from ikd.errors import InputError
from ikd.models import create, tap_shapes
from ikd.objectives import (
    Batch,
    Outputs,
    attention,
    attentive,
    binary,
    confidence_penalty,
    confidence_weighted,
    cross_entropy,
    distil,
    flow,
    hint,
    introspective,
    label_smoothing,
    match,
    mutual,
    routed,
    uniform,
)
from ikd.recipes import RECIPES, recipe, taught
from ikd.stages import continued, fresh, routing_only, weights_only
from ikd.validation import resolve

B, K = 4, 5
DRAW = np.random.default_rng(0)
LOGITS, THEIRS = DRAW.normal(size=(2, B, 2, K)).astype(np.float32) * 2
TAPS = [{f'group{i}': DRAW.normal(size=(B, 16 // 2 ** i, 16 // 2 ** i, 2 * i)).astype(np.float32)
         for i in (1, 2, 3)} for _ in 'ab']
GROUPS = tuple((f'group{i}', f'group{i}') for i in (1, 2, 3))
ROWS = {f'branch{i}': {'alpha': DRAW.dirichlet(np.ones(3), size=2).astype(np.float32)} for i in (1, 2)}


def make_config(method, **fields):
    config = apply_arguments(default(), method, RECIPES)
    config.update_from_flattened_dict({'epochs': 20, 'teacher.model': 'resnet8', 'teacher.assistant': 'resnet14',
                                       **fields})
    return resolve(config)


def explainer_of(whose):
    """Maps [b, k, 4, 4] that are others for every name and every option."""
    def explain(name, **options):
        seed = zlib.crc32(repr((whose, name, sorted(options.items()))).encode())
        return jnp.float32(np.random.default_rng(seed).normal(size=(B, K, 4, 4)))

    return explain


def batch_of(method):
    """A batch of a quarter of the way; two networks' logits for dml."""
    logits, theirs = (LOGITS, THEIRS) if method == 'dml' else (LOGITS[:, 0], THEIRS[:, 0])
    told = Outputs(jnp.array(theirs), TAPS[1], explainer_of('teacher'))
    return Batch(np.arange(B), jnp.array(logits), TAPS[0], explainer_of('own'), jax.random.key(3), jnp.float32(0.25),
                 None, told, jnp.int32(2), ROWS)


TOLD = {'method.temperature': 2.0, 'method.lam': 0.7, 'method.weight': 3.0}
distilled = partial(distil, temperature=2.0, lam=0.7, weight=3.0)
EXPLAINED = {'method.alpha': 0.6, 'method.lam': 0.7, 'method.similarity': 'multiscale_mse',
             'method.explainer': 'layer_cam', 'method.tap': 'group1', 'method.relu': False, 'class_chunk': 3}
explained = partial(introspective, explainer='layer_cam', alpha=0.6, lam=0.7, similarity='multiscale_mse',
                    tap='group1', relu=False, class_chunk=3)
TREE = {'hme.loss': 'kd', 'method.temperature': 2.0}
tree_distilled = partial(distil, temperature=2.0, lam=0.1, weight=0.9)
FEATURES = {'features.weight': 30.0, 'features.decay': True, 'features.power': 1}

# method, fields other than the defaults, the stage, its objective
CASES = [
    ('label_smoothing', {'method.alpha': 0.6}, 0, partial(label_smoothing, alpha=0.6)),
    ('confidence_penalty', {'method.beta': 2.0}, 0, partial(confidence_penalty, beta=2.0)),
    ('kd', TOLD, 1, distilled),
    ('dkpp', TOLD, 1, partial(distilled, permute=True)),
    ('cwtm', {'method.temperature': 2.0}, 1, partial(confidence_weighted, temperature=2.0)),
    ('cwtm_permut', {}, 1, partial(confidence_weighted, weights='permuted')),
    ('cwtm_random', {'method.beta': 0.1}, 1, partial(confidence_weighted, weights='random', beta=0.1)),
    ('dml', {'method.lam': 0.7}, 0, partial(mutual, lam=0.7)),
    ('ban', TOLD, 1, partial(distilled, lam=0.0)),
    ('ban_l', TOLD, 1, distilled),
    ('srdl', TOLD, 1, distilled),
    ('takd', TOLD, 1, distilled),
    ('takd', TOLD, 2, distilled),
    ('at_kd', {**TOLD, **FEATURES}, 1, partial(match, distance=partial(attention, taps=GROUPS, power=1), weight=30.0,
                                               decay=True, objective=distilled)),
    ('hint', {**TOLD, 'features.tap': 'group3'}, 1, partial(match, distance=partial(hint, taps=('group3',) * 2))),
    ('hint', TOLD, 1, partial(match, distance=partial(hint, taps=GROUPS[1]))),
    ('hint', TOLD, 2, distilled),
    ('hint', {**TOLD, 'features.epochs': 0, 'features.weight': 30.0}, 1,
     partial(match, distance=partial(hint, taps=GROUPS[1]), weight=30.0, objective=distilled)),
    ('fsp_kd', TOLD, 1, partial(match, distance=partial(flow, taps=GROUPS))),
    ('fsp_kd', TOLD, 2, distilled),
    ('le', EXPLAINED, 1, explained),
    ('le_permut', EXPLAINED, 1, partial(explained, permute=True)),
    ('le_frozen', EXPLAINED, 1, partial(explained, frozen=True)),
    ('le_frozen_turned', EXPLAINED, 1, partial(explained, frozen=True, turn=True)),
    ('le_uniform', {'method.alpha': 0.6, 'method.lam': 0.7}, 1, partial(uniform, alpha=0.6, lam=0.7)),
    ('kd', {'model.vam': True}, 0, cross_entropy),
    ('kd', {**TOLD, 'model.vam': True, 'model.vam_gamma': 0.5}, 1,
     partial(attentive, objective=distilled, gamma=0.5)),
    ('hme', {**TREE, 'model.name': 'hme_tree'}, 1, partial(routed, objective=tree_distilled, anneal=True)),
    ('hme', {**TREE, 'model.name': 'hme_tree'}, 2, partial(routed, objective=tree_distilled)),
    ('hme', {**TREE, 'model.name': 'hme_resnet18'}, 1,
     partial(routed, objective=partial(tree_distilled, labels=binary))),
    ('hme', {'model.name': 'hme_tree', 'hme.loss': 'ls', 'method.alpha': 0.6}, 0,
     partial(routed, objective=partial(label_smoothing, alpha=0.6), anneal=True)),
    ('hme', {'model.name': 'hme_resnet18', 'hme.loss': 'ls', 'method.alpha': 0.6}, 0,
     partial(routed, objective=partial(binary, alpha=0.6))),
]


@pytest.mark.parametrize('method, fields, index, expected', CASES,
                         ids=[f'{method}-{index}-{i}' for i, (method, _, index, _) in enumerate(CASES)])
def test_the_config_reaches_the_objective(method, fields, index, expected):
    """Its loss, and what it keeps, are those of the objective with these numbers, and not those of the defaults."""
    stage, batch = recipe(make_config(method, **fields))[index], batch_of(method)
    (loss, _, *kept), (wanted, _, *more) = stage.objective(batch), expected(batch)
    np.testing.assert_allclose(loss, wanted, rtol=1e-6)
    assert kept == more


@pytest.mark.parametrize('student', ['wrn16_2', 'vgg8'])
def test_a_hint_is_of_the_second_groups_however_many_there_are(student):
    """Three or five of the student, four of ResNet50."""
    config = kdexplainer.get_config('hint')
    config.model.name = student
    distance = recipe(resolve(config))[1].objective.keywords['distance']
    assert distance.keywords['taps'] == ('group2', 'group2')


def test_a_hint_needs_a_second_group(monkeypatch):
    config = make_config('hint', **{'teacher.model': 'resnet14'})
    groups = {'resnet8': ('group1',), 'resnet14': ('group1', 'group2')}
    monkeypatch.setattr(taught, 'create', lambda name, k: SimpleNamespace(group_taps=groups[name]))
    with pytest.raises(InputError, match='second groups, and resnet8 or resnet14 has none; set features.tap'):
        recipe(config)


def test_only_distillation_from_another_network_is_weighted_as_kdexplainers():
    told = {'kd': 0.9, 'vam': 0.9, 'srdl': 1.0, 'ban': 1.0, 'ban_l': 1.0}
    assert {method: kdexplainer.get_config(method).method.weight for method in told} == told


TAUGHT, BORN_AGAIN = ([(network, None, 20, fresh), (None, 0, 20, fresh)] for network in ('cnn6', None))
FEATURES_FIRST = [('cnn6', None, 20, fresh), (None, 0, 5, fresh), (None, 0, 20, weights_only)]
STAGES = {  # (network, teacher's stage, epochs, how it starts) of each
    'ce': [(None, None, 20, fresh)], 'dml': [(None, None, 20, fresh)],
    **dict.fromkeys(('kd', 'dkpp', 'cwtm', 'at_kd'), TAUGHT), **dict.fromkeys(('ban', 'ban_l'), BORN_AGAIN),
    'takd': [('cnn6', None, 20, fresh), ('cnn4', 0, 20, fresh), (None, 1, 20, fresh)],
    'srdl': [(None, None, 10, fresh), (None, 0, 10, fresh)], **dict.fromkeys(('hint', 'fsp_kd'), FEATURES_FIRST),
    'le': [(None, None, 4, fresh), (None, None, 16, continued)],
    'le_frozen': [(None, None, 4, fresh), (None, 0, 16, continued)],
    'hme_tree': [('cnn6', None, 20, fresh), (None, 0, 20, fresh), (None, 0, 20, routing_only)],
    'hme_resnet18': TAUGHT,
}


@pytest.mark.parametrize('method', STAGES)
def test_what_is_trained_how_long_from_what_and_who_teaches_it(method):
    """Of 20 epochs, five of them for features; None is the network that the run is for."""
    name, network = ('hme', method) if method.startswith('hme') else (method, 'cnn6')
    config = make_config(name, **{'model.name': network, 'teacher.model': 'cnn6', 'teacher.assistant': 'cnn4',
                                  'features.epochs': 5, 'hme.loss': 'kd'})
    found = [(stage.network, stage.teacher, stage.epochs, stage.start) for stage in recipe(config)]
    assert found == STAGES[method]


def test_a_soft_tree_is_hot_at_first_and_the_next_one_hard():
    soft, hard = recipe(make_config('hme', **{'model.name': 'hme_tree'}))
    assert (soft.extra(10), soft.options) == ({'temperature': 10}, ())
    assert (hard.extra, hard.options) == (None, (('hard', True),))


@pytest.mark.parametrize('method, pairs, convolutions', [
    ('hint', ('conv4', 'group2'), 4), ('fsp_kd', (('conv2', 'group1'), ('conv4', 'group2'), ('conv6', 'group3')), 6)])
def test_student_and_teacher_have_names_of_their_own_for_their_groups(method, pairs, convolutions):
    """A CNN and a ResNet: what is compared, what of the student trains, and where its regressor is."""
    stage = recipe(make_config(method, **{'model.name': 'cnn6', 'features.regressor': True}))[1]
    assert stage.objective.keywords['distance'].keywords['taps'] == pairs
    student, names = create('cnn6', 10), [f'{part}_{i}' for part in ('Conv', 'BatchNorm', 'Dense') for i in range(6)]
    trained = {name for name in names if name[-1] < str(convolutions) and name[0] != 'D'}
    assert stage.trains(student, (32, 32, 3), names) == trained
    if method == 'hint':
        wrapped = stage.wrap(student, tap_shapes(create('resnet8', 10, width=5), (32, 32, 3)))
        assert (wrapped.tap, wrapped.width) == ('conv4', 10)


def rates(config, index, steps=10):
    """The learning rates of a stage's schedule, step by step from its beginning."""
    stage = recipe(config)[index]
    _, schedule = stage.optimizer(config.optimizer, steps, stage.span or stage.epochs)
    return np.asarray(schedule(jnp.arange((stage.span or stage.epochs) * steps)))


def test_rates_of_first_stages_and_trees():
    """A hint's never falls; flow's at 11/21 and 16/21; a hard tree's halves at every tenth; the usual elsewhere."""
    told = {'features.epochs': 21, 'features.learning_rate': 0.2}
    close = partial(np.testing.assert_allclose, rtol=1e-5)
    close(rates(make_config('hint', **told), 1), np.full(210, 0.2))
    close(rates(make_config('fsp_kd', **told), 1), np.repeat([0.2, 0.02, 0.002], [110, 50, 50]))
    usual = np.repeat([0.1, 0.01, 0.001], [100, 50, 50])
    for method, index in ('hint', 2), ('fsp_kd', 2), ('kd', 0), ('kd', 1), ('ban', 1), ('le', 0), ('le', 1):
        close(rates(make_config(method), index), usual, err_msg=f'{method} {index}')
    tree = make_config('hme', **{'hme.learning_rate': 0.4, 'hme.hard_learning_rate': 0.8})
    close(rates(tree, 0)[:30], np.repeat([0.1, 0.2, 0.4], 10))
    close(rates(tree, 1), np.repeat(0.8 * 0.5 ** np.arange(10), 20))


def test_the_routing_of_a_tree_moves_at_a_rate_of_its_own():
    """Adam's first steps are the rate itself, of which the third epoch's is the first."""
    config = make_config('hme', **{'hme.learning_rate': 0.4, 'hme.routing_rate': 0.03, 'optimizer.weight_decay': 0.0})
    optimizer, _ = recipe(config)[0].optimizer(config.optimizer, 1, 20)
    params = {'branch1': {'routing': jnp.ones(2)}, 'head_1': {'kernel': jnp.ones(2)}}
    state, moved = optimizer.init(params), []
    for _ in range(3):
        change, state = optimizer.update(jax.tree.map(jnp.ones_like, params), state, params)
        moved.append([-float(leaf[0]) for leaf in jax.tree.leaves(change)])
    np.testing.assert_allclose(moved, [[0, 0.1], [0, 0.2], [0.03, 0.4]], rtol=1e-4)


@pytest.mark.parametrize('epochs, stage', [(0, 1), (5, 1)])
def test_a_hint_has_its_regressor_with_the_labels_and_before_them(epochs, stage):
    """To the 32 channels of the teacher's second group."""
    config = make_config('hint', **{'features.epochs': epochs, 'features.regressor': True, 'model.width': 4})
    network = create('resnet8', 10, width=4)
    wrapped = recipe(config)[stage].wrap(network, tap_shapes(create('resnet8', 10), (16, 16, 3)))
    assert (wrapped.network, wrapped.tap, wrapped.width) == (network, 'group2', 32)
