"""Runs that are killed, in processes of their own: whatever a kill leaves, they end as if nothing had happened."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from ikd import checkpoint
from ikd.experiment import read_summary
from ikd.report.journal import read_records

ROOT = pathlib.Path(__file__).parents[1]
# One step of a network with convolutions is one call, so that a stop can come at every step.
SMALL = ['--config=configs/digits.py:ce,smoke', '--config.model.name=cnn2', '--config.data.size=8',
         '--config.data.limit=1024', '--config.batch_size=16', '--config.epochs=20',
         '--config.optimizer.learning_rate=0.02']


def start(arguments, workdir):
    """The command in a process of its own, its messages in a file beside the workdir."""
    workdir.parent.mkdir(parents=True, exist_ok=True)
    with workdir.with_suffix('.err').open('w') as told:
        return subprocess.Popen([sys.executable, '-m', 'ikd.main', *arguments, f'--workdir={workdir}'], cwd=ROOT,
                                stdout=subprocess.DEVNULL, stderr=told)


def finish(arguments, workdir):
    """Run the command to its end; its messages."""
    process = start(arguments, workdir)
    assert process.wait(timeout=600) == 0, told(workdir)
    return told(workdir)


def told(workdir):
    return workdir.with_suffix('.err').read_text()


def wait_until(holds, process, seconds=300):
    """Returns when holds() is true, at once after that; False if the process ends before."""
    limit = time.monotonic() + seconds
    while not holds():
        if process.poll() is not None:
            return False
        assert time.monotonic() < limit
        time.sleep(0.002)
    return True


def kill(process):
    process.kill()
    assert process.wait() == -signal.SIGKILL, 'it had ended before'


def lines(workdir):
    path = workdir / 'metrics.jsonl'
    return path.read_bytes().count(b'\n') if path.exists() else 0


def contents(workdir):
    """{path: modified} of all that is in a directory; what goes while one looks is left out."""
    found = {}
    for folder, _, names in os.walk(workdir):
        for path in [folder, *(os.path.join(folder, name) for name in names)]:
            try:
                found[path] = os.stat(path).st_mtime_ns
            except FileNotFoundError:
                pass
    return found


def assert_undisturbed(workdir, undisturbed):
    """The same weights and optimiser to the last bit, the same records and summary but for times; nothing is left."""
    ours, theirs = checkpoint.last_tree(workdir, 0), checkpoint.last_tree(undisturbed, 0)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    times = 'seconds', 'images_per_second', 'stored'
    ours, theirs = ([{name: value for name, value in record.items() if name not in times}
                     for record in read_records(folder)] for folder in (workdir, undisturbed))
    assert ours == theirs
    ours, theirs = (read_summary(folder) for folder in (workdir, undisturbed))
    assert [{**trial, 'train_seconds': 0} for trial in ours['trials']] == [
        {**trial, 'train_seconds': 0} for trial in theirs['trials']]
    names = {path.name for path in workdir.iterdir()}
    assert names == {path.name for path in undisturbed.iterdir()}
    assert not [path for path in workdir.rglob('*') if 'tmp' in path.relative_to(workdir).as_posix()]


@pytest.fixture(scope='module')
def undisturbed(tmp_path_factory):
    """The directory of a run of `SMALL` that nothing happened to."""
    workdir = tmp_path_factory.mktemp('undisturbed') / 'run'
    finish(SMALL, workdir)
    return workdir


def test_asked_to_stop_then_killed(undisturbed, tmp_path):
    """SIGTERM once it trains; then SIGKILL while it saves; the same command each time."""
    workdir = tmp_path / 'a' / 'run'
    process = start(SMALL, workdir)
    assert wait_until(lambda: lines(workdir) >= 2, process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    last = told(workdir).splitlines()[-1]
    where = re.fullmatch(r'ikd: stopped (in|after) epoch (\d+) of 20(, after step \d+ of 64)?, all saved; '
                         rf'go on with: (.* -m ikd.main .*{workdir})', last)
    assert where and all(f' {argument}' in where[4] for argument in SMALL), last
    assert lines(workdir) == int(where[2]) - (where[1] == 'in')

    process, reached = start(SMALL, workdir), lines(workdir)
    folder = workdir / 'checkpoints' / 'seed0' / '0-ce'
    assert wait_until(lambda: lines(workdir) >= reached + 3 and [*folder.glob('*tmp*')], process)
    kill(process)
    finish(SMALL, workdir)
    assert_undisturbed(workdir, undisturbed)


def test_two_processes_give_the_same_bits(undisturbed, tmp_path):
    finish(SMALL, tmp_path / 'again')
    assert_undisturbed(tmp_path / 'again', undisturbed)


LONG = ['--config=configs/le_digits.py:smoke', '--config.data.size=16', '--config.epochs=60',
        '--config.method.warmup_epochs=20']


@pytest.mark.slow
@pytest.mark.timeout(3600) if False else pytest.mark.slow
def test_killed_twenty_times(tmp_path):
    pass
