"""What a configuration may say, and what of it names the experiment."""
import importlib
import os
import pathlib

import numpy as np
import pytest

from ikd.config import apply_arguments, default, digest, flatten, identity
from ikd.errors import InputError
from ikd.explainers import explainer_options
from ikd.recipes import RECIPES
from ikd.validation import resolve

CONFIGS = sorted(path.stem for path in pathlib.Path('configs').glob('*.py')
                 if path.stem not in ('common', '__init__'))

NAMES = '''method.name method.alpha method.lam method.warmup_epochs method.explainer method.similarity method.tap
    method.relu method.bn method.temperature method.beta method.rate model.name data.name data.dir data.placement
    batch_size epochs trials seed precision parallel class_chunk optimizer.learning_rate optimizer.momentum
    optimizer.weight_decay optimizer.milestones profile cache_dir'''.split()


def make(**fields):
    config = default()
    config.update_from_flattened_dict(fields)
    return config


@pytest.mark.parametrize('name', CONFIGS)
def test_every_config_has_the_shared_names_and_a_lab_book_entry(name):
    module = importlib.import_module(f'configs.{name}')
    config = module.get_config()
    assert set(NAMES) <= set(flatten(config))
    resolve(config)
    assert f'python -m ikd.main --config=configs/{name}.py' in module.__doc__
    assert len(module.__doc__.splitlines()) >= 4


def test_settings_of_the_paper():
    """Sections 5 and 5.1, and the choices of warm-up and weight decay where the paper is silent."""
    def of(name):
        return flatten(resolve(importlib.import_module(f'configs.{name}').get_config()))

    cifar, mnist = of('le_cifar'), of('le_mnist')
    assert {name: cifar[name] for name in (
        'method.name', 'method.alpha', 'method.lam', 'method.explainer', 'method.tap', 'method.relu',
        'method.warmup_epochs', 'model.name', 'batch_size', 'epochs', 'data.augment', 'optimizer.learning_rate',
        'optimizer.momentum', 'optimizer.weight_decay', 'optimizer.milestones')} == {
        'method.name': 'le', 'method.alpha': 0.9, 'method.lam': 0.1, 'method.explainer': 'grad_cam',
        'method.tap': 'group3', 'method.relu': True, 'method.warmup_epochs': 32, 'model.name': 'resnet14',
        'batch_size': 128, 'epochs': 160, 'data.augment': 'crop_flip', 'optimizer.learning_rate': 0.1,
        'optimizer.momentum': 0.9, 'optimizer.weight_decay': 1e-4, 'optimizer.milestones': [0.5, 0.75]}
    assert {name: mnist[name] for name in (
        'method.explainer', 'method.warmup_epochs', 'model.name', 'batch_size', 'epochs', 'data.augment',
        'optimizer.learning_rate', 'optimizer.momentum', 'optimizer.weight_decay', 'optimizer.milestones')} == {
        'method.explainer': 'grad', 'method.warmup_epochs': 10, 'model.name': 'mlp', 'batch_size': 16, 'epochs': 50,
        'data.augment': 'none', 'optimizer.learning_rate': 0.01, 'optimizer.momentum': 0.9,
        'optimizer.weight_decay': 0.0, 'optimizer.milestones': []}
    for twin in ('mnist', 'cifar'):
        le, ce = of(f'le_{twin}'), of(f'ce_{twin}')
        assert {name for name in le if le[name] != ce[name]} == {'method.name'}


@pytest.mark.parametrize('field, value, message', [
    ('method.name', 'lee', "unknown method.name 'lee'; choose one of: ce, dropout, "),
    ('method.explainer', 'gradcam', "unknown method.explainer 'gradcam'; choose one of: grad, "),
    ('method.explainer', 'occlusion', 'method.explainer=occlusion passes through the network many'),
    ('method.similarity', 'cos', "unknown method.similarity 'cos'; choose one of: cosine, "),
    ('method.bn', 'eval', "unknown method.bn 'eval'"),
    ('model.name', 'resnet9', "unknown model.name 'resnet9'; choose one of: mlp, "),
    ('precision', 'fp16', "unknown precision 'fp16'; choose one of: float32, tf32, bfloat16"),
    ('parallel', 'model', "unknown parallel 'model'; choose one of: data, trials"),
    ('data.placement', 'disk', "unknown data.placement 'disk'"),
    ('data.augment', 'mixup', "unknown data.augment 'mixup'"),
    ('data.workers', 0, 'data.workers is 0; it must be at least 1'),
    ('method.alpha', 0.0, r'method.alpha is 0.0; it must be in \(0, 1\]'),
    ('method.alpha', 1.5, 'method.alpha is 1.5'),
    ('method.lam', -0.1, 'method.lam is -0.1'),
    ('method.beta', -0.5, 'method.beta is -0.5'),
    ('method.alpha', None, 'method.alpha is None; give it a value'),
    ('optimizer.milestones', None, 'optimizer.milestones is None; give it a value'),
    ('method.warmup_epochs', 200, 'method.warmup_epochs is 200, but the run has 160 epochs'),
    ('method.warmup_epochs', 160, 'method.warmup_epochs is 160, but the run has 160 epochs'),
    ('epochs', 0, 'epochs is 0; it must be at least 1'),
    ('batch_size', -1, 'batch_size is -1'),
    ('trials', 0, 'trials is 0'),
    ('seed', -1, 'seed is -1'),
    ('trials', 2 ** 31 + 1, 'seed is 0 and trials 2147483649; the last seed must be below'),
    ('data.dir', '', 'data.dir is empty; give a folder'),
    ('class_chunk', 0, 'class_chunk is 0'),
    ('optimizer.milestones', (80, 120), r'optimizer.milestones is \(80, 120\); give rising shares'),
    ('optimizer.learning_rate', 0.0, 'optimizer.learning_rate is 0.0'),
    ('optimizer.learning_rate', float('inf'), 'optimizer.learning_rate is inf'),
    ('optimizer.momentum', 1.0, 'optimizer.momentum is 1.0'),
    ('optimizer.weight_decay', -1e-4, 'optimizer.weight_decay is -0.0001'),
    ('model.width', -8, 'model.width is -8; it must be at least 1, or None'),
    ('model.vam_block', 0, 'model.vam_block is 0; it must be at least 1'),
    ('srdl.restart', 'none', "unknown srdl.restart 'none'; choose one of: random, weights"),
    ('srdl.split', 1.0, r'srdl.split is 1.0; it must be in \(0, 1\)'),
    ('method.lam', float('inf'), 'method.lam is inf; it must be a number'),
    ('features.weight', float('nan'), 'features.weight is nan; it must be a number'),
    ('method.weight', -1.0, 'method.weight is -1.0; it must not be negative'),
    ('features.weight', -1.0, 'features.weight is -1.0; it must not be negative'),
    ('model.vam_gamma', -5.0, 'model.vam_gamma is -5.0; it must not be negative'),
    ('hme.routing_rate', 0.0, 'hme.routing_rate is 0.0; it must be positive'),
    ('hme.outputs', 3, "unknown hme.outputs '3'; choose one of: 1, 2"),
    ('features.epochs', -1, 'features.epochs is -1'),
    ('features.learning_rate', 0.0, 'features.learning_rate is 0.0'),
    ('method.name', 'hme', 'method.name=hme trains model.name=hme_tree or hme_resnet18, not resnet8'),
])
def test_bad_values_are_named(field, value, message):
    with pytest.raises(InputError, match=message) as caught:
        resolve(make(**{field: value}))
    assert '\n' not in str(caught.value)


LEAST, HALF_OPEN = 1e-9, 1 - 1e-9
# The outermost values that fields may have, and the next ones beyond, which are refused.
ENDS = [
    *((field, [1], [0]) for field in ('epochs', 'batch_size', 'trials', 'checkpoint_every', 'test_every',
                                      'model.vam_block')),
    *((field, [None, 1], [0]) for field in ('class_chunk', 'data.size', 'data.limit', 'data.train_images',
                                            'data.train_skip', 'data.workers', 'model.width')),
    ('data.holdout', [0], [-1]), ('features.epochs', [0], [-1]),
    *((field, [0.0], [-LEAST]) for field in ('method.beta', 'method.lam', 'method.weight', 'model.vam_gamma',
                                             'optimizer.weight_decay', 'features.weight')),
    *((field, [LEAST], [0.0]) for field in ('method.temperature', 'optimizer.learning_rate', 'hme.learning_rate',
                                            'hme.routing_rate', 'hme.hard_learning_rate', 'features.learning_rate')),
    ('features.power', [1], [0]), ('method.alpha', [LEAST, 1.0], [0.0, 1 + LEAST]),
    ('method.rate', [0.0, HALF_OPEN], [-LEAST, 1.0]), ('optimizer.momentum', [0.0, HALF_OPEN], [-LEAST, 1.0]),
    ('srdl.split', [LEAST, HALF_OPEN], [0.0, 1.0]), ('seed', [0, 2 ** 31 - 1], [-1, 2 ** 31]),
    ('method.warmup_epochs', [0, 159], [-1, 160]), ('trials', [2 ** 31], [2 ** 31 + 1]),
    ('optimizer.milestones', [(), (LEAST, HALF_OPEN)], [(0.0,), (1.0,), (0.5, 0.5), (0.75, 0.5)]),
]


@pytest.mark.parametrize('field, within, beyond', ENDS, ids=[f'{field}-{i}' for i, (field, *_) in enumerate(ENDS)])
def test_where_the_values_of_a_field_end(field, within, beyond):
    network = {'model.name': 'mlp'} if field != 'model.width' else {}
    for value in within:
        found = flatten(resolve(make(**network, **{field: value})))[field]
        assert found == (list(value) if isinstance(value, tuple) else value)
    for value in beyond:
        with pytest.raises(InputError, match=field):
            resolve(make(**network, **{field: value}))


def test_only_trials_of_their_own_share_a_device():
    for together in 1, 3:
        assert resolve(make(parallel='trials', together=together)).together == together
    with pytest.raises(InputError, match='together is 3, but parallel=data trains one seed after another'):
        resolve(make(together=3))
    with pytest.raises(InputError, match='together is 0; it must be at least 1'):
        resolve(make(parallel='trials', together=0))


def test_a_tree_halves_its_width():
    with pytest.raises(InputError, match='model.width is 1; hme_tree needs at least 2'):
        resolve(make(**{'method.name': 'hme', 'model.name': 'hme_tree', 'model.width': 1}))
    assert resolve(make(**{'model.name': 'cnn2', 'model.width': 1})).model.width == 1


def test_a_given_teacher_has_somebody_to_teach():
    for method, fields in ('le', {}), ('ban', {}), ('hme', {'model.name': 'hme_tree'}):
        with pytest.raises(InputError, match=f'method.name={method} has no teacher that can be given'):
            resolve(make(**{'method.name': method, 'teacher.checkpoint': 'a', **fields}))
    for method in 'kd', 'hint', 'takd', 'cwtm':
        assert resolve(make(**{'method.name': method, 'teacher.checkpoint': 'a'})).teacher.checkpoint == 'a'


def test_only_who_warms_up_needs_an_epoch_beyond_it(monkeypatch):
    """`smoke` sets one of two epochs."""
    assert resolve(make(**{'method.name': 'ce', 'method.warmup_epochs': 1, 'epochs': 1})).epochs == 1
    with pytest.raises(InputError, match='method.warmup_epochs is 1, but the run has 1 epochs'):
        resolve(make(**{'method.name': 'le_uniform', 'method.warmup_epochs': 1, 'epochs': 1}))
    monkeypatch.setitem(RECIPES, 'own', RECIPES['le'])  # which may have a warm-up, too
    with pytest.raises(InputError, match='method.warmup_epochs is 1, but the run has 1 epochs'):
        resolve(make(**{'method.name': 'own', 'method.warmup_epochs': 1, 'epochs': 1}))


def test_a_field_that_there_is_not_is_refused():
    """Which `config.epoch = 1` would make; methods of one's own have theirs under `own`."""
    for path, meant in (('epoch', 'epochs'), ('method.alhpa', 'method.alpha'), ('data.limt', 'data.limit'),
                        ('method.lambda', 'method.lam'), ('lam', 'method.lam')):
        config = make()
        *part, name = path.split('.')
        (config[part[0]] if part else config)[name] = 1
        with pytest.raises(InputError, match=f'no field config.{path}; did you mean config.{meant}?'):
            resolve(config)
    del (config := make()).optimizer
    with pytest.raises(InputError, match='has no field optimizer.learning_rate, .*; begin with ikd.config.default'):
        resolve(config)
    config, plain = make(), digest(resolve(make()))
    config.own.rho = 0.5
    assert resolve(config).own.rho == 0.5 and digest(resolve(config)) != plain
    config.own.rho = float('nan')
    with pytest.raises(InputError, match='own.rho is nan'):
        resolve(config)


@pytest.mark.parametrize('value, kind', [(np.int64(3), 'int64'), (np.zeros(2), 'ndarray'), (len, 'builtin_function'),
                                         ([1, {2}], 'list')])
def test_what_is_no_json_is_refused(value, kind):
    """A config becomes config.json, and its identity a name."""
    config = make()
    config.own.rho = value
    with pytest.raises(InputError, match=f'own.rho is of the type {kind}.*; give a number'):
        resolve(config)


def test_where_the_data_is_holds_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = resolve(make(**{'method.name': 'kd', 'data.dir': 'a/', 'teacher.checkpoint': 'runs/b/'}))
    assert (config.data.dir, config.teacher.checkpoint) == (str(tmp_path / 'a'), 'runs/b')


def test_home_is_a_place():
    """Shells leave a ~ alone that comes after --config.data.dir=."""
    config = resolve(make(**{'method.name': 'kd', 'data.dir': '~/a', 'store': '~/b', 'teacher.checkpoint': '/c~',
                             'cache_dir': ''}))
    home = os.path.expanduser('~')
    assert (config.data.dir, config.store) == (f'{home}/a', f'{home}/b')
    assert (config.teacher.checkpoint, config.cache_dir) == ('/c~', '')
    assert resolve(make(cache_dir='~/d/')).cache_dir == f'{home}/d'


def test_random_weights_have_a_range():
    assert resolve(make(**{'method.name': 'confidence_penalty', 'method.beta': 8.0})).method.beta == 8
    with pytest.raises(InputError, match=r'method.beta is 1.0; cwtm_random draws weights from \[beta, 1\)'):
        resolve(make(**{'method.name': 'cwtm_random', 'method.beta': 1.0}))


def test_frozen_maps_need_a_warm_up():
    with pytest.raises(InputError, match='method.name=le_frozen learns from the network that its warm-up leaves'):
        resolve(make(**{'method.name': 'le_frozen', 'method.warmup_epochs': 0}))


def test_grad_cam_needs_feature_maps():
    with pytest.raises(InputError, match='method.explainer=grad_cam needs feature maps, and mlp has none; choose gr'):
        resolve(make(**{'model.name': 'mlp', 'method.explainer': 'grad_cam'}))
    with pytest.raises(InputError, match='method.explainer=layer_cam needs feature maps, and mlp has none'):
        resolve(make(**{'model.name': 'mlp', 'method.explainer': 'layer_cam'}))
    told = resolve(make(**{'method.name': 'ce', 'model.name': 'hme_tree', 'method.explainer': 'grad_cam',
                           'method.tap': 'level3'}))  # it has several, and none is the last
    assert told.method.tap == 'level3'
    assert resolve(make(**{'model.name': 'mlp'})).method.explainer == 'grad'
    assert resolve(make()).method.explainer == 'grad_cam'


def test_what_cannot_train_can_still_be_looked_at():
    assert resolve(make(**{'method.name': 'ce', 'method.explainer': 'occlusion'})).method.explainer == 'occlusion'


@pytest.mark.parametrize('explainer, options', [
    ('grad', {'class_chunk'}), ('contrastive_lrp', {'class_chunk'}),
    ('layer_cam', {'class_chunk', 'tap', 'relu'}), ('guided_grad_cam', {'class_chunk', 'tap', 'relu'})])
def test_class_activation_maps_have_the_tap_and_the_relu(explainer, options):
    assert {*explainer_options(resolve(make(**{'method.explainer': explainer})))} == options


@pytest.mark.parametrize('method, lam, temperature, epochs, weight', [
    ('le', 0.1, 4, 1, 1), ('kd', 0.1, 4, 1, 1), ('cwtm', 0.1, 1, 1, 1), ('srdl', 1, 3, 1, 1),
    ('hint', 0.1, 4, 40, 6.25), ('at_kd', 0.1, 4, 1, 1000), ('fsp_kd', 0.1, 4, 54, 1)])
def test_defaults_that_depend_on_the_method(method, lam, temperature, epochs, weight):
    config = resolve(make(**{'method.name': method}))
    assert (config.method.lam, config.method.temperature) == (lam, temperature)
    assert (config.features.epochs, config.features.weight) == (epochs, weight)


def test_numbers_that_methods_have_by_default():
    """What tables train with where they say nothing: a new default would be another experiment of the same words."""
    told = {'method.name': 'le', 'method.alpha': 0.9, 'method.weight': 1.0, 'method.beta': 0.5, 'method.rate': 0.1,
            'method.bn': 'batch', 'method.similarity': 'cosine', 'method.relu': True, 'teacher.model': 'resnet26',
            'features.learning_rate': 1e-3, 'features.power': 2, 'features.decay': False, 'features.regressor': False,
            'srdl.split': 0.5, 'srdl.restart': 'random', 'srdl.schedule': 'complete', 'srdl.targets': 'augmented',
            'hme.loss': 'ce', 'hme.outputs': 1, 'hme.learning_rate': 0.05, 'hme.routing_rate': 0.01,
            'hme.hard_learning_rate': 0.05, 'model.name': 'resnet8', 'model.vam': False, 'model.vam_block': 8,
            'model.vam_gamma': 1e-3, 'data.augment': 'none', 'data.holdout': 0, 'optimizer.learning_rate': 0.1,
            'optimizer.momentum': 0.9, 'optimizer.weight_decay': 1e-4, 'optimizer.milestones': [0.5, 0.75],
            'batch_size': 128, 'epochs': 160, 'seed': 0, 'precision': 'float32'}
    assert {field: value for field, value in flatten(resolve(default())).items() if field in told} == told


@pytest.mark.parametrize('student, assistant', [('resnet8', 'resnet14'), ('resnet14', 'resnet20')])
def test_an_assistant_lies_between_student_and_teacher(student, assistant):
    config = resolve(make(**{'method.name': 'takd', 'model.name': student}))
    assert (config.teacher.model, config.teacher.assistant) == ('resnet26', assistant)


@pytest.mark.parametrize('epochs, warmup', [(160, 32), (50, 10), (8, 2), (5, 1), (3, 1), (2, 1), (1, 0)])
def test_warm_up_is_a_fifth_of_the_run(epochs, warmup):
    """To the nearest epoch."""
    assert resolve(make(epochs=epochs)).method.warmup_epochs == warmup


@pytest.mark.parametrize('method, epochs, first', [('hint', 7, 2), ('fsp_kd', 20, 7), ('fsp_kd', 1, 1)])
def test_the_first_stage_of_features_ends_at_the_nearest_epoch(method, epochs, first):
    assert resolve(make(epochs=epochs, **{'method.name': method})).features.epochs == first


def test_the_digest_says_what_is_trained():
    same = [make(), make(trials=5), make(profile=True), make(cache_dir='x'), make(parallel='trials'),
            make(**{'data.dir': '/elsewhere'}), make(class_chunk=1), make(**{'method.warmup_epochs': 32}),
            make(**{'method.tap': 'group3'}), make(**{'data.placement': 'stream', 'data.workers': 3})]
    assert len({digest(resolve(config)) for config in same}) == 1
    others = [make(**{field: value}) for field, value in [
        ('method.alpha', 0.8), ('seed', 1), ('epochs', 100), ('precision', 'tf32'), ('model.name', 'resnet14'),
        ('optimizer.milestones', (0.5,)), ('method.relu', False), ('data.name', 'cifar10')]]
    assert len({digest(resolve(config)) for config in [make(), *others]}) == len(others) + 1


def test_resolve_leaves_its_argument_alone():
    config = make()
    resolve(config)
    assert config.method.warmup_epochs is None


def test_identity_survives_json():
    import json
    config = resolve(make())
    assert identity(json.loads(config.to_json())) == identity(config)


def test_words_for_a_method_and_its_network():
    vam, hme = (apply_arguments(default(), word) for word in ('vam', 'hme'))
    assert (vam.method.name, vam.model.vam, vam.model.name) == ('kd', True, 'resnet8')
    assert (hme.method.name, hme.model.name) == ('hme', 'hme_tree')


def test_unknown_argument():
    with pytest.raises(InputError, match="unknown argument 'smok' after the colon of --config; choose from: smoke"):
        apply_arguments(default(), 'smoke,smok')
    with pytest.raises(InputError, match='hme, vam; if it is a method, give --config.method.name=ce$'):
        apply_arguments(default(), 'ce')
    with pytest.raises(InputError, match='hme, vam, kd$'):
        apply_arguments(default(), 'ce', ('kd',))


@pytest.mark.parametrize('name', [pytest.param(name, marks=() if name == 'le_mnist' else pytest.mark.slow)
                                  for name in CONFIGS])
def test_every_config_runs_in_smoke_mode(name, tmp_path, request):
    """On the digits everywhere; on the real data where IKD_TEST_DATA names it."""
    import jax

    from ikd import experiment
    config = importlib.import_module(f'configs.{name}').get_config('smoke')
    if config.data.name != 'digits':
        config.data.dir = str(request.getfixturevalue({
            'mnist': 'real_mnist', 'cifar10': 'real_cifar10', 'folder': 'digits_folder'}[config.data.name]))
    summary = experiment.run(config, tmp_path, jax.devices()[:1])
    assert summary['epochs'] == 2 and 0 <= summary['test_accuracy_mean'] <= 100
