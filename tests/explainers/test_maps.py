"""The paper's four class maps against a loop of jax.grad, closed forms and the limits of every option."""
from functools import cache, partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ikd.errors import InputError
from ikd.explainers import class_gradients, explain
from ikd.explainers.maps import guided_relu, whole_network
from ikd.models import Tap, create, head

NETWORKS = ('resnet8', 'cnn6', 'mlp')
EXPLAINERS = 'grad', 'grad_input', 'guided_backprop', 'grad_cam'
PAIRS = [(name, explainer) for name in NETWORKS for explainer in EXPLAINERS
         if (name, explainer) != ('mlp', 'grad_cam')]
each_pair = pytest.mark.parametrize('name, explainer', PAIRS)


def compiled(explainer, model, **options):
    return jax.jit(lambda variables, images: explain(explainer, model, variables, images, **options))


@pytest.fixture(scope='module')
def maps_of(network):
    """maps_of(name, explainer)(variables, images), compiled once for every two images."""
    return cache(lambda name, explainer: compiled(explainer, network(name)[0]))


def close(maps, expected, rtol=1e-5):
    """Equal up to rtol of the length of each image's and class's map."""
    error = np.linalg.norm((maps - expected).reshape(*maps.shape[:2], -1), axis=-1)
    length = np.linalg.norm(expected.reshape(*maps.shape[:2], -1), axis=-1)
    assert length.max() > 0
    np.testing.assert_array_less(error, rtol * length + 1e-12)


@jax.custom_vjp
def textbook_guided_relu(x):
    """Springenberg et al. 2014, figure 1: the signal, if it and the output of the ReLU are positive."""
    return x * (x > 0)


textbook_guided_relu.defvjp(lambda x: (x * (x > 0),) * 2,
                            lambda y, signal: (signal * (signal > 0) * (y > 0),))


def gradient_at_tap(model, variables, image, class_, tap):
    """d a_k / d A by adding a variable zero to the tap, which is what a PyTorch user's hook would see."""
    def logit(extra):
        def add(call, args, kwargs, context):
            here = isinstance(context.module, Tap) and context.module.name == tap
            return call(*args) + extra if here else call(*args, **kwargs)

        with nn.intercept_methods(add):
            return model.apply(variables, image[None])[0][0, class_]

    value = model.apply(variables, image[None])[1][tap]
    return jax.grad(logit)(jnp.zeros_like(value))[0], value[0]


def one_map(explainer, model, variables, image, class_):
    """The map of one class of one image, as the definitions have it."""
    if explainer == 'grad_cam':
        gradient, value = gradient_at_tap(model, variables, image, class_, model.cam_tap)
        return jnp.maximum((gradient.mean((0, 1)) * value).sum(-1), 0)
    if explainer == 'guided_backprop':
        model = model.clone(activation=textbook_guided_relu)
    gradient = jax.grad(lambda x: model.apply(variables, x[None])[0][0, class_])(image)
    return image * gradient if explainer == 'grad_input' else gradient


@each_pair
def test_maps_are_those_of_a_loop_over_classes_and_images(network, maps_of, digits, name, explainer):
    images, (model, variables) = digits[0][:2], network(name)
    single = jax.jit(partial(one_map, explainer, model))
    expected = np.array([[single(variables, image, class_) for class_ in range(10)] for image in images])
    maps = maps_of(name, explainer)(variables, images)
    assert maps.dtype == jnp.float32 and maps.shape == expected.shape
    close(maps, expected)


@pytest.mark.parametrize('name', NETWORKS)
def test_grad_predicts_the_change_of_logits(network, digits, name):
    """Central differences along the map itself, of a smooth network, where the slope is the map's length.

    Noise keeps the pixels of a window of the max-pool apart, which has a kink where they are equal.
    """
    images = digits[0][:2] + np.random.default_rng(0).normal(size=(2, 32, 32, 3)).astype(np.float32)
    model, variables = network(name, activation=nn.softplus)
    maps = compiled('grad', model)(variables, images)
    logits = jax.jit(lambda x: model.apply(variables, x)[0])
    for class_ in range(10):
        slope = jnp.linalg.norm(maps[:, class_].reshape(2, -1), axis=1)
        step = 0.01 * maps[:, class_] / slope[:, None, None, None]
        difference = (logits(images + step) - logits(images - step))[:, class_] / 0.02
        np.testing.assert_allclose(difference, slope, rtol=5e-3)


@pytest.mark.parametrize('relu', [True, False])
def test_grad_cam_of_resnet_is_cam(network, digits, relu):
    """At the last feature map the weights are the linear layer's over 64 positions (Zhou et al. 2016)."""
    images, (model, variables) = digits[0][:3], network('resnet8')
    (logits, taps), maps = jax.jit(lambda x: (model.apply(variables, x),
                                              explain('grad_cam', model, variables, x, relu=relu)))(images)
    linear = variables['params']['linear']
    cam = np.einsum('bhwc,ck->bkhw', taps['group3'], linear['kernel']) / 64
    close(maps, np.maximum(cam, 0) if relu else cam)
    assert maps.shape == (3, 10, 8, 8) and cam.min() < 0
    if not relu:
        np.testing.assert_allclose(maps.sum((2, 3)), logits - linear['bias'], rtol=1e-4, atol=1e-5)


def test_grad_cam_of_plain_cnn_is_cam_of_its_pooling(network, digits):
    """Each 2x2 window hands its whole weight to one place, so the mean over positions needs no places."""
    images, (model, variables) = digits[0][:2], network('cnn6')
    (_, taps), maps = jax.jit(lambda x: (model.apply(variables, x),
                                         explain('grad_cam', model, variables, x)))(images)
    weights = np.asarray(variables['params']['Dense_0']['kernel']).reshape(16, 64, 10).sum(0) / 64
    close(maps, np.maximum(np.einsum('bhwc,ck->bkhw', taps['conv6'], weights), 0))


def mlp_layers(variables, images):
    """Weights [in, out] and the hidden layers' values, in float64."""
    layers = [jax.tree.map(np.float64, variables['params'][f'Dense_{i}']) for i in range(3)]
    w1, w2, w3 = (layer['kernel'] for layer in layers)
    hidden1 = np.maximum(images.reshape(len(images), -1) @ w1 + layers[0]['bias'], 0)
    hidden2 = np.maximum(hidden1 @ w2 + layers[1]['bias'], 0)
    return (w1, w2, w3), hidden1, hidden2


def test_grad_of_mlp_is_its_jacobian(network, maps_of, digits):
    """W3 D2 W2 D1 W1, D the masks of the ReLUs."""
    images, (_, variables) = digits[0][:2], network('mlp')
    (w1, w2, w3), hidden1, hidden2 = mlp_layers(variables, images)
    jacobian = np.array([((w3.T * (h2 > 0)) @ w2.T * (h1 > 0)) @ w1.T for h1, h2 in zip(hidden1, hidden2)])
    close(maps_of('mlp', 'grad')(variables, images), jacobian.reshape(2, 10, 32, 32, 3))


def test_guided_backprop_of_mlp_by_hand(network, maps_of, digits):
    images, (_, variables) = digits[0][:2], network('mlp')
    (w1, w2, w3), hidden1, hidden2 = mlp_layers(variables, images)
    signals = [np.maximum((np.maximum(w3.T, 0) * (h2 > 0)) @ w2.T, 0) * (h1 > 0) @ w1.T
               for h1, h2 in zip(hidden1, hidden2)]
    close(maps_of('mlp', 'guided_backprop')(variables, images), np.array(signals).reshape(2, 10, 32, 32, 3))


@pytest.mark.parametrize('name', NETWORKS)
def test_guided_backprop_is_grad_where_nothing_is_negative(network, maps_of, digits, name):
    """Positive weights and pixels, means of zero: every ReLU is the identity, every signal positive."""
    model, variables = network(name)
    params = jax.tree.map(lambda p: jnp.abs(p) + 1e-3, variables['params'])
    stats = jax.tree.map_with_path(lambda path, leaf: leaf * 0 if path[-1].key == 'mean' else leaf,
                                   variables['batch_stats'])
    positive, images = {'params': params, 'batch_stats': stats}, digits[0][:2]
    linear = compiled('grad', model.clone(activation=lambda x: x))(positive, images)
    close(maps_of(name, 'guided_backprop')(positive, images), linear)
    close(maps_of(name, 'grad')(positive, images), linear)


@pytest.mark.parametrize('group', ['group1', 'group2', 'group3'])
def test_guided_signal_leaves_a_relu_only_where_it_was_on(network, digits, group):
    """Also at the ReLU after a block's sum: the signal is never negative, and zero where the output was."""
    images, (model, variables) = digits[0][:2], network('resnet8')
    _, taps = jax.jit(model.apply)(variables, images)

    def signals(model):
        return class_gradients(head(model, variables, images, f'{group}_sum'), taps[f'{group}_sum'])

    guided, plain = jax.jit(lambda: (signals(model.clone(activation=guided_relu)), signals(model)))()
    off = np.broadcast_to(taps[group][:, None] == 0, guided.shape)
    assert off.any() and plain.min() < 0 < guided.max()
    assert guided.min() >= 0
    assert np.all(guided[off] == 0)


@pytest.mark.parametrize('name, explainer, chunks', [
    ('mlp', 'grad', (1, 3, 16)), ('mlp', 'grad_input', (3,)), ('mlp', 'guided_backprop', (1, 3)),
    ('resnet8', 'grad_cam', (1, 3)), ('resnet8', 'guided_backprop', (3, 10)), ('cnn6', 'grad_cam', (1,)),
    ('cnn6', 'grad', (10,)),
])
def test_classes_in_chunks_give_the_same_maps(network, maps_of, digits, name, explainer, chunks):
    """As the platform's own choice does; 3 does not divide the 10 classes, and 16 is more than there are."""
    images, (model, variables) = digits[0][:2], network(name)
    for class_chunk in chunks:
        close(compiled(explainer, model, class_chunk=class_chunk)(variables, images),
              maps_of(name, explainer)(variables, images))


@each_pair
@pytest.mark.parametrize('frozen', [False, True])
def test_map_of_an_image_does_not_see_the_others(network, maps_of, digits, name, explainer, frozen):
    """Neither with the running averages nor with the moments of a training batch in their place."""
    images, (model, variables) = digits[0], network(name)
    if frozen:
        training = jax.jit(partial(model.apply, train=True, mutable=['batch_stats', 'moments']))
        _, updates = training(variables, images[:2])
        variables = {**variables, 'batch_stats': updates.get('moments', {})}
    together, changed = (maps_of(name, explainer)(variables, images[chosen]) for chosen in ([0, 1], [0, 5]))
    close(changed[:1], together[:1])
    assert np.any(changed[1] != together[1])


@pytest.mark.parametrize('name, explainer', [('mlp', 'grad'), ('resnet8', 'grad'), ('cnn6', 'grad_cam')])
def test_batch_of_one(network, maps_of, digits, name, explainer):
    maps, variables = maps_of(name, explainer), network(name)[1]
    close(maps(variables, digits[0][:1]), maps(variables, digits[0][:2])[:1])


@pytest.mark.parametrize('name, explainer', [
    ('mlp', 'grad_input'), ('resnet8', 'grad'), ('resnet8', 'guided_backprop'), ('resnet8', 'grad_cam')])
def test_low_precision_networks_give_float32_maps(network, maps_of, digits, name, explainer):
    images, (model, variables) = digits[0][:2], network(name, dtype=jnp.bfloat16)
    exact = maps_of(name, explainer)(variables, images)
    rough = compiled(explainer, model)(variables, images)
    assert rough.dtype == jnp.float32 and np.any(rough != exact)
    exact, rough = (maps.reshape(20, -1) for maps in (exact, rough))
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(rough, axis=1)
    cosines = (exact * rough).sum(1)[lengths > 0] / lengths[lengths > 0]
    assert np.median(cosines) > 0.95  # 8 bits also flip some of the ReLUs


class WithoutActivation(nn.Module):
    """A network as somebody else would write it, its ReLU hard-wired."""

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(3)(nn.relu(nn.Dense(4)(images.reshape(len(images), -1)))), {}


def test_a_network_of_ones_own_is_explained(digits):
    images, model = digits[0][:2], WithoutActivation()
    variables = model.init(jax.random.key(0), images)
    jacobian = jax.jacrev(lambda x: model.apply(variables, x)[0].sum(0))(images)
    close(explain('grad', model, variables, images), np.moveaxis(jacobian, 0, 1))
    with pytest.raises(InputError, match="guided_backprop .* WithoutActivation has no field 'activation'"):
        explain('guided_backprop', model, variables, images)


def test_only_relus_are_guided(digits):
    """Else the maps would be of another network, with ReLUs in the place of what it has."""
    model = create('mlp', 3).clone(activation=nn.gelu)
    variables = model.init(jax.random.key(0), digits[0][:2])
    with pytest.raises(InputError, match='guided_backprop is for ReLUs, and the activation of MLP is not flax'):
        explain('guided_backprop', model, variables, digits[0][:2])


@pytest.mark.parametrize('name, explainer, options, message', [
    ('mlp', 'lime', {}, "unknown explainer 'lime'; choose one of: grad, "),
    ('mlp', 'grad_cam', {}, 'MLP has none; use grad'),
    ('resnet8', 'grad_cam', {'tap': 'group4'}, "has no 'group4'; tap .method.tap. may be: stem, .* group3"),
    ('resnet8', 'grad_cam', {'tap': 'pooled'}, "has no 'pooled'; tap .method.tap. may be: stem, .* group3"),
])
def test_what_the_user_can_put_right_is_said_in_one_line(network, digits, name, explainer, options, message):
    with pytest.raises(InputError, match=message) as error:
        jax.eval_shape(partial(explain, explainer, *network(name), **options), digits[0][:2])
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('explainer, message', [
    ('grad', r'explanations are of logits \[b, k\], not \(3,\); a network returns \(logits, taps\)'),
    *((name, r'explanations are of logits \[b, k\], not \(48,\); a network returns \(logits, taps\)')
      for name in ('smooth_grad', 'integrated_gradients', 'occlusion')),
    ('grad_cam', 'LogitsAlone gives logits alone; let it return .logits, taps.')])
def test_a_network_without_taps(explainer, message):
    """Nor are a row's 48 logits taken for those of as many points."""
    class LogitsAlone(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            return nn.Dense(3 if explainer == 'grad' else 48)(x.reshape(len(x), -1))

    images = jnp.ones((2, 4, 4, 1))
    variables = LogitsAlone().init(jax.random.key(0), images, False)
    with pytest.raises(InputError, match=message):
        explain(explainer, LogitsAlone(), variables, images)


def test_how_many_classes_go_through_a_whole_network_at_once(network, monkeypatch):
    """Few where convolutions run on a CPU, in at most 32 passes; else as many as fit, 16,384 images of them."""
    for name, m, chunk in ('cnn6', 10, 1), ('cnn6', 1000, 32), ('mlp', 1000, 128), ('mlp', 10, 10):
        assert whole_network(network(name)[1], 128)(m) == chunk
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    for images, m, chunk in (128, 10, 10), (128, 1000, 128), (10 ** 6, 10, 1):
        assert whole_network(network('cnn6')[1], images)(m) == chunk
