"""Whether a map points at little or at everything."""
import jax.numpy as jnp


def gini(maps):
    """The Gini index of absolute values (Chalasani et al. 2020, section 4): [b, k] in [0, 1) from maps [b, k, ...].

    0 where all d entries are alike, 1 - 1 / d where one holds everything; NaN for a map that is zero.
    """
    sizes = jnp.sort(jnp.abs(maps.reshape(*maps.shape[:2], -1)), axis=-1)
    d = sizes.shape[-1]
    weights = (2 * (d - jnp.arange(1, d + 1)) + 1)[None, None] / d
    total = sizes.sum(-1)
    return jnp.where(total > 0, jnp.maximum(1 - (sizes * weights).sum(-1) / total, 0), jnp.nan)  # rounding: -4e-7
