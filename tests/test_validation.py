"""What the fields of a configuration may be, and what they are where nothing is said."""
import pytest

from ikd.config import default, flatten
from ikd.errors import InputError
from ikd.explainers import EXPLAINERS, explainer_options
from ikd.recipes import RECIPES
from ikd.validation import resolve
from tests.small_config import make


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


def test_an_explainer_of_ones_own_must_be_among_those_of_one_pass(monkeypatch):
    """It may well be such a one, and what is missing is a line."""
    monkeypatch.setitem(EXPLAINERS, 'mine', lambda model, variables, images: images)
    assert resolve(make(**{'method.name': 'ce', 'method.explainer': 'mine'})).method.explainer == 'mine'
    with pytest.raises(InputError, match='explainer=mine is an explainer of your own; .*ikd.explainers.ONE_PASS'):
        resolve(make(**{'method.name': 'le', 'method.explainer': 'mine'}))
    with pytest.raises(InputError, match='method.explainer=occlusion passes through the network many times'):
        resolve(make(**{'method.name': 'le', 'method.explainer': 'occlusion'}))


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
