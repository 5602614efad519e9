"""Deep mutual learning against its closed form."""
import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_softmax, softmax

from ikd.objectives import Batch, mutual

B, K, LAM = 5, 4, 0.3
DRAW = np.random.default_rng(0)
LOGITS, LABELS = 2 * DRAW.normal(size=(B, 2, K)), DRAW.integers(0, K, B)


def batch_of(logits):
    return Batch(LABELS, logits, {}, None, None, None)


def test_value_and_gradient():
    """Each network: CE + lam KL(other || own); the other is constant, so dL/da = p - y + lam (p - p_other)."""
    def mean_loss(logits):
        loss, parts = mutual(batch_of(logits), LAM)
        return loss.mean(), (loss, parts)

    (_, (loss, parts)), gradient = jax.value_and_grad(mean_loss, has_aux=True)(jnp.float32(LOGITS))
    p, log_p = softmax(LOGITS, axis=-1), log_softmax(LOGITS, axis=-1)
    y, other = np.eye(K)[LABELS][:, None], p[:, ::-1]
    hard = -(y * log_p).sum(-1)
    divergence = (other * (log_p[:, ::-1] - log_p)).sum(-1)
    np.testing.assert_allclose(loss, (hard + LAM * divergence).sum(1), rtol=1e-4)
    np.testing.assert_allclose(parts['cross_entropy'], hard.T, rtol=1e-4)
    np.testing.assert_allclose(gradient, (p - y + LAM * (p - other)) / B, atol=1e-6)


def test_equal_peers_have_nothing_to_tell_each_other():
    same = jnp.float32(np.repeat(LOGITS[:, :1], 2, axis=1))
    _, parts = mutual(batch_of(same))
    np.testing.assert_allclose(parts['distillation'], 0, atol=1e-6)
    assert parts['agreement'].all()
