"""Wide residual networks (Zagoruyko and Komodakis 2016), students in KDExplainer (Xue et al. 2021)."""
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ikd.models.layers import BatchNorm, Conv, Dropout, Taps, linear


class WideBlock(nn.Module):
    """Twice BatchNorm, activation, 3x3 convolution; the shortcut projects the activated input where widths differ."""
    width: int
    stride: int
    activation: Callable
    axis_name: str | None
    dtype: Any
    vam_block: int = 0

    @nn.compact
    def __call__(self, x, train):
        def conv(x, stride, name):
            return Conv(self.width, 3, stride, block=self.vam_block, dtype=self.dtype, name=name)(x)

        activated = self.activation(BatchNorm(self.axis_name, name='norm1')(x, train))
        y = conv(activated, self.stride, 'conv1')
        y = conv(self.activation(BatchNorm(self.axis_name, name='norm2')(y, train)), 1, 'conv2')
        if x.shape[-1] != self.width:
            x = Conv(self.width, 1, self.stride, dtype=self.dtype, name='shortcut')(activated)
        return x + y


class WideResNet(nn.Module):
    """WRN-depth-widen: three groups of (depth - 4) / 6 pre-activation blocks, `widen` times 16, 32, 64 channels.

    WRN-16-2: 691,674, WRN-40-1: 563,930 parameters with 10 classes and 3 channels. images [b, h, w, c] -> logits
    [b, k] and taps: `stem`, `group1`, `group2`, `group3` (sums, not activated, as attention transfer takes them),
    `last` (after the last BatchNorm and activation), `pooled`. Dropout, if any, follows each group. Convolutions
    start He normal by fan-out, the last layer with a bias of zero. vam_block: virtual attention from the second group
    on.
    """
    num_classes: int
    depth: int
    widen: int
    width: int = 16
    vam_block: int = 0
    activation: Callable = nn.relu
    dropout_rate: float = 0.0
    axis_name: str | None = None
    dtype: Any = jnp.float32
    cam_tap = 'last'
    group_taps = ('group1', 'group2', 'group3')

    @nn.compact
    def __call__(self, images, train=False):
        taps = Taps()
        x = taps('stem', Conv(self.width, 3, dtype=self.dtype, name='stem_conv')(images))
        for group in (1, 2, 3):
            width = self.width * self.widen * 2 ** (group - 1)
            for i in range((self.depth - 4) // 6):
                x = WideBlock(width, 2 if group > 1 and i == 0 else 1, self.activation, self.axis_name, self.dtype,
                              self.vam_block if group > 1 else 0, name=f'block{group}_{i + 1}')(x, train)
            x = taps(f'group{group}', x)
            x = Dropout(self.dropout_rate, self.axis_name)(x, train)
        x = taps('last', self.activation(BatchNorm(self.axis_name, name='last_norm')(x, train)))
        x = taps('pooled', x.mean((1, 2)))
        return linear(x, self.num_classes, self.dtype, name='linear', bias_init=nn.initializers.zeros).astype(
            jnp.float32), taps
