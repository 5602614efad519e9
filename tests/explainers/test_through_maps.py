"""Maps can be learnt through: their derivatives by a network's parameters are those that they have."""
import jax
import numpy as np
import pytest

from ikd import data, models
from ikd.explainers import EXPLAINERS

FEW = {'smooth_grad': {'samples': 2}, 'integrated_gradients': {'steps': 2}}


@pytest.mark.parametrize('name', EXPLAINERS)
def test_derivatives_by_the_parameters(name):
    """The gradient is as long as the difference quotient along it says.

    In float64 but for what the network computes in float32: its logits and BatchNorm. No ReLU turns so near.
    """
    images, draw, h = data.load('digits').test_images[:2] / 255, np.random.default_rng(0), 1e-4
    with jax.enable_x64(True):
        model = models.create('cnn2', 3, dtype=np.float64)
        variables = jax.tree.map(np.float64, jax.device_get(models.init(model, jax.random.key(0), images.shape[1:])))

        def maps(params):
            return EXPLAINERS[name](model, {**variables, 'params': params}, images, **FEW.get(name, {}))

        params = variables['params']
        weights = draw.normal(size=jax.eval_shape(maps, params).shape)
        value = jax.jit(lambda params: (weights * maps(params)).sum())
        gradient = jax.grad(value)(params)
        length = float(sum((leaf ** 2).sum() for leaf in jax.tree.leaves(gradient))) ** 0.5
        ahead, behind = (value(jax.tree.map(lambda leaf, step: leaf + t / length * step, params, gradient))
                         for t in (h, -h))
        quotient = float(ahead - behind) / (2 * h)
    np.testing.assert_allclose(length, quotient, rtol=1e-2)
