"""Every explainer by name, and which of them can explain a given network."""
import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ikd.errors import InputError
from ikd.explainers.cam import grad_cam, grad_cam_plus_plus, guided_grad_cam, layer_cam
from ikd.explainers.maps import check_chunk, grad, grad_input, guided_backprop, of_classes
from ikd.explainers.occlusion import occlusion
from ikd.explainers.own import all_jax, form_of
from ikd.explainers.paths import integrated_gradients, smooth_grad
from ikd.explainers.relevance import contrastive_lrp, lrp_epsilon, lrp_z_plus

ALL = 2 ** 31  # classes at once: one chunk, so that tracing is quick
CAMS = {'grad_cam': grad_cam, 'grad_cam_plus_plus': grad_cam_plus_plus, 'layer_cam': layer_cam,
        'guided_grad_cam': guided_grad_cam}
# A network can learn from these: they read the forward pass that is there.
ONE_PASS = {'grad': grad, 'grad_input': grad_input, 'guided_backprop': guided_backprop, **CAMS,
            'lrp_epsilon': lrp_epsilon, 'lrp_z_plus': lrp_z_plus, 'contrastive_lrp': contrastive_lrp}
EXPLAINERS = {**ONE_PASS, 'smooth_grad': smooth_grad, 'integrated_gradients': integrated_gradients,
              'occlusion': occlusion}
# Maps in logits per unit of the input; what they say of a change is their product with it. Others are in logits, or
# in a unit of their own.
SLOPES = ('grad', 'guided_backprop', 'smooth_grad', 'guided_grad_cam')
# In the paper's order, from the least to the most class-discriminative (2009.09140, section 5.4.2).
NAMES = {'grad_input': 'Grad*Input', 'guided_backprop': 'GuidedBP', 'grad': 'Grad', 'grad_cam': 'Grad-CAM'}


def called(explainer):
    """What an explainer is called in titles: as in the paper, or by its name."""
    return NAMES.get(explainer, explainer)


@jax.named_scope('explain')
def explain(name: str, model: nn.Module, variables: Mapping[str, Any], images: ArrayLike,
            classes: ArrayLike | Sequence[int] | Sequence[Sequence[int]] | None = None, **options: Any) -> jax.Array:
    """One saliency map for every class of every image: float32 [b, k, h, w, c], or without colours [b, k, h, w].

    name: a key of `EXPLAINERS`. model: a Flax module whose `apply(variables, images, train=False)` gives logits [b,
    k] and taps. images: float [b, h, w, c] in the network's input scale, taken as float32 at least. classes: only
    those, in their order, int [m], or for each image its own [b, m]; maps then have m in the place of k, and most
    cost as much less (not occlusion, nor an explainer of your own without `classes`). Options: `class_chunk` (classes
    computed together; bounds the memory) for all; `tap` and `relu` for those of `CAMS`; the others' are in their
    docstrings. Maps have derivatives by variables and images, so that losses may be made of them. Raises InputError
    for an unknown name or option, images, variables and networks of another form, classes or a tap that are not there
    (under `jax.jit`, where they can't be seen, such classes have maps of NaN), a network that the explainer can't
    explain, and an explainer of your own that gives no such maps.
    """
    if name not in EXPLAINERS:
        raise InputError(f"unknown explainer '{name}'; choose one of: {', '.join(EXPLAINERS)}")
    images = jnp.asarray(images)
    if images.ndim != 4:
        raise InputError(f'images are {list(images.shape)}; give a batch [b, h, w, c], one image as images[None]')
    if not len(images):
        raise InputError(f'images are {list(images.shape)}; give at least one')
    check_network(model, images)
    if not isinstance(variables, Mapping):
        raise InputError(f'variables are of the type {type(variables).__name__}; give what the network is applied '
                         "with, a dict such as {'params': ..., 'batch_stats': ...}")
    if 'params' not in variables:
        raise InputError("variables have no 'params'; give all that the network's init returns, not its parameters")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise InputError(f'images are {images.dtype}, but a network takes floating-point numbers in its own scale; '
                         'ikd.load(RUN).inputs(images) makes them')
    explainer = EXPLAINERS[name]
    taken = inspect.signature(explainer).parameters
    if classes is not None and 'classes' in taken:
        options['classes'] = classes
    check_options(name, options, taken)
    if images.dtype.itemsize < 4:  # slopes are as precise as what they are by
        images = images.astype(jnp.float32)
    try:
        with all_jax(f"explainer '{name}'"):
            maps = explainer(model, variables, images, **options)
    except flax.errors.FlaxError as error:
        said = ' '.join(str(error).partition(' (https')[0].split())
        raise InputError(f'{type(model).__name__} does not take images {list(images.shape)} with these variables: '
                         f'{said}') from error
    check_maps(name, maps, len(images))
    return jnp.asarray(maps if 'classes' in taken else of_classes(maps, classes), jnp.float32)


def check_network(model, images):
    """InputError unless a network can be called as explainers call it, with images and `train`."""
    try:
        if not callable(model.apply):
            raise TypeError('no Linen module')
        call = inspect.signature(model.__call__)
        if isinstance(model, nn.Module) and 'train' not in call.parameters:
            raise InputError(f'{type(model).__name__} takes no `train`; a network of ikd has __call__(self, x, '
                             'train), which returns (logits, taps)')
        call.bind(images, train=False)
    except (AttributeError, TypeError) as error:
        if isinstance(model, nn.Module):
            raise InputError(f'{type(model).__name__} cannot be called with (images, train=False), {error}; a '
                             'network of ikd has __call__(self, x, train), which returns (logits, taps)') from error
        raise InputError(f'{model if isinstance(model, str) else type(model).__name__} is no network of ikd: that is '
                         'a module of Flax Linen (flax.linen, not flax.nnx) with __call__(self, x, train), which '
                         'returns (logits, taps)') from error


def check_options(name, options, taken):
    """InputError for a wrong `class_chunk`, and an option that an explainer, whose parameters are `taken`, lacks."""
    unknown = [option for option in options if option not in taken]
    if unknown and not any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        raise InputError(f"explainer '{name}' takes no {', '.join(unknown)}; it takes ({', '.join(taken)})")
    check_chunk(options.get('class_chunk'))


def check_maps(name, maps, b):
    """InputError unless what an explainer gives, which may be a user's own, are maps of b images."""
    if getattr(maps, 'ndim', 0) not in (4, 5) or len(maps) != b:
        raise InputError(f"explainer '{name}' gives {form_of(maps)}; maps of every class are [{b}, k, h, w] or "
                         f'[{b}, k, h, w, c]')


def applicable(model, variables, image_shape, options=None):
    """Which explainers can explain a network: (their names, name -> why not, in one line, for the others).

    Both in the order of `EXPLAINERS`. variables: arrays or shapes; image_shape: (h, w, c). options: explainer ->
    its options, where they are not the usual ones. Each is traced on one image and says itself what it misses;
    nothing is computed.
    """
    image, reasons = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32), {}
    for name in EXPLAINERS:
        try:
            given = {**(options or {}).get(name, {}), 'class_chunk': ALL}
            jax.eval_shape(partial(explain, name, model, **given), variables, image)
        except InputError as error:
            reasons[name] = str(error)
    return tuple(name for name in EXPLAINERS if name not in reasons), reasons
