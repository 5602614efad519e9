"""Trained networks to be measured: one whose explanations are known, and ikd's with initial weights."""
import flax.linen as nn
import jax
import numpy as np

from ikd import data, models
from ikd.config import default
from ikd.trained import Trained
from ikd.validation import resolve


class Linear(nn.Module):
    """Logits that are linear in the pixels, so the gradient map of a class is its weights, whatever the image."""
    num_classes: int

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(self.num_classes)(images.reshape(len(images), -1)), {}


def random_weights(seed=0):
    """Of a linear network for the digits."""
    return np.random.default_rng(seed).normal(size=(64, 10)).astype(np.float32)


def trained_linear(weights, bias=0, dataset=None):
    """A Trained linear network with these weights; by default of the digits as they are, 8x8."""
    config = default()
    config.model.name = 'mlp'
    bias = np.broadcast_to(np.float32(bias), 10)
    variables = {'params': {'Dense_0': {'kernel': weights, 'bias': bias}}}
    return Trained(resolve(config), dataset or data.load('digits'), Linear(10), variables, 0)


def trained_of(name, explainer=None, seed=0):
    """A Trained network of ikd's with initial weights, for the digits as they are, 8x8."""
    config = default()
    config.update_from_flattened_dict({'model.name': name, 'method.explainer': explainer})
    model = models.create(name, 10)
    variables = {'batch_stats': {}, **models.init(model, jax.random.key(seed), (8, 8, 1))}
    return Trained(resolve(config), data.load('digits'), model, variables, 0)
