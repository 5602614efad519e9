"""Attacks on a linear network in closed form, and on one that bends: where they may go, which is the stronger."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd import data
from ikd.evaluation.adversarial import fgsm, pgd_step
from ikd.evaluation.sensitivity import nearby
from ikd.objectives.losses import hard_cross_entropy


@pytest.fixture(scope='module')
def pixels():
    digits = data.load('digits')
    return digits.test_images[:40].astype(np.float32), digits.test_labels[:40]


def network(widths, seed=0):
    """f: pixels -> logits, with ReLUs between layers of these widths and inputs in [0, 1]."""
    draw = np.random.default_rng(seed)
    weights = [draw.normal(size=shape).astype(np.float32) / np.sqrt(shape[0]) for shape in zip(widths, widths[1:])]

    def f(images):
        x = images.reshape(len(images), -1) / 255
        for weight in weights[:-1]:
            x = jax.nn.relu(x @ weight)
        return x @ weights[-1]

    return f, weights


def attack(f, images, labels, epsilon, steps, seed=0):
    moved = nearby(jax.random.key(seed), images, epsilon)
    path = [moved]
    step = jax.jit(lambda moved: pgd_step(f, moved, images, labels, epsilon, 2.5 * epsilon / steps))
    for _ in range(steps):
        moved = step(moved)
        path.append(moved)
    return np.stack(path)


def test_fgsm_of_a_linear_network_of_two_classes(pixels):
    """The gradient of the loss is the true class's weights less the other's, times less than nothing."""
    f, (weights,) = network((64, 2))
    images, labels = pixels[0], pixels[1] % 2
    way = np.sign(weights[:, 1 - labels] - weights[:, labels]).T.reshape(images.shape)
    np.testing.assert_array_equal(fgsm(f, images, labels, 8.0), np.clip(images + 8 * way, 0, 255))
    # Away from the edges of [0, 255] the margin falls by epsilon times the weights' absolute difference.
    inner = np.clip(images, 20, 235)
    margin = lambda logits: logits[np.arange(40), labels] - logits[np.arange(40), 1 - labels]
    fall = margin(np.asarray(f(inner))) - margin(np.asarray(f(fgsm(f, inner, labels, 8.0))))
    np.testing.assert_allclose(fall, 8 / 255 * np.abs(weights[:, 0] - weights[:, 1]).sum(), rtol=1e-4)


@pytest.mark.parametrize('epsilon', [0.5, 8.0, 60.0])
def test_attacks_stay_in_the_box_and_are_images(pixels, epsilon):
    f, _ = network((64, 50, 10))
    path = attack(f, *pixels, epsilon, 7)
    fast = np.asarray(fgsm(f, *pixels, epsilon))
    for moved in (*path, fast):
        assert np.abs(moved - pixels[0]).max() <= epsilon * (1 + 1e-5)
        assert moved.min() >= 0 and moved.max() <= 255
    assert np.abs(path[-1] - pixels[0]).max() == pytest.approx(epsilon, rel=1e-3)  # which is used
    assert len(np.unique(path[0] - pixels[0])) > 1000  # from a random start


def test_pgd_is_at_least_as_strong_as_fgsm(pixels):
    """By the mean loss, in a network that bends within the box; both are stronger than chance."""
    f, _ = network((64, 200, 200, 10), seed=1)
    images, epsilon = pixels[0], 40.0
    labels = np.asarray(f(images)).argmax(-1)
    loss = lambda moved: float(hard_cross_entropy(jnp.asarray(f(moved)), labels).mean())
    plain, fast, strong = loss(images), loss(fgsm(f, images, labels, epsilon)), loss(attack(f, images, labels,
                                                                                            epsilon, 20)[-1])
    assert strong > fast > plain
    chance = loss(nearby(jax.random.key(1), images, epsilon))
    assert fast - plain > 5 * abs(chance - plain)


def test_in_a_linear_network_pgd_ends_where_fgsm_does(pixels):
    """Of two classes: the gradient's sign is the same everywhere, and 2.5 epsilon reach the corner from anywhere."""
    f, _ = network((64, 2))
    labels = pixels[1] % 2
    np.testing.assert_allclose(attack(f, pixels[0], labels, 16.0, 10)[-1], fgsm(f, pixels[0], labels, 16.0),
                               atol=1e-3)


@pytest.mark.parametrize('k', [2, 10])
def test_to_be_sure_is_no_defence(pixels, k):
    """Logits 3,000 times as large, of which p_t is 1 in float32, are attacked as float64 would attack them."""
    f, (first, second) = network((64, 50, k))
    images = pixels[0]
    labels = np.asarray(f(images)).argmax(-1)
    sure = lambda images: 3000 * f(images)
    assert np.asarray(jax.nn.softmax(sure(images))).max(-1).mean() > 0.99
    found = np.asarray(fgsm(sure, images, labels, 8.0))
    hidden = images.reshape(40, 64).astype(float) / 255 @ first
    logits = 3000 * np.maximum(hidden, 0) @ second.astype(float)
    logits[np.arange(40), labels] = -np.inf
    others = np.exp(logits - logits.max(-1, keepdims=True))
    up = (others / others.sum(-1, keepdims=True) - np.eye(k)[labels]) @ second.T
    expected = np.sign((hidden > 0) * up @ first.T).reshape(images.shape)
    moved = np.clip(images + 8 * expected, 0, 255)
    assert (np.abs(found - moved) < 1e-3).mean() > 0.999
