"""What a few paired seeds can say: differences and their intervals, many comparisons, what is too small to find."""
import numpy as np
from scipy.optimize import brentq
from scipy.stats import binomtest, ncf, t


def paired_difference(ours, theirs, confidence=0.95):
    """(mean of ours - theirs, half the width of its confidence interval) for values of the same seeds, [n] each.

    Student's t with n - 1 degrees of freedom. The half width is None for a single seed.
    """
    difference = np.subtract(ours, theirs)
    n = len(difference)
    if n < 2:
        return float(difference.mean()), None
    error = difference.std(ddof=1) / np.sqrt(n)
    return float(difference.mean()), float(t.ppf((1 + confidence) / 2, n - 1) * error)


def mean_interval(values, confidence=0.95):
    """(mean, half the width of its confidence interval) of values [n]: Student's t, None for a single value."""
    return paired_difference(values, np.zeros(len(values)), confidence)


def share_interval(share, n, confidence=0.95):
    """(low, high), in [0, 1]: Wilson's interval of a share of n independent images, such as an accuracy."""
    found = binomtest(round(share * n), n).proportion_ci(confidence, method='wilson')
    return float(found.low), float(found.high)


def paired_p(ours, theirs):
    """The two-sided p value of the paired t-test for values of the same seeds, [n] each; None for a single seed.

    Of differences that are all alike, 1 where they are 0, else 0.
    """
    difference = np.subtract(ours, theirs)
    n = len(difference)
    if n < 2:
        return None
    mean, error = abs(difference.mean()), difference.std(ddof=1) / np.sqrt(n)
    if error <= 1e-12 * mean or not mean:
        return 0.0 if mean else 1.0
    return float(2 * t.sf(mean / error, n - 1))


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
    deviation). In the values' unit; None for a single seed.
    """
    difference = np.subtract(ours, theirs)
    n = len(difference)
    if n < 2:
        return None
    critical = t.ppf(1 - level / 2, n - 1) ** 2

    def lacking(shift):
        """Power at a true mean of `shift` standard errors, minus the power wanted: t squared is a noncentral F."""
        return ncf.sf(critical, 1, n - 1, shift ** 2) - power

    return float(brentq(lacking, 1e-3, 100) * difference.std(ddof=1) / np.sqrt(n))
