"""BatchNorm whose statistics can be frozen, Dropout that does not depend on the devices, convolutions, the parts
of a network before a tap."""
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd import models
from ikd.errors import InputError
from ikd.models.layers import BatchNorm, Conv, Dropout, torch_uniform

EPSILON = 1e-5
SCALE, BIAS = np.array([0.5, -1, 2], np.float32), np.array([1, 0, -3], np.float32)


@pytest.fixture(scope='module')
def batches(digits):
    """Three batches [2, 32, 32, 3] whose channels have unlike means and variances."""
    images = digits[0][:6] * np.array([1, -2, 4]) + np.array([0, 1, 3])
    return images.astype(np.float32).reshape(3, 2, 32, 32, 3)


def start(norm, x):
    stats = norm.init(jax.random.key(0), x, False)['batch_stats']
    return {'params': {'scale': SCALE, 'bias': BIAS}, 'batch_stats': stats}


def normalised(x, mean, var):
    return (x - mean) / np.sqrt(var + EPSILON) * SCALE + BIAS


def moments(x):
    x = np.asarray(x, np.float64)
    return x.mean((0, 1, 2)), x.var((0, 1, 2))


def test_batch_norm_normalises_by_the_batch_in_training(batches):
    x = batches[0]
    y, _ = BatchNorm().apply(start(BatchNorm(), x), x, True, mutable=['batch_stats', 'moments'])
    np.testing.assert_allclose(y, normalised(x, *moments(x)), atol=1e-4)
    np.testing.assert_allclose(moments(y)[0], BIAS, atol=1e-4)
    np.testing.assert_allclose(moments(y)[1], SCALE ** 2, rtol=1e-3)


def test_batch_norm_keeps_running_averages_of_biased_moments(batches):
    norm, mean, var = BatchNorm(), np.zeros(3), np.ones(3)
    variables = start(norm, batches[0])
    for x in batches:
        _, updates = norm.apply(variables, x, True, mutable=['batch_stats'])
        assert set(updates) == {'batch_stats'}
        variables |= updates
        mean, var = 0.9 * mean + 0.1 * moments(x)[0], 0.9 * var + 0.1 * moments(x)[1]
    np.testing.assert_allclose(variables['batch_stats']['mean'], mean, rtol=1e-5)
    np.testing.assert_allclose(variables['batch_stats']['var'], var, rtol=1e-3)
    y = norm.apply(variables, batches[0], False)
    np.testing.assert_allclose(y, normalised(batches[0], mean, var), atol=1e-3)


def test_batch_norm_takes_its_moments_in_float32():
    """Of bfloat16, whose eight bits would leave nothing of a deviation of 0.2 around 20."""
    x = jnp.bfloat16(20 + 0.2 * np.random.default_rng(0).normal(size=(2, 32, 32, 3)))
    y, updates = BatchNorm().apply(start(BatchNorm(), x), x, True, mutable=['batch_stats', 'moments'])
    mean, var = moments(x)
    assert y.dtype == jnp.bfloat16 and updates['moments']['mean'].dtype == jnp.float32
    np.testing.assert_allclose(updates['moments']['mean'], mean, rtol=1e-5)
    np.testing.assert_allclose(updates['moments']['var'], var, rtol=1e-2)
    np.testing.assert_allclose(updates['batch_stats']['var'], 0.9 + 0.1 * var, rtol=1e-5)


def test_batch_norm_differentiates_through_the_batch(batches):
    """Adding a constant to a channel changes nothing in training, and scaling it hardly anything."""
    x, weight = batches[0][..., :2], np.random.default_rng(0).normal(size=(2, 32, 32, 2)).astype(np.float32)
    variables = {'params': {'scale': SCALE[:2], 'bias': BIAS[:2]},
                 'batch_stats': {'mean': jnp.zeros(2), 'var': jnp.ones(2)}}

    def loss(x, train):
        y, _ = BatchNorm().apply(variables, x, train, mutable=['batch_stats'])
        return (weight * y).sum()

    training, evaluation = (jax.grad(loss)(x, train) for train in (True, False))
    for direction in (np.ones_like(x), x):
        along = (training * direction).sum((0, 1, 2))
        assert np.all(np.abs(along) < 1e-3 * np.abs((evaluation * direction).sum((0, 1, 2))))


def test_batch_norm_of_a_constant_channel_is_its_bias(batches):
    x = np.full_like(batches[0], 0.5)
    y, _ = BatchNorm().apply(start(BatchNorm(), x), x, True, mutable=['batch_stats'])
    np.testing.assert_allclose(y, np.broadcast_to(BIAS, x.shape), atol=1e-6)


def test_batch_norm_of_constants_is_a_number_whatever_they_are():
    """Rounding makes the mean of the squares less than the square of the mean, by more than epsilon of large ones."""
    x = jnp.broadcast_to(np.random.default_rng(0).uniform(0, 1000, 3000).astype(np.float32), (7, 1, 1, 3000))
    norm = BatchNorm()
    y, updates = norm.apply(norm.init(jax.random.key(0), x, False), x, True, mutable=['batch_stats', 'moments'])
    assert np.isfinite(y).all() and (updates['moments']['var'] >= 0).all()


@pytest.mark.parametrize('name', ['resnet8', 'cnn6'])
def test_frozen_moments_give_the_training_pass(network, digits, name):
    """What explanations rely on: evaluation mode with the moments as statistics is the training pass."""
    model, variables = network(name)

    @jax.jit
    def both(images):
        training, updates = model.apply(variables, images, train=True, mutable=['batch_stats', 'moments'])
        frozen = {'params': variables['params'], 'batch_stats': updates['moments']}
        return training, model.apply(frozen, images, train=False), model.apply(variables, images)[0]

    training, frozen, evaluation = both(digits[0][:3])
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6, atol=1e-6), frozen, training)
    assert np.abs(evaluation - training[0]).max() > 0.01  # three images have other moments than all eight


def test_moments_of_two_devices_are_those_of_the_joined_batch(network, digits):
    images, one = digits[0][:4], models.create('resnet8', 10)
    variables = network('resnet8')[1]
    two = models.create('resnet8', 10, axis_name='batch')

    def training(model, images):
        return model.apply(variables, images, train=True, mutable=['batch_stats', 'moments'])

    (logits, _), updates = jax.jit(partial(training, one))(images)
    (shares, _), shared = jax.pmap(partial(training, two), axis_name='batch', devices=jax.devices('cpu')[:2])(
        images.reshape(2, 2, *images.shape[1:]))
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    close(shares.reshape(4, 10), logits)
    for rank in range(2):
        jax.tree.map(lambda ours, theirs: close(ours[rank], theirs), shared, updates)


def drop(layer, x, key, axis_name=None):
    return layer(axis_name=axis_name).apply({}, x, True, rngs={'dropout': key})


@pytest.mark.parametrize('rate', [0.1, 0.25, 0.75])
def test_dropout_zeroes_the_rate_and_scales_the_rest(rate):
    x = np.random.default_rng(0).uniform(1, 2, (8, 40, 50)).astype(np.float32)
    y = np.asarray(drop(partial(Dropout, rate), x, jax.random.key(3)))
    kept = y != 0
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / x.size)  # binomial standard error
    np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-6)
    assert len({mask.tobytes() for mask in kept}) == 8  # every example its own
    again, other = (drop(partial(Dropout, rate), x, jax.random.key(seed)) for seed in (3, 4))
    np.testing.assert_array_equal(again, y)
    assert np.any(other != y)


@pytest.mark.parametrize('devices', [2, 4])
def test_dropout_does_not_depend_on_the_number_of_devices(devices):
    x, key = np.ones((8, 100), np.float32), jax.random.key(7)
    whole = drop(partial(Dropout, 0.5), x, key)
    parts = jax.pmap(lambda x: drop(partial(Dropout, 0.5), x, key, 'batch'), axis_name='batch',
                     devices=jax.devices('cpu')[:devices])(x.reshape(devices, -1, 100))
    np.testing.assert_array_equal(parts.reshape(8, 100), whole)


@pytest.mark.parametrize('name, places', [('mlp', 2), ('resnet8', 3)])
def test_networks_drop_in_training_only(network, digits, name, places):
    """After each hidden layer, and after each group."""
    images = digits[0][:2]
    model, variables = network(name, dropout_rate=0.5)
    plain, _ = jax.jit(network(name)[0].apply)(variables, images)
    np.testing.assert_array_equal(jax.jit(model.apply)(variables, images)[0], plain)
    training = partial(model.apply, train=True, mutable=['batch_stats', 'intermediates'],
                       capture_intermediates=lambda module, _: isinstance(module, Dropout))
    _, updates = jax.jit(training)(variables, images, rngs={'dropout': jax.random.key(0)})
    outputs = jax.tree.leaves(updates['intermediates'])
    assert len(outputs) == places
    for output in outputs:
        assert 0.4 < (output == 0).mean() < 0.95  # half of them, and what the ReLU had made zero


@pytest.mark.parametrize('model, places', [
    (models.WideResNet(3, depth=10, widen=1, width=4, dropout_rate=0.5), 3),
    (models.VGG8(3, width=4, dropout_rate=0.5), 5), (models.PlainCNN(3, depth=6, dropout_rate=0.5), 3),
])
def test_each_group_is_followed_by_dropout(digits, model, places):
    run = partial(model.init_with_output, train=True, mutable=['params', 'batch_stats', 'intermediates'],
                  capture_intermediates=lambda module, _: isinstance(module, Dropout))
    keys = {'params': jax.random.key(0), 'dropout': jax.random.key(1)}
    _, updates = jax.eval_shape(run, keys, digits[0][:1])
    assert len(jax.tree.leaves(updates['intermediates'])) == places


@pytest.mark.parametrize('size, stride, bias', [(3, 1, True), (3, 2, False), (1, 2, False), (1, 1, True)])
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_convolution_is_flaxs_with_the_padding_of_pytorch(batches, size, stride, bias, dtype):
    """Names, shapes, initial values and result: variables of one are variables of the other."""
    x, pad, init = batches[0][:, :9, :8], size // 2, torch_uniform(7)
    ours = Conv(5, size, stride, bias, bias_init=init, kernel_init=init, dtype=dtype)
    flaxs = nn.Conv(5, (size, size), stride, ((pad, pad), (pad, pad)), use_bias=bias, bias_init=init,
                    kernel_init=init, dtype=dtype)
    variables = ours.init(jax.random.key(2), x)
    jax.tree.map(np.testing.assert_array_equal, variables, flaxs.init(jax.random.key(2), x))
    y, expected = ours.apply(variables, x), flaxs.apply(variables, x)
    assert y.dtype == dtype and y.shape == (2, -(-9 // stride), -(-8 // stride), 5)
    np.testing.assert_array_equal(y, expected)


@pytest.mark.parametrize('name, tap, expected', [
    ('resnet8', 'stem', {'stem_conv', 'stem_norm'}),
    ('resnet8', 'group2', {'stem_conv', 'stem_norm', 'block1_1', 'block2_1'}),
    ('resnet14', 'group1_sum', {'stem_conv', 'stem_norm', 'block1_1', 'block1_2'}),
    ('cnn6', 'conv3', {*(f'Conv_{i}' for i in range(3)), *(f'BatchNorm_{i}' for i in range(3))}),
    ('cnn6', 'flat', {*(f'Conv_{i}' for i in range(6)), *(f'BatchNorm_{i}' for i in range(6))}),
    ('mlp', 'hidden1', {'Dense_0'}), ('mlp', 'hidden2', {'Dense_0', 'Dense_1'}),
    ('wrn16_2', 'group1', {'stem_conv', 'block1_1', 'block1_2'}),
    ('vgg8', 'group2', {'conv1', 'norm1', 'conv2', 'norm2'}),
])
def test_parts_before_a_tap(name, tap, expected):
    """Of the parts that have parameters; Dropout may be among the others."""
    model = models.create(name, 10)
    names = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))['params'].keys()
    assert models.parts_before(model, (32, 32, 3), tap) & names == expected


def test_parts_before_a_tap_that_never_comes_are_the_users_mistake():
    with pytest.raises(InputError, match="no tap 'group9'.*hidden1, hidden2") as error:
        models.parts_before(models.create('mlp', 10), (32, 32, 3), 'group9')
    assert '\n' not in str(error.value)
