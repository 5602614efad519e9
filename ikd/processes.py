"""Several processes, on one machine or many: how they meet, who writes, and how they agree.

Under `parallel=data` the processes are one JAX program (`jax.distributed`) over all their devices, and take every
step together. The first reads and writes; what it has read is told to the others, so that no file system need be
shared.
Under `parallel=trials` they share nothing but the run's directory: each is a program of its own with its own seeds.
"""
import contextlib
import json
import os
import socket
import sys
import time
import traceback
from time import monotonic as now
from typing import NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from ikd.errors import Diverged, InputError, OutOfMemory, Stopped, Unmet, Unreadable, Unwritable

ARRIVE = 300  # seconds that the first to start waits for the last
PATIENCE = 10  # seconds without a word
EVERY, MOST_CALLS = 1.0, 64  # seconds, and calls, after which processes tell each other if they are to stop


class Place(NamedTuple):
    """Which of how many processes this one is, counted from 0."""
    index: int
    count: int


def join(mode, coordinator=None, count=None, index=None, timeout=60):
    """Meet the other processes before anything else is asked of JAX: this one's Place.

    coordinator (HOST:PORT of the first process), count and index: all given, or all None and found out from Slurm,
    Cloud TPU, GKE or Open MPI; mode `trials` needs no coordinator, and finds out from Slurm only. Under `data` a
    process that has not answered for `timeout` seconds takes all others down. Of this machine's GPUs a process uses
    those of the variable JAX_LOCAL_DEVICE_IDS, or all. Unmet if that is not enough, or they do not meet.
    """
    if mode == 'trials':
        if own := os.environ.get('JAX_LOCAL_DEVICE_IDS'):  # which JAX reads where processes meet only
            jax.config.update('jax_cuda_visible_devices', own)
            jax.config.update('jax_rocm_visible_devices', own)
        return Place(*_own_place(count, index))
    given = (coordinator, count, index)
    if None in given and given != (None, None, None):
        raise Unmet('give all of --coordinator=HOST:PORT, --processes=N and --process=I, or none of them on a '
                    'cluster that says so itself')
    place = {}
    if coordinator:
        if not coordinator.rpartition(':')[2].isdecimal() or not coordinator.rpartition(':')[0]:
            raise Unmet(f'--coordinator={coordinator}: give HOST:PORT of the process 0')
        _check_place(count, index)
        if index:
            await_first(coordinator)
        place = {'coordinator_address': coordinator, 'num_processes': count, 'process_id': index,
                 'cluster_detection_method': 'deactivate'}
    jax.config.update('jax_cpu_collectives_implementation', 'gloo')
    try:
        jax.distributed.initialize(**place, heartbeat_timeout_seconds=timeout, initialization_timeout=ARRIVE)
    except (RuntimeError, ValueError) as error:
        cause = ' '.join(f'{error}'.split())[:200]
        raise Unmet(f'--multihost: the processes did not meet ({cause}); outside Slurm, Cloud TPU and GKE give '
                    '--coordinator=HOST:PORT --processes=N --process=I') from error
    return Place(jax.process_index(), jax.process_count())


def await_first(coordinator):
    """Wait until the first process listens at HOST:PORT; Unmet if it does not.

    JAX would wait without a word, and then abort.
    """
    host, _, port = coordinator.rpartition(':')
    began, told = now(), False
    while True:
        try:
            return socket.create_connection((host.strip('[]'), int(port)), timeout=5).close()
        except OSError as error:
            waited, cause = now() - began, error
        if waited > ARRIVE:
            raise Unmet(f'--multihost: process 0 did not answer at {coordinator} for {ARRIVE} seconds ({cause}); '
                        'start it there, or correct --coordinator') from cause
        if waited > PATIENCE and not told:
            print(f'ikd: waiting for process 0 at {coordinator} ({cause})', file=sys.stderr, flush=True)
            told = True
        time.sleep(0.5)


def _own_place(count, index):
    """(index, count), as given or as Slurm says."""
    if count is None and index is None and {'SLURM_NTASKS', 'SLURM_PROCID'} <= {*os.environ}:
        count, index = int(os.environ['SLURM_NTASKS']), int(os.environ['SLURM_PROCID'])
    if count is None or index is None:
        raise Unmet('--multihost with config.parallel=trials: give --processes=N and --process=I, or start ikd with '
                    'srun')
    _check_place(count, index)
    return index, count


def _check_place(count, index):
    if not 0 <= index < count:
        raise Unmet(f'--process={index} of --processes={count}: processes are counted from 0')


def own_seeds(config, place=Place(0, 1)):
    """The seeds that this process trains: under `trials` its share, whatever the others have finished; else all."""
    index, count = place if config.parallel == 'trials' else (0, 1)
    return range(config.seed + index, config.seed + config.trials, count)


@contextlib.contextmanager
def ending_together():
    """Ends this process at once where it can't go on, which takes the others down, too: none is waited for.

    InputError and what else ikd ends with are left alone: all processes of a JAX program raise them alike, but for
    Unreadable.
    """
    try:
        yield
    except Exception as error:
        alike = isinstance(error, InputError | Diverged | Stopped) and not isinstance(error, Unreadable)
        if jax.process_count() == 1 or alike:
            raise
        text, code = last_words(error)
        print(text, file=sys.stderr, flush=True)
        os._exit(code)  # without the ways out that wait for the other processes


def last_words(error):
    """(text, exit code) of a process that one error ends by itself."""
    if isinstance(error, Unreadable):
        return f'ikd: {error}', 2
    if isinstance(error, OutOfMemory):  # as one process does: it would happen again
        return f'ikd: process {jax.process_index()}: {error}', 3
    if isinstance(error, Unwritable):
        return f'ikd: {error}; the last checkpoint is whole: make room, then start all again', 1
    if isinstance(error, jax.errors.JaxRuntimeError):
        cause = ' '.join(f'{error}'.split())[:200]
        return (f'ikd: process {jax.process_index()} cannot go on, most likely as another has ended ({cause}); '
                'start all again, and the run goes on from its last checkpoint'), 1
    return ''.join(traceback.format_exception(error)).rstrip(), 1


def first():
    """Whether this process reads and writes: the first of a JAX program, or its only one."""
    return jax.process_index() == 0


def exchange(text):
    """The texts of all processes, in their order, on every process."""
    if jax.process_count() == 1:
        return [text]
    data = np.frombuffer(text.encode(), np.uint8)
    with jax.transfer_guard('allow'):
        lengths = np.asarray(multihost_utils.process_allgather(np.int32(len(data)))).ravel()
        rows = multihost_utils.process_allgather(np.pad(data, (0, max(lengths) + 1 - len(data))))
    return [row[:n].tobytes().decode() for row, n in zip(np.asarray(rows), lengths)]


def agree(f):
    """f(), called on every process; an InputError of one is raised on all, so that none waits for the others."""
    value, error = None, ''
    try:
        value = f()
    except InputError as problem:
        if jax.process_count() == 1:
            raise
        error = f'{problem}'
    for index, text in enumerate(exchange(error)):
        if text:
            raise InputError(f'process {index}: {text}' if index else text)
    return value


def in_turn(f):
    """f() on the first process, then on the others, which find what it has left on a disk that they share."""
    mine = agree(lambda: f() if first() else None)
    return mine if jax.process_count() == 1 else agree(lambda: mine if first() else f())


def from_first(f):
    """What f() gives on the first process, a JSON value, on all; f is called there only."""
    if jax.process_count() == 1:
        return f()
    return json.loads(exchange(agree(lambda: json.dumps(f()) if first() else ''))[0])


def shared(f, examples):
    """What f() gives on the first process, [(State, JSON value), ...] or None, on all; f is called there only.

    examples: States of the same shapes, or those.
    """
    if jax.process_count() == 1:
        return f()
    found = agree(lambda: f() if first() else None)
    rests = from_first(lambda: found and [rest for _, rest in found])
    if rests is None:
        return None
    empty = lambda: jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), examples)
    states = [state for state, _ in found] if first() else empty()
    return list(zip(jax.device_get(multihost_utils.broadcast_one_to_all(states)), rests))


def any_of(stop):
    """A function that says on every process whether stop() says so on any; all must call it equally often.

    To ask all makes them wait for their devices, so several processes ask each other about once in EVERY seconds,
    after as many calls as that takes by the first one's clock; once it says so it always does.
    """
    if jax.process_count() == 1:
        return stop
    stopped, left, period, asked = False, 1, 1, now()

    def stops():
        nonlocal stopped, left, period, asked
        left -= 1
        if stopped or left:
            return stopped
        with jax.transfer_guard('allow'):
            found = multihost_utils.process_allgather(np.array([stop(), now() - asked], np.float32))
        stopping, seconds = np.reshape(found, (-1, 2)).T
        left = period = max(1, round(min(period * EVERY / max(seconds[0], 1e-3), 2 * period, MOST_CALLS)))
        stopped, asked = bool(stopping.any()), now()
        return stopped

    return stops


def check_alike(what, digest):
    """InputError where processes have different digests of what must be the same for all."""
    digests = exchange(digest)
    different = [index for index, other in enumerate(digests) if other != digests[0]]
    if different:
        raise InputError(f'{what} of process {different[0]} is not that of process 0; give all the same')
