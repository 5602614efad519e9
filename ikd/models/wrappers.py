"""Networks with what one stage adds to them; the network's own parameters keep their places."""
import flax.linen as nn
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.models.layers import Tap, he_normal_fan_out


class Peers(nn.Module):
    """A network and a peer of the same kind from other initial weights (deep mutual learning).

    images [b, h, w, c] -> logits [b, 2, k] of both, and the first's taps. The peer's variables lie under `peer`, the
    network's where they are without one, so it starts as it would alone.
    """
    network: nn.Module

    def setup(self):
        nn.share_scope(self, self.network)
        self.peer = self.network.clone(parent=None)

    @property
    def num_classes(self):
        return self.network.num_classes

    def __call__(self, images, train=False):
        (logits, taps), (others, _) = self.network(images, train), self.peer(images, train)
        return jnp.stack([logits, others], 1), taps


class Regressed(nn.Module):
    """A network whose tap goes through a regressor, 1x1 convolution with bias and ReLU, to the tap `hint`.

    As in FitNets (Romero et al. 2015), where the guided layer and the hint have unlike numbers of channels. `width`:
    the hint's. The convolution's variables lie under `regressor`. InputError if the network has no such tap.
    """
    network: nn.Module
    tap: str
    width: int

    def setup(self):
        nn.share_scope(self, self.network)
        self.regressor = nn.Dense(self.width, kernel_init=he_normal_fan_out)
        self.hint = Tap()

    @property
    def num_classes(self):
        return self.network.num_classes

    def __call__(self, images, train=False):
        logits, taps = self.network(images, train)
        if self.tap not in taps:
            raise InputError(f"no tap '{self.tap}' in {type(self.network).__name__}; set features.tap to one of: "
                             f"{', '.join(taps)}")
        return logits, {**taps, 'hint': self.hint(nn.relu(self.regressor(taps[self.tap])))}
