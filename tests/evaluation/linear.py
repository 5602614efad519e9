"""A network whose explanations are known."""
import flax.linen as nn


class Linear(nn.Module):
    """Logits that are linear in the pixels, so the gradient map of a class is its weights, whatever the image."""
    num_classes: int

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1)), {}
