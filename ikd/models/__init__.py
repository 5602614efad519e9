"""Networks: Flax modules whose pure `apply(variables, images, train=False)` gives logits and named taps.

Every network has `cam_tap`, its last feature map or None, and `group_taps`, the ends of its groups, first to last.
"""
from functools import partial

import jax
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.models.hme import HMEResNet18, HMETree
from ikd.models.layers import Tap, Taps, head, parts_before
from ikd.models.mlp import MLP
from ikd.models.plain_cnn import LAYOUTS, PlainCNN
from ikd.models.resnet import ResNet
from ikd.models.vgg import VGG8
from ikd.models.wide_resnet import WideResNet
from ikd.models.wrappers import Peers, Regressed

MODELS = {
    'mlp': MLP,
    **{f'cnn{depth}': partial(PlainCNN, depth=depth) for depth in LAYOUTS},
    **{f'resnet{6 * n + 2}': partial(ResNet, blocks=(n, n, n)) for n in (1, 2, 3, 4, 5, 18)},
    'resnet18': partial(ResNet, blocks=(2, 2, 2, 2), width=64),
    'resnet50': partial(ResNet, blocks=(3, 4, 6, 3), width=64, bottleneck=True),
    'wrn16_2': partial(WideResNet, depth=16, widen=2),
    'wrn40_1': partial(WideResNet, depth=40, widen=1),
    'vgg8': VGG8, 'hme_tree': HMETree, 'hme_resnet18': HMEResNet18,
}

__all__ = ['MODELS', 'HMEResNet18', 'HMETree', 'MLP', 'Peers', 'PlainCNN', 'Regressed', 'ResNet', 'Tap', 'Taps',
           'VGG8', 'WideResNet', 'create', 'has_convolutions', 'head', 'init', 'parts_before', 'tap_shapes']


def create(name, num_classes, **options):
    """The network called `name` (a key of `MODELS`) as a Flax module.

    Options are the module's fields: `activation`, `dropout_rate`, `axis_name` (the mapped device axis that
    BatchNorm and Dropout span), `dtype` of the activations; `width` and `vam_block` of those that have them.
    InputError for an unknown name, or a width or virtual attention the network can't have.
    """
    if name not in MODELS:
        raise InputError(f"unknown model.name '{name}'; choose one of: {', '.join(MODELS)}")
    kind = getattr(MODELS[name], 'func', MODELS[name])
    if 'vam_block' in options and not hasattr(kind, 'vam_block'):
        why = 'needs convolutions, and mlp has none' if kind is MLP else f'is not for {name}, which routes by itself'
        raise InputError(f'model.vam {why}; choose another model.name, or leave model.vam False')
    if 'width' in options and not hasattr(kind, 'width'):
        raise InputError(f'model.width does not apply to {name}; leave it out')
    return MODELS[name](num_classes=num_classes, **options)


def init(model, key, image_shape):
    """Fresh variables (`params`, and `batch_stats` if the network has BatchNorm) for images [h, w, c]."""
    return jax.jit(model.init)(key, jnp.zeros((1, *image_shape)))


def tap_shapes(model, image_shape):
    """The shape of every tap for an image [h, w, c]: name -> tuple, without the batch. Nothing is computed."""
    images = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    (_, taps), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), images)
    return {name: value.shape[1:] for name, value in taps.items()}


def has_convolutions(params):
    """Whether a network convolves: whether any of its parameters (arrays or shapes) is a kernel of four axes."""
    return any(leaf.ndim == 4 for leaf in jax.tree.leaves(params))
