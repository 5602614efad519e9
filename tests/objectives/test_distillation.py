"""Learning from a teacher's logits: values and gradients against their closed forms."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_softmax, rel_entr, softmax

from ikd.objectives import Batch, Outputs, confidence_weighted, distil, label_smoothing

B, K = 6, 5
DRAW = np.random.default_rng(0)
LOGITS, TEACHER = DRAW.normal(size=(2, B, K)) * 3
LABELS = DRAW.integers(K, size=B)
ONE_HOT = np.eye(K)[LABELS]
P = softmax(LOGITS, axis=1)
HARD = -log_softmax(LOGITS, axis=1)[np.arange(B), LABELS]


def batch_of(logits, teacher=TEACHER, key=0):
    told = Outputs(jnp.array(teacher), {})
    return Batch(LABELS, logits, {}, None, jax.random.key(key), jnp.float32(0.5), None, told)


def gradient_of(objective, **fields):
    """Of the mean over the batch, which is what is trained."""
    return jax.grad(lambda logits: objective(batch_of(logits, **fields))[0].mean())(jnp.array(LOGITS))


@pytest.mark.parametrize('temperature, lam', [(4.0, 0.1), (4.0, 0.0), (1.0, 0.1), (3.0, 1.0)])
def test_distillation(temperature, lam):
    """T^2 KL(q_T || p_T) + lam CE(p, y), its gradient (T (p_T - q_T) + lam (p - y)) / b."""
    q, p = softmax(TEACHER / temperature, axis=1), softmax(LOGITS / temperature, axis=1)
    objective = partial(distil, temperature=temperature, lam=lam)
    loss, parts = objective(batch_of(jnp.array(LOGITS)))
    divergence = temperature ** 2 * rel_entr(q, p).sum(1)
    np.testing.assert_allclose(parts['distillation'], divergence, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, divergence + lam * HARD, rtol=1e-4, atol=1e-5)
    expected = (temperature * (p - q) + lam * (P - ONE_HOT)) / B
    np.testing.assert_allclose(gradient_of(objective), expected, atol=1e-6)


def test_the_weight_is_of_the_teachers_term_and_the_labels_may_be_others():
    """weight T^2 KL(q_T || p_T) + lam CE(p, t), t smoothed labels; `distillation` is the term without its weight."""
    q, p = softmax(TEACHER / 2, axis=1), softmax(LOGITS / 2, axis=1)
    loss, parts = distil(batch_of(jnp.array(LOGITS)), temperature=2.0, lam=0.3, weight=5.0,
                         labels=partial(label_smoothing, alpha=0.6))
    divergence = 4 * rel_entr(q, p).sum(1)
    smooth = -(np.where(ONE_HOT == 1, 0.6, 0.1) * log_softmax(LOGITS, axis=1)).sum(1)
    np.testing.assert_allclose(parts['distillation'], divergence, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, 5 * divergence + 0.3 * smooth, rtol=1e-4, atol=1e-5)


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it():
    loss, parts = distil(batch_of(jnp.array(TEACHER)), lam=0.0)
    np.testing.assert_allclose(loss, 0, atol=1e-5)
    assert parts['agreement'].all()


def test_dkpp_keeps_the_largest_entry_in_its_place_and_the_others_as_a_set():
    """Seen through the gradient: T (p_T - q'), q' the permuted target."""
    p = softmax(LOGITS / 4, axis=1)
    q = softmax(TEACHER / 4, axis=1)
    objective = partial(distil, lam=0.0, permute=True)
    permuted = [p - B * np.asarray(gradient_of(objective, key=key)) / 4 for key in (0, 1)]
    for found in permuted:
        np.testing.assert_allclose(found.max(1), q.max(1), atol=1e-5)
        np.testing.assert_array_equal(found.argmax(1), q.argmax(1))
        np.testing.assert_allclose(np.sort(found), np.sort(q), atol=1e-5)
        assert np.abs(found - q).max() > 1e-2
    assert np.abs(permuted[0] - permuted[1]).max() > 1e-2


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_cwtm(temperature):
    """Equation 5: sum_i w_i CE_i, w_i = q_i^max / sum_j q_j^max; gradient w_i (p_i - y_i)."""
    confidence = softmax(TEACHER / temperature, axis=1).max(1)
    w = confidence / confidence.sum()
    objective = partial(confidence_weighted, temperature=temperature)
    loss, parts = objective(batch_of(jnp.array(LOGITS)))
    np.testing.assert_allclose(loss.mean(), (w * HARD).sum(), rtol=1e-5)
    np.testing.assert_allclose(parts['weight'].sum() / B, 1, rtol=1e-5)
    np.testing.assert_allclose(gradient_of(objective), w[:, None] * (P - ONE_HOT), atol=1e-6)


def test_cwtm_of_an_evenly_confident_teacher_is_cross_entropy():
    loss, _ = confidence_weighted(batch_of(jnp.array(LOGITS), teacher=10 * np.eye(K)[np.arange(B) % K]))
    np.testing.assert_allclose(loss, HARD, rtol=1e-5)


def test_cwtm_permut_keeps_the_weights_as_a_set():
    (_, plain), (_, one), (_, other) = [
        confidence_weighted(batch_of(jnp.array(LOGITS), key=key), weights=weights)
        for weights, key in (('teacher', 0), ('permuted', 0), ('permuted', 1))]
    for parts in (one, other):
        np.testing.assert_allclose(np.sort(parts['weight']), np.sort(plain['weight']), rtol=1e-5)
    assert np.abs(one['weight'] - other['weight']).max() > 1e-3


def test_cwtm_random_draws_confidences_from_beta_to_one():
    """2000 examples: uniform in [0.5, 1) has mean 0.75 and deviation 0.144."""
    n = 2000
    labels, zeros = np.zeros(n, int), jnp.zeros((n, K))
    batch = Batch(labels, zeros, {}, None, jax.random.key(0), jnp.float32(0), None, Outputs(zeros, {}))
    _, parts = confidence_weighted(batch, weights='random', beta=0.5)
    confidence = np.asarray(parts['weight']) * 0.75
    assert confidence.min() > 0.48 and confidence.max() < 1.02
    assert abs(confidence.std() - 0.144) < 0.01
    np.testing.assert_allclose(parts['weight'].mean(), 1, rtol=1e-4)


@pytest.mark.parametrize('objective', [
    partial(distil, permute=True), confidence_weighted, partial(confidence_weighted, weights='permuted'),
    partial(confidence_weighted, weights='random')], ids=['dkpp', 'cwtm', 'cwtm_permut', 'cwtm_random'])
def test_devices_share_the_batch_and_its_random_numbers(objective):
    """Two devices' halves have the losses of the whole."""
    def share(labels, logits, teacher):
        return objective(Batch(labels, logits, {}, None, jax.random.key(0), jnp.float32(0.5), 'batch',
                               Outputs(teacher, {})))[0]

    halves = [x.reshape(2, B // 2, *x.shape[1:]) for x in (LABELS, np.float32(LOGITS), np.float32(TEACHER))]
    found = jax.pmap(share, axis_name='batch', devices=jax.devices()[:2])(*halves)
    np.testing.assert_allclose(found.reshape(B), objective(batch_of(jnp.array(LOGITS)))[0], rtol=1e-4)
