"""Every method: it trains, lowers its loss, and does not depend on how many devices share the batch."""
import jax
import numpy as np
import pytest

from configs import cifar as cifar_config
from configs import digits as digits_config
from ikd import experiment, networks, parallel, run_data, stage_names, store, training, trials
from ikd.data.inputs import normalise
from ikd.errors import InputError
from ikd.explainers import explain, targets
from ikd.journal import read_records
from ikd.objectives.losses import entropy
from ikd.recipes import RECIPES, recipe
from ikd.stages import continued
from ikd.validation import resolve
from tests.quick import plain_pictures

DEVICES = jax.devices()


METHODS = (*RECIPES, 'vam')
EXPLAINED = ('le', 'le_permut', 'le_frozen', 'le_frozen_turned')
FIRST = ('ce', 'kd', 'hint', 'dml', 'le')  # one of each kind; the others are slow
# On several devices these differ from methods that are tested there by nothing that couples a batch.
ALIKE = ('label_smoothing', 'confidence_penalty', 'le_uniform', 'le_frozen_turned', 'takd', 'ban', 'ban_l', 'srdl')
SHARED = [pytest.param(method, marks=() if method in FIRST else pytest.mark.slow) for method in METHODS]


SMALL = {'model.name': 'cnn4', 'teacher.model': 'cnn4', 'teacher.assistant': 'cnn4'}


def make_config(method, **fields):
    """The method with ResNet8, and ResNet8 as teacher, on 16x16 digits, in smoke mode; trees of few channels."""
    config = digits_config.get_config(f'{method},smoke')
    config.update_from_flattened_dict({'data.size': 16, 'teacher.model': 'resnet8', 'teacher.assistant': 'resnet8',
                                       **fields})
    return resolve(config)


@pytest.fixture(scope='module')
def shared_store(tmp_path_factory):
    """Where the methods of one setting find each other's teachers."""
    return str(tmp_path_factory.mktemp('store'))


def assert_it_learns(config, workdir, right):
    """The last epoch of the method's objective has a lower loss than the first, and more labels right (percent)."""
    with plain_pictures():
        summary = experiment.run(config, workdir, DEVICES[:1])
    records = [r for r in read_records(workdir) if r['stage'] == recipe(config)[-1].name]
    assert records[-1]['train_loss'] < records[0]['train_loss']
    assert records[-1]['train_accuracy'] > right  # chance is 10
    return summary


@pytest.mark.parametrize('method', SHARED)
def test_every_method_trains_and_lowers_its_loss(method, tmp_path, shared_store):
    small = {'hme.hard_learning_rate': 0.5} if method == 'hme' else SMALL
    config = make_config(method, epochs=5, store=shared_store, **{
        'method.warmup_epochs': 1, 'data.limit': 512, 'optimizer.learning_rate': 0.05, **small})
    summary = assert_it_learns(config, tmp_path, right=20 if method in ('hme', 'srdl') else 40)
    stages = recipe(config)
    taught_by = {stages[stage.teacher].name for stage in stages if stage.teacher is not None}
    assert summary['method'] == config.method.name
    assert summary['trials'][0].get('teachers', {}).keys() == taught_by
    assert summary['explainer'] == ('grad_cam' if method in EXPLAINED else None)


@pytest.mark.slow
@pytest.mark.parametrize('method', (*FIRST, 'srdl', 'vam'))
def test_methods_train_on_cifar10(method, tmp_path, shared_store, real_cifar10):
    """The smoke run of `configs/cifar.py:METHOD`, with a small teacher and a few epochs more."""
    config = cifar_config.get_config(f'{method},smoke')
    config.update_from_flattened_dict({
        'data.dir': str(real_cifar10), 'data.limit': 512, 'epochs': 5, 'store': shared_store,
        'optimizer.learning_rate': 0.02, 'model.name': 'resnet8', 'teacher.model': 'resnet8'})
    assert_it_learns(resolve(config), tmp_path, right=15)


@pytest.mark.parametrize('method', [method for method in SHARED if method.values[0] not in ALIKE])
def test_two_devices_equal_one(method):
    """Three steps of the last stage: random numbers, statistics and whatever couples the batch span the devices.

    In norm, as float32's rounding now and then tips a ReLU; other random numbers differ by a tenth and more.
    """
    config = make_config(method, **{'method.rate': 0.3, 'optimizer.learning_rate': 0.01},
                         **({} if method == 'hme' else SMALL))
    dataset = run_data.load_data(config)
    ends, losses = [], []
    for devices in (DEVICES[:1], DEVICES[:2]):
        layout = parallel.Layout(tuple(devices), 'data')
        job = trials.make_job(config, None, dataset, layout)
        prepared = job.stages[-1]
        program = prepared.program
        begun = training.new_state(0, prepared, job.image_shape)
        knowledge = {}
        if prepared.stage.teacher is not None:
            teacher = training.new_state(5, job.stages[prepared.stage.teacher], job.image_shape)
            knowledge = parallel.join(layout, [training.variables_of(teacher)])
        state, reports = parallel.join(layout, [begun]), []
        order = program.order(state)
        for _ in range(3):
            state, report = program.advance(program.chunk)(state, knowledge, order, *job.training_set)
            jax.block_until_ready(state)
            reports.append(float(report['loss']))
        ends.append(jax.flatten_util.ravel_pytree(parallel.split(layout, state)[0].params)[0])
        losses.append(reports)
    start = jax.flatten_util.ravel_pytree(begun.params)[0]
    assert np.linalg.norm(ends[1] - ends[0]) < 5e-3 * np.linalg.norm(ends[0] - start)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('network, loss', [('hme_tree', 'ls'), ('hme_resnet18', 'kd')])
def test_both_trees_learn_with_every_loss(network, loss, tmp_path, shared_store):
    """Routing entropies are recorded row by row, and the tree is drawn."""
    config = make_config('hme', epochs=5, store=shared_store, **{
        'model.name': network, 'hme.loss': loss, 'data.limit': 512, 'optimizer.learning_rate': 0.05,
        'hme.hard_learning_rate': 0.5, 'hme.outputs': 2})
    summary = assert_it_learns(config, tmp_path, right=15)
    assert set(summary['trials'][0].get('teachers', {})) == ({'teacher'} if loss == 'kd' else set())
    last = read_records(tmp_path)[-1]
    assert {f'train_entropy_branch3_{j}' for j in range(10)} | {'train_entropy_branch1_3'} <= last.keys()
    assert last['train_entropy_routing'] == 0 if network == 'hme_tree' else 0.5 < last['train_entropy_routing'] < 1
    assert (tmp_path / 'tree.png').read_bytes().startswith(b'\x89PNG')
    assert (tmp_path / 'dendrogram.png').exists() == (network == 'hme_resnet18')


@pytest.mark.parametrize('method', RECIPES)
def test_teachers_draw_for_themselves(method):
    """Or a student would begin as its teacher did, and ask it about the very crops that it has learnt.

    The network that is compared with others draws what the seed draws with any other method.
    """
    stages = recipe(make_config(method))
    assert stages[-1].draws == 0
    for stage in stages:
        if stage.teacher is not None and stage.start is not continued:
            assert stages[stage.teacher].draws != stage.draws


@pytest.mark.parametrize('loss', ['ce', 'kd'])
def test_the_trees_of_hme_draw_for_themselves(loss):
    """The hard tree has weights, orders and crops of its own, though the soft one is no teacher of it."""
    drawn = [stage.draws for stage in recipe(make_config('hme', **{'model.name': 'hme_tree', 'hme.loss': loss}))]
    assert len({*drawn}) == len(drawn) >= 2 and drawn[-1] == 0


def test_the_variants_of_le_share_their_warm_up():
    stages = [recipe(make_config(method))[0] for method in (*EXPLAINED, 'le_uniform')]
    assert all(stage == stages[0] for stage in stages) and stages[0].name == 'warmup'


def test_frozen_targets_do_not_move_and_le_s_do(tmp_path, without_pictures):
    """Every epoch sees the same images, so the mean entropy of the targets is the same in each but for rounding.

    It is that of the targets of the warm-up's own network, from the store.
    """
    entropies = {}
    for method in 'le', 'le_frozen':
        config = make_config(method, epochs=4, **{'model.name': 'mlp', 'method.explainer': 'grad',
                                                  'method.warmup_epochs': 1, 'method.alpha': 0.5})
        experiment.run(config, tmp_path / method, DEVICES[:1])
        entropies[method] = [record['train_entropy_q'] for record in read_records(tmp_path / method)
                             if record['stage'] == 'introspective']
    np.testing.assert_allclose(entropies['le_frozen'], entropies['le_frozen'][0], rtol=1e-5)
    assert np.ptp(entropies['le']) > 1e-3

    data = run_data.load_data(config)
    warmup = trials.make_job(config, None, data, parallel.Layout(tuple(DEVICES[:1]), 'data')).stages[0]
    state, _ = store.fetch(tmp_path / 'store', stage_names.stage_name(config, recipe(config), 0), 0,
                           training.state_shapes(warmup, data.train_images.shape[1:]))
    x = normalise(data.train_images, data.mean, data.std)
    maps = explain('grad', warmup.model, training.variables_of(state), x)
    expected = entropy(targets(maps, data.train_labels, config.method.alpha)).mean()
    np.testing.assert_allclose(entropies['le_frozen'], expected, rtol=1e-5)


def test_dropout_is_in_the_network_that_is_trained_and_not_in_the_one_that_is_tested():
    config = make_config('dropout', **{'method.rate': 0.25})
    layout = parallel.Layout(tuple(DEVICES[:1]), 'data')
    job = trials.make_job(config, None, run_data.load_data(config), layout)
    assert job.stages[0].model.dropout_rate == 0.25
    assert networks.make_model(config, run_data.load_data(config)).dropout_rate == 0


def test_the_second_stage_of_srdl_shares_nothing_with_the_first():
    """Other weights, no momentum, the schedule from its beginning; the same seed, so the same images."""
    config = make_config('srdl', epochs=4)
    first, second = recipe(config)
    assert (first.epochs, second.epochs, second.teacher) == (2, 2, 0)
    assert first.span is second.span is None
    job = trials.make_job(config, None, run_data.load_data(config), parallel.Layout(tuple(DEVICES[:1]), 'data'))
    states = [training.new_state(0, prepared, (16, 16, 1)) for prepared in job.stages]
    kernels = [[leaf for leaf in jax.tree.leaves(state.params) if leaf.ndim > 1] for state in states]
    assert all((a != b).mean() > 0.99 for a, b in zip(*kernels, strict=True))
    begun = second.start(states[1], [states[0]._replace(step=np.int32(16))])
    assert begun.step == 0 and not any(leaf.any() for leaf in jax.tree.leaves(begun.opt_state))


def test_srdl_of_one_epoch_is_refused():
    with pytest.raises(InputError, match='srdl has two stages'):
        make_config('srdl', epochs=1, **{'method.warmup_epochs': 0})
