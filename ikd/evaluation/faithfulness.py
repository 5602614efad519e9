"""Whether what a map points at is what the network goes by: deletion, insertion, infidelity, completeness.

In all of them f maps images [b, h, w, c], as the network takes them, to logits [b, k], and a map is read as one value
for each pixel, `pixel_values`.
"""
import jax
import jax.numpy as jnp
import numpy as np

from ikd.explainers.catalogue import SLOPES

SQUARES = 50  # that infidelity removes from each image


def pixel_values(maps, size):
    """Class maps as one value for each pixel: [b, k, h, w], size (h, w), from maps [b, k, h, w, c] or [b, k, h', w'].

    Colours are added up with their sign, as in the pictures; coarse maps are enlarged bilinearly.
    """
    values = maps.sum(-1) if maps.ndim == 5 else maps
    if values.shape[2:] == tuple(size):
        return values
    return jax.image.resize(values, (*values.shape[:2], *size), 'bilinear')


def of_class(values, classes):
    """Row `classes` int [b] of values [b, k, ...]: [b, ...]."""
    return values[jnp.arange(len(classes)), classes]


def ranks(values, key):
    """The place of each pixel in the order of falling values [b, h, w], from 0; ties in random order: int [b, h, w].

    Most values of a Grad-CAM are zero: in the order of pixels they would be taken from the top.
    """
    flat = values.reshape(len(values), -1)
    order = jnp.lexsort((jax.random.uniform(key, flat.shape), -flat))
    return jnp.argsort(order, axis=-1).reshape(values.shape)


def fractions(steps=16):
    """The shares of pixels at which curves are read: [steps + 1], from 0 to 1."""
    return np.arange(steps + 1) / steps


def morph(f, first, last, values, classes, shares, key):
    """Probabilities of `classes` int [b] while pixels of images `first` become those of `last`: [b, s].

    At each of `shares` [s], in [0, 1], the pixels of the largest values [b, h, w] are `last`'s. Petsiuk et al. 2018
    (RISE), section 4.2: deletion goes from the image to nothing, insertion from a blurred image to the image.
    """
    b, h, w, c = first.shape
    counts = jnp.round(jnp.asarray(shares) * h * w)
    changed = ranks(values, key)[:, None] < counts[None, :, None, None]
    images = jnp.where(changed[..., None], last[:, None], first[:, None])
    probabilities = jax.nn.softmax(f(images.reshape(-1, h, w, c))).reshape(b, len(shares), -1)
    return jnp.take_along_axis(probabilities, classes[:, None, None], -1)[..., 0]


def area(curves, shares):
    """The area under curves [b, s] read at `shares` [s]: [b], in [0, 1]; deletion is better low, insertion high."""
    return np.trapezoid(curves, shares, axis=-1)


def squares(size, count=SQUARES, seed=0):
    """`count` squares at random places of an image of size (h, w): bool [count, h, w].

    Their sides are spread evenly from 1 to half of the image's shorter side.
    """
    (h, w), draw = size, np.random.default_rng(seed)
    found = np.zeros((count, h, w), bool)
    for one, side in zip(found, np.linspace(1, max(1, min(h, w) // 2), count).round().astype(int)):
        row, column = draw.integers(h - side + 1), draw.integers(w - side + 1)
        one[row:row + side, column:column + side] = True
    return found


def drops(f, images, masks):
    """What the logits lose when the pixels of a mask are set to the network's zero: [b, s, k] for masks [s, h, w]."""
    b, h, w, c = images.shape
    removed = jnp.where(masks[:, :, :, None], 0, images[:, None])
    return f(images)[:, None] - f(removed.reshape(-1, h, w, c)).reshape(b, len(masks), -1)


def infidelity(values, masks, lost):
    """How far a map is from saying what the removal of squares does to the logits: [b, k] in [0, 1].

    Yeh et al. 2019, definition 2.1, E (I^T phi - (f(x) - f(x - I)))^2, for the removal of squares, with each map
    scaled as fits best, as in their experiments. Ours: over E (f(x) - f(x - I))^2, so it is the share of the loss's
    mean square that the map leaves unexplained; and the scale is not negative, as a map that says the opposite would
    else be as good. values: contributions [b, k, h, w], whose sums over masks [s, h, w] are I^T phi; lost [b, s, k]:
    of `drops`. 0 for Grad*Input of a linear network, 1 for a map that is zero or fits only turned round; NaN where
    the logit never changes.
    """
    told = jnp.einsum('bkhw,shw->bsk', values, jnp.asarray(masks, values.dtype))
    square = lambda quantity: (quantity ** 2).mean(1)
    both, own, whole = (told * lost).mean(1), square(told), square(lost)
    scale = jnp.maximum(both, 0) / jnp.where(own > 0, own, 1)
    return jnp.where(whole > 0, square(lost - scale[:, None] * told) / whole, jnp.nan)


def contributions(name, maps, images):
    """The maps of an explainer in logits: the slopes among them times the image, which is the change to zero."""
    return maps * images[:, None] if name in SLOPES else maps


def incompleteness(maps, gained):
    """How far the sums of maps are from what they should add up to: [b], 0 for complete ones.

    Completeness (Sundararajan et al. 2017, section 3): a map sums to `gained` [b, k] = a_k(x) - a_k(baseline). The
    differences' absolute values, summed over classes, over those of `gained`; NaN where nothing is gained.
    """
    missed = jnp.abs(maps.reshape(*maps.shape[:2], -1).sum(-1) - gained).sum(-1)
    whole = jnp.abs(gained).sum(-1)
    return jnp.where(whole > 0, missed / whole, jnp.nan)
