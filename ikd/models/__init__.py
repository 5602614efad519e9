"""Networks: Flax modules whose pure `apply(variables, images, train=False)` gives logits and named taps.

ikd's own have `cam_tap`, their last feature map or None, and `group_taps`, the ends of their groups, first to last.
Other modules need neither: `MODELS['mine'] = Mine` makes one known that takes the field `num_classes` and whose
`__call__(self, x, train)` gives logits [b, k] and `Taps`; logits in float32, as losses have the precision of these.
"""
import inspect
from collections.abc import Mapping
from functools import partial

import flax.errors
import jax
import jax.numpy as jnp

from ikd.compiled import jit_for_once
from ikd.errors import InputError
from ikd.models.hme import HMEResNet18, HMETree
from ikd.models.layers import BatchNorm, Tap, Taps, head, intercepting, parts_before, shapes
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
NEUTRAL = {'dtype': jnp.float32, 'dropout_rate': 0.0}  # where a network that lacks the field is none the worse

__all__ = ['MODELS', 'BatchNorm', 'HMEResNet18', 'HMETree', 'MLP', 'Peers', 'PlainCNN', 'Regressed', 'ResNet',
           'Tap', 'Taps', 'VGG8', 'WideResNet', 'check_outputs', 'create', 'has_convolutions', 'has_taps', 'head',
           'init', 'intercepting', 'parts_before', 'shapes', 'tap_shapes']


def create(name, num_classes, **options):
    """The network called `name` (a key of `MODELS`) as a Flax module.

    Options are the module's fields: `activation`, `dropout_rate`, `axis_name` (the mapped device axis that
    BatchNorm and Dropout span), `dtype` of the activations; `width` and `vam_block` of those that have them. Where
    its value makes no difference, a network may lack a field. InputError for an unknown name, or an option that the
    network can't have.
    """
    if name not in MODELS:
        raise InputError(f"unknown model.name '{name}'; choose one of: {', '.join(MODELS)}")
    fields = inspect.signature(MODELS[name]).parameters
    if 'num_classes' not in fields and not any(field.kind is field.VAR_KEYWORD for field in fields.values()):
        raise InputError(f"{name} has no field 'num_classes', by which a network is told how many logits to return; "
                         'add it')
    lacking = [field for field in options if field not in fields]
    for field in lacking:
        if field != 'axis_name' and options[field] != NEUTRAL.get(field):
            raise InputError(_lacks(name, field))
    return MODELS[name](num_classes=num_classes, **{field: options[field] for field in options if field in fields})


def _lacks(name, field):
    """What to say of a network without a field that the config asks for."""
    if field == 'vam_block':
        why = {MLP: 'needs convolutions, and mlp has none', HMETree: f'is not for {name}, which routes by itself',
               HMEResNet18: f'is not for {name}, which routes by itself'}.get(MODELS[name], f'is not for {name}')
        return f'model.vam {why}; choose another model.name, or leave model.vam False'
    if field == 'width':
        return f'model.width does not apply to {name}; leave it out'
    needs = {'dtype': 'precision=bfloat16', 'dropout_rate': 'method.name=dropout'}.get(field, 'this run')
    return f"{needs} needs a network with the field '{field}', and {name} has none; add it, or choose another"


def check_outputs(model, image_shape, name):
    """InputError unless the network called `name` gives logits [b, k] and named taps for images [h, w, c].

    Also for a network with other variables than a run saves, and for images so small that a tap is left without
    values. Nothing is computed.
    """
    outputs, variables = _first_pass(model, image_shape)
    if not (has_taps(outputs) and getattr(outputs[0], 'ndim', 0) >= 2):
        raise InputError(f'{type(model).__name__} must return (logits [b, k], taps), its feature maps by name, as '
                         'ikd.models.Taps collects them')
    k = outputs[0].shape[-1]
    if getattr(model, 'num_classes', k) != k:
        raise InputError(f'{type(model).__name__} returns {k} logits, though it was told num_classes='
                         f'{model.num_classes}; return as many')
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    kept = {part: tree for part, tree in variables.items() if part in ('params', 'batch_stats')}
    try:
        jax.eval_shape(partial(model.apply, train=False), kept, image)
    except flax.errors.ScopeCollectionNotFound as error:
        said = str(error).partition(' (https')[0]
        raise InputError(f"{type(model).__name__} keeps variables beside 'params' and 'batch_stats', which are all "
                         f'that a run trains and saves; leave them out: {said}') from error
    if any(leaf.size == 0 for leaf in jax.tree.leaves(outputs[1])):
        h, w, _ = image_shape
        raise InputError(f'images of {h}x{w} are too small for {name}; set --config.data.size to more')


def has_taps(outputs):
    """Whether what a network has returned is (logits, taps)."""
    return isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], Mapping)


def init(model, key, image_shape):
    """Fresh variables (`params`, and `batch_stats` if the network has BatchNorm) for images [h, w, c]."""
    compiled = jax.jit if isinstance(key, jax.core.Tracer) else jit_for_once
    return compiled(partial(model.init, train=False))(key, jnp.zeros((1, *image_shape)))


def tap_shapes(model, image_shape):
    """The shape of every tap for an image [h, w, c]: name -> tuple, without the batch. Nothing is computed."""
    (_, taps), _ = _first_pass(model, image_shape)
    return {name: value.shape[1:] for name, value in taps.items()}


def _first_pass(model, image_shape):
    """The shapes of what a network returns for one image [h, w, c], and of its variables."""
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(partial(model.init_with_output, train=False), jax.random.key(0), image)


def has_convolutions(params):
    """Whether a network convolves: whether any of its parameters (arrays or shapes) is a kernel of four axes."""
    return any(leaf.ndim == 4 for leaf in jax.tree.leaves(params))
