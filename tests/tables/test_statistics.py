"""Against SciPy's tests, closed forms, a simulation and a hand-worked example."""
import numpy as np
import pytest
from scipy.stats import norm, t, ttest_1samp, ttest_rel

from ikd.tables.statistics import (
    detectable_difference,
    holm,
    mean_and_std,
    mean_interval,
    on_common_seeds,
    paired_difference,
    paired_p,
    share_interval,
)


def paired(n=5):
    """Two methods on n seeds: the seeds differ much, pairs little."""
    draw = np.random.default_rng(0)
    base = draw.normal(90, 2, n)
    return base + draw.normal(0.4, 0.1, n), base


def test_the_interval_and_p_are_those_of_a_paired_t_test():
    ours, base = paired()
    mean, half = paired_difference(ours, base)
    found = ttest_rel(ours, base)
    low, high = found.confidence_interval(0.95)
    assert (mean - half, mean + half) == pytest.approx((low, high)) and half < 0.5
    assert paired_p(ours, base) == pytest.approx(found.pvalue) and paired_p(base, ours) == paired_p(ours, base)


def test_what_is_shown_of_seeds():
    assert on_common_seeds({2: 'c', 0: 'a', 1: 'b'}, {3: 'z', 1: 'y', 2: 'x'}) == (['b', 'c'], ['y', 'x'])
    values = paired()[0]
    assert mean_and_std(values) == pytest.approx((np.mean(values), np.std(values, ddof=1)))
    assert [mean_and_std([3.0]), mean_and_std([])] == [(3.0, None), (None, None)]


def test_the_interval_of_a_mean_is_students():
    values = paired()[0]
    mean, half = mean_interval(values)
    low, high = t.interval(0.95, 4, np.mean(values), np.std(values, ddof=1) / 5 ** 0.5)
    assert (mean - half, mean + half) == pytest.approx((low, high))
    assert mean_interval([3.0]) == (3.0, None)


@pytest.mark.parametrize('correct, n', [(357, 360), (0, 10), (10, 10), (29, 100), (5000, 10000)])
def test_the_interval_of_a_share_is_wilsons(correct, n):
    """Its ends are where the normal test of that share is just rejected: |p - end| = z sqrt(end (1 - end) / n)."""
    low, high = share_interval(correct / n, n)
    assert 0 <= low <= correct / n <= high <= 1
    for end in (low, high):
        distance = abs(correct / n - end)
        assert distance == pytest.approx(norm.ppf(0.975) * (end * (1 - end) / n) ** 0.5, abs=1e-9)


def test_an_interval_that_ends_at_0_has_p_of_5_percent():
    ours, base = paired()
    mean, half = paired_difference(ours, base)
    assert paired_p(ours - mean + half, base) == pytest.approx(0.05)


@pytest.mark.parametrize('ours, base', [
    ([91.0], [90.0]), ([75.78, 74.35], [75.75, 74.32]), ([91.0, 92.0], [91.0, 92.0])])
def test_one_seed_and_differences_that_are_all_alike_have_no_scatter(ours, base):
    """The second in the digits of accuracies, whose differences are alike but for rounding."""
    mean, half = paired_difference(ours, base)
    assert mean == pytest.approx(ours[0] - base[0]) and half is None
    assert paired_p(ours, base) is None and detectable_difference(ours, base) is None
    assert paired_p([*ours, 91.0], [*base, 90.5]) is not None
    assert paired_p([91.0, 91.01], [10.0, 10.0]) is not None  # by one image of ten thousand


def test_holm_by_hand():
    """Of 0.01, 0.04, 0.03, 0.005: 4 x 0.005, 3 x 0.01, 2 x 0.03, then 0.04, which must not fall below 0.06."""
    assert holm([0.01, 0.04, None, 0.03, 0.005]) == pytest.approx([0.03, 0.06, None, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0] and holm([]) == [] and holm([None]) == [None]


def test_many_seeds_detect_what_the_normal_law_says():
    ours, base = paired(2000)
    z = norm.ppf(0.975) + norm.ppf(0.8)
    expected = z * np.std(ours - base, ddof=1) / np.sqrt(2000)
    assert detectable_difference(ours, base) == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize('n', [2, 5, 20])
def test_the_detectable_difference_is_found_in_four_of_five_cases(n):
    """By simulation: normal differences around it, with the scatter it was told of."""
    ours, base = paired(n)
    shift, spread = detectable_difference(ours, base), np.std(ours - base, ddof=1)
    draws = np.random.default_rng(1).normal(shift, spread, (20000, n))
    assert (ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.01)
