"""A run and its directory: what is written, what is trained again, what is refused."""
import json

import jax
import numpy as np
import pytest

from ikd import checkpoint, experiment, models, parallel, training, trials
from ikd.config import default
from ikd.errors import Diverged, InputError, Stopped
from ikd.explainers import CAMS
from ikd.files import read_json
from ikd.report.journal import read_records
from ikd.report.page import report
from ikd.validation import resolve

ONE = jax.devices()[:1]


def make_config(**fields):
    """LE(Grad-CAM) with a small network on 8x8 digits: one epoch of warm-up, two of introspection."""
    config = default()
    config.model.name = 'cnn2'
    config.update(batch_size=32, epochs=3)
    config.data.limit = 128
    config.update_from_flattened_dict({'method.warmup_epochs': 1, 'optimizer.learning_rate': 0.02, **fields})
    return config


def last_state(config, workdir, seed=0):
    """The host State that a run ended with, read from its last checkpoint."""
    config = resolve(config)
    dataset = experiment.load_data(config)
    layout = parallel.Layout(tuple(ONE), 'data')
    prepared = trials.prepare_stages(config, dataset, layout)[-1]
    example = training.state_shapes(prepared, dataset.train_images.shape[1:])
    with checkpoint.manager(workdir, seed, 1, 'introspective') as saved:
        return checkpoint.restore(saved, saved.latest_step(), example)[0]


def assert_same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(x, y)


def without_times(records):
    return [{name: value for name, value in record.items() if name not in ('seconds', 'images_per_second')}
            for record in records]


@pytest.fixture
def tmp_path(tmp_path):
    """A workdir that is not there yet, with a store of its own beside it."""
    return tmp_path / 'run'


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    """Workdir and summary of a run that nothing happened to."""
    workdir = tmp_path_factory.mktemp('runs') / 'undisturbed'
    return workdir, experiment.run(make_config(), workdir, ONE)


@pytest.fixture
def count_epochs(monkeypatch):
    """A list that grows by one for every epoch trained; `.stop_after = n` interrupts before the (n+1)-th."""
    class Epochs(list):
        stop_after = None

    epochs, run_epoch = Epochs(), training.run_epoch

    def counted(*args):
        if len(epochs) == epochs.stop_after:
            raise KeyboardInterrupt
        epochs.append(1)
        return run_epoch(*args)

    monkeypatch.setattr(training, 'run_epoch', counted)
    return epochs


def test_the_directory_of_a_run(undisturbed):
    workdir, summary = undisturbed
    assert {path.name for path in workdir.iterdir()} == {
        'config.json', 'data.json', 'metrics.jsonl', 'checkpoints', 'tensorboard', 'explanations.png', 'summary.json'}
    assert summary == json.loads((workdir / 'summary.json').read_text())
    (trial,) = summary['trials']
    assert set(trial) == {'seed', 'test_accuracy', 'test_nll', 'test_ece', 'train_seconds'}
    assert summary['test_accuracy_mean'] == trial['test_accuracy'] and summary['test_accuracy_std'] is None
    assert {name: summary[name] for name in ('method', 'explainer', 'model', 'dataset', 'epochs', 'precision')} == {
        'method': 'le', 'explainer': 'grad_cam', 'model': 'cnn2', 'dataset': 'digits', 'epochs': 3,
        'precision': 'float32'}
    assert summary['versions']['jax'] == jax.__version__ and summary['device']['platform'] == 'cpu'
    assert (workdir / 'explanations.png').read_bytes().startswith(b'\x89PNG')
    assert json.loads((workdir / 'config.json').read_text()) == json.loads(resolve(make_config()).to_json())


def test_metrics_tell_of_every_epoch(undisturbed):
    workdir, summary = undisturbed
    records = read_records(workdir)
    assert [(r['stage'], r['epoch'], r['step']) for r in records] == [
        ('warmup', 1, 4), ('introspective', 2, 8), ('introspective', 3, 12)]
    for part in ('loss', 'cross_entropy', 'distillation', 'entropy_p', 'entropy_q', 'zero_maps', 'accuracy'):
        assert f'train_{part}' in records[-1]
    last = records[-1]
    total = last['train_distillation'] + 0.1 * last['train_cross_entropy']
    assert last['train_loss'] == pytest.approx(total, rel=1e-4)
    assert summary['trials'][0]['test_accuracy'] == last['test_accuracy']  # the last epoch's, not the best
    (events,) = (workdir / 'tensorboard' / 'seed0').iterdir()
    for tag in (b'test_accuracy', b'train_loss', b'explanations'):
        assert tag in events.read_bytes()


def test_the_summary_is_of_the_saved_network(undisturbed):
    """Test accuracy recomputed from the checkpoint, one plain forward pass."""
    workdir, summary = undisturbed
    config, state = resolve(make_config()), last_state(make_config(), workdir)
    dataset = experiment.load_data(config)
    logits, _ = models.create('cnn2', 10).apply({'params': state.params, 'batch_stats': state.batch_stats},
                                                dataset.test_images / np.float32(255))
    accuracy = 100 * (np.asarray(logits).argmax(-1) == dataset.test_labels).mean()
    assert summary['test_accuracy_mean'] == pytest.approx(accuracy)


@pytest.mark.parametrize('stop_after', [0, 1, 2])
def test_interrupted_and_resumed_is_undisturbed(undisturbed, tmp_path, count_epochs, stop_after):
    """Bit for bit, whichever epoch it was interrupted after, and nothing is trained twice."""
    count_epochs.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        experiment.run(make_config(), tmp_path, ONE)
    count_epochs.stop_after = None
    summary = experiment.run(make_config(), tmp_path, ONE)
    assert len(count_epochs) == 3
    assert_same(last_state(make_config(), tmp_path), last_state(make_config(), undisturbed[0]))
    assert without_times(read_records(tmp_path)) == without_times(read_records(undisturbed[0]))
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']


def test_resuming_between_rare_checkpoints_repeats_what_was_lost(undisturbed, tmp_path, count_epochs):
    """checkpoint_every is not part of the experiment: saved at the ends of stages only, it ends the same."""
    count_epochs.stop_after = 2
    config = make_config(checkpoint_every=10)
    with pytest.raises(KeyboardInterrupt):
        experiment.run(config, tmp_path, ONE)
    count_epochs.stop_after = None
    experiment.run(config, tmp_path, ONE)
    assert len(count_epochs) == 4
    assert_same(last_state(config, tmp_path), last_state(config, undisturbed[0]))
    assert without_times(read_records(tmp_path)) == without_times(read_records(undisturbed[0]))


def test_not_every_epoch_is_tested(undisturbed, tmp_path):
    """A stage's last one always is; what is trained and what the tests say stays the same, and the report has it."""
    summary = experiment.run(make_config(test_every=2), tmp_path, ONE)
    records = read_records(tmp_path)
    assert [record['epoch'] for record in records if 'test_accuracy' in record] == [1, 3]
    untested = [{field: value for field, value in record.items()
                 if record['epoch'] != 2 or not field.startswith('test_')}
                for record in without_times(read_records(undisturbed[0]))]
    assert without_times(records) == untested
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']
    assert 'Accuracy, test (%)' in report(tmp_path)


def test_a_finished_run_is_not_repeated(undisturbed, count_epochs):
    workdir, summary = undisturbed
    assert experiment.run(make_config(), workdir, ONE) == summary
    assert not count_epochs


def test_more_trials_train_only_the_new_ones(undisturbed, tmp_path, count_epochs):
    """And the second of two trials is the run of that seed alone, bit for bit."""
    one = experiment.run(make_config(), tmp_path, ONE)
    two = experiment.run(make_config(trials=2), tmp_path, ONE)
    assert len(count_epochs) == 6
    assert two['trials'][0] == one['trials'][0]
    accuracies = [trial['test_accuracy'] for trial in two['trials']]
    assert two['test_accuracy_mean'] == pytest.approx(np.mean(accuracies))
    assert two['test_accuracy_std'] == pytest.approx(np.std(accuracies, ddof=1))
    alone = make_config(seed=1)
    experiment.run(alone, tmp_path.parent / 'elsewhere' / 'alone', ONE)
    assert_same(last_state(alone, tmp_path.parent / 'elsewhere' / 'alone', 1), last_state(alone, tmp_path, 1))


@pytest.mark.slow
def test_trials_on_devices_of_their_own_make_the_same_report(undisturbed, tmp_path):
    summary = experiment.run(make_config(trials=3, parallel='trials'), tmp_path, jax.devices()[:2])
    assert [trial['seed'] for trial in summary['trials']] == [0, 1, 2]
    assert summary['trials'][0]['test_nll'] == pytest.approx(undisturbed[1]['trials'][0]['test_nll'], rel=1e-3)
    for seed in range(3):
        assert [r['epoch'] for r in read_records(tmp_path, seed)] == [1, 2, 3]


def test_another_experiment_in_the_same_place_is_refused(undisturbed):
    with pytest.raises(InputError) as caught:
        experiment.run(make_config(**{'method.alpha': 0.8, 'batch_size': 16}), undisturbed[0], ONE)
    assert 'batch_size (32 there, 16 now), method.alpha (0.9 there, 0.8 now)' in str(caught.value)


@pytest.mark.parametrize('size, name, fields', [
    (8, 'cnn8', {'model.name': 'cnn8'}), (4, 'vgg8', {'model.name': 'vgg8'}),
    (2, 'hme_tree', {'model.name': 'hme_tree', 'method.name': 'ce'}),
    (8, 'cnn10', {'method.name': 'kd', 'teacher.model': 'cnn10'})])
def test_images_too_small_for_a_network_are_refused(tmp_path, size, name, fields):
    """The teacher's, too; before anything is written."""
    with pytest.raises(InputError, match=f'^images of {size}x{size} are too small for {name}; set --config'):
        experiment.run(make_config(**{'data.size': size, **fields}), tmp_path / 'run', ONE)
    assert not (tmp_path / 'run').exists()


def test_a_run_from_before_a_field_goes_on(undisturbed, tmp_path):
    """What its config.json does not say is as it is by default."""
    there = read_json(undisturbed[0] / 'config.json')
    del there['features']['power'], there['precision']
    tmp_path.mkdir()
    (tmp_path / 'config.json').write_text(json.dumps(there))
    experiment.check_identity(resolve(make_config()), tmp_path)
    with pytest.raises(InputError, match='precision .float32 there, bfloat16 now.'):
        experiment.check_identity(resolve(make_config(precision='bfloat16')), tmp_path)


@pytest.mark.parametrize('field, value', [('data.dir', '.'), ('class_chunk', 2), ('profile', True), ('trials', 1),
                                          ('parallel', 'trials'), ('cache_dir', 'cache'), ('checkpoint_every', 7),
                                          ('test_every', 3)])
def test_where_and_how_are_not_what(undisturbed, field, value):
    assert experiment.run(make_config(**{field: value}), undisturbed[0], ONE) == undisturbed[1]


def test_asked_to_stop_a_run_keeps_every_step(undisturbed, tmp_path):
    """Between epochs and within, one of them cut twice, though no checkpoint was due: no step is taken twice, and in
    the end it is as if undisturbed. Asked at the very end it ends anyway."""
    config, asked = make_config(checkpoint_every=10), []

    def run(asks):
        """Stops at the n-th time it is asked: the first is before the seed, the last of an epoch after its test."""
        start = len(asked)
        return experiment.run(config, tmp_path, ONE, stop=lambda: asked.append(1) or len(asked) - start == asks)

    for asks, message in [(1, 'stopped before seed 0'), (3, 'stopped in epoch 1 of 3, after step 2 of 4'),
                          (4, 'stopped after epoch 1 of 3'), (2, 'stopped in epoch 2 of 3, after step 1 of 4'),
                          (3, 'stopped in epoch 2 of 3, after step 3 of 4')]:
        with pytest.raises(Stopped, match=message):
            run(asks)
        assert not (tmp_path / 'summary.json').exists()
    summary = run(8)
    assert len(asked) == 6 + 12 + 3  # runs, steps, epochs
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']
    assert_same(last_state(config, tmp_path), last_state(config, undisturbed[0]))
    assert without_times(read_records(tmp_path)) == without_times(read_records(undisturbed[0]))


@pytest.mark.slow
def test_seeds_of_a_run_in_any_order(undisturbed, tmp_path, count_epochs):
    """Each is told of as soon as it is done, and is the same, bit for bit, whatever was trained before it."""
    told = []
    finished = lambda summary: told.append([trial['seed'] for trial in summary['trials']])
    summary = experiment.run(make_config(), tmp_path, ONE, seeds=[1, 0], finished=finished)
    assert told == [[1], [0, 1]] and len(count_epochs) == 6
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']
    assert_same(last_state(make_config(), tmp_path), last_state(make_config(), undisturbed[0]))
    assert summary['train_images'] == summary['test_images'] == 128
    experiment.run(make_config(), tmp_path, ONE, seeds=[1], finished=finished)
    assert told[-1] == [0, 1] and len(count_epochs) == 6


def test_a_loss_that_is_not_a_number_stops_the_run(tmp_path, monkeypatch):
    """Poisoned at step 6, in the second epoch: the run says so, and the first epoch's checkpoint is kept."""
    make_step = training.make_step

    def poisoned(*args):
        step = make_step(*args)

        def poison(state, *rest):
            state, report = step(state, *rest)
            spoilt = jax.tree.map(lambda p: jax.numpy.where(state.step == 6, np.nan, p), state.params)
            return state._replace(params=spoilt), report

        return poison

    monkeypatch.setattr(training, 'make_step', poisoned)
    with pytest.raises(Diverged, match='seed 0 is not a number since step 6 '):
        experiment.run(make_config(), tmp_path, ONE)
    assert [r['epoch'] for r in read_records(tmp_path)] == [1]
    with checkpoint.manager(tmp_path, 0, 0, 'warmup') as saved:
        assert saved.all_steps() == [4]
    with checkpoint.manager(tmp_path, 0, 1, 'introspective') as saved:
        assert saved.all_steps() == []


def test_cross_entropy_and_the_warm_up_of_le_are_the_same_training(undisturbed, tmp_path):
    """Methods compared on a seed start alike and see the same images in the same order."""
    experiment.run(make_config(**{'method.name': 'ce'}), tmp_path, ONE)
    first, warmup = read_records(tmp_path)[0], read_records(undisturbed[0])[0]
    assert first['train_loss'] == warmup['train_loss'] and first['test_nll'] == warmup['test_nll']


@pytest.mark.usefixtures('without_pictures')
@pytest.mark.parametrize('explainer', ['grad', *(pytest.param(name, marks=pytest.mark.slow) for name in (
    'grad_input', 'guided_backprop', *CAMS, 'lrp_epsilon', 'lrp_z_plus', 'contrastive_lrp'))])
def test_every_explainer_trains(tmp_path, explainer):
    experiment.run(make_config(**{'method.explainer': explainer, 'epochs': 2}), tmp_path, ONE)
    records = read_records(tmp_path)
    assert records[-1]['train_entropy_q'] < np.log(10) and records[-1]['train_zero_maps'] < 0.5


@pytest.mark.slow
def test_bfloat16_trains(tmp_path):
    summary = experiment.run(make_config(precision='bfloat16'), tmp_path, ONE)
    assert summary['precision'] == 'bfloat16'
    assert last_state(make_config(), tmp_path).params['Conv_0']['kernel'].dtype == np.float32


@pytest.mark.slow
def test_a_profile_on_request(undisturbed, tmp_path):
    """A trace of each stage, in which the step's parts have names, and the same result."""
    summary = experiment.run(make_config(profile=True), tmp_path, ONE)
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']
    (_,), (trace,) = ([*(tmp_path / 'profile' / stage).rglob('*.xplane.pb')] for stage in ('warmup', 'introspective'))
    content = trace.read_bytes()
    assert all(name in content for name in (b'forward', b'explain', b'targets', b'backward', b'update'))
