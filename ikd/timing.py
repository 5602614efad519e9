"""Two things timed in turn, and the ratio of their times with its uncertainty."""
import time

import numpy as np

PAIRS = 21


def paired_times(first, second, pairs=PAIRS, warm_up=2):
    """Seconds of both functions, called in turn, the order changing from pair to pair: an array [pairs, 2].

    The functions return when their work is done. So what slows the machine for a while slows both.
    """
    both = first, second
    for function in both * warm_up:
        function()
    times = np.empty((pairs, 2))
    for pair in range(pairs):
        for place in (0, 1) if pair % 2 else (1, 0):
            started = time.perf_counter()
            both[place]()
            times[pair, place] = time.perf_counter() - started
    return times


def times_of(function, runs=PAIRS, warm_up=2):
    """Seconds of a function called again and again: an array [runs]."""
    for _ in range(warm_up):
        function()
    times = np.empty(runs)
    for run in range(runs):
        started = time.perf_counter()
        function()
        times[run] = time.perf_counter() - started
    return times


def median_interval(values):
    """(median, low, high) of values [n], the 95 % interval from a bootstrap of the median with a fixed seed."""
    rows = np.random.default_rng(0).choice(values, (5000, len(values)))
    low, high = np.percentile(np.median(rows, axis=1), [2.5, 97.5])
    return float(np.median(values)), float(low), float(high)
