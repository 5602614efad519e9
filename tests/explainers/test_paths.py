"""SmoothGrad and Integrated Gradients against loops over jax.grad, and what they promise."""
from functools import partial

import jax
import numpy as np
import pytest

from ikd import keys, models
from ikd.errors import InputError
from ikd.explainers import explain, passes
from tests.models.filled import filled


@pytest.fixture(scope='module')
def grey(digits):
    return 2 * digits[0][:3, ::4, ::4, :1] - 0.5


@pytest.fixture(scope='module')
def network(grey):
    model = models.create('mlp', 3, widths=(16, 12))
    return model, filled(model, grey.shape[1:])


@pytest.fixture(scope='module')
def gradients(network):
    """gradients(images): d a_k / d x of every class by jax.jacrev: [b, k, h, w, c]."""
    model, variables = network
    return jax.jit(jax.vmap(jax.jacrev(lambda x: model.apply(variables, x[None])[0][0])))


def maps_of(name, network, images, **options):
    return np.asarray(jax.jit(partial(explain, name, network[0], **options))(network[1], images))


@pytest.mark.parametrize('baseline', [0.0, -0.5, np.linspace(-1, 1, 64, dtype=np.float32).reshape(8, 8, 1)])
def test_integrated_gradients_are_a_mean_on_the_way(network, gradients, grey, baseline):
    steps = 5
    total = sum(gradients(baseline + (i + 0.5) / steps * (grey - baseline)) for i in range(steps))
    expected = (grey - baseline)[:, None] * total / steps
    found = maps_of('integrated_gradients', network, grey, steps=steps, baseline=baseline)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('steps, most', [(8, 0.2), (512, 0.01)])
def test_integrated_gradients_are_complete(network, grey, steps, most):
    """They add up to what the logit gains on the way, the more exactly the more steps there are."""
    model, variables = network
    gain = model.apply(variables, grey)[0] - model.apply(variables, np.full_like(grey, -0.5))[0]
    found = maps_of('integrated_gradients', network, grey, steps=steps, baseline=-0.5).sum((2, 3, 4))
    assert np.abs(found - gain).max() < most * np.abs(gain).max()


def test_integrated_gradients_of_a_linear_network_need_one_step(grey):
    model = models.create('mlp', 3, widths=())
    network = model, filled(model, grey.shape[1:])
    kernel = network[1]['params']['Dense_0']['kernel']
    expected = (grey.reshape(3, 1, -1) * kernel.T).reshape(3, 3, 8, 8, 1)
    found = maps_of('integrated_gradients', network, grey, steps=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_smooth_grad_is_a_mean_over_noise(network, gradients, grey):
    """The same noise: of a key of its own for each place in the batch, scaled by that image's range."""
    key = jax.random.key(7)
    found = maps_of('smooth_grad', network, grey, samples=4, noise=0.2, key=key)
    for image, maps, example_key in zip(grey, found, keys.per_example(key, 3)):
        noisy = image + 0.2 * (image.max() - image.min()) * jax.random.normal(example_key, (4, 8, 8, 1))
        np.testing.assert_allclose(maps, gradients(noisy).mean(0), rtol=1e-4, atol=1e-5)


def test_smooth_grad_without_noise_is_grad_and_with_it_depends_on_the_key(network, gradients, grey):
    silent = maps_of('smooth_grad', network, grey, noise=0.0)
    np.testing.assert_allclose(silent, gradients(grey), rtol=1e-4, atol=1e-6)
    first, second, other = (maps_of('smooth_grad', network, grey, key=key)
                            for key in (None, None, jax.random.key(1)))
    np.testing.assert_array_equal(first, second)
    assert np.any(first != other)


@pytest.mark.parametrize('platform', ['cpu', 'gpu'])
def test_points_a_few_at_a_time_give_the_same_maps(network, grey, monkeypatch, platform):
    """Unrolled and in a loop; 3 does not divide the 8 points."""
    whole = maps_of('integrated_gradients', network, grey, steps=8)
    monkeypatch.setattr(passes.jax, 'default_backend', lambda: platform)
    for points_at_once in (1, 3, 4):
        found = maps_of('integrated_gradients', network, grey, steps=8, points_at_once=points_at_once)
        np.testing.assert_allclose(found, whole, rtol=1e-4, atol=1e-6)
    loops = str(jax.make_jaxpr(partial(explain, 'integrated_gradients', network[0], steps=8, points_at_once=2))(
        network[1], grey))
    assert ('scan' in loops) == (platform == 'gpu')


def test_no_pass_has_more_images_than_about_a_thousand():
    assert passes.rows_at_once(None, 250) == 4 and passes.rows_at_once(None, 5000) == 1
    assert passes.rows_at_once(7, 5000) == 7
    for none in 0, -1:
        with pytest.raises(InputError, match='at once; it must be at least 1, or None'):
            passes.rows_at_once(none, 250)


@pytest.mark.parametrize('name, option, message', [
    ('smooth_grad', {'samples': 0}, 'samples is 0; it must be at least 1'),
    ('smooth_grad', {'noise': -1.0}, 'noise is -1.0; it must not be negative'),
    ('integrated_gradients', {'steps': 0}, 'steps is 0; it must be at least 1'),
    ('integrated_gradients', {'steps': 2.5}, 'steps is 2.5; it must be .* a whole number')])
def test_bad_options_are_named(network, grey, name, option, message):
    with pytest.raises(InputError, match=message):
        explain(name, *network, grey, **option)
