"""How much time is left, as told while steps go by."""
import time

import pytest

from ikd.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until its one entry is changed."""
    now = [100.0]
    monkeypatch.setattr(time, 'monotonic', lambda: now[0])
    return now


def test_time_left_is_told_from_the_steps_taken_here(clock, capsys):
    """30 of 100 steps in 15 seconds leave 35; that 20 more were there before takes only them away."""
    for before, left in (0, '35 s left'), (20, '25 s left'):
        progress = Progress(100)
        progress.skip(before)
        progress.tick(30)
        clock[0] += 15
        progress.tell('seed 0')
        progress.close()
        assert capsys.readouterr().err == f'{30 + before:3.0f} %  seed 0  (15 s, {left})\n'


def test_what_begins_is_told_without_a_time_left(clock, capsys):
    progress = Progress(4)
    progress.tell('predictions')
    progress.close()
    assert capsys.readouterr().err == '  0 %  predictions  (0 s)\n'


def test_lines_keep_a_distance_but_the_last_one_comes(clock, capsys):
    progress = Progress(3, pause=5)
    for text in 'first', 'second', 'third':
        clock[0] += 1
        progress.tick(1)
        progress.tell(text)
    progress.close()
    assert [line.split()[2] for line in capsys.readouterr().err.splitlines()] == ['first', 'third']


def test_a_bar_counts_what_was_there_and_times_what_is_new(monkeypatch):
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)
    progress = Progress(100)
    progress.skip(40)
    progress.tick(10)
    assert (progress.bar.n, progress.bar.initial) == (50, 40)
    progress.close()
