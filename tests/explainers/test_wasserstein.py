"""Wasserstein similarity of maps whose distance is known, and of maps that lack a part."""
import numpy as np
import pytest

from ikd.explainers.similarity import wasserstein
from tests.explainers.test_targets import LABELS, projections, reference_wasserstein, signed_maps, with_true_class


@pytest.mark.parametrize('shape', [(8, 8), (7, 5)])
def test_wasserstein_of_single_pixels_is_their_distance(shape):
    """Two masses at a point each are as far apart as the points; opposite corners are the extreme."""
    h, w = shape
    maps = np.zeros((1, 4, h, w), np.float32)
    corners = [(0, 0), (0, 1), (h - 1, w - 1), (0, 0)]
    for class_, corner in enumerate(corners):
        maps[0, class_][corner] = 1
        maps[0, class_, h // 2, w // 2] = -1  # the same negative part everywhere
    step = np.mean([abs(np.cos(np.pi * i / 8)) for i in range(8)])
    diagonal = np.mean([abs(place[h - 1, w - 1]) for place in projections(h, w)])
    antidiagonal = np.mean([abs(place[h - 1, 0] - place[0, w - 1]) for place in projections(h, w)])
    largest = max(diagonal, antidiagonal)
    expected = [2, 2 - step / largest, 2 - diagonal / largest, 2]
    np.testing.assert_allclose(wasserstein(maps, np.array([0]))[0], expected, atol=1e-6)


def test_wasserstein_of_maps_of_one_pixel():
    """All of them are in one place."""
    maps = np.float32([[[[1.0]], [[2.0]], [[0.5]]]])
    np.testing.assert_array_equal(wasserstein(maps, np.array([0])), 2)


def test_wasserstein_of_a_missing_part_is_the_largest():
    """Where one map alone has no negative mass, half of the distance is d_max: a weight of at most 1."""
    maps = signed_maps((8, 8))
    maps[:, 1] = np.maximum(maps[:, 1], 0)
    weights = np.asarray(wasserstein(maps, LABELS))
    assert np.all(weights[:, 1] <= 1) and np.all(weights[np.arange(3), LABELS] == 2)
    np.testing.assert_allclose(weights, with_true_class(reference_wasserstein, maps, LABELS), atol=2e-6)


@pytest.mark.parametrize('sign', [1, -1])
def test_wasserstein_of_a_part_that_both_maps_lack(sign):
    """It is left out: a map with one sign is like itself; a zero map is like no other, nor like another zero one."""
    maps = sign * np.abs(signed_maps((8, 8)))
    maps[1, 2], maps[2] = 0, 0
    weights = np.asarray(wasserstein(maps, LABELS))
    assert np.all(weights[[0, 1], LABELS[:2]] == 2) and np.all(weights[2] == 0) and weights[1, 2] == 0
    np.testing.assert_allclose(weights, with_true_class(reference_wasserstein, maps, LABELS), atol=2e-6)
