"""Losses between logits and targets, per example, in nats; targets; what permutes them."""
import jax
import jax.numpy as jnp


def soft_cross_entropy(logits, q):
    """CE(p, q) = -sum_k q_k log p_k, p = softmax(logits): [b] from logits and q [b, k]."""
    return -(q * jax.nn.log_softmax(logits)).sum(-1)


def hard_cross_entropy(logits, labels):
    """CE(p, y) for true classes labels int [b]: [b]."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)[:, 0]


def entropy(q):
    """H(q) = -sum_k q_k log q_k of distributions q [b, k], 0 log 0 = 0: [b].

    The gradient with respect to an entry that a softmax has let underflow is 0 here, not infinite, as infinity times
    the softmax's own gradient, which is 0, would be no number.
    """
    there = q > jnp.finfo(q.dtype).tiny
    return -(q * jnp.log(jnp.where(there, q, 1))).sum(-1)


def smoothed(labels, k, alpha):
    """Targets [b, k]: alpha for the true class, the rest shared alike by the others."""
    return jnp.where(jax.nn.one_hot(labels, k, dtype=bool), alpha, (1 - alpha) / (k - 1))


def permute_others(q, fixed, example_keys):
    """q [b, k] with all entries but number `fixed` (int [b]) of each row permuted, each row by its own key [b]."""
    def one(row, place, key):
        k = len(row)
        is_fixed = jnp.arange(k) == place
        source = jnp.argsort(jnp.where(is_fixed, 2, jax.random.uniform(key, (k,))))  # the others shuffled, it last
        target = jnp.argsort(is_fixed, stable=True)  # the others in order, it last
        return row.at[target].set(row[source])

    return jax.vmap(one)(q, fixed, example_keys)


def turn_others(q, fixed):
    """q [b, k] with all entries but number `fixed` (int [b]) of a row moved on by a class, the last to the first."""
    def one(row, place):
        others = jnp.argsort(jnp.arange(len(row)) == place, stable=True)[:-1]
        return row.at[jnp.roll(others, -1)].set(row[others])

    return jax.vmap(one)(q, fixed)
