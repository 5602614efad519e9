"""Gradients averaged over many points: around an image, or on the way to it."""
import jax
import jax.numpy as jnp

from ikd import keys
from ikd.errors import InputError
from ikd.explainers.passes import mean_gradients


def smooth_grad(model, variables, images, samples=16, noise=0.15, key=None, class_chunk=None, points_at_once=None,
                classes=None):
    """SmoothGrad (Smilkov et al. 2017): the mean of Grad at `samples` noisy copies of an image; maps [b, k, h, w, c].

    Normal noise, its standard deviation `noise` times the range of the image's values (theirs: 10 to 20 %). key: a
    random key (None: that of seed 0, the same noise every time), from which each place in the batch draws its own.
    points_at_once: copies of each image in one pass, None: about a thousand images.
    """
    check('samples', samples)
    if noise < 0:
        raise InputError(f'noise is {noise}; it must not be negative')
    example_keys = keys.per_example(jax.random.key(0) if key is None else key, len(images))
    draws = jax.vmap(lambda key: jax.random.normal(key, (samples, *images.shape[1:]), images.dtype), out_axes=1)
    axes = tuple(range(1, images.ndim))
    width = noise * (images.max(axes, keepdims=True) - images.min(axes, keepdims=True))
    points = images[None] + width[None] * draws(example_keys)
    return mean_gradients(model, variables, points, class_chunk, points_at_once, classes)


def integrated_gradients(model, variables, images, steps=32, baseline=0.0, class_chunk=None, points_at_once=None,
                         classes=None):
    """Integrated Gradients (Sundararajan et al. 2017, equation 1): maps [b, k, h, w, c].

    (x - x') times the mean of Grad on the way from the baseline x' to x, at the middles of `steps` equal pieces. With
    many steps a map adds up to a_k(x) - a_k(x') (completeness). baseline: whatever broadcasts to images, in the
    network's input scale, where 0 is the data's mean pixel, or black where the data are not centred (digits, MNIST,
    Fashion-MNIST). points_at_once: as for `smooth_grad`.
    """
    check('steps', steps)
    middles = (jnp.arange(steps, dtype=images.dtype) + 0.5) / steps
    way = images - jnp.broadcast_to(jnp.asarray(baseline, images.dtype), images.shape)
    points = images[None] - (1 - middles.reshape(-1, *[1] * images.ndim)) * way[None]
    return way[:, None] * mean_gradients(model, variables, points, class_chunk, points_at_once, classes)


def check(name, value):
    """InputError unless a number of points is a whole one of at least 1; those of 2.5 would not be spread evenly."""
    if value < 1 or value % 1:
        raise InputError(f'{name} is {value}; it must be at least 1, and a whole number')
