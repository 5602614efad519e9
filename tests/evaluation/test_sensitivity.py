"""How far maps move, in closed form."""
import jax
import numpy as np

from ikd.evaluation.sensitivity import nearby, relative_change


def test_images_nearby_are_images_in_the_box():
    pixels = np.random.default_rng(0).choice(np.float32([0, 3, 100, 255]), (4, 16, 16, 3))
    found = np.asarray(nearby(jax.random.key(0), pixels, 5))
    assert np.abs(found - pixels).max() <= 5 and found.min() == 0 and found.max() == 255
    inner = (found - pixels)[pixels == 100]
    assert abs(inner.mean()) < 0.3 and abs(inner.std() - 5 / np.sqrt(3)) < 0.2
    assert not np.array_equal(found, nearby(jax.random.key(1), pixels, 5))


def test_change_is_relative_to_the_maps_length():
    """Twice the map is as far as it is long; a zero map has no length."""
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype(np.float32)
    maps[1, 2] = 0
    turned = maps * np.float32([1, 2, -1])[:, None, None]
    np.testing.assert_allclose(relative_change(maps, turned), [[0, 1, 2], [0, 1, np.nan]], rtol=1e-6)
    others = np.random.default_rng(1).normal(size=maps.shape).astype(np.float32)
    length = lambda values: np.linalg.norm(values[0].reshape(3, -1), axis=1)
    expected = length(others - maps) / length(maps)
    np.testing.assert_allclose(relative_change(maps, others)[0], expected, rtol=1e-5)
