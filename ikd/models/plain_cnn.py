"""The plain convolutional networks of 2009.09140, section 3.

The paper says how many convolutions, and that max-pooling and a fully connected layer follow; the layouts are those
of the plain networks of the same depths for CIFAR-10 in Mirzadeh et al. 2020 (TAKD), of which 8 and 10 have a second
fully connected layer; for CIFAR-100 some of theirs are wider or pool less.
"""
import itertools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ikd.models.layers import BatchNorm, Conv, Dropout, Taps, flatten, linear, torch_uniform

# (widths of the convolutions between two max-pools, ...), widths of the hidden fully connected layers
LAYOUTS = {
    2: (((16,), (16,)), ()),
    4: (((16, 16), (32, 32)), ()),
    6: (((16, 16), (32, 32), (64, 64)), ()),
    8: (((16, 16), (32, 32), (64, 64), (128, 128)), (64,)),
    10: (((32, 32), (64, 64), (128, 128), (256, 256, 256, 256)), (128,)),
}


class PlainCNN(nn.Module):
    """3x3 convolutions with bias, BatchNorm and ReLU; a 2x2 max-pool after each group; fully connected end.

    Depth 6, 8 and 10 have 82,778, 327,962 and 2,487,850 parameters on 32x32x3 with 10 classes.
    images [b, h, w, c] -> logits [b, k] and taps: `conv1`... [b, h', w', c'] after each ReLU, before pooling;
    `flat` [b, d], the input of the fully connected layers. Dropout, if any, follows each max-pool. vam_block: virtual
    attention from the second group on.
    """
    num_classes: int
    depth: int
    vam_block: int = 0
    activation: Callable = nn.relu
    dropout_rate: float = 0.0
    axis_name: str | None = None
    dtype: Any = jnp.float32

    @property
    def group_taps(self):
        return tuple(f'conv{last}' for last in itertools.accumulate(map(len, LAYOUTS[self.depth][0])))

    @property
    def cam_tap(self):
        return self.group_taps[-1]

    @nn.compact
    def __call__(self, images, train=False):
        groups, hidden = LAYOUTS[self.depth]
        taps = Taps()
        x = images
        for group, widths in enumerate(groups, 1):
            for width in widths:
                init = torch_uniform(9 * x.shape[-1])
                x = Conv(width, 3, bias=True, kernel_init=init, bias_init=init, dtype=self.dtype,
                         block=self.vam_block if group > 1 else 0)(x)
                x = self.activation(BatchNorm(self.axis_name)(x, train))
                x = taps(f'conv{len(taps) + 1}', x)
            x = nn.max_pool(x, (2, 2), (2, 2))
            x = Dropout(self.dropout_rate, self.axis_name)(x, train)
        x = taps('flat', flatten(x))
        for width in hidden:
            x = self.activation(linear(x, width, self.dtype))
        return linear(x, self.num_classes, self.dtype).astype(jnp.float32), taps
