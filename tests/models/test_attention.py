"""Virtual attention: what it multiplies, where it is, that it starts as nothing and learns."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from ikd import models
from ikd.errors import InputError
from ikd.models.layers import Conv
from tests.models.filled import filled

BLOCK, SMALL = 4, (16, 16, 3)
NETWORKS = {
    'resnet': models.ResNet(3, blocks=(1, 1, 1), width=4, vam_block=BLOCK),
    'bottleneck': models.ResNet(3, blocks=(1, 1), width=4, bottleneck=True, vam_block=BLOCK),
    'wide': models.WideResNet(3, depth=10, widen=2, width=4, vam_block=BLOCK),
    'vgg': models.VGG8(3, width=4, vam_block=BLOCK),
    'cnn': models.PlainCNN(3, depth=4, vam_block=BLOCK),
}
# by hand: the 3x3 convolutions from the second group on, and (output blocks, input blocks)
ATTENTION = {
    'resnet': {
        'block2_1/conv1': (2, 1), 'block2_1/conv2': (2, 2), 'block3_1/conv1': (4, 2), 'block3_1/conv2': (4, 4)},
    'bottleneck': {'block2_1/conv2': (2, 2)},
    'wide': {
        'block2_1/conv1': (4, 2), 'block2_1/conv2': (4, 4), 'block3_1/conv1': (8, 4), 'block3_1/conv2': (8, 8)},
    'vgg': {'conv2': (2, 1), 'conv3': (4, 2), 'conv4': (8, 4), 'conv5': (8, 8)},
    'cnn': {'Conv_2': (8, 4), 'Conv_3': (8, 8)},
}


@pytest.fixture(scope='module')
def images(digits):
    return digits[0][:4, ::2, ::2]


def without_attention(variables):
    """The variables of the plain network."""
    params = flatten_dict(variables['params'], sep='/')
    kept = {path: leaf for path, leaf in params.items() if not path.endswith('/attention')}
    return {**variables, 'params': unflatten_dict(kept, sep='/')}


def weighed(variables):
    """The variables of the plain network, every kernel multiplied block by block as its attention says."""
    params = flatten_dict(variables['params'], sep='/')
    for path in [path for path in params if path.endswith('/attention')]:
        kernel = params[path.replace('/attention', '/kernel')].copy()
        shares = np.exp(params[path])
        shares /= shares.sum(1, keepdims=True)
        for n, row in enumerate(shares):
            for m, share in enumerate(row):
                kernel[:, :, BLOCK * m:BLOCK * (m + 1), BLOCK * n:BLOCK * (n + 1)] *= len(row) * share
        params[path.replace('/attention', '/kernel')] = kernel
    return without_attention({**variables, 'params': unflatten_dict(params, sep='/')})


def uniform(variables):
    """The variables with all attention at zero."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: 0 * leaf if path[-1].key == 'attention' else leaf, variables)


@pytest.mark.parametrize('name', NETWORKS)
def test_attention_multiplies_the_blocks_of_the_kernels(images, name):
    """At zero it is the plain network, elsewhere the plain network with the kernels of the definition."""
    model, variables = NETWORKS[name], filled(NETWORKS[name], SMALL)
    ours, plain = jax.jit(model.apply), jax.jit(model.clone(vam_block=0).apply)
    found = {at: ours(variables, images)[0] for at, variables in (('zero', uniform(variables)), ('any', variables))}
    expected = {'zero': plain(without_attention(variables), images)[0], 'any': plain(weighed(variables), images)[0]}
    size = np.abs(expected['zero']).max()
    for at in found:
        np.testing.assert_allclose(found[at], expected[at], rtol=1e-5, atol=1e-5 * size)
    assert np.abs(found['any'] - found['zero']).max() > 1e-2 * size


@pytest.mark.parametrize('name', NETWORKS)
def test_attention_is_in_the_3x3_convolutions_from_the_second_group_on(images, name):
    model = NETWORKS[name]
    shapes = jax.eval_shape(model.init, jax.random.key(0), images)
    assert shapes.keys() == {'params', 'batch_stats'}
    params = flatten_dict(shapes['params'], sep='/')
    found = {path.removesuffix('/attention'): leaf for path, leaf in params.items() if path.endswith('/attention')}
    assert {path: leaf.shape for path, leaf in found.items()} == ATTENTION[name]
    assert {leaf.dtype for leaf in found.values()} == {jnp.dtype('float32')}
    plain = jax.eval_shape(model.clone(vam_block=0).init, jax.random.key(0), images)
    assert without_attention(shapes) == plain


def test_attention_leaves_names_and_initial_values(initial, digits):
    model, image, parts = models.create('resnet8', 10, vam_block=8), digits[0][:1], ('block2_1', 'linear')
    init = lambda key: model.init(key, image)['params']
    assert without_attention({'params': jax.eval_shape(init, jax.random.key(0))}) == jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), {'params': initial('resnet8')['params']})
    some = jax.jit(lambda key: {name: init(key)[name] for name in parts})(jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, without_attention({'params': some})['params'],
                 {name: initial('resnet8')['params'][name] for name in parts})
    assert not any(some['block2_1'][conv]['attention'].any() for conv in ('conv1', 'conv2'))


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_alpha_is_written_where_it_is_asked_for(images, dtype):
    model = NETWORKS['resnet'].clone(dtype=dtype)
    variables = filled(model, SMALL)
    _, updates = jax.jit(lambda x: model.apply(variables, x, mutable=['attention']))(images)
    alphas = flatten_dict(updates['attention'], sep='/')
    assert {path: leaf.shape for path, leaf in alphas.items()} == {
        f'{path}/alpha': shape for path, shape in ATTENTION['resnet'].items()}
    for path, alpha in alphas.items():
        assert alpha.dtype == jnp.float32 and alpha.min() > 0
        np.testing.assert_allclose(alpha.sum(1), 1, rtol=1e-6, err_msg=path)
    assert np.ptp(alphas['block3_1/conv2/alpha']) > 0.1
    _, updates = jax.eval_shape(lambda x: model.apply(variables, x, train=True, mutable=['batch_stats']), images)
    assert updates.keys() == {'batch_stats'}


def test_the_gradient_reaches_attention(images):
    """Also at the start. Adding a number to a row changes nothing, so every row of the gradient sums to zero."""
    model, variables = NETWORKS['resnet'], uniform(filled(NETWORKS['resnet'], SMALL))
    loss = lambda params: (model.apply({**variables, 'params': params}, images)[0] ** 2).sum()
    gradients = flatten_dict(jax.jit(jax.grad(loss))(variables['params']), sep='/')
    for path in ATTENTION['resnet']:
        gradient = gradients[f'{path}/attention']
        one_block = gradient.shape[1] == 1
        assert bool(np.abs(gradient).max() > 1e-3) != one_block, path
        np.testing.assert_allclose(gradient.sum(1), 0, atol=1e-5 * (1 + np.abs(gradient).max()))


def test_attention_in_closed_form():
    """Shares of 1/4 and 3/4 of two input channels; of tau = 2, those of half the attention."""
    kernel = np.array([[[[2.], [10.]]]], np.float32)
    variables = {'params': {'kernel': kernel, 'attention': np.log([[1, 3]]).astype(np.float32)}}
    x = np.eye(2, dtype=np.float32).reshape(2, 1, 1, 2)
    y, updates = Conv(1, 1, block=1).apply(variables, x, mutable=['attention'])
    np.testing.assert_allclose(y.ravel(), [2 * 2 / 4, 2 * 10 * 3 / 4], rtol=1e-6)
    np.testing.assert_allclose(updates['attention']['alpha'], [[1 / 4, 3 / 4]], rtol=1e-6)
    variables['params']['attention'] = 2 * variables['params']['attention']
    np.testing.assert_allclose(Conv(1, 1, block=1, tau=2.0).apply(variables, x), y, rtol=1e-6)


def test_attention_adds_no_convolution(images):
    """It is folded into the kernels: as many convolutions, of the same sizes, as the plain network."""
    def convolutions(model):
        jaxpr = jax.make_jaxpr(model.apply)(filled(model, SMALL), images)
        return [line.split(' = ')[0].split(':')[-1] for line in str(jaxpr).splitlines()
                if 'conv_general_dilated[' in line]

    model = NETWORKS['vgg']
    assert len(convolutions(model)) == 5
    assert convolutions(model) == convolutions(model.clone(vam_block=0))


@pytest.mark.parametrize('name, block, channels', [
    ('resnet8', 7, '16 and 32'), ('resnet8', 32, '16 and 32'), ('cnn6', 3, '16 and 32'), ('vgg8', 128, '64 and 128'),
    ('wrn16_2', 6, '32 and 64'), ('resnet50', 9, '128 and 128')])
def test_blocks_that_do_not_fit_are_the_users_mistake(name, block, channels):
    model = models.create(name, 10, vam_block=block)
    with pytest.raises(InputError, match=f'model.vam_block={block} .*{channels} channels') as error:
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
    assert '\n' not in str(error.value)
