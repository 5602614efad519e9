"""How processes find each other and agree, without starting any."""
import os
import re
import socket
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from ikd import main, processes
from ikd.config import default
from ikd.errors import InputError, OutOfMemory, Stopped, Unmet, Unreadable, Unwritable


@pytest.mark.parametrize('given, part', [
    (('data', None, 2, None), '--coordinator=HOST:PORT'), (('data', 'here', 2, 0), '--coordinator=here'),
    (('data', ':1', 2, 0), 'HOST:PORT'), (('data', 'here:1', 2, 2), '--process=2 of --processes=2'),
    (('trials', None, 2, None), 'srun'), (('trials', None, 2, -1), 'counted from 0')])
def test_what_does_not_say_enough(given, part, monkeypatch):
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    with pytest.raises(InputError, match=re.escape(part)):
        processes.join(*given)


def test_a_batch_script_of_slurms_need_not_say_how_many(monkeypatch):
    """It has the number 0, but of how many only where the job asked for so many tasks."""
    monkeypatch.setenv('SLURM_PROCID', '0')
    monkeypatch.delenv('SLURM_NTASKS', raising=False)
    with pytest.raises(InputError, match='give --processes=N and --process=I, or start ikd with srun'):
        processes.join('trials')


def test_a_first_process_that_does_not_come_is_told_of(monkeypatch, capsys):
    """JAX alone would wait without a word, and then abort."""
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        processes.await_first(f'127.0.0.1:{port}')
    monkeypatch.setattr(processes, 'PATIENCE', -1)
    monkeypatch.setattr(processes, 'ARRIVE', 0.1)
    with pytest.raises(Unmet, match='process 0 did not answer at .* correct --coordinator'):
        processes.join('data', f'127.0.0.1:{port}', 2, 1)
    assert capsys.readouterr().err.startswith(f'ikd: waiting for process 0 at 127.0.0.1:{port} (')


def test_a_first_process_with_an_address_in_brackets_is_found(monkeypatch):
    monkeypatch.setattr(processes, 'ARRIVE', 0.1)
    try:
        server = socket.create_server(('::1', 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip('there is no IPv6 here')
    with server:
        processes.await_first(f'[::1]:{server.getsockname()[1]}')


def test_what_jax_is_told_of_the_place_of_a_process(monkeypatch):
    """The first waits for nobody: it is the one who listens. Where nothing is given JAX finds out for itself."""
    told, awaited = [], []
    monkeypatch.setattr(jax.config, 'update', lambda name, value: told.append({name: value}))
    monkeypatch.setattr(jax.distributed, 'initialize', lambda **place: told.append(place))
    monkeypatch.setattr(processes, 'await_first', awaited.append)
    times = {'heartbeat_timeout_seconds': 7, 'initialization_timeout': processes.ARRIVE}
    for index in 0, 1:
        processes.join('data', 'here:1', 2, index, timeout=7)
        assert told == [{'jax_cpu_collectives_implementation': 'gloo'},
                        {'coordinator_address': 'here:1', 'num_processes': 2, 'process_id': index,
                         'cluster_detection_method': 'deactivate', **times}]
        told.clear()
    assert awaited == ['here:1']
    assert processes.join('data', timeout=7) == (0, 1) and told[1:] == [times]


def test_who_has_met_nobody_speaks_for_itself(monkeypatch, capsys):
    """Counted from 1, the last of the processes is none."""
    monkeypatch.setattr(main, 'spoken_for', lambda: True)

    def ending(error):
        def run(*args, **options):
            raise error
        monkeypatch.setattr(main.app, 'run', run)
        with pytest.raises(SystemExit, match='2'):
            main.cli()
        return capsys.readouterr().err

    with pytest.raises(Unmet) as caught:
        processes.join('data', 'here:1', 2, 2)
    assert ending(caught.value) == 'ikd: --process=2 of --processes=2: processes are counted from 0\n'
    assert ending(InputError('all meet it')) == ''


@pytest.mark.parametrize('error, code', [
    (Unreadable('a.png: cut off; replace it'), 2), (Unwritable('cannot write a'), 1), (ZeroDivisionError('no'), 1),
    (jax.errors.JaxRuntimeError('a peer is gone'), 1), (InputError('all meet it'), None), (Stopped('asked'), None),
    (OutOfMemory('no room'), 3)])
def test_what_one_process_alone_meets_ends_it_at_once(error, code, monkeypatch, capsys):
    """So that the others don't wait; what all meet goes on to `ikd.main`, as everything does in one process."""
    class Ended(BaseException):
        pass

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(os, '_exit', end)
    monkeypatch.setattr(jax, 'process_count', lambda: 2)
    with pytest.raises(type(error) if code is None else Ended) as caught, processes.ending_together():
        raise error
    told = capsys.readouterr().err
    assert (caught.value.args == (code,) and f'{error}' in told) if code else (caught.value is error and not told)
    monkeypatch.setattr(jax, 'process_count', lambda: 1)
    with pytest.raises(type(error)), processes.ending_together():
        raise error


def test_processes_ask_each_other_once_a_second(monkeypatch):
    """Calls of 50 ms: after one, two, four, ... of them, up to twenty; the clock of the first is that of all.

    What the second is asked meanwhile is heard at the next time, on both.
    """
    clock, calls, gathered = [0.0], [0], []

    def process_allgather(mine):
        gathered.append(calls[0])
        return np.stack([mine, [calls[0] > 100, 7.0]])

    monkeypatch.setattr(jax, 'process_count', lambda: 2)
    monkeypatch.setattr(processes, 'now', lambda: clock[0])
    monkeypatch.setattr(processes.multihost_utils, 'process_allgather', process_allgather)
    stops = processes.any_of(lambda: False)

    def call(seconds=0.05):
        calls[0], clock[0] = calls[0] + 1, clock[0] + seconds
        return stops()

    while not call():
        pass
    assert gathered == [1, 3, 7, 15, 31, 51, 71, 91, 111]
    assert call() and call() and len(gathered) == 9  # whoever asks once more hears it again

    calls[0], gathered[:] = -1000, []
    stops = processes.any_of(lambda: False)
    while calls[0] < 0:
        call(1e-4)
    assert set(np.diff(gathered)[8:]) == {64}  # not so seldom that slower calls would take long


def test_seeds_are_divided_whatever_is_finished(monkeypatch):
    """Under trials every seed has one process, also where there are more processes; Slurm says which this is."""
    config = default()
    config.update(parallel='trials', trials=5, seed=7)
    shares = [[*processes.own_seeds(config, processes.Place(i, 3))] for i in range(3)]
    assert shares == [[7, 10], [8, 11], [9]]
    config.trials = 1
    assert [[*processes.own_seeds(config, processes.Place(i, 2))] for i in range(2)] == [[7], []]
    monkeypatch.setenv('SLURM_PROCID', '2')
    monkeypatch.setenv('SLURM_NTASKS', '3')
    assert processes.join('trials') == (2, 3)
    assert processes.join('trials', None, 2, 1) == (1, 2)  # whoever says so is believed, not the job it is part of


@pytest.mark.parametrize('given, variable, spoken', [
    (0, '3', False), (2, '0', True), (None, '3', True), (None, '', False)])
def test_the_first_process_speaks_whatever_the_cluster_calls_it(given, variable, spoken, monkeypatch):
    """given: the flag --process."""
    monkeypatch.delenv('IKD_PROCESS', raising=False)
    monkeypatch.setenv('SLURM_PROCID', variable)
    monkeypatch.setattr(main, 'flags', SimpleNamespace(FLAGS=SimpleNamespace(is_parsed=lambda: True)))
    for name, value in ('PROCESS', given), ('MULTIHOST', True), ('CONFIG', None):
        monkeypatch.setattr(main, name, SimpleNamespace(value=value))
    assert main.spoken_for() == spoken


def test_a_process_apart_uses_the_gpus_that_are_its_own(monkeypatch):
    """JAX reads the variable where processes meet only; its own settings for it are known to every version."""
    told = {}
    monkeypatch.setattr(jax.config, 'update', told.__setitem__)
    monkeypatch.delenv('JAX_LOCAL_DEVICE_IDS', raising=False)
    assert processes.join('trials', None, 2, 1) == (1, 2) and not told
    monkeypatch.setenv('JAX_LOCAL_DEVICE_IDS', '3')
    assert processes.join('trials', None, 2, 1) == (1, 2)
    assert told == {'jax_cuda_visible_devices': '3', 'jax_rocm_visible_devices': '3'}
    monkeypatch.undo()
    for name in told:
        jax.config.update(name, 'all')  # as it is; AttributeError for a setting that there is not
