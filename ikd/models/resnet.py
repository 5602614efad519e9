"""ResNets for small images: 3x3 stem, groups of blocks, projection shortcuts (type B).

He et al. 2016, section 4.2, of depth 6n + 2, but with shortcuts that project where shapes differ, as in Mirzadeh et
al. 2020 (TAKD), which 2009.09140 follows: ResNet8, 14, 20, 26; and ResNet18 and 50 with the same stem, as in
KDExplainer's code (Xue et al. 2021).
"""
from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ikd.models.layers import BatchNorm, Conv, Dropout, Taps, linear


class Block(nn.Module):
    """Two 3x3 convolutions and a shortcut; the activation after the sum is left to the caller.

    bottleneck: instead 1x1, 3x3 with the stride, 1x1 to four times the width. vam_block: of the 3x3 convolutions.
    tap: a function of what the last convolution gives, whose value goes on in its place; or None.
    """
    width: int
    stride: int
    activation: Callable
    axis_name: str | None
    dtype: Any
    bottleneck: bool = False
    vam_block: int = 0

    @nn.compact
    def __call__(self, x, train, tap=None):
        plan = [(self.width, 3, self.stride), (self.width, 3, 1)]
        if self.bottleneck:
            plan = [(self.width, 1, 1), (self.width, 3, self.stride), (4 * self.width, 1, 1)]
        y = x
        for i, (width, size, stride) in enumerate(plan, 1):
            block = self.vam_block if size == 3 else 0
            y = Conv(width, size, stride, block=block, dtype=self.dtype, name=f'conv{i}')(y)
            y = tap(y) if tap and i == len(plan) else y
            y = BatchNorm(self.axis_name, name=f'norm{i}')(y, train)
            y = self.activation(y) if i < len(plan) else y
        if x.shape != y.shape:
            x = Conv(y.shape[-1], 1, self.stride, dtype=self.dtype, name='shortcut')(x)
            x = BatchNorm(self.axis_name, name='shortcut_norm')(x, train)
        return x + y


class ResNet(nn.Module):
    """Stem, groups of `blocks` blocks whose width doubles while the image halves, global average pool, linear.

    ResNet8, 14, 20, 26 (blocks (n, n, n), width 16): 78,042 / 175,258 / 272,474 / 369,690 parameters with 10 classes
    and 3 channels; ResNet18 (2, 2, 2, 2) 11,173,962, ResNet50 (3, 4, 6, 3) with bottlenecks 23,520,842, width 64.
    images [b, h, w, c] -> logits [b, k] and taps: `stem`, `group1`, `group2`... (after the last activation of each;
    `group1_sum`... before it; `group1_conv`... the last convolution alone, before BatchNorm and the shortcut, which
    goes past it), `pooled` [b, channels]. Dropout, if any, follows each group. vam_block: virtual attention in the
    3x3 convolutions from the second group on.
    """
    num_classes: int
    blocks: tuple[int, ...]
    width: int = 16
    bottleneck: bool = False
    vam_block: int = 0
    activation: Callable = nn.relu
    dropout_rate: float = 0.0
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @property
    def group_taps(self):
        return tuple(f'group{i + 1}' for i in range(len(self.blocks)))

    @property
    def cam_tap(self):
        return self.group_taps[-1]

    @nn.compact
    def __call__(self, images, train=False):
        taps = Taps()
        x = Conv(self.width, 3, dtype=self.dtype, name='stem_conv')(images)
        x = taps('stem', self.activation(BatchNorm(self.axis_name, name='stem_norm')(x, train)))
        for group, count in enumerate(self.blocks, 1):
            width, vam_block = self.width * 2 ** (group - 1), self.vam_block if group > 1 else 0
            for i in range(count):
                stride, last = 2 if group > 1 and i == 0 else 1, i == count - 1
                block = Block(width, stride, self.activation, self.axis_name, self.dtype, self.bottleneck, vam_block,
                              name=f'block{group}_{i + 1}')
                x = block(x, train, partial(taps, f'group{group}_conv') if last else None)
                x = self.activation(taps(f'group{group}_sum', x) if last else x)
            x = taps(f'group{group}', x)
            x = Dropout(self.dropout_rate, self.axis_name)(x, train)
        x = taps('pooled', x.mean((1, 2)))
        return linear(x, self.num_classes, self.dtype, name='linear').astype(jnp.float32), taps
