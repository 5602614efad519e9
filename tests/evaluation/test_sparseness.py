"""The Gini index against its closed forms and against the mean difference."""
import numpy as np

from ikd.evaluation.sparseness import gini


def test_closed_forms():
    """Alike: 0. One of d: 1 - 1 / d. The integers 1 to d: (d - 1) / (3 d). A zero map has none."""
    d = 48
    maps = np.zeros((1, 4, 4, 4, 3), np.float32)
    maps[0, 0], maps[0, 1, 2, 1, 0], maps[0, 2] = -3, -5, np.arange(1, d + 1).reshape(4, 4, 3)
    np.testing.assert_allclose(gini(maps), [[0, 1 - 1 / d, (d - 1) / (3 * d), np.nan]], atol=1e-6)


def test_it_is_half_the_relative_mean_difference():
    values = np.random.default_rng(0).normal(size=(2, 3, 5, 5)).astype(np.float32)
    sizes = np.abs(values).reshape(2, 3, 25).astype(float)
    differences = np.abs(sizes[..., None] - sizes[..., None, :]).mean((-1, -2))
    np.testing.assert_allclose(gini(values), differences / sizes.mean(-1) / 2, rtol=1e-5)


def test_maps_that_are_alike_everywhere_are_not_below_0():
    """As rounding would have 0.1, 64 times or 3,072 times."""
    for d in 64, 3072:
        assert gini(np.full((1, 1, d), 0.1, np.float32)) >= 0
