"""How far a map moves with changes of the image that nobody sees."""
import jax
import jax.numpy as jnp


def nearby(key, pixels, radius):
    """Images from the box of `radius` around pixels [b, h, w, c], uniformly drawn; both in [0, 255]."""
    return jnp.clip(pixels + jax.random.uniform(key, pixels.shape, minval=-radius, maxval=radius), 0, 255)


def relative_change(maps, others):
    """||others - maps|| / ||maps||: [b, k] from maps [b, k, ...]; NaN where a map is zero.

    Its largest value over images `nearby` is max-sensitivity (Yeh et al. 2019, SENS_MAX, over the map's length
    as in their experiments).
    """
    length = lambda values: jnp.sqrt((values.reshape(*values.shape[:2], -1) ** 2).sum(-1))
    before = length(maps)
    return jnp.where(before > 0, length(others - maps) / before, jnp.nan)
