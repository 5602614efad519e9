"""CIFAR ResNets of depth 6n+2 (He et al. 2016, section 4.2), with projection shortcuts (type B).

2009.09140 follows Mirzadeh et al. 2020 (TAKD), whose networks these are: ResNet8, 14, 20, 26.
"""
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ikd.models.layers import BatchNorm, Dropout, Taps, linear

he_normal_fan_out = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


def conv(x, width, size, stride, dtype, name):
    """size x size convolution without bias, padded symmetrically as PyTorch does (also at stride 2)."""
    pad = size // 2
    return nn.Conv(width, (size, size), stride, ((pad, pad), (pad, pad)), use_bias=False, dtype=dtype,
                   kernel_init=he_normal_fan_out, name=name)(x)


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; the activation after the sum is left to the caller."""
    width: int
    stride: int
    activation: Callable
    axis_name: str | None
    dtype: Any

    @nn.compact
    def __call__(self, x, train):
        y = conv(x, self.width, 3, self.stride, self.dtype, 'conv1')
        y = self.activation(BatchNorm(self.axis_name, name='norm1')(y, train))
        y = BatchNorm(self.axis_name, name='norm2')(conv(y, self.width, 3, 1, self.dtype, 'conv2'), train)
        if x.shape != y.shape:
            x = conv(x, self.width, 1, self.stride, self.dtype, 'shortcut')
            x = BatchNorm(self.axis_name, name='shortcut_norm')(x, train)
        return x + y


class ResNet(nn.Module):
    """Stem and three groups of (depth - 2) / 6 blocks, widths 16, 32, 64, global average pool, linear.

    Depth 8, 14, 20, 26: 78,042 / 175,258 / 272,474 / 369,690 parameters with 10 classes and 3 channels.
    images [b, h, w, c] -> logits [b, k] and taps: `stem`, `group1`, `group2`, `group3` (after the last
    activation of each; `group1_sum`... before it; at h, h, h/2, h/4), `pooled` [b, 64]. Dropout, if any, follows
    each group.
    """
    num_classes: int
    depth: int
    activation: Callable = nn.relu
    dropout_rate: float = 0.0
    axis_name: str | None = None
    dtype: Any = jnp.float32
    cam_tap = 'group3'

    @nn.compact
    def __call__(self, images, train=False):
        taps = Taps()
        x = conv(images.astype(self.dtype), 16, 3, 1, self.dtype, 'stem_conv')
        x = taps('stem', self.activation(BatchNorm(self.axis_name, name='stem_norm')(x, train)))
        blocks = (self.depth - 2) // 6
        for group, width in enumerate((16, 32, 64), 1):
            for i in range(blocks):
                stride = 2 if group > 1 and i == 0 else 1
                x = Block(width, stride, self.activation, self.axis_name, self.dtype, name=f'block{group}_{i + 1}')(
                    x, train)
                if i == blocks - 1:
                    x = taps(f'group{group}_sum', x)
                x = self.activation(x)
            x = taps(f'group{group}', x)
            x = Dropout(self.dropout_rate, self.axis_name)(x, train)
        x = taps('pooled', x.mean((1, 2)))
        return linear(x, self.num_classes, self.dtype, name='linear').astype(jnp.float32), dict(taps)
