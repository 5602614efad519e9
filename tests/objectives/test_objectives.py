"""Cross-entropy and LE: values, gradients in closed form, and what gradients do not flow through."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.special import log_softmax, softmax
from scipy.stats import entropy
from sklearn.datasets import load_digits

from ikd.explainers import class_similarity, explain, targets
from ikd.objectives import Batch, cross_entropy, introspective
from ikd.objectives.losses import soft_cross_entropy

LABELS = np.array([2, 0, 4])
LOGITS = np.random.default_rng(0).normal(size=(3, 5)) * 3
MAPS = (load_digits().images[:15].reshape(3, 5, 8, 8) - 5).astype(np.float32)
ONE_HOT = np.eye(5)[LABELS]


def batch_of(logits, maps=MAPS, labels=LABELS):
    """A batch as the training step makes it, whose explanation is given."""
    return Batch(labels, logits, {}, lambda name, **options: maps, jax.random.key(0), jnp.float32(0.5))


def le(alpha=0.9, lam=0.1, **options):
    return partial(introspective, explainer='grad_cam', alpha=alpha, lam=lam, **options)


def reference_q(alpha):
    """Equation 6 with numpy."""
    flat = MAPS.reshape(3, 5, -1).astype(np.float64)
    flat /= np.linalg.norm(flat, axis=-1, keepdims=True)
    weights = (flat * flat[np.arange(3), LABELS][:, None]).sum(-1) + 1
    weights[np.arange(3), LABELS] = 0
    return alpha * ONE_HOT + (1 - alpha) * weights / weights.sum(1, keepdims=True)


def test_cross_entropy_agrees_with_scipy():
    loss, parts = cross_entropy(batch_of(jnp.array(LOGITS)))
    expected = -log_softmax(LOGITS, axis=1)[np.arange(3), LABELS]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)
    assert set(parts) == {'cross_entropy', 'entropy_p'}
    np.testing.assert_allclose(parts['cross_entropy'], expected, rtol=1e-5)
    np.testing.assert_allclose(parts['entropy_p'], entropy(softmax(LOGITS, axis=1), axis=1), rtol=1e-5)


@pytest.mark.parametrize('alpha, lam', [(0.9, 0.1), (0.7, 1.0), (0.9, 0.0)])
def test_le_agrees_with_scipy(alpha, lam):
    loss, parts = le(alpha, lam)(batch_of(jnp.array(LOGITS)))
    log_p, q = log_softmax(LOGITS, axis=1), reference_q(alpha)
    label_loss, distillation = -(ONE_HOT * log_p).sum(1), -(q * log_p).sum(1)
    expected = {
        'cross_entropy': label_loss, 'distillation': distillation, 'zero_maps': np.zeros(3),
        'entropy_p': entropy(softmax(LOGITS, axis=1), axis=1), 'entropy_q': entropy(q, axis=1)}
    assert set(parts) == set(expected)
    for name, value in expected.items():
        assert parts[name].shape == (3,) and parts[name].dtype == jnp.float32
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, err_msg=name)
    np.testing.assert_allclose(loss, distillation + lam * label_loss, rtol=1e-5)


OBJECTIVES = {
    'cross_entropy': (cross_entropy, lambda p: p - ONE_HOT),
    'le': (le(), lambda p: p - reference_q(0.9) + 0.1 * (p - ONE_HOT)),
    'le(alpha=0.6, lam=2)': (le(0.6, 2), lambda p: p - reference_q(0.6) + 2 * (p - ONE_HOT)),
}


@pytest.mark.parametrize('name', OBJECTIVES)
def test_gradient_with_respect_to_logits(name):
    """p - y; and (p - q) + lam (p - y)."""
    objective, gradient = OBJECTIVES[name]
    computed = jax.grad(lambda logits: objective(batch_of(logits))[0].sum())(jnp.array(LOGITS))
    np.testing.assert_allclose(computed, gradient(softmax(LOGITS, axis=1)), atol=1e-6)


@pytest.mark.parametrize('name', OBJECTIVES)
def test_gradient_agrees_with_finite_differences(name):
    """In float64, where central differences of step 1e-4 are exact to about 1e-8."""
    objective, gradient = OBJECTIVES[name]
    with jax.enable_x64(True):
        loss = lambda logits: objective(batch_of(jnp.asarray(logits)))[0].sum()
        for place in np.ndindex(3, 5):
            step = np.zeros((3, 5))
            step[place] = 1e-4
            slope = (loss(LOGITS + step) - loss(LOGITS - step)) / 2e-4
            np.testing.assert_allclose(slope, gradient(softmax(LOGITS, axis=1))[place], atol=1e-6)


def test_le_is_least_at_the_mean_of_targets_and_labels():
    """dL/da = (1 + lam) (p - (q + lam y) / (1 + lam)): with the defaults 0.90909 for the true class."""
    best = np.log((reference_q(0.9) + 0.1 * ONE_HOT) / 1.1)
    computed = jax.grad(lambda logits: le()(batch_of(logits))[0].sum())(jnp.array(best))
    np.testing.assert_allclose(computed, 0, atol=1e-6)
    np.testing.assert_allclose(np.exp(best)[np.arange(3), LABELS], 1 / 1.1)


def test_similarity_reaches_the_targets():
    q = targets(MAPS, LABELS, similarity='wasserstein')
    _, parts = le(similarity='wasserstein')(batch_of(jnp.array(LOGITS)))
    np.testing.assert_allclose(parts['entropy_q'], entropy(q, axis=1), rtol=1e-5)
    assert np.all(parts['entropy_q'] != le()(batch_of(jnp.array(LOGITS)))[1]['entropy_q'])


def test_options_reach_the_explainer():
    asked = []

    def fake(name, **options):
        asked.append((name, options))
        return MAPS

    le(relu=False, tap='group2')(batch_of(jnp.array(LOGITS))._replace(explain=fake))
    assert asked == [('grad_cam', {'relu': False, 'tap': 'group2'})]


def test_zero_maps_are_counted():
    """None, two, and all five of an image's maps; the last image's targets are those of label smoothing."""
    maps = MAPS.copy()
    maps[1, [0, 3]] = maps[2] = 0
    _, parts = le()(batch_of(jnp.array(LOGITS), maps))
    np.testing.assert_allclose(parts['zero_maps'], [0, 0.4, 1])
    smoothed = [0.9] + 4 * [0.025]
    np.testing.assert_allclose(parts['entropy_q'][2], entropy(smoothed), rtol=1e-5)


@pytest.mark.parametrize('name, explainer, options', [
    ('mlp', 'grad', {}), ('mlp', 'guided_backprop', {}), ('resnet8', 'grad_cam', {'relu': False})])
def test_targets_are_constants_of_the_parameters_gradient(network, digits, name, explainer, options):
    """Even where explain is differentiable: moving targets would give another gradient."""
    images, labels = digits[0][:4], digits[1][:4]
    model, variables = network(name)

    def parts_of(params):
        current = {**variables, 'params': params}
        explanation = partial(explain, model=model, variables=current, images=images)
        return model.apply(current, images)[0], explanation

    def with_objective(params):
        logits, explanation = parts_of(params)
        batch = Batch(labels, logits, {}, explanation, jax.random.key(0), jnp.float32(0.5))
        return introspective(batch, explainer, lam=0.0, **options)[0].mean()

    def with_targets(params, q):
        return soft_cross_entropy(parts_of(params)[0], q).mean()

    def with_moving_targets(params):
        logits, explanation = parts_of(params)
        one_hot = jax.nn.one_hot(labels, 10)
        weights = (1 - one_hot) * class_similarity(explanation(explainer, **options), labels)
        q = 0.9 * one_hot + 0.1 * weights / weights.sum(1, keepdims=True)
        return soft_cross_entropy(logits, q).mean()

    @jax.jit
    def gradients(params):
        q = targets(parts_of(params)[1](explainer, **options), labels)
        functions = (with_objective, lambda params: with_targets(params, q), with_moving_targets)
        return [ravel_pytree(jax.grad(f)(params))[0] for f in functions]

    objective, constant, moving = gradients(variables['params'])
    np.testing.assert_allclose(objective, constant, atol=1e-6 * np.abs(constant).max())
    assert np.linalg.norm(moving - constant) > 1e-3 * np.linalg.norm(constant)
