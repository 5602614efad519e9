"""Ratios of times, from clocks that are made up."""
import time

import numpy as np

from ikd.timing import median_interval, paired_times, times_of


def made_up_clock(monkeypatch, drift=1.0):
    """A clock that only what is timed moves; everything gets slower by `drift` with each call."""
    now = [0.0, 1.0]
    monkeypatch.setattr(time, 'perf_counter', lambda: now[0])

    def working(seconds, calls):
        def work():
            calls.append(seconds)
            now[0] += seconds * now[1]
            now[1] *= drift
        return work

    return working


def test_pairs_are_timed_in_turn(monkeypatch):
    working, calls = made_up_clock(monkeypatch), []
    times = paired_times(working(3.0, calls), working(2.0, calls), pairs=4, warm_up=1)
    np.testing.assert_allclose(times, [[3, 2]] * 4)
    assert calls == [3, 2, 2, 3, 3, 2, 2, 3, 3, 2]


def test_a_machine_that_slows_down_does_not_change_the_ratio(monkeypatch):
    """Each call takes a tenth longer than the one before; pairs in both orders cancel that."""
    working = made_up_clock(monkeypatch, drift=1.1)
    times = paired_times(working(3.0, []), working(2.0, []), pairs=20)
    ratios = times[:, 0] / times[:, 1]
    assert abs(np.exp(np.log(ratios).mean()) - 1.5) < 1e-6


def test_times_of_one_function(monkeypatch):
    np.testing.assert_allclose(times_of(made_up_clock(monkeypatch)(0.5, []), runs=3), 0.5)


def test_the_interval_of_a_median():
    """For n normal values the median's standard error is 1.253 sigma / sqrt n; the interval is about 1.96 of them."""
    values = np.random.default_rng(1).normal(10, 1, 400)
    median, low, high = median_interval(values)
    assert low < median < high and abs(median - np.median(values)) < 1e-12
    assert abs((high - low) / (2 * 1.96 * 1.253 / 20) - 1) < 0.25
