"""Losses between logits and targets, per example, in nats."""
import jax
import jax.numpy as jnp


def soft_cross_entropy(logits, q):
    """CE(p, q) = -sum_k q_k log p_k, p = softmax(logits): [b] from logits and q [b, k]."""
    return -(q * jax.nn.log_softmax(logits)).sum(-1)


def hard_cross_entropy(logits, labels):
    """CE(p, y) for true classes labels int [b]: [b]."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)[:, 0]


def entropy(q):
    """H(q) = -sum_k q_k log q_k of distributions q [b, k], 0 log 0 = 0: [b]."""
    return jax.scipy.special.entr(q).sum(-1)
