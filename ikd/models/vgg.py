"""VGG8 with BatchNorm, a student in KDExplainer (Xue et al. 2021), after the code of Tian et al. 2020."""
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ikd.models.layers import BatchNorm, Conv, Dropout, Taps


class VGG8(nn.Module):
    """Five 3x3 convolutions with bias, BatchNorm, ReLU, of 1, 2, 4, 8, 8 times `width` channels; a linear layer.

    The first three are followed by a 2x2 max-pool, the last by a global average: 3,918,858 parameters with 10 classes
    and 3 channels. images [b, h, w, c] -> logits [b, k] and taps: `group1`...`group5` (after the ReLU, before the
    pool), `pooled`. Dropout, if any, follows each group. vam_block: virtual attention from the second group on.
    """
    num_classes: int
    width: int = 64
    vam_block: int = 0
    activation: Callable = nn.relu
    dropout_rate: float = 0.0
    axis_name: str | None = None
    dtype: Any = jnp.float32
    cam_tap = 'group5'
    group_taps = ('group1', 'group2', 'group3', 'group4', 'group5')

    @nn.compact
    def __call__(self, images, train=False):
        taps = Taps()
        x = images
        for group, times in enumerate((1, 2, 4, 8, 8), 1):
            x = Conv(times * self.width, 3, bias=True, block=self.vam_block if group > 1 else 0, dtype=self.dtype,
                     name=f'conv{group}')(x)
            x = taps(f'group{group}', self.activation(BatchNorm(self.axis_name, name=f'norm{group}')(x, train)))
            if group <= 3:
                x = nn.max_pool(x, (2, 2), (2, 2))
            x = Dropout(self.dropout_rate, self.axis_name)(x, train)
        x = taps('pooled', x.mean((1, 2)))
        x = nn.Dense(self.num_classes, dtype=self.dtype, kernel_init=nn.initializers.normal(0.01), name='linear')(x)
        return x.astype(jnp.float32), taps
