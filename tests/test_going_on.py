"""A run that is cut, stopped or asked for again: what is trained again, what is not, what is refused."""
import contextlib
import json
import shutil

import numpy as np
import pytest

from ikd import data, experiment, provenance, run_checks, run_data
from ikd.errors import Diverged, InputError, Stopped
from ikd.files import read_json
from ikd.grid import Cell, write_cell
from ikd.journal import read_records
from ikd.provenance import provenance as known_by
from ikd.validation import resolve
from tests.small_run import assert_same, last_state, make_config, train, without_times

pytestmark = pytest.mark.usefixtures('without_pictures')


@pytest.mark.parametrize('stop_after', [0, 1, 2])
def test_interrupted_and_resumed_is_undisturbed(undisturbed, workdir, count_epochs, stop_after):
    """Bit for bit, whichever epoch it was interrupted after, and nothing is trained twice."""
    count_epochs.stop_after = stop_after
    with pytest.raises(KeyboardInterrupt):
        train(make_config(), workdir)
    count_epochs.stop_after = None
    summary = train(make_config(), workdir)
    assert len(count_epochs) == 3
    assert_same(last_state(make_config(), workdir), last_state(make_config(), undisturbed[0]))
    assert without_times(read_records(workdir)) == without_times(read_records(undisturbed[0]))
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']


def test_resuming_between_rare_checkpoints_repeats_what_was_lost(undisturbed, workdir, count_epochs):
    """checkpoint_every is not part of the experiment: saved at the ends of stages only, it ends the same."""
    count_epochs.stop_after = 2
    config = make_config(checkpoint_every=10)
    with pytest.raises(KeyboardInterrupt):
        train(config, workdir)
    count_epochs.stop_after = None
    train(config, workdir)
    assert len(count_epochs) == 4
    assert_same(last_state(config, workdir), last_state(config, undisturbed[0]))
    assert without_times(read_records(workdir)) == without_times(read_records(undisturbed[0]))


def test_asked_to_stop_a_run_keeps_every_step(undisturbed, workdir):
    """Between epochs and within, one of them cut twice, though no checkpoint was due: no step is taken twice, and in
    the end it is as if undisturbed. Asked at the very end it ends anyway."""
    config, asked = make_config(checkpoint_every=10), []

    def run(asks):
        """Stops at the n-th time it is asked: the first is before the seed, the last of an epoch after its test."""
        start = len(asked)
        return train(config, workdir, stop=lambda: asked.append(1) or len(asked) - start == asks)

    for asks, message in [(1, 'stopped before seed 0'), (3, 'stopped in epoch 1 of 3, after step 2 of 4'),
                          (4, 'stopped after epoch 1 of 3'), (2, 'stopped in epoch 2 of 3, after step 1 of 4'),
                          (3, 'stopped in epoch 2 of 3, after step 3 of 4')]:
        with pytest.raises(Stopped, match=message):
            run(asks)
        assert not (workdir / 'summary.json').exists()
    summary = run(8)
    assert len(asked) == 6 + 12 + 3  # runs, steps, epochs
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']
    assert_same(last_state(config, workdir), last_state(config, undisturbed[0]))
    assert without_times(read_records(workdir)) == without_times(read_records(undisturbed[0]))


def test_a_finished_run_is_not_repeated(undisturbed, count_epochs):
    workdir, summary = undisturbed
    assert train(make_config(), workdir) == summary
    assert not count_epochs


def test_more_trials_train_only_the_new_ones(undisturbed, workdir, count_epochs):
    """And the second of two trials is the run of that seed alone, bit for bit."""
    one = train(make_config(), workdir)
    two = train(make_config(trials=2), workdir)
    assert len(count_epochs) == 6
    assert two['trials'][0] == one['trials'][0]
    accuracies = [trial['test_accuracy'] for trial in two['trials']]
    assert two['test_accuracy_mean'] == pytest.approx(np.mean(accuracies))
    assert two['test_accuracy_std'] == pytest.approx(np.std(accuracies, ddof=1))
    alone = make_config(seed=1)
    train(alone, workdir.parent / 'elsewhere' / 'alone')
    assert_same(last_state(alone, workdir.parent / 'elsewhere' / 'alone', 1), last_state(alone, workdir, 1))


@pytest.mark.slow
def test_seeds_of_a_run_in_any_order(undisturbed, workdir, count_epochs):
    """Each is told of as soon as it is done, and is the same, bit for bit, whatever was trained before it."""
    told = []
    finished = lambda summary: told.append([trial['seed'] for trial in summary['trials']])
    summary = train(make_config(), workdir, seeds=[1, 0], finished=finished)
    assert told == [[1], [0, 1]] and len(count_epochs) == 6
    assert summary['trials'][0]['test_nll'] == undisturbed[1]['trials'][0]['test_nll']
    assert_same(last_state(make_config(), workdir), last_state(make_config(), undisturbed[0]))
    assert summary['train_images'] == summary['test_images'] == 128
    train(make_config(), workdir, seeds=[1], finished=finished)
    assert told[-1] == [0, 1] and len(count_epochs) == 6


def test_a_run_from_before_a_field_goes_on(undisturbed, workdir):
    """What its config.json does not say is as it is by default."""
    there = read_json(undisturbed[0] / 'config.json')
    del there['features']['power'], there['precision']
    workdir.mkdir()
    (workdir / 'config.json').write_text(json.dumps(there))
    run_checks.check_identity(resolve(make_config()), workdir)
    with pytest.raises(InputError, match='precision .float32 there, bfloat16 now.'):
        run_checks.check_identity(resolve(make_config(precision='bfloat16')), workdir)


@pytest.mark.parametrize('field, value', [('data.dir', '.'), ('class_chunk', 2), ('profile', True), ('trials', 1),
                                          ('parallel', 'trials'), ('cache_dir', 'cache'), ('checkpoint_every', 7),
                                          ('test_every', 3)])
def test_where_and_how_are_not_what(undisturbed, field, value):
    assert train(make_config(**{field: value}), undisturbed[0]) == undisturbed[1]


def test_another_experiment_in_the_same_place_is_refused(undisturbed):
    with pytest.raises(InputError) as caught:
        train(make_config(**{'method.alpha': 0.8, 'batch_size': 16}), undisturbed[0])
    assert 'batch_size (32 there, 16 now), method.alpha (0.9 there, 0.8 now)' in str(caught.value)


def test_another_experiment_that_began_meanwhile_is_not_touched(workdir):
    """Both had found the directory empty before they read their data."""
    first, second = (resolve(make_config(**{'optimizer.learning_rate': rate})) for rate in (0.1, 0.2))
    described = data.description(run_data.load_data(first))
    experiment.open_workdir(first, workdir, described)
    files = lambda: {path: path.read_bytes() for path in workdir.rglob('*') if path.is_file()}
    before = files()
    with pytest.raises(InputError, match=r'holds another experiment: optimizer.learning_rate \(0.1 there, 0.2 now\)'):
        experiment.open_workdir(second, workdir, described)
    assert files() == before and workdir / 'config.json' in before


def test_other_data_in_the_same_place_is_refused(workdir, monkeypatch):
    """Data of one's own may change, and nothing in the config says so."""
    numbers = list(data.READERS['digits']())
    monkeypatch.setitem(data.READERS, 'digits', lambda: tuple(numbers))
    train(make_config(), workdir)
    numbers[1] = np.roll(numbers[1], 1)
    before = (workdir / 'summary.json').read_text()
    with pytest.raises(InputError, match='the data is not what .* was begun with'):
        train(make_config(trials=2), workdir)
    assert (workdir / 'summary.json').read_text() == before
    numbers[1] = np.roll(numbers[1], -1)
    assert len(train(make_config(trials=2), workdir)['trials']) == 2


def test_trials_that_are_done_need_no_journal(undisturbed, workdir):
    """More of them join what the summary says."""
    shutil.copytree(undisturbed[0], workdir)
    (workdir / 'metrics.jsonl').unlink()
    first, second = train(make_config(trials=2), workdir)['trials']
    assert first == undisturbed[1]['trials'][0] and second['seed'] == 1


@pytest.mark.parametrize('lost', ['config.json', 'config.json and summary.json'])
def test_a_run_without_its_config_is_neither_gone_on_with_nor_taken_for_another(undisturbed, workdir, lost):
    shutil.copytree(undisturbed[0], workdir)
    for name in lost.split(' and '):
        (workdir / name).unlink()
    with pytest.raises(InputError, match='holds a run, but not its config.json'):
        train(make_config(**{'optimizer.learning_rate': 0.05}), workdir)


def by(monkeypatch, commit, kind='a chip'):
    """From here on ikd is run from another commit, on another device."""
    other = {**known_by(), 'git_commit': commit, 'device': {'platform': 'cpu', 'kind': kind, 'count': 1}}
    for module in experiment, provenance:
        monkeypatch.setattr(module, 'provenance', lambda: other)


def test_a_trial_says_what_trained_it(workdir, monkeypatch):
    """And not what trained another of the run, later; nor does its cell, whenever that is written."""
    by(monkeypatch, 'a')
    train(make_config(), workdir)
    by(monkeypatch, 'b', 'another chip')
    first, second = train(make_config(trials=2), workdir)['trials']
    assert (first['git_commit'], first['device']['kind']) == ('a', 'a chip')
    assert (second['git_commit'], second['device']['kind']) == ('b', 'another chip')
    cell = Cell('LE', 'cnn2', make_config())
    record = write_cell(workdir / 'results', cell, read_json(workdir / 'summary.json'), 0)
    assert {name: record[name] for name in ('git_commit', 'device', 'versions', 'finished')} == {
        name: first[name] for name in ('git_commit', 'device', 'versions', 'finished')}


def test_a_trial_that_was_gone_on_with_names_all_that_trained_it(workdir, monkeypatch, count_epochs):
    """Its warm-up by one commit, its second epoch by another, whose third another finished, on another device."""
    for commit, kind, stop_after in ('a', 'a chip', 1), ('b', 'a chip', 2), ('c', 'another chip', None):
        by(monkeypatch, commit, kind)
        count_epochs.stop_after = stop_after
        with contextlib.nullcontext() if stop_after is None else pytest.raises(KeyboardInterrupt):
            summary = train(make_config(), workdir)
    (trial,) = summary['trials']
    assert trial['git_commit'] == 'a and b and c' and trial['device']['kind'] == 'a chip and another chip'
    assert [record['commit'] for record in read_records(workdir)] == ['a', 'b', 'c']
    other = workdir.parent / 'other'  # whose warm-up comes from the store
    (trial,) = train(make_config(**{'method.alpha': 0.8}), other)['trials']
    assert trial['git_commit'] == 'a and c'


def test_an_epoch_that_was_cut_names_all_that_trained_it(workdir, monkeypatch):
    """Stopped after a step of the first, by one, and of the second, by another, after which the first goes on."""
    for commit, most in ('a', 2), ('b', 6), ('a', 1000):  # it is asked before all, too
        by(monkeypatch, commit, f'the chip of {commit}')
        asked = []
        with pytest.raises(Stopped) if most < 1000 else contextlib.nullcontext():
            summary = train(make_config(), workdir, stop=lambda: asked.append(1) or len(asked) == most)
    records = read_records(workdir)
    assert [record['commit'] for record in records] == ['a and b', 'b and a', 'a']
    assert records[1]['device'] == 'the chip of b and the chip of a'
    assert summary['trials'][0]['git_commit'] == 'a and b'


def test_what_trained_earlier_epochs_may_not_be_known(workdir, monkeypatch, count_epochs):
    """Runs of before it was noted are gone on with."""
    count_epochs.stop_after = 1
    with pytest.raises(KeyboardInterrupt):
        train(make_config(), workdir)
    count_epochs.stop_after = None
    (record,) = read_records(workdir)
    old = {name: value for name, value in record.items() if name not in ('commit', 'device')}
    (workdir / 'metrics.jsonl').write_text(json.dumps(old) + '\n')
    by(monkeypatch, 'b')
    (trial,) = train(make_config(), workdir)['trials']
    assert (trial['git_commit'], trial['device']['kind']) == ('unknown and b', 'unknown and a chip')


def test_a_cut_epoch_whose_loss_is_no_number_is_not_saved(workdir):
    """Stopped after the third step of the first epoch."""
    asked = []
    with pytest.raises(Diverged, match='the loss of seed 0 is not a number since step'):
        train(make_config(**{'optimizer.learning_rate': 1e30}), workdir,
              stop=lambda: asked.append(1) or len(asked) == 4)
    assert not [*(workdir / 'checkpoints').glob('*/*/[0-9]*')]
