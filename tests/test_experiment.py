"""A run and its directory: what is written, what it says, what can't be trained."""
import itertools
import json
from contextlib import nullcontext
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ikd import checkpoint, data, experiment, models, run_checks, run_data, training, trials
from ikd.errors import Diverged, InputError
from ikd.explainers import CAMS, EXPLAINERS, ONE_PASS, SIMILARITIES, explain
from ikd.journal import Journal, read_records
from ikd.provenance import provenance, trained_by
from ikd.validation import resolve
from tests.small_grid import SUMMARY
from tests.small_run import last_state, make_config, train, without_times


def test_the_directory_of_a_run(undisturbed):
    workdir, summary = undisturbed
    assert {path.name for path in workdir.iterdir()} == {
        'config.json', 'data.json', 'metrics.jsonl', 'checkpoints', 'tensorboard', 'explanations.png', 'summary.json'}
    assert summary == json.loads((workdir / 'summary.json').read_text())
    (trial,) = summary['trials']
    assert set(trial) == {'seed', 'test_accuracy', 'test_nll', 'test_ece', 'train_seconds', 'finished', 'git_commit',
                          'versions', 'device'}
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
    np.testing.assert_allclose([r['learning_rate'] for r in records], [0.02, 0.02, 0.002], rtol=1e-5)
    assert summary['trials'][0]['train_seconds'] == pytest.approx(sum(r['seconds'] for r in records), abs=0.006)
    (events,) = (workdir / 'tensorboard' / 'seed0').iterdir()
    for tag in (b'test_accuracy', b'train_loss', b'explanations'):
        assert tag in events.read_bytes()


def test_the_summary_is_of_the_saved_network(undisturbed):
    """Test accuracy recomputed from the checkpoint, one plain forward pass."""
    workdir, summary = undisturbed
    config, state = resolve(make_config()), last_state(make_config(), workdir)
    dataset = run_data.load_data(config)
    logits, _ = models.create('cnn2', 10).apply({'params': state.params, 'batch_stats': state.batch_stats},
                                                dataset.test_images / np.float32(255))
    accuracy = 100 * (np.asarray(logits).argmax(-1) == dataset.test_labels).mean()
    assert summary['test_accuracy_mean'] == pytest.approx(accuracy)


@pytest.mark.usefixtures('without_pictures')
def test_not_every_epoch_is_tested(undisturbed, workdir):
    """A stage's last one always is; what is trained and what the tests say stays the same."""
    summary = train(make_config(test_every=2), workdir)
    records = read_records(workdir)
    assert [record['epoch'] for record in records if 'test_accuracy' in record] == [1, 3]
    untested = [{field: value for field, value in record.items()
                 if record['epoch'] != 2 or not field.startswith('test_')}
                for record in without_times(read_records(undisturbed[0]))]
    assert without_times(records) == untested
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']


@pytest.mark.usefixtures('without_pictures')
def test_trials_together_share_the_time_of_an_epoch(workdir, monkeypatch):
    """By a clock that goes on a second whenever it is read, an epoch takes one: half for each of two trials.

    So that their times add up to those of the run. Both together train 4 batches of 32 in half a second each.
    """
    monkeypatch.setattr(trials, 'time', SimpleNamespace(perf_counter=itertools.count().__next__))
    config = make_config(trials=2, parallel='trials', together=2, epochs=2, **{'model.name': 'mlp'})
    summary = train(config, workdir)
    records = read_records(workdir)
    assert len(records) == 4 and {record['seconds'] for record in records} == {0.5}
    assert {record['images_per_second'] for record in records} == {256.0}
    assert [trial['train_seconds'] for trial in summary['trials']] == [1.0, 1.0]


@pytest.mark.parametrize('method', ['kd', 'le'])
def test_trials_together_learn_from_networks_of_their_own(method, tmp_path, monkeypatch):
    """Each goes on from its own warm-up or learns from its own teacher, as alone; the first is drawn."""
    drawn, found = [], []
    monkeypatch.setattr(experiment, 'draw_results', lambda job, state: drawn.append(int(state.seed)))
    monkeypatch.setattr('ikd.epochs.PICTURES', 0)
    fields = {'method.name': method, 'method.explainer': 'grad', 'model.name': 'mlp', 'teacher.model': 'mlp',
              'trials': 2, 'epochs': 2}
    for place, more in ('alone', {}), ('together', {'parallel': 'trials', 'together': 2}):
        workdir = tmp_path / place / 'run'
        found.append(train(make_config(**fields, **more), workdir)['trials'])
        for trial in found[-1] if method == 'kd' else ():
            taught = [r for r in read_records(workdir, trial['seed']) if r['stage'] == 'teacher']
            assert len(taught) > 1 and trial['teachers'] == {'teacher': taught[-1]['test_accuracy']}
    for alone, together in zip(*found, strict=True):
        assert together['test_nll'] == pytest.approx(alone['test_nll'], rel=1e-4)
    assert drawn == [0, 0]


@pytest.mark.slow
def test_trials_on_devices_of_their_own_make_the_same_report(undisturbed, workdir):
    summary = experiment.run(make_config(trials=3, parallel='trials'), workdir, jax.devices()[:2])
    assert [trial['seed'] for trial in summary['trials']] == [0, 1, 2]
    assert summary['trials'][0]['test_nll'] == pytest.approx(undisturbed[1]['trials'][0]['test_nll'], rel=1e-3)
    for seed in range(3):
        assert [r['epoch'] for r in read_records(workdir, seed)] == [1, 2, 3]


@pytest.mark.parametrize('size, name, fields', [
    (8, 'cnn8', {'model.name': 'cnn8'}), (4, 'vgg8', {'model.name': 'vgg8'}),
    (2, 'hme_tree', {'model.name': 'hme_tree', 'method.name': 'ce'}),
    (8, 'cnn10', {'method.name': 'kd', 'teacher.model': 'cnn10'})])
def test_images_too_small_for_a_network_are_refused(workdir, size, name, fields):
    """The teacher's, too; before anything is written."""
    with pytest.raises(InputError, match=f'^images of {size}x{size} are too small for {name}; set --config'):
        train(make_config(**{'data.size': size, **fields}), workdir)
    assert not workdir.exists()


def test_maps_of_fewer_classes_are_refused(workdir, monkeypatch):
    """As an explainer of one's own might give; before anything is written."""
    def own(model, variables, images, class_chunk=None):
        return explain('grad', model, variables, images, classes=[0, 1])

    monkeypatch.setitem(EXPLAINERS, 'own', own)
    monkeypatch.setitem(ONE_PASS, 'own', own)
    with pytest.raises(InputError, match='method.explainer=own gives maps of 2 classes, and the network has 10'):
        train(make_config(**{'method.explainer': 'own'}), workdir)
    assert not workdir.exists()


def test_a_similarity_that_gives_no_targets_is_refused(workdir, monkeypatch):
    """Signs can't be seen in a compiled step, so it is tried; before anything is written."""
    monkeypatch.setitem(SIMILARITIES, 'own', lambda maps, labels: SIMILARITIES['cosine'](maps, labels) - 1)
    with pytest.raises(InputError, match="similarity 'own' gives -0.*; targets are made of weights in "):
        train(make_config(**{'method.similarity': 'own'}), workdir)
    assert not workdir.exists()


@pytest.mark.usefixtures('without_pictures')
def test_a_loss_that_is_not_a_number_stops_the_run(workdir, monkeypatch):
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
        train(make_config(), workdir)
    assert [r['epoch'] for r in read_records(workdir)] == [1]
    with checkpoint.manager(workdir, 0, 0, 'warmup') as saved:
        assert saved.all_steps() == [4]
    with checkpoint.manager(workdir, 0, 1, 'introspective') as saved:
        assert saved.all_steps() == []


@pytest.mark.usefixtures('without_pictures')
def test_cross_entropy_and_the_warm_up_of_le_are_the_same_training(undisturbed, workdir):
    """Methods compared on a seed start alike and see the same images in the same order."""
    train(make_config(**{'method.name': 'ce'}), workdir)
    first, warmup = read_records(workdir)[0], read_records(undisturbed[0])[0]
    assert first['train_loss'] == warmup['train_loss'] and first['test_nll'] == warmup['test_nll']


@pytest.mark.usefixtures('without_pictures')
@pytest.mark.parametrize('explainer', ['grad', *(pytest.param(name, marks=pytest.mark.slow) for name in (
    'grad_input', 'guided_backprop', *CAMS, 'lrp_epsilon', 'lrp_z_plus', 'contrastive_lrp'))])
def test_every_explainer_trains(workdir, explainer):
    """Its targets are more certain than those of label smoothing, which maps without a say would give."""
    train(make_config(**{'method.explainer': explainer, 'epochs': 2}), workdir)
    records = read_records(workdir)
    least = -0.9 * np.log(0.9) - 0.1 * np.log(0.1)
    assert least < records[-1]['train_entropy_q'] < least + 0.1 * np.log(9) - 1e-6
    assert records[-1]['train_zero_maps'] < 0.5


@pytest.mark.slow
def test_bfloat16_trains(workdir):
    summary = train(make_config(precision='bfloat16'), workdir)
    assert summary['precision'] == 'bfloat16'
    assert last_state(make_config(), workdir).params['Conv_0']['kernel'].dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize('k', [2, 3])
def test_of_two_classes_it_is_said_that_maps_say_nothing(k, workdir, capsys, monkeypatch):
    """Their targets are those of label smoothing, whatever the maps are."""
    images, labels = data.READERS['digits']()[:2]
    kept = labels < k
    split = images[kept], labels[kept]
    monkeypatch.setitem(data.READERS, 'digits', lambda: (*split, *split, tuple(map(str, range(k)))))
    train(make_config(epochs=2), workdir)
    assert ('of two classes the targets of le are those of label smoothing' in capsys.readouterr().err) == (k == 2)


def test_a_profile_on_request(undisturbed, workdir):
    """A trace of each stage, in which the step's parts have names, and the same result."""
    summary = train(make_config(profile=True), workdir)
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']
    (_,), (trace,) = ([*(workdir / 'profile' / stage).rglob('*.xplane.pb')] for stage in ('warmup', 'introspective'))
    content = trace.read_bytes()
    assert all(name in content for name in (b'forward', b'explain', b'targets', b'backward', b'update'))


def test_a_summary_of_three_trials(workdir):
    """Two that it had and one that is new: their mean, which is no median, and what a sample of three scatters."""
    workdir.mkdir()
    tested = {'test_nll': 0.5, 'test_ece': 0.1}
    there = [{'seed': seed, 'test_accuracy': accuracy, **tested, 'train_seconds': 1.0}
             for seed, accuracy in ((0, 90.0), (2, 95.0))]
    (workdir / 'summary.json').write_text(json.dumps({**SUMMARY, 'trials': there}))
    config = resolve(make_config())
    with Journal(workdir, 1) as journal:
        for epoch, seconds in (1, 0.25), (2, 0.5), (3, 1.0):
            journal.write({'seed': 1, 'stage': 'any', 'epoch': epoch, 'seconds': seconds, 'train_loss': 1.0,
                           'test_accuracy': 88.0 + epoch, **tested, **trained_by()})
    dataset = SimpleNamespace(train_images=np.zeros(7), test_images=np.zeros(3), streamed=True)
    found = experiment.summarise(config, workdir, [1], dataset, 'c0ffee')
    new = {**there[0], 'seed': 1, 'test_accuracy': 91.0, 'train_seconds': 1.75, **provenance(),
           'finished': found['trials'][1]['finished']}
    assert found['trials'] == [there[0], new, there[1]]
    assert found['test_accuracy_mean'] == pytest.approx(92)
    assert found['test_accuracy_std'] == pytest.approx(((4 + 1 + 9) / 2) ** 0.5)
    assert {name: found[name] for name in ('train_images', 'test_images', 'data_checksum', 'placement')} == {
        'train_images': 7, 'test_images': 3, 'data_checksum': 'c0ffee', 'placement': 'stream'}
    assert json.loads((workdir / 'summary.json').read_text()) == found


def test_all_images_fit_into_a_batch_and_no_more():
    for size, fits in (128, True), (129, False):
        config = resolve(make_config(batch_size=size))
        with nullcontext() if fits else pytest.raises(InputError, match='batch_size 129 is larger than the 128'):
            run_checks.check_fits(config, run_data.load_data(config))


@pytest.mark.parametrize('what', ['a record', 'a checkpoint'])
def test_either_says_that_a_run_has_begun(workdir, what):
    """A run that was killed after one of them, and lost its config.json, is no empty folder."""
    assert not run_checks.has_begun(workdir)
    if what == 'a record':
        with Journal(workdir, 0) as journal:
            journal.write({'seed': 0, 'stage': 'ce', 'epoch': 1})
    else:
        (workdir / 'checkpoints' / 'seed0' / '0-ce' / '4').mkdir(parents=True)
    assert run_checks.has_begun(workdir)
    with pytest.raises(InputError, match='holds a run, but not its config.json'):
        run_checks.check_identity(resolve(make_config()), workdir)
