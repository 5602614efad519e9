"""The regularised relatives of cross-entropy and the controls of LE: values, gradients, what a permutation keeps."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.datasets import load_digits

from ikd import keys
from ikd.objectives import Batch, Outputs, confidence_penalty, introspective, label_smoothing, uniform
from ikd.objectives.losses import permute_others, smoothed, turn_others

LABELS = np.array([2, 0, 4])
LOGITS = np.random.default_rng(1).normal(size=(3, 5)) * 3
ONE_HOT = np.eye(5)[LABELS]
P, LOG_P = softmax(LOGITS, axis=1), log_softmax(LOGITS, axis=1)
ENTROPY = -(P * LOG_P).sum(1)
MAPS = (load_digits().images[:15].reshape(3, 5, 8, 8) - 5).astype(np.float32)


def batch_of(logits, key=0):
    return Batch(LABELS, logits, {}, lambda name, **options: MAPS, jax.random.key(key), jnp.float32(0.5))


def smooth(alpha):
    return np.where(ONE_HOT == 1, alpha, (1 - alpha) / 4)


def penalised(beta):
    """(p - y) + beta p (log p + H)"""
    return P - ONE_HOT + beta * P * (LOG_P + ENTROPY[:, None])


# objective, value, gradient with respect to the logits (methods: sections 5.2, 5.3 and 9.1)
CASES = {
    'label smoothing': (label_smoothing, -(smooth(0.9) * LOG_P).sum(1), P - smooth(0.9)),
    'label smoothing at 0.6': (partial(label_smoothing, alpha=0.6), -(smooth(0.6) * LOG_P).sum(1), P - smooth(0.6)),
    'confidence penalty': (confidence_penalty, -(ONE_HOT * LOG_P).sum(1) - 0.5 * ENTROPY, penalised(0.5)),
    'confidence penalty of 8': (partial(confidence_penalty, beta=8), -(ONE_HOT * LOG_P).sum(1) - 8 * ENTROPY,
                                penalised(8)),
    'le without explanations': (uniform, -((smooth(0.9) + 0.1 * ONE_HOT) * LOG_P).sum(1),
                                P - smooth(0.9) + 0.1 * (P - ONE_HOT)),
}


def test_the_confidence_penalty_of_a_network_that_is_sure():
    """Probabilities that underflow have no part in the gradient; by their infinite logarithm it was no number."""
    logits = np.array([[-1.0, 0.0, 400.0, 3.0, -900.0], [120.0, 0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 300.0, 2.0, 299.0]])
    p, log_p = softmax(logits, axis=1), log_softmax(logits, axis=1)
    h = -(p * log_p).sum(1, keepdims=True)
    value, gradient = jax.jit(jax.value_and_grad(lambda a: confidence_penalty(batch_of(a))[0].sum()))(
        jnp.float32(logits))
    np.testing.assert_allclose(gradient, p - ONE_HOT + 0.5 * p * (log_p + h), atol=1e-6)
    np.testing.assert_allclose(value, -(ONE_HOT * log_p).sum() - 0.5 * h.sum(), rtol=1e-6)


@pytest.mark.parametrize('case', CASES)
def test_values_and_gradients(case):
    objective, value, gradient = CASES[case]
    loss, parts = objective(batch_of(jnp.array(LOGITS)))
    assert all(part.shape == (3,) for part in parts.values())
    np.testing.assert_allclose(loss, value, rtol=1e-5)
    computed = jax.grad(lambda logits: objective(batch_of(logits))[0].sum())(jnp.array(LOGITS))
    np.testing.assert_allclose(computed, gradient, atol=2e-6)


def test_le_without_explanations_is_label_smoothing_with_a_larger_step():
    """(1 + lam) times label smoothing at (alpha + lam) / (1 + lam) = 0.90909, up to a constant: the same gradient."""
    gradient = [jax.grad(lambda logits: objective(batch_of(logits))[0].sum())(jnp.array(LOGITS))
                for objective in (uniform, partial(label_smoothing, alpha=1 / 1.1))]
    np.testing.assert_allclose(gradient[0], 1.1 * gradient[1], atol=1e-6)


def test_smoothed_targets():
    np.testing.assert_allclose(smoothed(LABELS, 5, 0.9), smooth(0.9), rtol=1e-6)


def test_a_permutation_keeps_the_true_entry_and_the_others_as_a_set():
    q = np.random.default_rng(0).dirichlet(np.ones(7), size=200).astype(np.float32)
    fixed = np.arange(200) % 7
    permuted = np.asarray(permute_others(q, fixed, keys.per_example(jax.random.key(0), 200)))
    np.testing.assert_array_equal(np.take_along_axis(permuted, fixed[:, None], 1),
                                  np.take_along_axis(q, fixed[:, None], 1))
    np.testing.assert_array_equal(np.sort(permuted), np.sort(q))
    others = ~np.eye(7, dtype=bool)[fixed]
    moved = permuted[others] != q[others]
    assert abs(moved.mean() - 5 / 6) < 0.06  # an entry stays in one of six places; five standard errors of 1200


def test_permutations_are_uniform():
    """Each of the six orders of three entries occurs a sixth of the time: 6000 draws, five standard errors."""
    n = 6000
    q = np.broadcast_to(np.float32([0.7, 0.1, 0.15, 0.05]), (n, 4))
    permuted = np.asarray(permute_others(q, np.zeros(n, int), keys.per_example(jax.random.key(1), n)))
    _, counts = np.unique(permuted, axis=0, return_counts=True)
    assert len(counts) == 6 and np.abs(counts / n - 1 / 6).max() < 5 * (5 / 36 / n) ** 0.5


def test_a_turn_gives_each_response_to_the_next_class():
    q = np.float32([[0.7, 0.1, 0.15, 0.05], [0.1, 0.15, 0.7, 0.05], [0.1, 0.15, 0.05, 0.7]])
    np.testing.assert_array_equal(turn_others(q, np.array([0, 2, 3])), np.float32(
        [[0.7, 0.05, 0.1, 0.15], [0.05, 0.1, 0.7, 0.15], [0.05, 0.1, 0.15, 0.7]]))


def test_a_turned_q_is_what_le_frozen_turned_learns():
    """Through the gradient, p - q: of q of equation 6, by the class."""
    def gradient(**options):
        def loss(logits):
            return introspective(batch_of(logits), 'grad_cam', lam=0.0, **options)[0].sum()

        return np.asarray(jax.nn.softmax(LOGITS) - jax.grad(loss)(jnp.array(LOGITS)))

    np.testing.assert_allclose(gradient(turn=True), turn_others(gradient(), LABELS), atol=1e-6)


def test_le_permut_has_the_loss_of_a_permuted_q():
    """The entropy of q is that of LE's, the loss is not; another step's key gives another permutation."""
    objective = partial(introspective, explainer='grad_cam')
    (plain, plain_parts), *permuted = [
        partial(objective, permute=permute)(batch_of(jnp.array(LOGITS), key))
        for permute, key in ((False, 0), (True, 0), (True, 1))]
    for loss, parts in permuted:
        np.testing.assert_allclose(parts['entropy_q'], plain_parts['entropy_q'], rtol=1e-5)
        assert np.abs(loss - plain).max() > 1e-3
    assert np.abs(permuted[0][0] - permuted[1][0]).max() > 1e-3


def test_le_permut_keeps_the_true_class_where_its_target_is_not_the_largest():
    """Seen through the gradient, p - q; at alpha 0.1 each other class has about 0.22."""
    objective = partial(introspective, explainer='grad_cam', alpha=0.1, lam=0.0, permute=True)
    for key in 0, 1:
        q = P - jax.grad(lambda logits: objective(batch_of(logits, key))[0].sum())(jnp.array(LOGITS))
        np.testing.assert_allclose(q[np.arange(3), LABELS], 0.1, atol=1e-6)


def test_devices_share_the_permutations_of_a_batch():
    """Two devices with two images each have the losses of one with four."""
    logits, labels = np.float32([*LOGITS, LOGITS[0]]), np.array([*LABELS, 1])
    maps = np.float32([*MAPS, MAPS[1]])
    objective = partial(introspective, explainer='grad_cam', permute=True)

    def share(labels, logits, maps, axis_name='batch'):
        return objective(Batch(labels, logits, {}, lambda name, **options: maps, jax.random.key(0), jnp.float32(0.5),
                               axis_name))[0]

    halves = [x.reshape(2, 2, *x.shape[1:]) for x in (labels, logits, maps)]
    found = jax.pmap(share, axis_name='batch', devices=jax.devices()[:2])(*halves)
    np.testing.assert_allclose(found.reshape(4), share(labels, logits, maps, None), rtol=1e-5)


def test_frozen_targets_are_of_the_teachers_maps():
    """The loss of LE with the teacher's maps in the place of its own, which are not asked for."""
    theirs = np.flip(MAPS, 0)
    objective = partial(introspective, explainer='grad_cam')
    batch = batch_of(jnp.array(LOGITS))
    told = Outputs(jnp.array(LOGITS), {}, lambda name, **options: theirs)
    loss, _ = objective(batch._replace(explain=None, teacher=told), frozen=True)
    np.testing.assert_array_equal(loss, objective(batch._replace(explain=lambda name, **options: theirs))[0])
    assert np.abs(loss - objective(batch)[0]).max() > 1e-3
