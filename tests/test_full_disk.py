"""A disk that is full, a folder that can't be written: one clear line, nothing lost, and with room it goes on."""
import os
import pathlib
import subprocess
import sys
import time

import jax
import pytest

from configs import digits as digits_config
from ikd import checkpoint, experiment, grid, reproduce
from ikd.errors import InputError, Unwritable
from ikd.files import read_json, temporary
from ikd.journal import read_records
from tests.quick import plain_pictures
from tests.small_run import assert_same, without_times

ROOT = pathlib.Path(__file__).parents[1]


def run(workdir, at_epoch_2=lambda: None, recorded=False):
    """Train an MLP for three epochs; at_epoch_2() is called when the steps of the second have been taken.

    Of a network without convolutions they are one call, after which, and after the epoch, stop() is asked; recorded:
    at_epoch_2() is called then, when only the checkpoint is still to be saved.
    """
    config = digits_config.get_config('ce,smoke')
    config.update_from_flattened_dict({'model.name': 'mlp', 'data.size': 8, 'data.limit': 128, 'epochs': 3,
                                       'checkpoint_every': 1})
    asked = []

    def stop():
        asked.append(1)
        if len(asked) == 4 + recorded:
            at_epoch_2()

    with plain_pictures():
        return experiment.run(config, workdir, jax.devices()[:1], stop=stop)


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('runs') / 'undisturbed'
    run(workdir)
    return workdir


def assert_goes_on(workdir, undisturbed):
    """Started again it ends as if undisturbed."""
    run(workdir)
    assert_same(checkpoint.last_tree(workdir, 0), checkpoint.last_tree(undisturbed, 0))
    ours, theirs = (without_times(read_records(folder)) for folder in (workdir, undisturbed))
    assert ours == theirs
    assert {path.name for path in workdir.iterdir()} == {path.name for path in undisturbed.iterdir()}


def await_first(checkpoints):
    """Returns when the first epoch's checkpoint, which is saved in the background, is there."""
    limit = time.monotonic() + 60
    while not (checkpoints / 'seed0' / '0-ce' / '4').exists():
        assert time.monotonic() < limit
        time.sleep(0.01)


def fill(folder):
    """Use all that is left on a file system; the file to remove for room."""
    with (folder / 'filler').open('wb', buffering=0) as filler:
        for size in (1 << 20, 1 << 10, 1):
            try:
                while filler.write(b'\0' * size):
                    pass
            except OSError:
                pass
    return folder / 'filler'


def test_a_full_disk(small_disk, undisturbed):
    """Whichever file is the first to need a block more, once the first epoch's checkpoint is there."""
    folder, _ = small_disk(60)

    def fill_up():
        await_first(folder / 'run' / 'checkpoints')
        fill(folder)

    with pytest.raises(Unwritable, match=rf'cannot (write|save) .*{folder}/run.* \(No space left on device\)'):
        run(folder / 'run', fill_up)
    (folder / 'filler').unlink()
    with checkpoint.manager(folder / 'run', 0, 0, 'ce') as saved:
        assert saved.all_steps() == [4]
    assert_goes_on(folder / 'run', undisturbed)


def test_a_disk_that_is_full_before_the_start(small_disk):
    folder, _ = small_disk(1)
    fill(folder)
    with pytest.raises(InputError, match=r'run.* \(No space left on device\); make room there, or choose another'):
        run(folder / 'run')


@pytest.mark.slow
def test_checkpoints_become_read_only(small_disk, undisturbed, tmp_path_factory):
    folder, _ = small_disk(60)
    workdir = tmp_path_factory.mktemp('runs') / 'run'
    (workdir / 'checkpoints').mkdir(parents=True)
    (workdir / 'checkpoints' / 'seed0').symlink_to(folder)  # the locks beside it are open for writing
    remount = lambda how: subprocess.run(['mount', '-o', f'remount,{how}', folder]).returncode == 0

    def make_read_only():
        """Refused while a file is open for writing."""
        await_first(workdir / 'checkpoints')
        for _ in range(100):
            if remount('ro'):
                return
            time.sleep(0.1)
        pytest.fail(f'{folder} cannot be made read-only')

    with pytest.raises(Unwritable, match=r'cannot save a checkpoint to .*/0-ce \(Read-only file system\)'):
        run(workdir, make_read_only, recorded=True)
    assert remount('rw')
    assert_goes_on(workdir, undisturbed)


def full(path):
    """Put a device in a file's place on which every write finds no space."""
    path.symlink_to('/dev/full')


def full_metrics(workdir):
    (workdir / 'metrics.jsonl').rename(workdir / 'aside')
    full(workdir / 'metrics.jsonl')


def full_events(workdir):
    """The file is open already, so its descriptor is made one of the device."""
    descriptors = pathlib.Path('/proc/self/fd')
    (events,) = [fd for fd in os.listdir(descriptors) if (descriptors / fd).exists()
                 and f'{workdir}/tensorboard' in os.readlink(descriptors / fd)]
    device = os.open('/dev/full', os.O_WRONLY)
    os.dup2(device, int(events))
    os.close(device)


@pytest.mark.parametrize('spoil, file', [
    (full_metrics, 'metrics.jsonl'), (full_events, 'tensorboard/seed0'),
    pytest.param(lambda workdir: full(temporary(workdir / 'explanations.png')), 'explanations.png',
                 marks=pytest.mark.slow),
    pytest.param(lambda workdir: full(temporary(workdir / 'summary.json')), 'summary.json', marks=pytest.mark.slow)])
def test_every_file_of_a_run(undisturbed, tmp_path, spoil, file):
    workdir = tmp_path / 'run'
    with pytest.raises(Unwritable) as caught:
        run(workdir, lambda: spoil(workdir))
    assert str(caught.value) == f'cannot write {workdir}/{file} (No space left on device)'
    assert not (workdir / 'summary.json').exists()
    for path in workdir.iterdir():
        if path.is_symlink():
            path.unlink()
    if (workdir / 'aside').exists():
        (workdir / 'aside').rename(workdir / 'metrics.jsonl')
    assert_goes_on(workdir, undisturbed)


def test_a_cell_that_cannot_be_written(undisturbed, tmp_path):
    """The grid stops, the trial is kept, and the cell's file is whole or not there."""
    cell = grid.Cell('CE', 'MLP', digits_config.get_config('ce,smoke'))
    path = grid.cell_path(tmp_path, grid.cell_name(cell.config), 0)
    path.parent.mkdir()
    full(temporary(path))
    with pytest.raises(Unwritable, match=r'cannot write .*-0.json \(No space left on device\)'):
        grid.write_cell(tmp_path, cell, read_json(undisturbed / 'summary.json'), 0)
    assert not path.exists()


def test_the_commands_say_so_in_one_line(monkeypatch, capsys):
    """With the command that goes on, and exit code 1."""
    def main(argv):
        raise Unwritable('cannot write FILE (No space left on device)')

    monkeypatch.setattr(reproduce, 'main', main)
    with pytest.raises(SystemExit, match='1'):
        reproduce.cli()
    assert capsys.readouterr().err.startswith('ikd: cannot write FILE (No space left on device); the last checkpoint '
                                              'is whole: make room, then go on with: ')


@pytest.mark.slow
def test_the_whole_command(small_disk, tmp_path_factory):
    """The MLP's second checkpoint does not fit beside the first: that line, no traceback; then, with room, on."""
    folder, resize = small_disk(24)
    command = [sys.executable, '-m', 'ikd.main', '--config=configs/digits.py:ce,smoke', '--config.model.name=mlp',
               '--config.checkpoint_every=1', f'--workdir={folder}/run']
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1, result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith('ikd: cannot save a checkpoint to ') and '(No space left on device)' in last
    assert last.endswith(f'--workdir={folder}/run') and 'Traceback' not in result.stderr
    resize(200)
    assert subprocess.run(command, cwd=ROOT).returncode == 0
