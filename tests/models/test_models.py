"""Sizes, names, initial values, and that a network is the composition of what its taps cut it into."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from ikd import models
from ikd.errors import InputError
from tests.models.filled import filled

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
    ('resnet32', 10, COLOUR, 466_906), ('resnet110', 10, COLOUR, 1_730_714),
    ('resnet18', 10, COLOUR, 11_173_962), ('resnet50', 10, COLOUR, 23_520_842),
    ('wrn16_2', 10, COLOUR, 691_674), ('wrn40_1', 10, COLOUR, 563_930), ('vgg8', 10, COLOUR, 3_918_858),
])
def test_number_of_parameters(name, num_classes, image_shape, count):
    shapes = parameter_shapes(name, num_classes, image_shape)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == count


def groups(*shapes):
    """Taps `group1_conv`, `group1_sum`, `group1` and so on."""
    return {f'group{i}{end}': shape for i, shape in enumerate(shapes, 1) for end in ('_conv', '_sum', '')}


GROUPS = tuple(f'group{i}' for i in range(1, 6))


# name: taps and their shapes, the taps that end groups, the last feature map
@pytest.mark.parametrize('name, expected, group_taps, cam_tap', [
    ('resnet14', {'stem': (32, 32, 16), **groups((32, 32, 16), (16, 16, 32), (8, 8, 64)), 'pooled': (64,)},
     GROUPS[:3], 'group3'),
    ('resnet18', {'stem': (32, 32, 64), **groups((32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)),
                  'pooled': (512,)}, GROUPS[:4], 'group4'),
    ('resnet50', {'stem': (32, 32, 64), **groups((32, 32, 256), (16, 16, 512), (8, 8, 1024), (4, 4, 2048)),
                  'pooled': (2048,)}, GROUPS[:4], 'group4'),
    ('wrn16_2', {
        'stem': (32, 32, 16), 'group1': (32, 32, 32), 'group2': (16, 16, 64), 'group3': (8, 8, 128),
        'last': (8, 8, 128), 'pooled': (128,)}, GROUPS[:3], 'last'),
    ('vgg8', {
        'group1': (32, 32, 64), 'group2': (16, 16, 128), 'group3': (8, 8, 256), 'group4': (4, 4, 512),
        'group5': (4, 4, 512), 'pooled': (512,)}, GROUPS, 'group5'),
    ('cnn2', {'conv1': (32, 32, 16), 'conv2': (16, 16, 16), 'flat': (1024,)}, ('conv1', 'conv2'), 'conv2'),
    ('cnn8', {
        'conv1': (32, 32, 16), 'conv2': (32, 32, 16), 'conv3': (16, 16, 32), 'conv4': (16, 16, 32),
        'conv5': (8, 8, 64), 'conv6': (8, 8, 64), 'conv7': (4, 4, 128), 'conv8': (4, 4, 128),
        'flat': (512,)}, ('conv2', 'conv4', 'conv6', 'conv8'), 'conv8'),
    ('mlp', {'hidden1': (1024,), 'hidden2': (1024,)}, ('hidden1', 'hidden2'), None),
])
def test_taps_have_the_documented_names_and_shapes(name, expected, group_taps, cam_tap):
    model, images = models.create(name, 10), jnp.zeros((2, *COLOUR))
    (logits, taps), _ = jax.eval_shape(model.init_with_output, jax.random.key(0), images)
    assert {tap: value.shape for tap, value in taps.items()} == {tap: (2, *s) for tap, s in expected.items()}
    assert logits.shape == (2, 10)
    assert model.group_taps == group_taps and model.cam_tap == cam_tap
    assert models.tap_shapes(model, COLOUR) == expected


@pytest.mark.parametrize('depth, ends', [(4, (2, 4)), (6, (2, 4, 6)), (10, (2, 4, 6, 10))])
def test_groups_of_plain_networks_end_before_their_pools(depth, ends):
    model = models.create(f'cnn{depth}', 10)
    assert model.group_taps == tuple(f'conv{end}' for end in ends) and model.cam_tap == f'conv{depth}'


@pytest.mark.parametrize('name, channels', [('resnet8', 6), ('resnet50', 24), ('wrn16_2', 12), ('vgg8', 6)])
def test_width_is_that_of_the_first_group(name, channels):
    """Of six: four times as many after bottlenecks, `widen` times in a wide network; it doubles twice."""
    model = models.create(name, 10, width=6)
    shapes = models.tap_shapes(model, COLOUR)
    assert [shapes[tap][-1] for tap in model.group_taps[:3]] == [channels, 2 * channels, 4 * channels]


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


@pytest.mark.parametrize('name, option, message', [
    ('mlp', 'vam_block', 'model.vam needs convolutions, and mlp has none; '),
    ('hme_tree', 'vam_block', 'model.vam is not for hme_tree'),
    ('mlp', 'width', 'model.width does not apply to mlp; leave it out'), ('cnn6', 'width', 'model.width .* cnn6'),
])
def test_options_that_a_network_does_not_have_are_the_users_mistake(name, option, message):
    with pytest.raises(InputError, match=message) as error:
        models.create(name, 10, **{option: 8})
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


@pytest.mark.parametrize('model, parts, last', [
    (models.ResNet(10, blocks=(1,), width=16, bottleneck=True), ('block1_1', 'linear'), 'uniform'),
    (models.WideResNet(10, depth=10, widen=2, width=8), ('stem_conv', 'block2_1', 'linear'), 'zero bias'),
    (models.VGG8(10, width=16), ('conv1', 'conv2', 'linear'), 'normal')])
def test_larger_networks_start_as_their_authors_do(model, parts, last):
    """In parts that change the number of channels; the other parts need not be compiled."""
    init = lambda key: {name: model.init(key, jnp.zeros((1, 16, 16, 3)))['params'][name] for name in parts}
    for path, kernel, bias in layers({'params': jax.jit(init)(jax.random.key(0))}):
        if path == 'linear':
            if last == 'normal':
                assert abs(kernel.std() / 0.01 - 1) < 5 / np.sqrt(2 * kernel.size)
            else:
                assert_uniform(kernel, len(kernel) ** -0.5)
            assert bool(bias.any()) == (last == 'uniform')
        else:
            height, width, _, outputs = kernel.shape
            relative = kernel.std() / np.sqrt(2 / (height * width * outputs))
            assert abs(relative - 1) < 5 / np.sqrt(2 * kernel.size), path  # five standard errors
            assert not bias.any() if last == 'normal' else bias is None, path


def test_initial_weights_are_alike_however_they_are_compiled(monkeypatch):
    """Alone with options of their own, which JAX takes in whole programs only."""
    monkeypatch.delenv('XLA_FLAGS')  # whose options go before
    model, key = models.create('cnn2', 10), jax.random.key(3)
    init = lambda key: models.init(model, key, GREY)
    expected = jax.jit(lambda key: model.init(key, jnp.zeros((1, *GREY)), train=False))(key)
    of_two = jax.vmap(init)(jnp.stack([jax.random.key(4), key]))
    for found in init(key), jax.jit(init)(key), jax.tree.map(lambda leaf: leaf[1], of_two):
        jax.tree.map(lambda *pair: np.testing.assert_allclose(*pair, atol=1e-7), found, expected)


def test_no_two_layers_start_alike(initial):
    kernels = [tuple(kernel.ravel()[:9]) for _, kernel, _ in layers(initial('resnet8'))]
    assert len(set(kernels)) == len(kernels) == 10  # stem, three blocks of two, two projections, linear


TAPS = {
    'resnet8': ('stem', *(f'group{i}{end}' for i in (1, 2, 3) for end in ('_conv', '_sum', '')), 'pooled'),
    'cnn8': (*(f'conv{i}' for i in range(1, 9)), 'flat'),
    'mlp': ('hidden1', 'hidden2'),
}


def through_taps(model, variables, images, others):
    """The logits of images, and for each tap those that the head has from it.

    The head is given other images, so that nothing but the tap's value can lead to the right logits, except where a
    shortcut goes past the tap.
    """
    logits, taps = jax.jit(model.apply)(variables, images)
    return logits, jax.jit(lambda values: {
        tap: models.head(model, variables, images if tap.endswith('_conv') else others, tap)(value)
        for tap, value in values.items()})(taps)


@pytest.mark.parametrize('name', TAPS)
def test_head_composes_to_the_logits_at_every_tap(network, digits, name):
    logits, heads = through_taps(*network(name), digits[0][:2], digits[0][2:4])
    assert set(heads) == set(TAPS[name])
    for tap, through_tap in heads.items():
        np.testing.assert_allclose(through_tap, logits, rtol=1e-4, atol=1e-5, err_msg=tap)


@pytest.mark.parametrize('model', [
    models.WideResNet(3, depth=10, widen=2, width=4), models.VGG8(3, width=4),
    models.ResNet(3, blocks=(1, 1), width=4, bottleneck=True, vam_block=4)])
def test_head_composes_in_thin_networks_too(digits, model):
    images, variables = digits[0][:4, ::2, ::2], filled(model, (16, 16, 3))
    logits, heads = through_taps(model, variables, images[:2], images[2:])
    for tap, through_tap in heads.items():
        np.testing.assert_allclose(through_tap, logits, rtol=1e-4, atol=1e-5 * np.abs(logits).max(), err_msg=tap)


def test_activations_of_low_precision_change_the_logits_little(network, digits):
    images = digits[0][:4]
    exact, _ = jax.jit(network('resnet8')[0].apply)(network('resnet8')[1], images)
    model, variables = network('resnet8', dtype=jnp.bfloat16)
    rough, taps = jax.jit(model.apply)(variables, images)
    assert rough.dtype == jnp.float32 and taps['group3'].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
    # bfloat16 keeps 8 bits; nine layers in a row lose about sqrt(9) / 256 of the logits' size
    assert 0 < np.linalg.norm(rough - exact) < 0.05 * np.linalg.norm(exact)
