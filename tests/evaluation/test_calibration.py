"""Reliability bins against the calibration error they make up, confusions against a loop."""
import numpy as np
import pytest

from ikd.evaluation.calibration import confusion, reliability
from ikd.metrics import confidence_bins, expected_calibration_error


@pytest.fixture
def predicted():
    """Probabilities [500, 4], some of them 1 and on edges of bins, and labels that are often right."""
    draw = np.random.default_rng(0)
    probabilities = draw.dirichlet(np.full(4, 0.4), 500)
    probabilities[:3] = [1, 0, 0, 0], [0.4, 0.2, 0.2, 0.2], [0.6, 0.4, 0, 0]
    labels = np.where(draw.random(500) < 0.6, probabilities.argmax(1), draw.integers(0, 4, 500))
    return probabilities, labels


@pytest.mark.parametrize('bins', [1, 10, 15])
def test_bins_make_up_the_calibration_error(predicted, bins):
    found = reliability(*predicted, bins)
    assert sum(one['count'] for one in found) == 500
    gaps = [one['count'] / 500 * abs(one['accuracy'] - one['confidence']) for one in found if one['count']]
    assert sum(gaps) == pytest.approx(expected_calibration_error(*predicted, bins), rel=1e-12)
    for one in found:
        if one['count']:
            assert one['low'] < one['confidence'] <= one['high']
        else:
            assert one['confidence'] is one['accuracy'] is None
    right = sum(one['count'] * one['accuracy'] for one in found if one['count'])
    assert right == pytest.approx((predicted[0].argmax(1) == predicted[1]).sum())


def test_bins_hold_their_upper_edges():
    found = reliability(np.array([[0.75, 0.25], [0.5, 0.5], [0.2, 0.8]]), np.array([0, 1, 1]), 4)
    assert [one['count'] for one in found] == [0, 1, 1, 1]
    assert [one['accuracy'] for one in found] == [None, 0, 1, 1]


@pytest.mark.parametrize('bins', [5, 10, 15, 100])
def test_every_edge_belongs_to_the_bin_below(bins):
    """Also where it is not a sum of powers of two: 0.07 * 100 is more than 7."""
    assert confidence_bins(np.arange(bins + 1) / bins, bins).tolist() == [0, *range(bins)]
    assert confidence_bins(np.nextafter(np.arange(bins) / bins, 1), bins).tolist() == [*range(bins)]


def test_confusions_are_those_of_a_loop(predicted):
    predictions, expected = predicted[0].argmax(1), np.zeros((4, 4), int)
    for guess, label in zip(predictions, predicted[1]):
        expected[label, guess] += 1
    assert not np.array_equal(expected, expected.T)
    np.testing.assert_array_equal(confusion(predictions, predicted[1], 4), expected)
    few_bits = confusion(np.uint8([30, 40, 99]), np.uint8([1, 2, 30]), 100)
    assert [*zip(*np.nonzero(few_bits))] == [(1, 30), (2, 40), (30, 99)]
