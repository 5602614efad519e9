"""Runs that are killed, in processes of their own: whatever a kill leaves, they end as if nothing had happened."""
import json
import pathlib
import re
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from configs import digits as digits_config
from ikd import checkpoint, experiment
from ikd.files import read_json
from ikd.journal import read_records
from tests.small_run import assert_same, without_times

ROOT = pathlib.Path(__file__).parents[1]
# One step of a network with convolutions is one call, so that a stop can come at every step.
SMALL = {'model.name': 'cnn2', 'data.size': 8, 'data.limit': 256, 'batch_size': 16, 'epochs': 12,
         'checkpoint_every': 1, 'optimizer.learning_rate': 0.02}
COMMAND = ['--config=configs/digits.py:ce,smoke', *(f'--config.{field}={value}' for field, value in SMALL.items())]
LONG = ['--config=configs/le_digits.py:smoke', '--config.data.size=16', '--config.epochs=60',
        '--config.method.warmup_epochs=20', '--config.checkpoint_every=1']


def run_here(workdir):
    """What `COMMAND` does, in this process."""
    config = digits_config.get_config('ce,smoke')
    config.update_from_flattened_dict(SMALL)
    experiment.run(config, workdir, jax.devices()[:1])


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


def assert_undisturbed(workdir, undisturbed):
    """The same weights and optimiser to the last bit, records and summary but for times; and nothing left over."""
    assert_same(checkpoint.last_tree(workdir, 0), checkpoint.last_tree(undisturbed, 0))
    ours, theirs = (without_times(read_records(folder), 'stored') for folder in (workdir, undisturbed))
    assert ours == theirs
    ours, theirs = (read_json(folder / 'summary.json') for folder in (workdir, undisturbed))
    assert [{**trial, 'train_seconds': 0, 'finished': ''} for trial in ours['trials']] == [
        {**trial, 'train_seconds': 0, 'finished': ''} for trial in theirs['trials']]
    names = {path.name for path in workdir.iterdir()}
    assert names == {path.name for path in undisturbed.iterdir()}
    assert not [path for path in workdir.rglob('*') if 'tmp' in path.relative_to(workdir).as_posix()]


@pytest.mark.slow
def test_asked_to_stop_then_killed(tmp_path):
    """SIGTERM once it trains, the next process SIGKILL while it saves, the same command each time."""
    workdir, undisturbed = tmp_path / 'a' / 'run', tmp_path / 'b' / 'run'
    process = start(COMMAND, workdir)
    assert wait_until(lambda: lines(workdir) >= 2, process), told(workdir)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 0
    last = told(workdir).splitlines()[-1]
    where = re.fullmatch(r'ikd: stopped (in|after) epoch (\d+) of 12(, after step \d+ of 16)?, all saved; go on '
                         rf'with: (.* -m ikd.main .*{workdir})', last)
    assert where and all(f' {argument}' in where[4] for argument in COMMAND), last
    assert lines(workdir) == int(where[2]) - (where[1] == 'in')

    process, reached = start(COMMAND, workdir), lines(workdir)
    folder = workdir / 'checkpoints' / 'seed0' / '0-ce'
    assert wait_until(lambda: lines(workdir) >= reached + 2 and [*folder.glob('*tmp*')], process), told(workdir)
    kill(process)
    run_here(workdir)
    run_here(undisturbed)
    assert_undisturbed(workdir, undisturbed)


@pytest.fixture(scope='module')
def long_undisturbed(tmp_path_factory):
    """The directory of a run of `LONG` that nothing happened to: LE(Grad-CAM), ResNet8, on two stages."""
    workdir = tmp_path_factory.mktemp('undisturbed') / 'run'
    finish(LONG, workdir)
    return workdir


@pytest.mark.slow
def test_two_processes_give_the_same_bits(long_undisturbed, tmp_path):
    finish(LONG, tmp_path / 'run')
    assert_undisturbed(tmp_path / 'run', long_undisturbed)


@pytest.mark.slow
def test_killed_six_times(long_undisturbed, tmp_path):
    """SIGKILL first when checkpoints/ begins to fill, then at random moments of training, saving and starting."""
    workdir, draw, history = tmp_path / 'run', np.random.default_rng(0), []
    for number in range(6):
        before = lines(workdir)
        process = start(LONG, workdir)
        if number == 0:
            assert wait_until(lambda: [*workdir.glob('checkpoints/seed0/*/*')], process), told(workdir)
        elif number % 5 == 4:  # while it starts
            time.sleep(draw.uniform(0, 8))
        else:
            assert wait_until(lambda: lines(workdir) > before, process), told(workdir)
            time.sleep(draw.uniform(0, 1))
        kill(process)
        saved = [int(path.name) // 8 for path in workdir.glob('checkpoints/seed0/*/*') if path.name.isdecimal()]
        history.append((lines(workdir), saved, [path.name for path in workdir.parent.rglob('*tmp*')]))
    print(*history, sep='\n')  # shown by -s: epochs recorded, those with a checkpoint, what was being written
    told_at_last = finish(LONG, workdir)
    assert 'damaged' not in told_at_last
    assert_undisturbed(workdir, long_undisturbed)


# What Python does to files, each kind of it once, is a moment to die at; the C++ of tensorstore is not seen. Each
# line of the input is a start: of a child, forked where everything is imported, which is most of a start's time.
STARTS = '''
import json, os, re, runpy, signal, sys
import ikd.experiment
folder, answers = sys.argv.pop(1), os.fdopen(os.dup(1), 'w')
os.dup2(2, 1)  # what the command prints is not an answer
tell = lambda answer: print(json.dumps(answer), file=answers, flush=True)
for line in sys.stdin:
    done = json.loads(line)
    child = os.fork()
    if child:
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        continue
    def watch(event, arguments):
        if event not in ('open', 'os.rename', 'os.mkdir', 'os.remove', 'os.rmdir', 'shutil.rmtree'):
            return
        path = str(arguments[0])
        if not path.startswith(folder) or event == 'open' and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
            return
        kind = event + ':' + re.sub(r'teacher|student|[0-9a-f]{32}|\\d+', 'N', path[len(folder):])
        if kind not in done:
            tell(kind)
            os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(watch)
    runpy.run_module('ikd.main', run_name='__main__', alter_sys=True)
    sys.exit()
'''


@pytest.mark.slow
def test_killed_at_every_kind_of_change_to_a_file(tmp_path):
    """Just before a file is opened for writing, renamed or removed, a folder made or removed; with a teacher."""
    arguments = ['--config=configs/digits.py:kd,smoke', '--config.model.name=mlp', '--config.teacher.model=mlp',
                 '--config.data.size=8', '--config.epochs=3']
    workdir, undisturbed, done = tmp_path / 'a' / 'run', tmp_path / 'b' / 'run', []
    starts = subprocess.Popen([sys.executable, '-c', STARTS, tmp_path / 'a', *arguments, f'--workdir={workdir}'],
                              cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    answer = lambda: json.loads(starts.stdout.readline())
    with starts:
        while True:
            print(json.dumps(done), file=starts.stdin, flush=True)
            kind = answer()
            if kind == 0:  # its end
                break
            assert isinstance(kind, str) and kind not in done, f'{kind}: it makes no way'
            assert answer() == -signal.SIGKILL
            done.append(kind)
    print(*done, sep='\n')  # shown by -s
    for part in 'config.json', 'metrics.jsonl', 'summary.json', 'store', 'events.out', 'orbax-checkpoint-tmp':
        assert any(part in kind for kind in done), part
    finish(arguments, undisturbed)
    assert_undisturbed(workdir, undisturbed)
