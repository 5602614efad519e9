"""Random keys that follow an example, not a device.

Every key is made by `fold_in` from a run's seed and where it is used, so no key is ever stored and a
resumed run draws what the undisturbed one would have drawn.
"""
import jax
import jax.numpy as jnp

PURPOSES = INIT, ORDER, STEP = range(3)


def stream(seed, purpose, draws=0):
    """The key of one purpose (`INIT`, `ORDER` or `STEP`) of a seed (an integer, traced or not).

    draws: one of the seed's many keys for that purpose, as a `Stage` asks for it.
    """
    return jax.random.fold_in(jax.random.key(seed), purpose + len(PURPOSES) * draws)


def positions(b, axis_name=None):
    """Places of this device's b examples in the global batch: int32 [b].

    `axis_name` is the mapped device axis over which the batch is divided, or None on one device.
    """
    rank = jax.lax.axis_index(axis_name) if axis_name else 0
    return rank * b + jnp.arange(b)


def per_example(key, b, axis_name=None):
    """One key for each of this device's b examples, the same however many devices share the batch: keys [b]."""
    return jax.vmap(lambda place: jax.random.fold_in(key, place))(positions(b, axis_name))
