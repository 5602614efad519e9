"""What images say of a mean: its bootstrap interval."""
import numpy as np


def bootstrap_interval(values, resamples=1000):
    """(low, high): the mean's 95 % percentile bootstrap interval, of values [n]; (None, None) of fewer than two."""
    if len(values) < 2:
        return None, None
    draws = np.random.default_rng(0).choice(values, (resamples, len(values)))
    low, high = np.quantile(draws.mean(1), [0.025, 0.975])
    return float(low), float(high)


def estimate(values):
    """{'value', 'low', 'high'}: the mean of values [n] of n images and its 95 % bootstrap interval.

    NaN, undefined for an image, is left out; all three are None where nothing is left, the interval where one is.
    """
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    if not len(values):
        return dict.fromkeys(('value', 'low', 'high'))
    low, high = bootstrap_interval(values)
    return {'value': float(values.mean()), 'low': low, 'high': high}
