"""What processes tell each other and who is asked: each is a thread here, and they meet where those gather."""
import re
import threading
from multiprocessing.pool import ThreadPool

import jax
import numpy as np
import pytest

from ikd import experiment, processes
from ikd.errors import InputError
from ikd.stages import State
from tests.small_run import assert_same, make_config


@pytest.fixture
def on_each(monkeypatch):
    """on_each(f, n): what f(index) gives, or the InputError it raises, on each of n processes.

    None gathers more or less often than another, or arrays of another shape, or one without elements.
    """
    own = threading.local()

    def run(f, n):
        barrier, told = threading.Barrier(n, timeout=10), [None] * n

        def process_allgather(mine):
            told[own.index] = np.array(mine)
            barrier.wait()
            found = np.stack(told)
            barrier.wait()
            assert found.size
            return found

        def broadcast_one_to_all(tree):
            return jax.tree.map(lambda leaf: process_allgather(leaf)[0], tree)

        def attempt(index):
            own.index = index
            try:
                return f(index)
            except InputError as error:
                return error

        monkeypatch.setattr(jax, 'process_count', lambda: n)
        monkeypatch.setattr(jax, 'process_index', lambda: own.index)
        for gathers in process_allgather, broadcast_one_to_all:
            monkeypatch.setattr(processes.multihost_utils, gathers.__name__, gathers)
        with ThreadPool(n) as pool:
            return pool.map(attempt, range(n), chunksize=1)

    return run


@pytest.mark.parametrize('texts', [['a', '', 'grün\n'], ['', '', ''], ['x' * 1000, '\0', '{}']])
def test_every_process_has_the_texts_of_all(on_each, texts):
    assert on_each(lambda index: processes.exchange(texts[index]), 3) == [texts] * 3


@pytest.mark.parametrize('bad, found', [
    ((0, 2), ['no room'] * 3), ((1, 2), ['process 1: no room'] * 3), ((), ['0', '1', '2'])])
def test_what_one_refuses_all_refuse(on_each, bad, found):
    """In the words of the first who does; else each has what is its own."""
    def f(index):
        if index in bad:
            raise InputError('no room')
        return index

    assert [*map(str, on_each(lambda index: processes.agree(lambda: f(index)), 3))] == found


def test_the_first_is_done_before_the_others_begin(on_each):
    """Each does it once, as what the first fetches the others find."""
    called = []
    found = on_each(lambda index: processes.in_turn(lambda: called.append(index) or -index), 3)
    assert found == [0, -1, -2] and called[0] == 0 and sorted(called) == [0, 1, 2]


def test_what_is_asked_of_the_first_all_are_told(on_each):
    called = []
    value = {'seeds': [1, 2], 'found': None}
    found = on_each(lambda index: processes.from_first(lambda: called.append(index) or {**value, 'by': index}), 3)
    assert found == [{**value, 'by': 0}] * 3 and called == [0]

    def refuse():
        raise InputError('nothing there')

    assert [*map(str, on_each(lambda index: processes.from_first(refuse), 2))] == ['nothing there'] * 2


@pytest.mark.parametrize('there', [True, False])
def test_the_states_of_the_first_are_those_of_all(on_each, there):
    """The others know their shapes alone, and may have none of their files."""
    def state(seed):
        return State(np.uint32(seed), np.int32(3), {'w': np.full((2, 3), seed + 0.5, np.float32)}, {}, (), {})

    shapes = [jax.eval_shape(lambda: state(0))] * 2
    found = on_each(lambda index: processes.shared(
        lambda: [(state(7), {'epoch': 1}), (state(8), None)] if there and not index else None, shapes), 2)
    if not there:
        assert found == [None, None]
        return
    for states, rests in (zip(*each) for each in found):
        assert_same(list(states), [state(7), state(8)])
        assert rests == ({'epoch': 1}, None)


def test_what_must_be_the_same_for_all_and_is_not(on_each):
    """The first that differs is named, on every process."""
    told = on_each(lambda index: processes.check_alike('the data', 'aabb'[index]), 4)
    assert [*map(str, told)] == ['the data of process 2 is not that of process 0; give all the same'] * 4
    assert on_each(lambda index: processes.check_alike('the data', 'a'), 4) == [None] * 4


@pytest.mark.parametrize('fields, message', [
    ({'data.augment': 'mixup'}, "process 1: unknown data.augment 'mixup'"),
    ({'batch_size': 16}, 'the configuration of process 1 is not that of process 0'),
    ({'test_every': 2}, 'test_every.* of process 1 is not that of process 0')])
def test_a_run_whose_second_process_was_told_otherwise_ends_on_both(on_each, fields, message, tmp_path):
    """Where only the second cannot be run, too: the first would wait for it."""
    told = on_each(lambda index: experiment.run(make_config(**fields if index else {}), tmp_path / 'run'), 2)
    assert all(isinstance(error, InputError) and re.search(message, f'{error}') for error in told)
    assert not (tmp_path / 'run').exists()
