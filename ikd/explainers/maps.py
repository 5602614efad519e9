"""Class-saliency maps: for each image one map for every class, all from one linearisation.

A map explains an output neuron (2009.09140, section 2), which here is the logit a_k of the class, not its
probability, in evaluation mode; the paper says neither. BatchNorm statistics are constants, so the map of an image
does not depend on the other images of its batch. All functions are pure.
"""
import operator

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ikd.errors import InputError
from ikd.models import has_convolutions

MOST_PASSES = 32
MOST_AT_ONCE = 2 ** 14


def class_gradients(f, x, class_chunk=None, chunk_of=None, classes=None):
    """Gradients of every class's logit with respect to x, from one forward pass: [b, k, ...] for x [b, ...].

    f maps x to logits [b, k], each row depending on its own example only. The vector-Jacobian product is
    mapped over one-hot cotangents; `class_chunk` classes at a time, unrolled (None: chunk_of(m) of m classes, or
    all), bounds the memory to that many copies of the activations. classes: those wanted, in the place of k, int [m]
    or for each example [b, m].
    """
    check_chunk(class_chunk)
    logits, pull_back = jax.vjp(f, x)
    k = check_logits(logits).shape[-1]
    one_hot = jnp.eye(k, dtype=logits.dtype)
    if classes is not None:
        one_hot = jnp.take(one_hot, check_classes(classes, *logits.shape), axis=0)
        one_hot = jnp.moveaxis(one_hot, -2, 0)  # [m, k] or [m, b, k]

    def of_class(cotangent):
        return pull_back(jnp.broadcast_to(cotangent, logits.shape))[0]

    chunk = class_chunk or (chunk_of(len(one_hot)) if chunk_of else len(one_hot))
    parts = [jax.vmap(of_class, out_axes=1)(one_hot[i:i + chunk]) for i in range(0, len(one_hot), chunk)]
    return jnp.concatenate(parts, axis=1)


def check_chunk(class_chunk):
    """InputError unless it is how many classes are computed together, or None."""
    try:
        fits = class_chunk is None or not isinstance(class_chunk, bool) and operator.index(class_chunk) >= 1
    except TypeError:
        fits = False
    if not fits:
        raise InputError(f'class_chunk is {class_chunk}; it must be a whole number of at least 1, or None')


def check_logits(logits):
    """Logits [b, k]; InputError for anything else, as the first row of a network that returns logits alone."""
    if logits.ndim != 2:
        raise InputError(f'explanations are of logits [b, k], not {logits.shape}; a network returns (logits, taps), '
                         'those of one without feature maps being {}')
    return logits


def check_classes(classes, b, k):
    """`classes` as an array. InputError unless they are some of k, int [m] or [b, m].

    Under `jax.jit` values can't be seen: those that are not there become k, which is looked up as NaN.
    """
    if not isinstance(classes, jax.Array):
        try:
            classes = np.asarray(classes)  # whose values are there also under `jax.jit`
        except ValueError as error:
            raise InputError(f'classes are {classes}; give as many for each image') from error
    if not (jnp.issubdtype(classes.dtype, jnp.integer) and classes.size
            and (classes.ndim == 1 or classes.ndim == 2 and len(classes) == b)):
        raise InputError(f'classes are {classes.dtype} {list(classes.shape)}; give class numbers, int [m], or int '
                         f'[{b}, m] for each image its own')
    if not isinstance(classes, jax.core.Tracer) and not 0 <= classes.min() <= classes.max() < k:
        raise InputError(f'classes are {classes.min()} to {classes.max()}; the network has 0 to {k - 1}')
    if isinstance(classes, jax.core.Tracer):
        return jnp.where((classes >= 0) & (classes < k), classes.astype(jnp.int32), k)  # -1 is not the last class
    return classes


def of_classes(values, classes):
    """Of values [b, k, ...] those of `classes`, int [m] or [b, m], or all where that is None: [b, m, ...]."""
    if classes is None:
        return values
    classes = check_classes(classes, *values.shape[:2])
    classes = jnp.broadcast_to(classes, (len(values), classes.shape[-1]))
    return jnp.take_along_axis(values, classes.reshape(*classes.shape, *[1] * (values.ndim - 2)), axis=1)


def whole_network(variables, images):
    """`chunk_of` for passes of so many images through a whole network: how many classes the platform takes at once.

    Where convolutions run on a CPU few are up to twice as fast (memory binds, not arithmetic), but each pass is
    compiled: a hundred through ResNet8 take 20 s, a thousand would take minutes. Elsewhere all, up to MOST_AT_ONCE
    images a pass, as each takes the memory of its activations.
    """
    if jax.default_backend() == 'cpu' and has_convolutions(variables['params']):
        return lambda m: -(-m // MOST_PASSES)
    return lambda m: min(m, max(1, MOST_AT_ONCE // images))


def grad(model, variables, images, class_chunk=None, classes=None):
    """Grad (Simonyan et al. 2013): signed d a_k / d x for images [b, h, w, c]; maps [b, k, h, w, c]."""
    return class_gradients(lambda x: model.apply(variables, x, train=False)[0], images, class_chunk,
                           whole_network(variables, len(images)), classes)


def grad_input(model, variables, images, class_chunk=None, classes=None):
    """Grad*Input (Shrikumar et al. 2017): x * d a_k / d x with x as the network sees it; maps [b, k, h, w, c]."""
    return images[:, None] * grad(model, variables, images, class_chunk, classes)


@jax.custom_vjp
def guided_relu(x):
    """ReLU whose backward pass lets only positive signals through where the input was positive."""
    return jnp.maximum(x, 0)


guided_relu.defvjp(lambda x: (jnp.maximum(x, 0), x > 0),
                   lambda positive, signal: (jnp.where(positive, jnp.maximum(signal, 0), 0),))


def guided_backprop(model, variables, images, class_chunk=None, classes=None):
    """GuidedBP (Springenberg et al. 2014): Grad with every ReLU guided; maps [b, k, h, w, c].

    The network must take its ReLU, `flax.linen.relu`, as the field `activation`, as all of ikd's do; InputError if it
    has none, or another function there.
    """
    if not hasattr(model, 'activation'):
        raise InputError(f'guided_backprop swaps the ReLU of a network, and {type(model).__name__} has no field '
                         "'activation'; give it one and use it for every ReLU")
    if model.activation is not nn.relu:
        raise InputError(f'guided_backprop is for ReLUs, and the activation of {type(model).__name__} is not '
                         'flax.linen.relu; use grad')
    return grad(model.clone(activation=guided_relu), variables, images, class_chunk, classes)
