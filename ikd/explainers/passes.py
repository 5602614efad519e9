"""Many passes through a network, a bounded number of images at a time."""
import jax
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.explainers.maps import check_logits, class_gradients, whole_network

MOST_IMAGES = 1024  # at a time


def rows_at_once(rows, b):
    """How many copies of b images go through the network at once: `rows`, or as many as make about MOST_IMAGES."""
    if rows is not None and rows < 1:
        raise InputError(f'{rows} points or patches at once; it must be at least 1, or None')
    return rows or max(1, MOST_IMAGES // b)


def summed(f, x, size):
    """The sum of f(x[i:i + size]) for i = 0, size, ...; f gives the sum of what belongs to each of its rows.

    A loop, but unrolled on a CPU, where convolutions in a loop are slow.
    """
    chunks = [x[i:i + size] for i in range(0, len(x), size)]
    if jax.default_backend() == 'cpu' or len(chunks) < 3:
        return sum(map(f, chunks))
    rest = len(x) % size
    whole = x[:len(x) - rest].reshape(-1, size, *x.shape[1:])
    total, _ = jax.lax.scan(lambda total, chunk: (total + f(chunk), None), f(whole[0]), whole[1:])
    return total + f(x[-rest:]) if rest else total


def logits_of(model, variables, images):
    """Logits [s, b, k] of images [s, b, h, w, c], in one pass."""
    s, b = images.shape[:2]
    logits = model.apply(variables, images.reshape(s * b, *images.shape[2:]), train=False)[0]
    return check_logits(logits).reshape(s, b, -1)


def mean_gradients(model, variables, points, class_chunk=None, size=None, classes=None):
    """The mean over s of every class's gradient at points [s, b, h, w, c]: [b, k, h, w, c].

    `size` of the s points of each image go through the network at once (None: about a thousand images). What is added
    to all points has the sum of their gradients, so these are never held one by one.
    """
    s, b = points.shape[:2]

    def gradients(points):
        return class_gradients(lambda shift: logits_of(model, variables, points + shift[None]).sum(0),
                               jnp.zeros_like(points[0]), class_chunk, whole_network(variables, len(points) * b),
                               classes)

    return summed(gradients, points, rows_at_once(size, b)) / s
