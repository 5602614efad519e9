"""Occlusion: what a class loses when a part of the image is covered. The reference that looks into no network."""
import jax
import jax.numpy as jnp
import numpy as np

from ikd.errors import InputError
from ikd.explainers.maps import check_logits, of_classes
from ikd.explainers.passes import logits_of, rows_at_once, summed


def occlusion(model, variables, images, size=None, stride=None, fill=0.0, patches_at_once=None, class_chunk=None,
              classes=None):
    """Occlusion (Zeiler and Fergus 2014, section 4.2): maps [b, k, h, w], the drop of a_k where a place is covered.

    A square of size x size, moved by `stride` and lastly to the edge, is filled with `fill`, which broadcasts to
    images in the network's input scale (0: the data's mean pixel, or black where the data are not centred: digits,
    MNIST, Fashion-MNIST). A pixel gets the mean over the squares that cover it. size None: a quarter of the image's
    shorter side; stride None: half of size; both rounded down, so there are 49 squares on 32x32, 64 on 28x28, up to
    169 where the sides are below 16, and more on long images. patches_at_once: squares in one pass, None: about a
    thousand images. Each is one forward pass, which has all classes, so `class_chunk` changes nothing.
    """
    b, h, w = images.shape[:3]
    size = max(1, min(h, w) // 4) if size is None else size
    stride = max(1, size // 2) if stride is None else stride
    if not 1 <= stride <= size <= min(h, w):
        raise InputError(f'size is {size} and stride {stride} for images of {h} x {w}; choose 1 <= stride <= size <= '
                         f'{min(h, w)}, so that every pixel is covered')
    rows, columns = covers(h, size, stride), covers(w, size, stride)
    squares = (rows[:, None, :, None] & columns[None, :, None, :]).reshape(-1, h, w)
    before = of_classes(check_logits(model.apply(variables, images, train=False)[0]), classes)

    wanted = jax.vmap(lambda logits: of_classes(logits, classes))

    def drops(squares):
        covered = jnp.where(squares[:, None, ..., None], jnp.asarray(fill, images.dtype), images)
        drop = before[None] - wanted(logits_of(model, variables, covered))
        return jnp.einsum('pbk,phw->bkhw', drop, squares.astype(drop.dtype))

    return summed(drops, jnp.asarray(squares), rows_at_once(patches_at_once, b)) / squares.sum(0)[None, None]


def covers(n, size, stride):
    """Which of n places each position of a window covers: bool [positions, n]; the last window ends at n."""
    starts = np.unique([*range(0, n - size, stride), n - size])[:, None]
    return (starts <= np.arange(n)) & (np.arange(n) < starts + size)
