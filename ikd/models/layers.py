"""The pieces the networks share: named taps, BatchNorm that can be frozen, Dropout, PyTorch's initialisers.

Padding, initial values and BatchNorm follow PyTorch's conventions, as the code of Mirzadeh et al. 2020, which
2009.09140 says it follows, and of KDExplainer does.
"""
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ikd import keys
from ikd.errors import InputError
from ikd.models.convolution import convolve

he_normal_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class Tap(nn.Module):
    """A named point of a network: the identity. Its name is what explainers and methods ask for."""

    def __call__(self, x):
        return x


class Taps(dict):
    """Collects a forward pass's taps: `x = taps('group3', x)` inside a compact method. A tree, as a dict is."""

    def __call__(self, name, x):
        self[name] = x = Tap(name=name)(x)
        return x


jax.tree_util.register_pytree_node(Taps, lambda taps: (tuple(taps.values()), tuple(taps)),
                                   lambda names, values: Taps(zip(names, values)))


def intercepting(interceptor):
    """`nn.intercept_methods`; InputError under `python -O`, which leaves out the assertion by which Flax ends it."""
    if not __debug__:
        raise InputError("Flax needs Python's assertions: start python without -O, and without PYTHONOPTIMIZE")
    return nn.intercept_methods(interceptor)


def head(model, variables, images, tap):
    """The network from `tap` on, as a function of the tap's value alone.

    Returns `f(value) -> logits [b, k]`, evaluation-mode BatchNorm. What lies before the tap is traced but
    never used, so XLA drops it; what goes past it, as a shortcut may, is computed from `images`. f raises InputError
    for a network in which there is no `Tap` of that name.
    """
    def f(value):
        met = []

        def put_in(call, args, kwargs, context):
            if not (isinstance(context.module, Tap) and context.module.name == tap):
                return call(*args, **kwargs)
            met.append(tap)
            return value

        with intercepting(put_in):
            logits = model.apply(variables, images, train=False)[0]
        if not met:
            raise InputError(f"{type(model).__name__} returns '{tap}', but nothing can be put into its place: write "
                             f"x = taps('{tap}', x), taps being ikd.models.Taps(), and go on with that x")
        return logits

    return f


def shapes(model, image_shape):
    """The shapes of a network's variables for images [h, w, c]; nothing is computed."""
    image = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32)
    return jax.eval_shape(partial(model.init, train=False), jax.random.key(0), image)


def parts_before(model, image_shape, tap):
    """The parts of a network, top-level names of its parameters, that run before it reaches `tap`: a set.

    With the part that it lies in, if it lies in one. Nothing is computed. InputError if the tap never comes.
    """
    parts, taps = set(), []

    def note(call, args, kwargs, context):
        module = context.module
        if isinstance(module, Tap):
            taps.append(module.name)
        elif tap not in taps and module.path:
            parts.add(module.path[0])
        return call(*args, **kwargs)

    with intercepting(note):
        shapes(model, image_shape)
    if tap not in taps:
        raise InputError(f"{type(model).__name__} has no tap '{tap}'; its taps are: {', '.join(taps)}")
    return parts


class Conv(nn.Module):
    """size x size convolution, padded symmetrically as PyTorch does; with `block` a virtual attention module (VAM).

    Then the kernel [size, size, ci, co] is seen as M = ci / block input by N = co / block output blocks, of which
    block (m, n) is multiplied by M alpha[n, m], alpha = softmax over m of the parameter `attention` [N, M] / tau. It
    begins at zero, where the module is the plain convolution. alpha is written to the collection `attention` where
    that is mutable. KDExplainer (Xue et al. 2021), a reconstruction: neither text nor code of VAM could be had; the
    factor M is ours. InputError where `block` does not divide the channels.
    """
    width: int
    size: int
    stride: int = 1
    bias: bool = False
    kernel_init: Callable = he_normal_fan_out
    bias_init: Callable = nn.initializers.zeros
    block: int = 0
    tau: float = 1.0
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x):
        shape, pad = (self.size, self.size, x.shape[-1], self.width), self.size // 2
        kernel = self.param('kernel', self.kernel_init, shape, jnp.float32)
        bias = self.param('bias', self.bias_init, (self.width,), jnp.float32) if self.bias else None
        if self.block:
            kernel = self.attend(kernel)
        y = convolve(x.astype(self.dtype), kernel.astype(self.dtype), self.stride, pad)
        return y if bias is None else y + per_channel(bias.astype(self.dtype), y)

    def attend(self, kernel):
        """The kernel with its blocks weighed by attention."""
        _, _, ci, co = kernel.shape
        if ci % self.block or co % self.block:
            raise InputError(f'model.vam_block={self.block} does not divide the {ci} and {co} channels of a '
                             'convolution; choose a divisor of both')
        m, n = ci // self.block, co // self.block
        attention = self.param('attention', nn.initializers.zeros, (n, m), jnp.float32)
        alpha = jax.nn.softmax(attention / self.tau)
        if self.is_mutable_collection('attention') and not self.is_initializing():
            self.put_variable('attention', 'alpha', alpha)
        blocks = kernel.reshape(self.size, self.size, m, self.block, n, self.block)
        return (blocks * (m * alpha.T)[None, None, :, None, :, None]).reshape(kernel.shape)


class BatchNorm(nn.Module):
    """Batch normalisation over all but the last axis, whose batch statistics can be read and put back.

    train=True normalises by the mean and variance of the batch (over every device of `axis_name`), moves the
    running averages (collection `batch_stats`), and writes the moments it used to the collection `moments`,
    which has the shape of `batch_stats`. train=False normalises by `batch_stats` as constants. So the very
    network of a training step, linearised with its statistics frozen, is the evaluation-mode network with
    the moments in the place of `batch_stats`: no cross-image term, no second reduction over devices, and
    the same operations, which XLA merges with the training forward pass.

    eps 1e-5 and momentum 0.9 (PyTorch's 0.1); the running variance is the biased one, as in Flax.
    """
    axis_name: str | None = None
    momentum: float = 0.9
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x, train):
        c = x.shape[-1]
        scale = self.param('scale', nn.initializers.ones, (c,), jnp.float32)
        bias = self.param('bias', nn.initializers.zeros, (c,), jnp.float32)
        running_mean = self.variable('batch_stats', 'mean', jnp.zeros, (c,), jnp.float32)
        running_var = self.variable('batch_stats', 'var', jnp.ones, (c,), jnp.float32)
        values = x.astype(jnp.float32)
        if train:
            axes = tuple(range(x.ndim - 1))
            mean, square = values.mean(axes), (values * values).mean(axes)
            if self.axis_name:
                mean, square = jax.lax.pmean((mean, square), self.axis_name)
            var = jnp.maximum(square - mean * mean, 0)
            if self.is_mutable_collection('batch_stats') and not self.is_initializing():
                running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
                running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
            if self.is_mutable_collection('moments') and not self.is_initializing():
                self.put_variable('moments', 'mean', mean)
                self.put_variable('moments', 'var', var)
        else:
            mean, var = running_mean.value, running_var.value
        gain = scale * jax.lax.rsqrt(var + self.epsilon)
        mean, gain, bias = (per_channel(value, x) for value in (mean, gain, bias))
        return ((values - mean) * gain + bias).astype(x.dtype)


class Dropout(nn.Module):
    """Element-wise inverted dropout of `rate`, in training only; each example draws from its own key."""
    rate: float
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x, train):
        if not train or self.rate == 0:
            return x
        example_keys = keys.per_example(self.make_rng('dropout'), x.shape[0], self.axis_name)
        keep = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:]))(example_keys)
        return jnp.where(keep, x / (1 - self.rate), 0)


def torch_uniform(fan_in):
    """PyTorch's default initialiser for weights and biases: uniform in +-1/sqrt(fan_in), 0 without inputs."""
    bound = fan_in ** -0.5 if fan_in else 0.0

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def linear(x, features, dtype: Any, name=None, bias_init=None):
    """Fully connected layer with bias on [b, d], PyTorch's initial values: [b, features]."""
    init = torch_uniform(x.shape[-1])
    return nn.Dense(features, dtype=dtype, kernel_init=init, bias_init=bias_init or init, name=name)(x)


def per_channel(values, x):
    """Values [c] with as many axes as x [..., c]; spelt out, as JAX may be told not to add axes by itself."""
    return jnp.expand_dims(values, range(x.ndim - 1))


def flatten(x):
    """[b, ...] to [b, d]."""
    return x.reshape(x.shape[0], -1)
