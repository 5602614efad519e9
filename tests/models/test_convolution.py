"""`convolve` is JAX's own convolution, whose gradient by the kernel goes another way on a CPU."""
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd.models.convolution import convolve, plain

SHAPES = [(9, 8, 3, 4, 1, 3), (9, 7, 3, 4, 2, 3), (8, 8, 3, 4, 2, 1), (10, 9, 2, 3, 3, 5), (8, 8, 2, 2, 2, 7),
          (3, 3, 1, 1, 1, 3)]


def draw(h, w, ci, co, size):
    numbers = np.random.default_rng(0)
    return (numbers.normal(size=shape).astype(np.float32) for shape in ((5, h, w, ci), (size, size, ci, co)))


def loss(f, stride, size):
    """Both gradients depend on x and on the kernel."""
    return lambda x, kernel: jnp.sin(f(jnp.tanh(x), kernel, stride, size // 2)).sum()


@pytest.mark.parametrize('h, w, ci, co, stride, size', SHAPES)
def test_gradients_are_those_of_jax(h, w, ci, co, stride, size):
    x, kernel = draw(h, w, ci, co, size)
    for by in (0, 1, (0, 1)):
        ours, jaxs = (jax.jit(jax.grad(loss(f, stride, size), by))(x, kernel) for f in (convolve, plain))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, jaxs)


def test_the_gradient_by_the_kernel_in_closed_form():
    """The convolution is linear in its kernel: the sum of g y changes with an entry by g times the y of a unit."""
    x, kernel = draw(6, 5, 2, 3, 3)
    g = np.random.default_rng(1).normal(size=(5, 3, 3, 3)).astype(np.float32)
    found = jax.grad(lambda kernel: (g * convolve(x, kernel, 2, 1)).sum())(kernel)
    units = np.eye(kernel.size, dtype=np.float32).reshape(-1, *kernel.shape)
    expected = [(g * plain(x, unit, 2, 1)).sum() for unit in units]
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_either_way_of_transposing_gives_the_same(value):
    """The first number of an image decides which is taken, and is not finite here."""
    x, kernel = draw(6, 6, 2, 3, 3)
    x[0, 0, 0, 0] = value
    ours, jaxs = (jax.grad(lambda kernel: f(x, kernel, 1, 1).sum())(kernel) for f in (convolve, plain))
    np.testing.assert_allclose(ours, jaxs, rtol=1e-5)
    assert np.isnan(ours).any() or np.isinf(ours).any()


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('by', [0, 1])
@pytest.mark.parametrize('its_x, its_kernel', [(0, 0), (0, None), (None, 0)])
def test_each_trial_of_several(by, its_x, its_kernel, stride):
    """Under vmap, as trials are trained together: with x and kernels of their own, or one of them in common."""
    x, kernel = draw(8, 8, 3, 4, 3)
    x, kernel = (array if its is None else np.stack([array, 2 * array, -array])
                 for array, its in ((x, its_x), (kernel, its_kernel)))
    ours, jaxs = (jax.vmap(jax.grad(loss(f, stride, 3), by), (its_x, its_kernel))(x, kernel)
                  for f in (convolve, plain))
    np.testing.assert_allclose(ours, jaxs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('by, axes', [(0, (None, 0)), (1, (0, None))])
def test_each_trial_of_several_of_a_sum(by, axes):
    """Whose gradient by what the convolution gives is the same for all, though images or kernels are not."""
    x, kernel = (array if axis is None else np.stack([array, 2 * array, -array])
                 for array, axis in zip(draw(8, 8, 3, 4, 3), axes))
    ours, jaxs = (jax.vmap(jax.grad(lambda x, kernel: f(x, kernel, 2, 1).sum(), by), axes)(x, kernel)
                  for f in (convolve, plain))
    np.testing.assert_allclose(ours, jaxs, rtol=1e-5, atol=1e-5)


def test_for_a_map_nothing_is_kept_but_the_kernel():
    """Of the images, which the gradient by them does not need, no more than their shape."""
    def kept(learns):
        _, back = jax.vjp(lambda x, kernel: convolve(x, learns(kernel), 1, 1), *draw(8, 8, 3, 4, 3))
        return {leaf.shape for leaf in jax.tree.leaves(back) if leaf.size}

    assert kept(jax.lax.stop_gradient) == {(3, 3, 3, 4)} < kept(lambda kernel: kernel)


def test_trials_together_have_no_grouped_convolutions_and_classes_are_one_batch():
    """Two trials' forward pass and both gradients, with three classes' maps: eight convolutions, none grouped."""
    x, kernel = draw(8, 8, 3, 4, 3)

    def trial(x, kernel):
        _, back = jax.vjp(lambda x: convolve(x, jax.lax.stop_gradient(kernel), 1, 1), x)
        maps = jax.vmap(lambda g: back(g)[0])(jnp.ones((3, 5, 8, 8, 4)))
        return maps, jax.grad(loss(convolve, 1, 3), (0, 1))(x, kernel)

    x, kernel = jnp.stack([x, x]), jnp.stack([kernel, 2 * kernel])
    text = jax.jit(jax.vmap(trial)).trace(x, kernel).lower(lowering_platforms=('cuda',)).as_text()
    assert len(re.findall('stablehlo.convolution', text)) == 8
    assert 'feature_group_count = 1' in text and not re.search(r'group_count = (?!1\b)', text)
    forward = jax.vmap(lambda x: convolve(x, kernel[0], 1, 1))  # of what has a kernel in common
    assert str(jax.make_jaxpr(forward)(x)).count('conv_general_dilated[') == 1


@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('by', [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_second_derivatives_are_those_of_jax(by, stride):
    """Of a function of the first derivative, by either argument: objectives may learn through maps."""
    x, kernel = draw(6, 5, 2, 3, 3)

    def steepness(f):
        return lambda *args: jnp.square(jax.grad(loss(f, stride, 3), by[0])(*args)).sum()

    ours, jaxs = (jax.jit(jax.grad(steepness(f), by[1]))(x, kernel) for f in (convolve, plain))
    np.testing.assert_allclose(ours, jaxs, rtol=1e-4, atol=1e-4)


def test_transpositions_stand_alone():
    """Compiled, no loop has both a transposition and the ReLU before the convolution; JAX's own way has."""
    def merged(f):
        step = jax.jit(jax.grad(lambda kernel, x: jnp.sin(f(jax.nn.relu(3 * x - 1), kernel, 1, 1)).sum()))
        shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in ((3, 3, 16, 16), (128, 32, 32, 16))]
        text = step.lower(*shapes).compile().as_text()
        return [part for part in re.split(r'\n\n', text) if ' transpose(' in part and ' maximum(' in part
                and 'ENTRY' not in part]

    assert merged(plain) and not merged(convolve)


@pytest.mark.parametrize('platform, own', [('cpu', True), ('cuda', False), ('tpu', False)])
def test_the_gradient_by_the_kernel_goes_its_own_way_on_a_cpu_only(platform, own):
    """Its transpositions, which turn images about, would only cost time elsewhere."""
    x, kernel = draw(8, 8, 3, 4, 3)
    gradient = jax.jit(jax.grad(lambda kernel: convolve(x, kernel, 1, 1).sum()))
    assert ('stablehlo.reverse' in gradient.trace(kernel).lower(lowering_platforms=(platform,)).as_text()) == own
