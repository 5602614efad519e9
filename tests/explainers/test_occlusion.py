"""Occlusion against a loop over squares, and of a linear network in closed form."""
from functools import partial

import jax
import numpy as np
import pytest

from ikd import models
from ikd.errors import InputError
from ikd.explainers import explain, passes
from ikd.explainers.occlusion import covers
from tests.models.filled import filled


@pytest.fixture(scope='module')
def images(digits):
    """Two digits of 8 x 10 pixels in colour."""
    return np.pad(2 * digits[0][:2, ::4, ::4] - 0.5, ((0, 0), (0, 0), (1, 1), (0, 0)), constant_values=-0.5)


@pytest.fixture(scope='module')
def network(images):
    model = models.create('mlp', 3, widths=(16, 12))
    return model, filled(model, images.shape[1:])


def maps_of(network, images, **options):
    return np.asarray(jax.jit(partial(explain, 'occlusion', network[0], **options))(network[1], images))


def loop(network, images, size, stride, fill):
    """One square after the other; the last in each direction ends where the image does."""
    logits = jax.jit(lambda x: network[0].apply(network[1], x)[0])
    h, w = images.shape[1:3]
    total, count = np.zeros((len(images), 3, h, w)), np.zeros((h, w))
    for top in sorted({*range(0, h - size, stride), h - size}):
        for left in sorted({*range(0, w - size, stride), w - size}):
            square = slice(top, top + size), slice(left, left + size)
            covered = images.copy()
            covered[:, *square] = np.broadcast_to(fill, images.shape)[:, *square]
            drop = logits(images) - logits(covered)
            total[:, :, *square] += np.asarray(drop)[..., None, None]
            count[square] += 1
    return total / count


@pytest.mark.parametrize('size, stride, fill', [
    (3, 2, 0.0), (2, 2, -0.5), (1, 1, 0.3), (8, 8, 0.0), (4, 3, np.float32([0.1, 0.2, 0.3]))])
def test_maps_are_those_of_a_loop_over_squares(network, images, size, stride, fill):
    found = maps_of(network, images, size=size, stride=stride, fill=fill)
    np.testing.assert_allclose(found, loop(network, images, size, stride, fill), rtol=1e-4, atol=1e-5)


def test_defaults_are_a_quarter_of_the_image_and_half_of_that(network, images):
    np.testing.assert_array_equal(maps_of(network, images), maps_of(network, images, size=2, stride=1))


def test_single_pixels_of_a_linear_network_are_grad_input(images):
    """a_k loses what the pixel's colours add to it."""
    model = models.create('mlp', 3, widths=())
    network = model, filled(model, images.shape[1:])
    exact = explain('grad_input', *network, images).sum(-1)
    np.testing.assert_allclose(maps_of(network, images, size=1), exact, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('platform', ['cpu', 'gpu'])
def test_squares_a_few_at_a_time_give_the_same_maps(network, images, monkeypatch, platform):
    """Unrolled and in a loop; 20 squares, which 3 does not divide."""
    whole = maps_of(network, images, size=3, stride=2)
    monkeypatch.setattr(passes.jax, 'default_backend', lambda: platform)
    for patches_at_once in (3, 4):
        found = maps_of(network, images, size=3, stride=2, patches_at_once=patches_at_once)
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)


def test_every_place_is_covered_and_the_last_window_ends_at_the_edge():
    assert covers(5, 2, 2).astype(int).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert covers(4, 2, 2).astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert covers(3, 3, 1).tolist() == [[True] * 3]
    usual = [len(covers(n, n // 4, max(1, n // 8))) ** 2 for n in (8, 15, 28, 32)]
    assert usual == [49, 169, 64, 49]


@pytest.mark.parametrize('size, stride', [(9, 1), (2, 3), (0, 1), (2, 0)])
def test_squares_that_do_not_cover_the_image_are_refused(network, images, size, stride):
    with pytest.raises(InputError, match=f'size is {size} and stride {stride} for images of 8 x 10; choose 1 <= '):
        explain('occlusion', *network, images, size=size, stride=stride)
