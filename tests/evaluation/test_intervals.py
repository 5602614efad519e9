"""Intervals of means against their closed form."""
import numpy as np
import pytest

from ikd.evaluation.intervals import bootstrap_interval, estimate


def test_interval_of_a_mean():
    """Of normal values the bootstrap's is close to 1.96 standard errors on both sides."""
    values = np.random.default_rng(2).normal(3, 1, 500)
    low, high = bootstrap_interval(values, resamples=4000)
    half = 1.96 * values.std() / np.sqrt(500)
    assert low == pytest.approx(values.mean() - half, abs=0.05 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.05 * half)
    assert bootstrap_interval(values) == bootstrap_interval(values)


def test_what_is_undefined_is_left_out():
    found = estimate([1, np.nan, 3, np.nan])
    assert found['value'] == 2 and 1 <= found['low'] < 2 < found['high'] <= 3
    assert estimate([np.nan]) == {'value': None, 'low': None, 'high': None}


def test_one_value_has_no_interval():
    assert estimate([3, np.nan]) == {'value': 3, 'low': None, 'high': None}
    assert bootstrap_interval([3]) == bootstrap_interval([]) == (None, None)
