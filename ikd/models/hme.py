"""Hierarchical mixtures of experts, the networks of KDExplainer (Xue et al., IJCAI 2021).

Its paper could not be had. `HMETree` follows the official code, which holds the tree only; `HMEResNet18` is our
reading of the figure beside that code, and its sizes and initial values are our choice.
"""
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from ikd.models.layers import BatchNorm, Conv, Dropout, Taps, flatten, torch_uniform
from ikd.models.resnet import Block

small_normal = nn.initializers.normal(0.01)
between_0_and_1 = nn.initializers.uniform(1.0)


def mixing_weights(routing, tau=1.0, hard=False):
    """What share each parent has in each child's input: float32 [children, parents], rows that sum to one.

    softmax(routing / tau) over the parents; hard: one-hot at the largest, the first of equals, without gradient.
    """
    if hard:
        return jax.nn.one_hot(routing.argmax(-1), routing.shape[-1], dtype=jnp.float32)
    return jax.nn.softmax(routing / tau, axis=-1)


class Branch(nn.Module):
    """Routing between two levels: the input of child i is sum_j alpha[i, j] F_j.

    maps: the parents' features [b, parents, ...] -> [b, children, ...] of the same dtype. The parameter `routing`
    float32 [children, parents] becomes alpha by `mixing_weights` at tau * temperature. Where the collection
    `attention` is mutable, alpha is written there.
    """
    children: int
    tau: float = 1.0
    hard: bool = False
    routing_init: Callable = between_0_and_1

    @nn.compact
    def __call__(self, maps, temperature=1.0):
        routing = self.param('routing', self.routing_init, (self.children, maps.shape[1]), jnp.float32)
        alpha = mixing_weights(routing, self.tau * temperature, self.hard)
        if self.is_mutable_collection('attention') and not self.is_initializing():
            self.put_variable('attention', 'alpha', alpha)
        if self.hard:
            return maps[:, routing.argmax(-1)]
        return jnp.einsum('ij,bj...->bi...', alpha.astype(maps.dtype), maps)


def outer_temperature(network):
    """The temperature that a network is applied with, `{'extra': {'temperature': t}}` among its variables, or 1."""
    held = network.has_variable('extra', 'temperature')
    return network.get_variable('extra', 'temperature') if held else 1.0


def window_means(cells, size):
    """Matrix [size, cells] of `size` windows' means: window i from floor(i n / size) to ceil((i + 1) n / size)."""
    i, cell = np.arange(size)[:, None], np.arange(cells)
    inside = (cell >= i * cells // size) & (cell < -(-(i + 1) * cells // size))
    return (inside / inside.sum(1, keepdims=True)).astype(np.float32)


def adaptive_average(x, size):
    """[..., h, w, c] -> [..., size, size, c] as PyTorch's adaptive average pooling, which also enlarges."""
    rows, columns = (jnp.asarray(window_means(cells, size), x.dtype) for cells in x.shape[-3:-1])
    return jnp.einsum('ph,qw,...hwc->...pqc', rows, columns, x)


class Expert(nn.Module):
    """Twice 3x3 convolution with bias, BatchNorm, activation; then a 2x2 max-pool: [b, h/2, w/2, widths[-1]]."""
    widths: tuple[int, int]
    activation: Callable
    axis_name: str | None
    dtype: Any

    @nn.compact
    def __call__(self, x, train):
        for i, width in enumerate(self.widths, 1):
            x = Conv(width, 3, bias=True, dtype=self.dtype, name=f'conv{i}')(x)
            x = self.activation(BatchNorm(self.axis_name, name=f'norm{i}')(x, train))
        return nn.max_pool(x, (2, 2), (2, 2))


class Head(nn.Module):
    """Two hidden fully connected layers, each with activation and Dropout, and an output: [b, d] -> [b, outputs]."""
    hidden: int
    outputs: int
    activation: Callable
    dropout_rate: float
    axis_name: str | None
    dtype: Any

    @nn.compact
    def __call__(self, x, train):
        for i in (1, 2):
            x = nn.Dense(self.hidden, dtype=self.dtype, kernel_init=small_normal, name=f'linear{i}')(x)
            x = Dropout(self.dropout_rate, self.axis_name)(self.activation(x), train)
        return nn.Dense(self.outputs, dtype=self.dtype, kernel_init=small_normal, name='linear3')(x)


class HMETree(nn.Module):
    """The official code's tree: three levels of experts and a head for each class, all mixed by learnt routing.

    With 10 classes and 3 channels 2,993,922 parameters for outputs=1, 2,995,212 for outputs=2, routing included.
    `experts`: how many in each level; each halves h and w and gives `width` channels, those of the last level half.
    The heads read 7x7 maps (`adaptive_average`). outputs: numbers of a head, whose largest is the class's logit
    ("ce" and "nce" in the official code). Routing starts in U(0, 1) and has the temperature 0.5 t, where t comes
    with the variables (`outer_temperature`); the official code's softmax(log softmax(routing / 0.5) / t) is the
    same. hard: every child reads its strongest parent only and routing gets no gradient.

    images [b, h, w, c] -> logits float32 [b, k] and taps: `level1`, `level2`, `level3` [b, experts, h', w', c'];
    `outputs` [b, k, outputs]. Collection `attention`: `branch1`, ... each {'alpha': [children, parents]}.
    """
    num_classes: int
    width: int = 64
    experts: tuple[int, ...] = (2, 4, 8)
    outputs: int = 1
    hard: bool = False
    hidden: int = 128
    activation: Callable = nn.relu
    dropout_rate: float = 0.15
    axis_name: str | None = None
    dtype: Any = jnp.float32
    cam_tap = None
    group_taps = ()

    @nn.compact
    def __call__(self, images, train=False):
        temperature, taps = outer_temperature(self), Taps()
        children = (*self.experts[1:], self.num_classes)
        images = images.astype(self.dtype)
        x = jnp.broadcast_to(images[:, None], (len(images), self.experts[0], *images.shape[1:]))
        for level, (count, after) in enumerate(zip(self.experts, children), 1):
            widths = self.width, self.width // 2 if level == len(self.experts) else self.width
            maps = [Expert(widths, self.activation, self.axis_name, self.dtype, name=f'level{level}_{i + 1}')(
                x[:, i], train) for i in range(count)]
            maps = taps(f'level{level}', jnp.stack(maps, axis=1))
            x = Branch(after, 0.5, self.hard, name=f'branch{level}')(maps, temperature)
        x = adaptive_average(x, 7)
        numbers = [Head(self.hidden, self.outputs, self.activation, self.dropout_rate, self.axis_name, self.dtype,
                        name=f'head_{k + 1}')(flatten(x[:, k]), train) for k in range(self.num_classes)]
        numbers = taps('outputs', jnp.stack(numbers, axis=1).astype(jnp.float32))
        return numbers.max(-1), taps


class Group(nn.Module):
    """Two basic blocks of a ResNet, the first with `stride`: [b, h/stride, w/stride, width]."""
    width: int
    stride: int
    activation: Callable
    axis_name: str | None
    dtype: Any

    @nn.compact
    def __call__(self, x, train):
        for i, stride in enumerate((self.stride, 1), 1):
            block = Block(self.width, stride, self.activation, self.axis_name, self.dtype, name=f'block{i}')
            x = self.activation(block(x, train))
        return x


class HMEResNet18(nn.Module):
    """ResNet18 with its last three groups divided into `sub` thin ones each, and a binary task for each class.

    Stem and first group are whole, `width` channels. The groups of the second level have half of it and all read
    the first group; those of the third and fourth have `width` and twice `width` channels and read mixtures of the
    level before (`Branch`). Each class's two numbers come of its own mixture, pooled: the maps are pooled before
    they are mixed, which is the same, as both are linear, and cheaper. Routing starts at zero, every alpha alike,
    and has no weight decay, so all that is missing in its entropy was learnt; its temperature is tau t (t:
    `outer_temperature`). With 10 classes and 3 channels 2,975,388 parameters. Dropout, if any, follows each level.

    images [b, h, w, c] -> logits float32 [b, k], the first (positive) number of each class minus the second
    (negative); taps `stem`, `group1` [b, h, w, width], `group2`, `group3`, `group4` [b, sub, h', w', c'], `binary`
    [b, k, 2], the numbers. Collection `attention`: `branch1`, ... each {'alpha': [children, parents]}.
    """
    num_classes: int
    width: int = 64
    sub: int = 4
    tau: float = 1.0
    activation: Callable = nn.relu
    dropout_rate: float = 0.0
    axis_name: str | None = None
    dtype: Any = jnp.float32
    cam_tap = None
    group_taps = ()

    @nn.compact
    def __call__(self, images, train=False):
        temperature, taps = outer_temperature(self), Taps()

        def group(x, width, stride, name):
            return Group(width, stride, self.activation, self.axis_name, self.dtype, name=name)(x, train)

        def branch(maps, children, name):
            return Branch(children, self.tau, routing_init=nn.initializers.zeros, name=name)(maps, temperature)

        x = Conv(self.width, 3, dtype=self.dtype, name='stem_conv')(images)
        x = taps('stem', self.activation(BatchNorm(self.axis_name, name='stem_norm')(x, train)))
        x = taps('group1', group(x, self.width, 1, 'level1'))
        x = Dropout(self.dropout_rate, self.axis_name)(x, train)
        inputs = [x] * self.sub
        for level, width in enumerate((self.width // 2, self.width, 2 * self.width), 2):
            maps = [group(x, width, 2, f'level{level}_{i + 1}') for i, x in enumerate(inputs)]
            maps = taps(f'group{level}', jnp.stack(maps, axis=1))
            maps = Dropout(self.dropout_rate, self.axis_name)(maps, train)
            if level < 4:
                mixed = branch(maps, self.sub, f'branch{level - 1}')
                inputs = [mixed[:, i] for i in range(self.sub)]
        pooled = branch(maps.mean((2, 3)), self.num_classes, 'branch3')
        init, d = torch_uniform(pooled.shape[-1]), pooled.shape[-1]
        kernel = self.param('head_kernel', init, (self.num_classes, d, 2), jnp.float32)
        bias = self.param('head_bias', init, (self.num_classes, 2), jnp.float32)
        numbers = jnp.einsum('bkd,kdo->bko', pooled, kernel.astype(self.dtype)) + bias
        numbers = taps('binary', numbers.astype(jnp.float32))
        return numbers[..., 0] - numbers[..., 1], taps
