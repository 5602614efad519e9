"""Class activation maps against their equations, by derivatives of whole networks and plain loops."""
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd import models
from ikd.explainers import explain
from ikd.models import head
from tests.models.filled import filled

TAPS = ('conv1', 'conv2', 'flat')


@pytest.fixture(scope='module')
def grey(digits):
    return 2 * digits[0][:2, ::4, ::4, :1] - 0.5


@pytest.fixture(scope='module')
def network(grey):
    model = models.create('cnn2', 3)
    return model, filled(model, grey.shape[1:])


@pytest.fixture(scope='module')
def gradients(network, grey):
    """gradients(tap): d a_k / d A [b, k, h', w', c'] by jax.jacrev of the part behind, and A, in float64."""
    def of(tap):
        model, variables = network
        value = model.apply(variables, grey)[1][tap]
        behind = lambda one: head(model, variables, grey[:1], tap)(one[None])[0]
        return np.float64(jax.jit(jax.vmap(jax.jacrev(behind)))(value)), np.float64(value)

    return of


def maps_of(name, network, images, **options):
    return np.asarray(jax.jit(partial(explain, name, network[0], **options))(network[1], images))


def test_grad_cam_sums_in_float32(grey):
    """The weights of a map before a mean of 64 positions are, in bfloat16 too, the head's own to its rounding."""
    model = models.create('resnet8', 3, dtype=jnp.bfloat16)
    images = jnp.asarray(np.tile(grey, (1, 16, 16, 1)))[:, :32, :32]
    variables = filled(model, images.shape[1:])
    found, features = jax.jit(lambda variables: (explain('grad_cam', model, variables, images, relu=False),
                                                 model.apply(variables, images)[1]['group3']))(variables)
    kernel = np.float64(variables['params']['linear']['kernel'])
    expected = np.einsum('bhwc,ck->bkhw', np.float64(features), kernel) / 64
    assert abs(found - expected).max() < 0.004 * abs(expected).max()


def test_grad_cam_of_a_convolution_that_a_shortcut_goes_past(grey):
    """By what is added to its output, in the whole network on the image itself."""
    model = models.create('resnet8', 3)
    variables = filled(model, grey.shape[1:])

    def logits(added, image):
        kept = []

        def add(call, args, kwargs, context):
            if context.module.path != ('block3_1', 'conv2') or context.method_name != '__call__':
                return call(*args, **kwargs)
            kept.append(call(*args, **kwargs))
            return kept[0] + added

        with nn.intercept_methods(add):
            return model.apply(variables, image[None])[0][0], kept[0][0]

    nothing = jnp.zeros(jax.eval_shape(model.apply, variables, grey)[1]['group3_conv'].shape[1:])
    g, features = jax.jit(jax.vmap(jax.jacrev(logits, has_aux=True), (None, 0)))(nothing, grey)
    expected = np.einsum('bkc,bhwc->bkhw', np.float64(g).mean((2, 3)), np.float64(features))
    assert abs(expected).min() > 0
    found = maps_of('grad_cam', (model, variables), grey, tap='group3_conv', relu=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())


@pytest.mark.parametrize('tap', ['conv1', 'conv2'])
def test_layer_cam(network, gradients, grey, tap):
    g, features = gradients(tap)
    expected = (np.maximum(g, 0) * features[:, None]).sum(-1)
    assert expected.max() > 0
    np.testing.assert_allclose(maps_of('layer_cam', network, grey, tap=tap), expected, rtol=1e-4, atol=1e-6)


def test_grad_cam_plus_plus_is_equation_19(network, gradients, grey):
    """alpha from the derivatives of exp(a_k), which are taken by autodiff along each element of A; up to exp(a_k)."""
    model, variables = network
    g, features = gradients('conv2')
    behind = head(model, variables, grey[:1], 'conv2')

    def derivatives(value, k, place):
        """First, second and third derivative of exp(a_k) by one element of A."""
        element = jax.nn.one_hot(place, value.size).reshape(value.shape)
        score = lambda t: jnp.exp(behind((value + t * element)[None])[0, k])
        first = jax.grad(score)
        return first(0.0), jax.grad(first)(0.0), jax.grad(jax.grad(first))(0.0)

    by_place = jax.jit(jax.vmap(jax.vmap(derivatives, (None, None, 0)), (None, 0, None)))
    scores = np.exp(np.float64(jax.jit(behind)(np.float32(features))))
    found = maps_of('grad_cam_plus_plus', network, grey, relu=False)
    for value, score, maps in zip(features, scores, found):
        first, second, third = (np.float64(d).reshape(3, *value.shape) for d in by_place(
            np.float32(value), np.arange(3), np.arange(value.size)))
        under = 2 * second + value.sum((0, 1)) * third
        alpha = np.where(under != 0, second / np.where(under != 0, under, 1), 0)
        weights = (alpha * np.maximum(first, 0)).sum((1, 2)) / score[:, None]
        np.testing.assert_allclose(maps, np.einsum('kc,hwc->khw', weights, value), rtol=1e-3, atol=1e-5)


def test_guided_grad_cam_is_their_product(network, grey):
    names = 'grad_cam', 'guided_backprop', 'guided_grad_cam'
    cam, guided, both = jax.jit(lambda x: [explain(name, *network, x, class_chunk=3) for name in names])(grey)
    expected = guided * jax.image.resize(cam, (2, 3, 8, 8), 'bilinear')[..., None]
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(both, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('name', ['grad_cam_plus_plus', 'layer_cam'])
def test_without_the_last_relu_maps_may_be_negative(network, grey, name):
    """Where the feature map itself is, as without an activation."""
    linear = network[0].clone(activation=lambda x: x), network[1]
    signed, rectified = (maps_of(name, linear, grey, relu=relu) for relu in (False, True))
    assert signed.min() < 0 < signed.max()
    np.testing.assert_array_equal(rectified, np.maximum(signed, 0))
