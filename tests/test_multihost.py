"""Several processes as one run, started for real on this machine, and the scripts that start them elsewhere."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from configs import digits
from ikd import experiment
from ikd.checkpoint import last_tree
from ikd.journal import read_records

ROOT = pathlib.Path(__file__).parents[1]
LIMIT = 240  # seconds until a test that hangs is ended
COMMON = ['--config.model.name=cnn2', '--config.data.limit=64',
          '--config.data.augment=crop_flip', '--config.optimizer.learning_rate=0.02']


def arguments(workdir, method='le', *more):
    """Of a command: a tiny run, two epochs of two steps, on digits shifted and mirrored by keys of each example."""
    return [f'--config=configs/digits.py:{method},smoke', f'--workdir={workdir}', *COMMON, *more]


def environment(**more):
    return {**os.environ, 'JAX_NUM_CPU_DEVICES': '1', **more}


def start(n, flags, devices=1, own=()):
    """n processes of `ikd.main`, as Popen objects; own: lists of flags that each has by itself."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    command = [sys.executable, '-m', 'ikd.main', *flags, '--multihost', f'--coordinator=127.0.0.1:{port}',
               f'--processes={n}']
    return [subprocess.Popen([*command, f'--process={i}', *(own[i] if own else ())], cwd=ROOT, text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             env=environment(JAX_NUM_CPU_DEVICES=str(devices)))
            for i in range(n)]


def finish(running, limit=LIMIT):
    """[(exit code, what it printed, its errors), ...]; all are killed after `limit` seconds."""
    until = time.monotonic() + limit
    try:
        return [(process.wait(max(1, until - time.monotonic())), *process.communicate()) for process in running]
    finally:
        for process in running:
            process.kill()
            process.communicate()


def alone(*flags, **more):
    """One process without --multihost, which must succeed."""
    done = subprocess.run([sys.executable, '-m', 'ikd.main', *flags], cwd=ROOT, env=environment(**more), text=True,
                          capture_output=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr


def assert_success(results):
    for code, _, errors in results:
        assert code == 0, errors


def assert_close(workdir, reference, seed=0):
    """The same parameters and statistics to 1e-3 of their length, the same journal to rounding."""
    tree, expected = (last_tree(where, seed) for where in (workdir, reference))
    for part in ('params', 'batch_stats'):
        for a, b in zip(jax.tree.leaves(tree[part]), jax.tree.leaves(expected[part]), strict=True):
            assert np.linalg.norm(a - b) <= 1e-3 * max(np.linalg.norm(b), 1e-2)
    records, known = read_records(workdir, seed), read_records(reference, seed)
    assert [record['epoch'] for record in records] == [record['epoch'] for record in known]
    for record, other in zip(records, known):
        assert record['train_loss'] == pytest.approx(other['train_loss'], rel=1e-3)
        assert record['test_nll'] == pytest.approx(other['test_nll'], rel=1e-3)


def wait_for(condition, running):
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until and all(process.poll() is None for process in running)
        time.sleep(0.02)


@pytest.mark.slow
def test_two_processes_are_one_run(tmp_path):
    """LE with a convolutional network; only the first writes and speaks. The reference is a run of one process."""
    results = finish(start(2, arguments(tmp_path / 'two' / 'run')))
    assert_success(results)
    config = digits.get_config('le,smoke')
    config.model.name, config.data.limit, config.data.augment = 'cnn2', 64, 'crop_flip'
    config.optimizer.learning_rate = 0.02
    experiment.run(config, tmp_path / 'one' / 'run', jax.devices()[:1])
    assert_close(tmp_path / 'two' / 'run', tmp_path / 'one' / 'run')
    summary = json.loads((tmp_path / 'two' / 'run' / 'summary.json').read_text())
    assert summary['device']['count'] == 2 and 'test accuracy' in results[0][1]
    assert 'ikd' not in results[1][2] and 'epoch' not in results[1][1] + results[1][2]


@pytest.mark.slow
@pytest.mark.parametrize('n, devices, method, model', [
    (2, 2, 'le', 'mlp'), (4, 1, 'kd', 'cnn2'), (2, 1, 'le', 'resnet8')])
def test_any_number_of_processes_is_one_run(n, devices, method, model, tmp_path):
    flags = [f'--config.model.name={model}', '--config.teacher.model=mlp']
    flags += ['--config.model.width=8'] if model == 'resnet8' else []
    assert_success(finish(start(n, arguments(tmp_path / 'many' / 'run', method, *flags), devices)))
    alone(*arguments(tmp_path / 'one' / 'run', method, *flags))
    assert_close(tmp_path / 'many' / 'run', tmp_path / 'one' / 'run')


@pytest.mark.slow
@pytest.mark.parametrize('killed', [0, 1])
def test_a_process_that_is_killed_takes_the_others_down_and_any_number_goes_on(killed, tmp_path):
    """Within 60 seconds, --peer_timeout; the sockets of a process that has gone say so at once."""
    flags = ['le', '--config.epochs=12', '--config.checkpoint_every=2']
    workdir = tmp_path / 'run'
    running = start(2, arguments(workdir, *flags))
    wait_for(lambda: len(read_records(workdir)) >= 5, running)
    running[killed].kill()
    (code, _, errors) = finish(running, 60)[1 - killed]
    assert code not in (0, 2) and errors.strip()
    assert not (workdir / 'summary.json').exists()
    if killed:
        return  # what is left is the same
    assert_success(finish(start(4, arguments(workdir, *flags))))
    alone(*arguments(tmp_path / 'one' / 'run', *flags))
    records, known = read_records(workdir), read_records(tmp_path / 'one' / 'run')
    assert [record['epoch'] for record in records] == [record['epoch'] for record in known]
    for record, other in zip(records[:10], known):
        assert record['train_loss'] == pytest.approx(other['train_loss'], rel=1e-2)


@pytest.mark.slow
def test_a_process_that_answers_no_more_takes_the_others_down(tmp_path):
    """Stopped, not ended: its sockets stay open. Within --peer_timeout, and what the others need to notice."""
    flags = arguments(tmp_path / 'run', 'ce', '--config.epochs=2000', '--peer_timeout=10')
    running = start(2, flags)
    wait_for(lambda: len(read_records(tmp_path / 'run')) >= 2, running)
    running[1].send_signal(signal.SIGSTOP)
    try:
        assert running[0].wait(60) != 0
        assert running[0].communicate()[1].strip()
    finally:
        running[1].send_signal(signal.SIGCONT)
        finish(running)


@pytest.mark.slow
@pytest.mark.parametrize('flags, parts', [
    (['--config.batch_size=33'], ['batch_size 33 cannot be divided over 2 devices']),
    (['--config.data.name=mnist', '--config.data.dir=nowhere'], ['nowhere'])])
def test_bad_input_ends_all_with_one_line(flags, parts, tmp_path):
    results = finish(start(2, arguments(tmp_path / 'run', 'ce', *flags)))
    assert [code for code, *_ in results] == [2, 2]
    (line,) = [line for _, _, errors in results for line in errors.splitlines() if line.startswith('ikd: ')]
    assert all(part in line for part in parts) and not (tmp_path / 'run').exists()


@pytest.mark.slow
@pytest.mark.parametrize('flag, parts', [
    ('--config.test_every=2', ['test_every', 'of process 1 is not that of process 0']),
    ('--config.data.augment=mixup', ["process 1: unknown data.augment 'mixup'"])])
def test_processes_that_would_not_do_alike_end_with_one_line(flag, parts, tmp_path):
    """One would test where the other trains on, or not begin at all, and both would wait."""
    results = finish(start(2, arguments(tmp_path / 'run', 'ce'), own=[[], [flag]]))
    assert [code for code, *_ in results] == [2, 2]
    (line,) = [line for _, _, errors in results for line in errors.splitlines() if line.startswith('ikd: ')]
    assert all(part in line for part in parts)
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
def test_a_config_that_is_not_there_ends_all_with_one_line():
    results = finish(start(2, ['--config=nowhere.py']))
    assert [code for code, *_ in results] == [2, 2]
    assert sorted(errors.count('\n') for _, _, errors in results) == [0, 1]


@pytest.mark.slow
def test_what_only_the_first_meets_ends_all(tmp_path):
    (tmp_path / 'file').write_text('in the way')
    results = finish(start(2, arguments(tmp_path / 'file' / 'run', 'ce')))
    assert [code for code, *_ in results] == [2, 2]
    assert 'cannot write' in results[0][2] and 'ikd: ' not in results[1][2]


@pytest.mark.slow
def test_trials_over_processes_leave_one_summary_and_one_journal(tmp_path):
    """Three seeds on two processes, bit for bit those of one process that trains them one after another."""
    flags = ['le', '--config.parallel=trials', '--config.trials=3']
    assert_success(finish(start(2, arguments(tmp_path / 'two' / 'run', *flags))))
    alone(*arguments(tmp_path / 'one' / 'run', *flags))
    two, one = (json.loads((tmp_path / n / 'run' / 'summary.json').read_text()) for n in ('two', 'one'))
    results = lambda summary: [(t['seed'], t['test_nll']) for t in summary['trials']]
    assert results(two) == results(one) and len(two['trials']) == 3
    for seed in range(3):
        assert_close(tmp_path / 'two' / 'run', tmp_path / 'one' / 'run', seed)
    assert len(read_records(tmp_path / 'two' / 'run')) == 6
