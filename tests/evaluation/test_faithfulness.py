"""Curves and losses of linear networks in closed form and against plain loops."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import nnls
from scipy.stats import rankdata

from ikd import models
from ikd.evaluation.faithfulness import (
    area,
    contributions,
    drops,
    fractions,
    incompleteness,
    infidelity,
    morph,
    of_class,
    pixel_values,
    ranks,
    squares,
)
from ikd.explainers import explain


@pytest.fixture(scope='module')
def linear(digits):
    """(f, weights [32, 32, 3, 10], images): logits that are linear in the images, with a bias."""
    weights = np.random.default_rng(0).normal(size=(32, 32, 3, 10)).astype(np.float32) / 30
    bias = np.arange(10, dtype=np.float32)
    return lambda x: jnp.einsum('bhwc,hwck->bk', x, weights) + bias, weights, digits[0]


def gradients(weights, n):
    return np.broadcast_to(np.moveaxis(weights, -1, 0), (n, 10, 32, 32, 3))


def test_one_value_for_each_pixel():
    colours = np.float32([1, -2, 4]) * np.ones((2, 3, 4, 4, 3), np.float32)
    np.testing.assert_array_equal(pixel_values(colours, (4, 4)), np.full((2, 3, 4, 4), 3))
    coarse = np.float32([[[[0, 1], [0, 1]]]])
    np.testing.assert_allclose(pixel_values(coarse, (4, 4))[0, 0], [[0, 0.25, 0.75, 1]] * 4)
    values = np.random.default_rng(0).normal(size=(3, 5, 4, 4)).astype(np.float32)
    assert pixel_values(values, (4, 4)) is values
    np.testing.assert_array_equal(of_class(values, np.array([4, 0, 2])), values[[0, 1, 2], [4, 0, 2]])


def test_ranks_fall_and_ties_are_in_random_order():
    values = np.random.default_rng(0).integers(0, 4, (2, 8, 8)).astype(np.float32)
    found = np.asarray(ranks(values, jax.random.key(0))).reshape(2, -1)
    for image, places in zip(values.reshape(2, -1), found):
        assert {*places} == {*range(64)}
        assert np.all(np.diff(image[np.argsort(places)]) <= 0)
    constant = np.asarray(ranks(np.zeros((1, 8, 8)), jax.random.key(1))).ravel()
    assert abs(np.corrcoef(constant, np.arange(64))[0, 1]) < 0.5
    assert not np.array_equal(found, ranks(values, jax.random.key(2)).reshape(2, -1))


def test_deletion_is_that_of_a_loop_over_pixels(linear):
    """The pixels of the largest sums over colours, one after another; the probability after each sixteenth."""
    f, weights, images = linear
    values = pixel_values(images[:, None] * gradients(weights, len(images)), (32, 32))
    classes, shares = np.asarray(f(images)).argmax(-1), fractions()
    values = of_class(values + np.linspace(0, 1e-6, 1024).reshape(32, 32), classes)
    found = morph(f, images, np.zeros_like(images), values, classes, shares, jax.random.key(0))
    flat, bias = weights.reshape(-1, 10).astype(float), np.arange(10)
    for image, own, k, curve in zip(images.astype(float), np.asarray(values), classes, found):
        image, expected = image.reshape(1024, 3).copy(), []
        order = np.argsort(rankdata(-own.ravel(), 'ordinal'))
        for start in range(0, 1025, 64):
            image[order[max(0, start - 64):start]] = 0
            logits = image.ravel() @ flat + bias
            expected.append(np.exp(logits[k]) / np.exp(logits).sum())
        np.testing.assert_allclose(curve, expected, atol=2e-4)


def test_ends_of_the_curves(linear):
    """From the first image to the last; insertion of an order is deletion backwards of the opposite order."""
    f, _, images = linear
    shares, classes, key = fractions(8), np.arange(8), jax.random.key(0)
    values = np.random.default_rng(1).normal(size=(8, 32, 32)).astype(np.float32)
    other = images[::-1]
    found = np.asarray(morph(f, images, other, values, classes, shares, key))
    probabilities = lambda x: np.asarray(jax.nn.softmax(f(x)))[np.arange(8), classes]
    np.testing.assert_allclose(found[:, 0], probabilities(images), rtol=1e-5)
    np.testing.assert_allclose(found[:, -1], probabilities(other), rtol=1e-5)
    backwards = morph(f, other, images, -values, classes, shares, key)
    np.testing.assert_allclose(found, np.asarray(backwards)[:, ::-1], rtol=1e-4)


def test_area_of_a_ramp():
    np.testing.assert_allclose(area(np.array([fractions(), np.ones(17), 1 - fractions() ** 2]), fractions()),
                               [0.5, 1, 2 / 3], atol=1e-3)


def test_squares_lie_within_the_image():
    found = squares((12, 20), count=40, seed=3)
    for mask in found:
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        assert len(rows) == len(columns) and mask.sum() == len(rows) ** 2
        assert np.ptp(rows) == len(rows) - 1 == np.ptp(columns)
    assert sorted({int(np.sqrt(mask.sum())) for mask in found}) == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(found, squares((12, 20), count=40, seed=3))


@pytest.mark.parametrize('name', ['grad', 'grad_input'])
def test_gradients_explain_a_linear_network_fully(linear, name):
    """The removal of a square loses the sum of the weights times the image over it: infidelity 0, at any scale."""
    f, weights, images = linear
    masks = squares((32, 32))
    lost = drops(f, images, masks)
    expected = np.einsum('bhwc,hwck,shw->bsk', images.astype(float), weights, masks)
    np.testing.assert_allclose(lost, expected, atol=2e-4)
    maps = gradients(weights, len(images)) * (images[:, None] if name == 'grad_input' else 1)
    values = pixel_values(contributions(name, 7 * maps, images), (32, 32))
    np.testing.assert_allclose(infidelity(values, masks, lost), np.zeros((8, 10)), atol=1e-5)
    np.testing.assert_array_equal(infidelity(-values, masks, lost), np.ones((8, 10)))  # says the opposite
    wrong = pixel_values(np.roll(maps, 1, axis=1), (32, 32))
    assert np.asarray(infidelity(wrong, masks, lost)).mean() > 0.5


@pytest.mark.parametrize('name', ['grad', 'guided_backprop', 'smooth_grad', 'grad_input', 'integrated_gradients',
                                  'lrp_epsilon'])
def test_contributions_are_in_logits_whatever_the_maps_are_in(digits, name):
    """Without hidden layers and biases those of all pixels add up to the logit, which zero pixels would lose."""
    model, images = models.create('mlp', 3, widths=()), digits[0][:4, ::4, ::4, :1]
    kernel = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
    variables = {'params': {'Dense_0': {'kernel': kernel, 'bias': np.zeros(3, np.float32)}}}
    found = contributions(name, explain(name, model, variables, images), images)
    np.testing.assert_allclose(found.sum((2, 3, 4)), images.reshape(4, 64) @ kernel, rtol=1e-4, atol=1e-4)


def test_infidelity_is_what_the_best_scale_leaves():
    """As SciPy's non-negative least squares has it; 1 for a zero map, undefined where nothing is ever lost."""
    draw = np.random.default_rng(0)
    values, masks = draw.normal(size=(2, 3, 8, 8)).astype(np.float32), squares((8, 8), 20)
    values[0, 1] = 0
    lost = draw.normal(size=(2, 20, 3)).astype(np.float32)
    lost[1, :, 2] = 0
    found = np.asarray(infidelity(values, masks, lost))
    told, scales = np.einsum('bkhw,shw->bsk', values, masks), []
    for i, k in np.ndindex(2, 3):
        if (i, k) == (1, 2):
            assert np.isnan(found[i, k])
            continue
        scale, left = nnls(told[i, :, k:k + 1], lost[i, :, k])
        assert found[i, k] == pytest.approx(left ** 2 / (lost[i, :, k] ** 2).sum(), rel=1e-4)
        scales.append(scale.item())
    assert found[0, 1] == pytest.approx(1)
    assert min(scales) == 0 < max(scales)


def test_completeness_of_a_linear_network(linear):
    """Grad*Input sums to what the logits gain over the image of zeros; twice that misses as much again."""
    f, weights, images = linear
    gained = f(images) - f(np.zeros_like(images))
    maps = images[:, None] * gradients(weights, len(images))
    np.testing.assert_allclose(incompleteness(maps, gained), np.zeros(8), atol=1e-4)
    np.testing.assert_allclose(incompleteness(2 * maps, gained), np.ones(8), rtol=1e-4)
    assert np.isnan(incompleteness(maps, np.zeros((8, 10)))).all()


def test_squares_reach_every_edge():
    """No row or column is one that infidelity never looks at."""
    found = squares((6, 9), count=200).any(0)
    assert found.all(), found
