"""Networks: Flax modules whose pure `apply(variables, images, train=False)` gives logits and named taps."""
from functools import partial

import jax
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.models.layers import Tap, Taps, head
from ikd.models.mlp import MLP
from ikd.models.plain_cnn import LAYOUTS, PlainCNN
from ikd.models.resnet import ResNet

MODELS = {
    'mlp': MLP,
    **{f'cnn{depth}': partial(PlainCNN, depth=depth) for depth in LAYOUTS},
    **{f'resnet{depth}': partial(ResNet, depth=depth) for depth in (8, 14, 20, 26)},
}

__all__ = ['MODELS', 'MLP', 'PlainCNN', 'ResNet', 'Tap', 'Taps', 'create', 'has_convolutions', 'head', 'init']


def create(name, num_classes, **options):
    """The network called `name` (a key of `MODELS`) as a Flax module.

    Options are the module's fields: `activation`, `dropout_rate`, `axis_name` (the mapped device axis that
    BatchNorm and Dropout span), `dtype` of the activations. Raises InputError for an unknown name.
    """
    if name not in MODELS:
        raise InputError(f"unknown model.name '{name}'; choose one of: {', '.join(MODELS)}")
    return MODELS[name](num_classes=num_classes, **options)


def init(model, key, image_shape):
    """Fresh variables (`params`, and `batch_stats` if the network has BatchNorm) for images [h, w, c]."""
    return jax.jit(model.init)(key, jnp.zeros((1, *image_shape)))


def has_convolutions(params):
    """Whether a network convolves: whether any of its parameters (arrays or shapes) is a kernel of four axes."""
    return any(leaf.ndim == 4 for leaf in jax.tree.leaves(params))
