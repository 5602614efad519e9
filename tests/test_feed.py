"""Streamed data trains the same network, bit for bit, as data on the device, from any step on."""
import threading
import time
from contextlib import closing

import jax
import numpy as np
import pytest

from ikd import checkpoint, experiment, feed, parallel, run_checks, run_data, training, trials
from ikd.config import default
from ikd.data import folder, limits, load, stream
from ikd.data.inputs import epoch_order
from ikd.errors import InputError, Stopped
from ikd.files import read_json
from ikd.journal import read_records
from ikd.program import Program
from ikd.validation import resolve
from tests.small_run import assert_same, without_times

DEVICES = jax.devices()

pytestmark = pytest.mark.usefixtures('without_pictures')


def make_config(placement='stream', **fields):
    """LE with a small network on 8x8 digits, cropped and flipped: one epoch of warm-up, one of introspection."""
    config = default()
    config.model.name = 'cnn2'
    config.update(batch_size=32, epochs=2)
    config.data.update(limit=128, augment='crop_flip', placement=placement)
    config.update_from_flattened_dict({'method.warmup_epochs': 1, 'optimizer.learning_rate': 0.02, **fields})
    return config


def last_states(workdir, trials=1):
    return [checkpoint.last_tree(workdir, seed) for seed in range(trials)]


def assert_same_run(workdir, other, trials=1):
    """Weights, optimiser, records and results, to the last bit."""
    assert_same(last_states(workdir, trials), last_states(other, trials))
    records = [without_times(read_records(place), 'stored') for place in (workdir, other)]
    assert records[0] == records[1]
    ours, theirs = ([{**trial, 'train_seconds': 0, 'finished': ''}
                     for trial in read_json(place / 'summary.json')['trials']] for place in (workdir, other))
    assert ours == theirs


@pytest.fixture(scope='module')
def held(tmp_path_factory):
    """The directory of a run with its data on the device."""
    workdir = tmp_path_factory.mktemp('held') / 'run'
    assert experiment.run(make_config('device'), workdir, DEVICES[:1])['placement'] == 'device'
    return workdir


def test_a_streamed_run_is_the_same_run(held, tmp_path):
    """Stopped twice within epochs and once between, and gone on with from the number of the step alone, for a while
    with its data on the device."""
    asked, workdir = [], tmp_path / 'run'

    def run(placement, asks=None, **fields):
        start = len(asked)
        return experiment.run(make_config(placement, **fields), workdir, DEVICES[:1],
                              stop=lambda: asked.append(1) or len(asked) - start == asks)

    for placement, asks, where in (('stream', 3, 'in epoch 1 of 2, after step 2 of 4'),
                                   ('stream', 4, 'after epoch 1 of 2'),
                                   ('device', 4, 'in epoch 2 of 2, after step 3 of 4')):
        with pytest.raises(Stopped, match=where):
            run(placement, asks, checkpoint_every=10)
    summary = run('stream', **{'data.workers': 3})
    assert summary['placement'] == 'stream'
    assert_same_run(workdir, held)


CASES = {  # network, devices, mode, trials on each, largest block
    'mlp, all steps in a call': ('mlp', 1, 'data', 1, 2 ** 24),
    'mlp, two steps in a call': ('mlp', 1, 'data', 1, 2 * 16 * 64),
    'resnet8': ('resnet8', 1, 'data', 1, 2 ** 24),
    'mlp, a batch on four devices': ('mlp', 4, 'data', 1, 2 ** 24),
    'cnn2, a batch on two devices': ('cnn2', 2, 'data', 1, 2 ** 24),
    'cnn2, trials on two devices': ('cnn2', 2, 'trials', 1, 2 ** 24),
    'mlp, two trials on each of two devices': ('mlp', 2, 'trials', 2, 2 ** 24),
    'mlp, three trials on a device': ('mlp', 1, 'trials', 3, 2 ** 24),
}
SLOW = ('mlp, all steps in a call', 'resnet8', 'cnn2, a batch on two devices', 'cnn2, trials on two devices',
        'mlp, two trials on each of two devices', 'mlp, three trials on a device')


@pytest.mark.parametrize('case', [pytest.param(case, marks=[pytest.mark.slow] * (case in SLOW)) for case in CASES])
def test_however_devices_share_it(case, monkeypatch, tmp_path):
    """An epoch of introspection and a test: the same State, losses and results as with data on the device."""
    name, count, mode, together, largest = CASES[case]
    layout = parallel.Layout(tuple(DEVICES[:count]), mode, together)
    ended = []
    for placement in ('device', 'stream'):
        monkeypatch.setattr('ikd.program.EVAL_BATCH', 50)  # the last of two batches is filled up
        config = resolve(make_config(placement, batch_size=16, **{'model.name': name, 'data.limit': 64}))
        dataset = run_data.load_data(config)
        with monkeypatch.context() as patch:
            patch.setattr('ikd.program.LARGEST_BLOCK', largest if placement == 'stream' else 2 ** 24)
            job = trials.make_job(config, tmp_path, dataset, layout)
        prepared = job.stages[1]
        state = parallel.join(layout, [training.new_state(seed, prepared, job.image_shape)
                                       for seed in range(layout.trials)])
        state, reports = training.run_epoch(prepared.program, layout, state, {}, *job.training_set)
        tests = training.run_evaluation(prepared.program, layout, state, job.test_images, dataset.test_labels)
        ended.append((parallel.split(layout, state), reports, tests))
    assert (prepared.program.chunk == 2) == (largest < 2 ** 24)
    assert_same(*ended)


@pytest.mark.parametrize('count, mode, together', [
    (1, 'data', 1), pytest.param(2, 'data', 1, marks=pytest.mark.slow),
    pytest.param(1, 'trials', 2, marks=pytest.mark.slow)])
@pytest.mark.parametrize('placement', ['device', 'stream'])
def test_an_epoch_whose_last_call_is_shorter(placement, count, mode, together, monkeypatch, tmp_path):
    """Eight steps in calls of three, cut and gone on with: the epoch whose steps are one call.

    Cut after three, and once more after two of the next three, which another length of the calls may leave.
    """
    def cuts(program):
        """(first step, Program) of each part of the epoch; the second part is left by calls that end after five."""
        two = program._replace(chunk=5)
        return [(0, program)] if program.chunk == 8 else [(0, program), (3, two), (5, program)]

    ended, layout = {}, parallel.Layout(tuple(DEVICES[:count]), mode, together)
    for length in (8, 3):
        monkeypatch.setattr(parallel, 'call_length', lambda steps, longest, length=length: length)
        config = resolve(make_config(placement, batch_size=16, **{'model.name': 'mlp'}))
        job = trials.make_job(config, tmp_path, run_data.load_data(config), layout)
        begun = [training.new_state(seed, job.stages[0], job.image_shape) for seed in range(layout.trials)]
        state, parts, taken = parallel.join(layout, begun), [], []
        for first, program in cuts(job.stages[0].program):
            state, reports = training.run_epoch(program, layout, state, {}, *job.training_set, taken.append,
                                                lambda first=first: length == 3 and first < 5, first)
            parts.append(reports)
        assert taken == {8: [8], 3: [3, 2, 1, 2]}[length]
        joined = [jax.tree.map(lambda *values: np.concatenate(values), *trial) for trial in zip(*parts)]
        ended[length] = parallel.split(layout, state), joined
    assert_same(ended[8], ended[3])


def test_what_is_streamed_is_the_epochs_order_from_any_step(digits_folder):
    """Blocks up to every fourth step, from step 3 of epoch 3: the labels that `epoch_order` names."""
    data = load('folder', digits_folder, room=0)
    program = Program(lambda state: epoch_order(state, 3, 337, 320), None, None, 4, 10, 2)
    layout = parallel.Layout(tuple(DEVICES[:1]), 'data')
    with closing(feed.training(program, layout, 7, data.train_images, data.train_labels, first=3)) as blocks:
        images, labels = zip(*blocks)
    assert [len(part) for part in labels] == [1, 4, 2]
    rows = np.asarray(epoch_order(7, 3, 337, 320)).reshape(10, 32)[3:]
    np.testing.assert_array_equal(np.concatenate(labels), data.train_labels[rows])
    np.testing.assert_array_equal(np.concatenate(images), data.train_images[rows])


def test_each_device_gets_its_part_of_every_batch():
    rows = np.arange(24).reshape(3, 8)
    layout = parallel.Layout(tuple(DEVICES[:4]), 'data')
    dealt = parallel.deal(layout, [rows])
    assert dealt.shape == (4, 3, 2)
    share = parallel.spread(layout, lambda batch: parallel.gather(parallel.my_share(batch, 'batch'), 'batch'), 0, 1)
    own = parallel.spread(layout, lambda part: parallel.gather(part, 'batch'), 0, 0, 1)
    for step in range(3):
        np.testing.assert_array_equal(own(parallel.hand_out(layout, dealt[:, step])),
                                      share(parallel.replicate(layout, rows[step])))


@pytest.mark.parametrize('needs, placement', [(-1, 'stream'), (0, 'device')])
def test_the_size_decides(needs, placement, monkeypatch):
    """A quarter of the memory, so half of half of it, and 1,797 images of 8x8 pixels."""
    monkeypatch.setattr(run_data, 'half_of_memory', lambda: 2 * (1797 * 64 + needs))
    assert run_data.load_data(make_config('auto')).streamed == (placement == 'stream')
    assert not run_data.load_data(make_config('device')).streamed
    assert run_data.load_data(make_config('stream')).streamed


def test_what_does_not_fit_into_memory_is_streamed(digits_folder, monkeypatch):
    """420 images of 100x100 pixels, more than half of the memory: refused on the device, and the line says how."""
    monkeypatch.setattr(limits, 'half_of_memory', lambda: 10 ** 6)
    monkeypatch.setattr(run_data, 'half_of_memory', lambda: 10 ** 6)
    fields = {'data.name': 'folder', 'data.dir': str(digits_folder), 'data.size': 100}
    with pytest.raises(InputError, match='--config.data.placement=stream'):
        run_data.load_data(make_config('device', **fields))
    dataset = run_data.load_data(make_config('auto', **fields))
    assert isinstance(dataset.train_images, stream.Images) and dataset.train_images.shape == (128, 100, 100, 1)


def test_an_image_that_is_damaged_ends_the_run_in_a_line(digits_folder, tmp_path, monkeypatch):
    """Its header is read, its pixels can't be; the threads that read the others end, too."""
    fields = {'data.name': 'folder', 'data.dir': str(digits_folder), 'data.augment': 'none', 'model.name': 'mlp',
              'batch_size': 16}
    bad, decode = folder.files(digits_folder).train[100][0], folder.decode

    def damaged(path, *options):
        if path == bad and threading.current_thread().name.startswith('grain'):
            raise OSError('image file is truncated')
        return decode(path, *options)

    monkeypatch.setattr(folder, 'decode', damaged)
    with pytest.raises(InputError) as caught:
        experiment.run(make_config(**fields), tmp_path / 'run', DEVICES[:1])
    assert f'{caught.value}' == (
        f'{bad} cannot be read (image file is truncated): take it away, or put a dot before its name; '
        'ikd.data.folder.unreadable(DIR) lists all that cannot')
    limit = time.monotonic() + 30
    while any(thread.name.startswith('grain') for thread in threading.enumerate()):
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_teacher_is_traced_with_streamed_images(tmp_path, monkeypatch):
    """KD, whose objective is looked at before anything is trained."""
    traces, normalise = [], training.normalise
    monkeypatch.setattr(training, 'normalise', lambda images, *rest: traces.append(images.shape) or normalise(
        images, *rest))
    config = resolve(make_config(**{'method.name': 'kd', 'teacher.model': 'cnn2'}))
    dataset = run_data.load_data(config)
    layout = parallel.Layout(tuple(DEVICES[:1]), 'data')
    run_checks.check_teachers(trials.make_job(config, tmp_path, dataset, layout), [0])
    assert traces == [(32, 8, 8, 1)]
