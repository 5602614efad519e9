"""Sizes, names, initial values, and that a network is the composition of what its taps cut it into."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from ikd import models
from ikd.errors import InputError

COLOUR, GREY = (32, 32, 3), (28, 28, 1)


def parameter_shapes(name, num_classes=10, image_shape=COLOUR):
    model = models.create(name, num_classes)
    return jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *image_shape)))['params']


# Counted by hand from the papers; 90 more classes give the last layer of a ResNet 90 x (64 + 1) = 5,850 more.
@pytest.mark.parametrize('name, num_classes, image_shape, count', [
    ('resnet8', 10, COLOUR, 78_042), ('resnet8', 100, COLOUR, 83_892),
    ('resnet14', 10, COLOUR, 175_258), ('resnet14', 100, COLOUR, 181_108),
    ('resnet20', 10, COLOUR, 272_474), ('resnet20', 100, COLOUR, 278_324),
    ('resnet26', 10, COLOUR, 369_690), ('resnet26', 100, COLOUR, 375_540),
    ('cnn2', 10, COLOUR, 13_082), ('cnn4', 10, COLOUR, 37_338), ('cnn6', 10, COLOUR, 82_778),
    ('cnn8', 10, COLOUR, 327_962), ('cnn10', 10, COLOUR, 2_487_850),
    ('mlp', 10, GREY, 1_863_690),
])
def test_number_of_parameters(name, num_classes, image_shape, count):
    shapes = parameter_shapes(name, num_classes, image_shape)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


@pytest.mark.parametrize('name, expected', [
    ('resnet14', {
        'stem': (32, 32, 16), 'group1_sum': (32, 32, 16), 'group1': (32, 32, 16), 'group2_sum': (16, 16, 32),
        'group2': (16, 16, 32), 'group3_sum': (8, 8, 64), 'group3': (8, 8, 64), 'pooled': (64,)}),
    ('cnn8', {
        'conv1': (32, 32, 16), 'conv2': (32, 32, 16), 'conv3': (16, 16, 32), 'conv4': (16, 16, 32),
        'conv5': (8, 8, 64), 'conv6': (8, 8, 64), 'conv7': (4, 4, 128), 'conv8': (4, 4, 128),
        'flat': (512,)}),
    ('mlp', {'hidden1': (1024,), 'hidden2': (1024,)}),
])
def test_taps_have_the_documented_names_and_shapes(network, digits, name, expected):
    model, variables = network(name)
    logits, taps = jax.eval_shape(lambda x: model.apply(variables, x), digits[0][:2])
    assert {tap: value.shape for tap, value in taps.items()} == {tap: (2, *s) for tap, s in expected.items()}
    assert logits.shape == (2, 10)


def test_sum_taps_come_before_the_activation(network, digits):
    model, variables = network('resnet8')
    _, taps = jax.jit(model.apply)(variables, digits[0][:2])
    for group in ('group1', 'group2', 'group3'):
        assert taps[f'{group}_sum'].min() < 0
        np.testing.assert_array_equal(taps[group], np.maximum(taps[f'{group}_sum'], 0))


def test_unknown_model_is_the_users_mistake():
    with pytest.raises(InputError, match="model.name 'resnet9'; choose one of: mlp, .*resnet8") as error:
        models.create('resnet9', 10)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('name, convolves', [('resnet8', True), ('cnn2', True), ('mlp', False)])
def test_has_convolutions(name, convolves):
    assert models.has_convolutions(parameter_shapes(name)) is convolves


def layers(variables):
    """(path, kernel, bias or None) of every layer that multiplies."""
    params = flatten_dict(variables['params'])
    return [('/'.join(path[:-1]), np.asarray(leaf), params.get((*path[:-1], 'bias')))
            for path, leaf in params.items() if path[-1] == 'kernel']


def assert_uniform(values, bound):
    """|x| <= bound, and the mean of x^2 within 5 standard errors of bound^2 / 3.

    For a uniform variable x^2 has variance bound^4 (1/5 - 1/9), so n of them a standard error of
    bound^2 sqrt(4 / 45 / n).
    """
    values = np.asarray(values, np.float64).ravel() / bound
    assert np.abs(values).max() <= 1 + 1e-6
    assert abs((values ** 2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / values.size)


def test_resnet_starts_as_he_with_fan_out(initial):
    for path, kernel, bias in layers(initial('resnet8')):
        if kernel.ndim == 2:
            assert_uniform(kernel, 64 ** -0.5)
            assert_uniform(bias, 64 ** -0.5)
        else:
            height, width, _, outputs = kernel.shape
            relative = kernel.std() / np.sqrt(2 / (height * width * outputs))
            assert bias is None, path
            assert abs(relative - 1) < 5 / np.sqrt(2 * kernel.size), path  # five standard errors
            assert np.abs(kernel).max() > 2.5 * kernel.std(), path  # not a truncated normal


@pytest.mark.parametrize('name', ['cnn8', 'mlp'])
def test_plain_networks_start_as_in_pytorch(initial, name):
    for _, kernel, bias in layers(initial(name)):
        bound = np.prod(kernel.shape[:-1]) ** -0.5
        assert_uniform(kernel, bound)
        assert_uniform(bias, bound)


def test_no_two_layers_start_alike(initial):
    kernels = [tuple(kernel.ravel()[:9]) for _, kernel, _ in layers(initial('resnet8'))]
    assert len(set(kernels)) == len(kernels) == 10  # stem, three blocks of two, two projections, linear


TAPS = {
    'resnet8': ('stem', 'group1_sum', 'group1', 'group2_sum', 'group2', 'group3_sum', 'group3', 'pooled'),
    'cnn8': (*(f'conv{i}' for i in range(1, 9)), 'flat'),
    'mlp': ('hidden1', 'hidden2'),
}


@pytest.mark.parametrize('name', TAPS)
def test_head_composes_to_the_logits_at_every_tap(network, digits, name):
    """The head is given other images, so that nothing but the tap's value can lead to the right logits."""
    images, others = digits[0][:2], digits[0][2:4]
    model, variables = network(name)
    logits, taps = jax.jit(model.apply)(variables, images)
    assert set(taps) == set(TAPS[name])
    heads = jax.jit(lambda values: {
        tap: models.head(model, variables, others, tap)(value) for tap, value in values.items()})(taps)
    for tap, through_tap in heads.items():
        np.testing.assert_allclose(through_tap, logits, rtol=1e-4, atol=1e-5, err_msg=tap)


def test_activations_of_low_precision_change_the_logits_little(network, digits):
    images = digits[0][:4]
    exact, _ = jax.jit(network('resnet8')[0].apply)(network('resnet8')[1], images)
    model, variables = network('resnet8', dtype=jnp.bfloat16)
    rough, taps = jax.jit(model.apply)(variables, images)
    assert rough.dtype == jnp.float32 and taps['group3'].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
    # bfloat16 keeps 8 bits; nine layers in a row lose about sqrt(9) / 256 of the logits' size
    assert 0 < np.linalg.norm(rough - exact) < 0.05 * np.linalg.norm(exact)
