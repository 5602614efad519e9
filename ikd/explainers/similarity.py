"""How alike two classes' maps are: weights in [0, 2] between every class's map and the true class's.

2009.09140, section 4, names cosine, multi-scale mean squared error and Wasserstein distance, and uses cosine:
the weight of equation 6 is cos + 1. A zero map has no direction: its cosine is 0 and its weight 1 (but it is as far
as can be from any other in Wasserstein distance: weight 0).
"""
import math

import jax
import jax.numpy as jnp
import numpy as np

from ikd.errors import InputError
from ikd.explainers.own import all_jax, form_of


def true_map(maps, labels):
    """The map of the true class: [b, 1, ...] from maps [b, k, ...] and labels [b]."""
    return jnp.take_along_axis(maps, labels.reshape(-1, *[1] * (maps.ndim - 1)), axis=1)


def unit(maps):
    """Maps [b, k, ...] flattened to vectors [b, k, d] of length 1; a zero map stays zero."""
    flat = maps.reshape(*maps.shape[:2], math.prod(maps.shape[2:]))  # not -1, as there may be no images
    square = (flat * flat).sum(-1, keepdims=True)
    return flat * jax.lax.rsqrt(jnp.where(square > 0, square, 1))


def cosine(maps, labels):
    """cos(e^k, e^g) + 1: [b, k] from maps [b, k, ...] and the true classes g, labels [b] (equation 6)."""
    vectors = unit(maps)
    cos = jnp.einsum('bkd,bd->bk', vectors, true_map(vectors, labels)[:, 0])
    return jnp.clip(cos, -1, 1) + 1


def pool(maps, scale):
    """Average over whole scale x scale windows: [b, k, h, w(, c)] to [b, k, h // scale, w // scale(, c)].

    What is left over is dropped.
    """
    b, k, h, w, *c = maps.shape
    h, w = h // scale, w // scale
    cut = maps[:, :, :h * scale, :w * scale]
    return cut.reshape(b, k, h, scale, w, scale, *c).mean((3, 5))


def multiscale_mse(maps, labels, scales=(1, 2, 4)):
    """2 - mean over scales of ||u_s - v_s||^2 / 2, u_s and v_s unit-length maps averaged over s x s windows.

    For unit vectors that is the mean of cos_s + 1, which is how it is computed, so a map that is zero at a scale
    counts as in `cosine`; scales=(1,) is `cosine`. [b, k]; scales beyond the map's size are left out.
    """
    fitting = [s for s in scales if s <= min(maps.shape[2:4])]
    return sum(cosine(pool(maps, s), labels) for s in fitting) / len(fitting)


def wasserstein(maps, labels, directions=8):
    """2 (1 - d / d_max) with d the sliced 1-Wasserstein distance over pixel positions: [b, k].

    Positive and negative parts are each summed over colour, normalised to mass 1 and compared with the true map's
    along `directions` fixed angles; d is the mean of the two. d_max is the largest distance two maps on this grid can
    have: that of a part which one of both maps lacks. A part that both lack says nothing and is left out (ours), so
    that maps without negative values, as of a CAM with a ReLU, are as alike as can be to themselves; maps that are
    both zero are as far apart as can be.
    """
    b, k, h, w = maps.shape[:4]
    maps = maps.reshape(b, k, h * w, math.prod(maps.shape[4:]))
    rows, columns = np.mgrid[:h, :w].reshape(2, -1)
    angles = np.pi * np.arange(directions) / directions
    d_max = np.abs(np.cos(angles) * (w - 1) + np.sin(angles) * (h - 1)).mean()  # from corner to corner

    def distance(mass):
        total = mass.sum(-1, keepdims=True)
        some = total != 0  # what is no number stays none
        density = jnp.where(some, mass / jnp.where(some, total, 1), 0)
        difference = density - true_map(density, labels)
        walk = 0
        for angle in angles:
            place = np.cos(angle) * columns + np.sin(angle) * rows
            order = np.argsort(place, kind='stable')
            ahead = jnp.cumsum(difference[..., order], axis=-1)[..., :-1]
            walk += (jnp.abs(ahead) * np.diff(place[order]).astype(np.float32)[None, None]).sum(-1)
        here, there = some[..., 0], true_map(some, labels)[..., 0]
        return jnp.where(here & there, walk / directions, d_max), here | there

    distances, present = zip(*(distance(jnp.maximum(sign * maps, 0).sum(-1)) for sign in (1, -1)))
    d = jnp.mean(jnp.stack(distances), 0, where=jnp.stack(present) | ~(present[0] | present[1])[None])
    return 2 * jnp.clip(1 - d / (d_max or 1), 0, 1)  # maps of one pixel are no way apart


SIMILARITIES = {'cosine': cosine, 'multiscale_mse': multiscale_mse, 'wasserstein': wasserstein}


def class_similarity(maps, labels, similarity='cosine'):
    """The weight of every class's map against the true class's: [b, k], in [0, 2] with those of ikd.

    maps [b, k, h, w] or [b, k, h, w, c] of two classes or more, reckoned with in float32 at least; labels int [b] in
    [0, k), similarity a key of `SIMILARITIES`; else InputError, also for a similarity of one's own that gives no such
    weights or some below 0 (under `jax.jit` neither those nor labels out of range can be seen). Weights of maps that
    are no numbers are none, either. Maps with no value above 1e-18, or one above 1e18, may count as zero, as float32
    can't hold their squares (not with `wasserstein`).
    """
    maps = jnp.asarray(maps)
    if not isinstance(labels, np.ndarray):  # whose values are there also under `jax.jit`, and as large as they were
        labels = jnp.asarray(labels)
    if maps.ndim not in (4, 5) or maps.shape[1] < 2:
        raise InputError(f'maps are {list(maps.shape)}; give one for each of two classes or more, [b, k, h, w] or '
                         '[b, k, h, w, c]')
    maps = maps.astype(jnp.promote_types(maps.dtype, jnp.float32))  # squares of float16 soon are 0 or infinite
    b, k = maps.shape[:2]
    if labels.shape != (b,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise InputError(f'labels are {labels.dtype} {list(labels.shape)}; give class numbers, int [{b}]')
    if not isinstance(labels, jax.core.Tracer) and b and not 0 <= labels.min() <= labels.max() < k:
        raise InputError(f'labels are {labels.min()} to {labels.max()}; the maps are of classes 0 to {k - 1}')
    if similarity not in SIMILARITIES:
        raise InputError(f"unknown similarity '{similarity}'; choose one of: {', '.join(SIMILARITIES)}")
    with all_jax(f"similarity '{similarity}'"):
        weights = SIMILARITIES[similarity](maps, labels)
    if form_of(weights) != [b, k]:
        raise InputError(f"similarity '{similarity}' gives {form_of(weights)}; it must give a weight for every "
                         f'class, {[b, k]}')
    if not isinstance(weights, jax.core.Tracer) and (weights < 0).any():
        raise InputError(f"similarity '{similarity}' gives {weights.min()}; targets are made of weights in [0, 2], "
                         'such as a cosine + 1')
    return weights
