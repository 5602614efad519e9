"""The multilayer perceptron of 2009.09140, section 5.1 (MNIST)."""
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from ikd.models.layers import Dropout, Taps, flatten, linear


class MLP(nn.Module):
    """784-1024-1024-10 with ReLU: 1,863,690 parameters on MNIST.

    images [b, h, w, c] -> logits [b, k] and taps `hidden1`, `hidden2` [b, 1024] (after the activation, before
    Dropout). Dropout, if any, follows each hidden activation. It has no BatchNorm; `train` is for Dropout.
    """
    num_classes: int
    widths: tuple[int, ...] = (1024, 1024)
    activation: Callable = nn.relu
    dropout_rate: float = 0.0
    axis_name: str | None = None
    dtype: Any = jnp.float32
    cam_tap = None  # no feature map, so no Grad-CAM

    @property
    def group_taps(self):
        return tuple(f'hidden{i + 1}' for i in range(len(self.widths)))

    @nn.compact
    def __call__(self, images, train=False):
        taps = Taps()
        x = flatten(images).astype(self.dtype)
        for i, width in enumerate(self.widths, 1):
            x = taps(f'hidden{i}', self.activation(linear(x, width, self.dtype)))
            x = Dropout(self.dropout_rate, self.axis_name)(x, train)
        return linear(x, self.num_classes, self.dtype).astype(jnp.float32), taps
