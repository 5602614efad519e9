"""What a few paired seeds can say: differences and their intervals, many comparisons, what is too small to find."""
import statistics

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, ncf, t

ROUNDING = 1e-9  # of a percentage, in its digits


def on_common_seeds(ours, theirs):
    """The values of two runs, {seed: value} each, on the seeds that both have, in rising order: two lists."""
    seeds = sorted(ours.keys() & theirs.keys())
    return [ours[seed] for seed in seeds], [theirs[seed] for seed in seeds]


def mean_and_std(values):
    """(mean, sample standard deviation) of values; None for what no value, or one, does not have."""
    return (statistics.fmean(values) if len(values) else None,
            statistics.stdev(values) if len(values) > 1 else None)


def standard_error(difference):
    """The standard error of the mean of differences [n]; None of one, or of some that are all alike.

    Accuracies are multiples of one image, so that a few differences may well be the same; that is no measurement of
    how they scatter, of which an interval of no width and a p of 0 would come.
    """
    if len(difference) < 2 or np.ptp(difference) <= ROUNDING * np.abs(difference).max():
        return None
    return difference.std(ddof=1) / np.sqrt(len(difference))


def paired_difference(ours, theirs):
    """(mean of ours - theirs, half the width of its 95 % confidence interval) for values of the same seeds, [n] each.

    Student's t with n - 1 degrees of freedom. The half width is None where there is no `standard_error`.
    """
    difference = np.subtract(ours, theirs)
    error = standard_error(difference)
    half = None if error is None else float(t.ppf(0.975, len(difference) - 1) * error)
    return float(difference.mean()), half


def mean_interval(values):
    """(mean, half the width of its 95 % confidence interval) of values [n]: as `paired_difference` has it."""
    return paired_difference(values, np.zeros(len(values)))


def share_interval(share, n):
    """(low, high), in [0, 1]: Wilson's 95 % interval of a share of n independent images, such as an accuracy."""
    found = binomtest(round(share * n), n).proportion_ci(0.95, method='wilson')
    return float(found.low), float(found.high)


def paired_p(ours, theirs):
    """The two-sided p value of the paired t-test for values of the same seeds, [n] each.

    None where there is no `standard_error`.
    """
    difference = np.subtract(ours, theirs)
    error = standard_error(difference)
    return None if error is None else float(2 * t.sf(abs(difference.mean()) / error, len(difference) - 1))


def holm(ps):
    """Holm's adjusted p values (Holm 1979), in the order given: a list. None stays None, and is no comparison."""
    known = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    adjusted, largest = [None] * len(ps), 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, (len(known) - rank) * p)
        adjusted[place] = min(1.0, largest)
    return adjusted


def detectable_difference(ours, theirs, level=0.05, power=0.8):
    """The smallest true difference that a two-sided paired t-test at `level` finds with probability `power`.

    For as many seeds as there are values, [n] each, and differences that scatter as these do (sample standard
    deviation). In the values' unit; None where there is no `standard_error`.
    """
    difference = np.subtract(ours, theirs)
    n, error = len(difference), standard_error(difference)
    if error is None:
        return None
    critical = t.ppf(1 - level / 2, n - 1) ** 2

    def lacking(shift):
        """Power at a true mean of `shift` standard errors, minus the power wanted: t squared is a noncentral F."""
        return ncf.sf(critical, 1, n - 1, shift ** 2) - power

    return float(brentq(lacking, 1e-3, 100) * error)
