"""Soft labels from explanations: equation 6 of 2009.09140."""
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ikd.errors import InputError
from ikd.explainers.similarity import class_similarity

ROUNDING = 1e-6  # weights below it are what float32 leaves of a cosine of -1


def targets(maps: ArrayLike, labels: ArrayLike | Sequence[int], alpha: ArrayLike = 0.9,
            similarity: str = 'cosine') -> jax.Array:
    """Targets q [b, k], rows summing to 1, from maps [b, k, ...] and true classes labels int [b].

    The true class gets `alpha`, the others share 1 - alpha in proportion to how alike their map and the true
    class's are (equation 6). If the true class's map is zero all others count alike (cosine 0); if all others are
    its exact opposite the sum is zero and they share alike. Of maps that are no numbers the others' shares are none,
    either. No gradient flows into q. InputError for what `class_similarity` refuses, and for an alpha out of (0, 1].
    """
    if jnp.shape(alpha) or not isinstance(alpha, jax.core.Tracer) and not 0 < alpha <= 1:
        raise InputError(f'alpha is {alpha}; it must be in (0, 1]')
    weights = class_similarity(jax.lax.stop_gradient(maps), labels, similarity)
    k = weights.shape[1]
    is_true = jax.nn.one_hot(labels, k, dtype=bool)
    weights = jnp.where(is_true, 0, weights)
    total = weights.sum(-1, keepdims=True)
    some = ~(total <= ROUNDING * k)  # also where it is no number: the loss then is none, and the run says so
    share = jnp.where(some, weights / jnp.where(some, total, 1), 1 / (k - 1))
    return jnp.where(is_true, alpha, (1 - alpha) * share)
