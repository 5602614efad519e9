"""What all explainers have in common, and which of them explain which network."""
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from ikd import models
from ikd.errors import InputError
from ikd.explainers import CAMS, EXPLAINERS, ONE_PASS, applicable, explain
from tests.models.filled import filled

FEW = {'smooth_grad': {'samples': 2}, 'integrated_gradients': {'steps': 2}, 'occlusion': {'size': 4, 'stride': 4}}
SMALL = {'mlp': {'widths': (8, 8)}, 'resnet8': {'width': 4}, 'cnn2': {}, 'vgg8': {'width': 16},
         'wrn16_2': {'width': 4}}


def every(model, names, variables, images, **options):
    return {name: explain(name, model, variables, images, class_chunk=3, **FEW.get(name, {}), **options)
            for name in names}


@pytest.fixture(scope='module')
def small(digits):
    """small(name): a network of 3 classes, its variables, and three digits of 8x8 grey pixels as it sees them."""
    images = 2 * digits[0][:3, ::4, ::4, :1] - 0.5

    def make(name, **options):
        model = models.create(name, 3, **SMALL[name], **options)
        return model, filled(model, images.shape[1:]), images

    return make


@pytest.mark.parametrize('name', ['mlp', 'cnn2', *(pytest.param(name, marks=pytest.mark.slow)
                                                   for name in ('resnet8', 'vgg8', 'wrn16_2'))])
def test_maps_of_every_class_of_every_network(small, name):
    """Finite, float32, the image's size and colours where they are the image's, none all zero, or a reason; and an
    image's map does not depend on its neighbours."""
    model, variables, images = small(name)
    names, reasons = applicable(model, variables, images.shape[1:])
    assert (names, {*reasons}) == ((tuple(EXPLAINERS), set()) if model.cam_tap else
                                   (tuple(n for n in EXPLAINERS if n not in CAMS), {*CAMS}))
    run = jax.jit(partial(every, model, names))
    maps, changed = run(variables, images), run(variables, images[[0, 1, 1]])
    for explainer, value in maps.items():
        size = value.shape[2:4] if explainer in CAMS and explainer != 'guided_grad_cam' else (8, 8)
        colours = () if explainer in CAMS and explainer != 'guided_grad_cam' or explainer == 'occlusion' else (1,)
        assert value.shape == (3, 3, *size, *colours) and value.dtype == jnp.float32, explainer
        assert np.isfinite(value).all() and np.any(value != 0), explainer
        np.testing.assert_allclose(changed[explainer][:2], value[:2], rtol=1e-4, atol=1e-6, err_msg=explainer)


def test_bfloat16_networks_have_float32_maps(small):
    """All explainers of a convolutional network, as shapes; of a perceptron the one that divides most, computed."""
    shapes = jax.eval_shape(partial(every, small('cnn2', dtype=jnp.bfloat16)[0], tuple(EXPLAINERS)),
                            *small('cnn2')[1:])
    assert {value.dtype for value in shapes.values()} == {jnp.dtype('float32')}
    model, variables, images = small('mlp', dtype=jnp.bfloat16)
    rough, exact = (np.ravel(jax.jit(partial(explain, 'lrp_z_plus', network))(variables, images)) for network in (
        model, model.clone(dtype=jnp.float32)))
    assert 0.95 < exact @ rough / np.sqrt((exact @ exact) * (rough @ rough)) < 0.9999999


def test_pixels_are_not_what_a_network_takes(small):
    """Maps of images in 0 to 255 would be of other inputs than the network has learnt."""
    model, variables, images = small('cnn2')
    with pytest.raises(InputError, match='images are uint8, but a network takes floating-point numbers'):
        explain('grad', model, variables, np.zeros(images.shape, np.uint8))


@pytest.mark.parametrize('name', ['lrp_z_plus', 'smooth_grad'])
def test_classes_in_chunks_give_the_same_maps(small, name):
    model, variables, images = small('mlp')
    two, at_once = (jax.jit(partial(explain, name, model, class_chunk=chunk, **FEW.get(name, {})))(variables, images)
                    for chunk in (2, 3))
    np.testing.assert_allclose(two, at_once, rtol=1e-4, atol=1e-6)


class HardWired(nn.Module):
    """A network as somebody else would write it: its ReLU is no field, and it has no taps."""

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(3)(nn.relu(nn.Dense(4)(images.reshape(len(images), -1)))), {}


class Gated(nn.Module):
    """A network whose features weigh each other."""

    @nn.compact
    def __call__(self, images, train=False):
        x = images.reshape(len(images), -1)
        return nn.Dense(3)(nn.relu(nn.Dense(4)(x)) * nn.sigmoid(nn.Dense(4)(x))), {}


class Untold(nn.Module):
    """A network that is the same in training and evaluation, and is not told which it is."""

    @nn.compact
    def __call__(self, images):
        return nn.Dense(3)(images.reshape(len(images), -1)), {}


class Two(nn.Module):
    """A network of an image and something beside it."""

    @nn.compact
    def __call__(self, images, more, train):
        return nn.Dense(3)(images.reshape(len(images), -1) + more), {}


def test_what_is_no_network_of_ikd_is_told_what_that_is(digits):
    model, images = HardWired(), digits[0][:2]
    variables = model.init(jax.random.key(0), images)
    for arguments, message in (((model, variables, images[0]), r'images are \[32, 32, 3\]; give a batch'),
                               ((model, variables, images[:0]), r'images are \[0, 32, 32, 3\]; give at least one'),
                               ((model, variables['params'], images), "variables have no 'params'"),
                               ((Untold(), variables, images), 'Untold takes no `train`'),
                               ((Two(), variables, images), 'Two cannot be called with .*, missing a required arg'),
                               ((lambda x: x, variables, images), 'function is no network of ikd'),
                               ((nnx.Linear(2, 2, rngs=nnx.Rngs(0)), variables, images), 'Linear is no network'),
                               ((variables, model, images), 'dict is no network of ikd'),
                               ((model, model, images), 'variables are of the type HardWired; give what the network'),
                               (('mlp', variables, images), 'mlp is no network of ikd')):
        with pytest.raises(InputError, match=message):
            explain('grad', *arguments)
    listed = explain('grad', model, variables, images.tolist())
    np.testing.assert_array_equal(listed, explain('grad', model, variables, images))


@pytest.mark.parametrize('name', ['grad', 'occlusion'])
@pytest.mark.parametrize('options, message', [
    ({'class_chunk': 0}, 'class_chunk is 0; it must be a whole number'), ({'class_chunk': 1.5}, 'class_chunk is 1.5'),
    ({'class_chunk': True}, 'class_chunk is True'), ({'classes': [[1], [2, 1]]}, 'give as many for each image')])
def test_options_that_make_no_sense(name, options, message, small):
    with pytest.raises(InputError, match=message):
        explain(name, *small('cnn2'), **options)


@pytest.mark.parametrize('name', ['grad', 'smooth_grad'])
def test_images_of_low_precision_have_maps_of_float32(name, small):
    """Of weights so small that slopes would be nothing in float16."""
    model, variables, images = small('mlp')
    variables = jax.tree.map(lambda leaf: 1e-3 * leaf, variables)
    exact = jnp.asarray(images, jnp.float16)
    found, expected = (explain(name, model, variables, x) for x in (exact, exact.astype(jnp.float32)))
    np.testing.assert_array_equal(found, expected)
    assert 0 < abs(found).max() < np.finfo(np.float16).smallest_subnormal


def test_images_that_the_network_was_not_made_for(small):
    """Also where explaining is compiled."""
    model, variables, images = small('cnn2')
    lacking = {**variables, 'params': {name: value for name, value in variables['params'].items() if 'Dense' in name}}
    for given, shown, message in (
            (variables, images[:, :, :4], r'PlainCNN does not take images \[3, 8, 4, 1\] with these .*Dense_0'),
            (variables, np.repeat(images, 3, -1), r'images \[3, 8, 8, 3\] .*but the .* \(3, 3, 1, 16\)\.'),
            (lacking, images, 'with these variables: .*Conv_0')):
        for name in 'grad', 'grad_cam', 'lrp_epsilon', 'occlusion':
            for call in partial(explain, name, model), jax.jit(partial(explain, name, model)):
                with pytest.raises(InputError, match=message):
                    call(given, shown)


def test_options_that_there_are_not(small):
    for name, option, takes in ('grad', 'tap', 'class_chunk, classes'), ('grad_cam', 'sample', 'tap, relu'):
        with pytest.raises(InputError, match=rf"'{name}' takes no {option}; it takes \(.*{takes}.*\)"):
            explain(name, *small('cnn2'), class_chunk=2, **{option: 3})


OWN = {
    'flat': (lambda maps: maps.sum((2, 3, 4)), r"'own' gives \[3, 3\]; maps of every class are \[3, k, h, w\]"),
    'of one class': (lambda maps: maps[:, 0, :, :, 0], r"'own' gives \[3, 8, 8\]"),
    'of fewer images': (lambda maps: maps[:2], r"'own' gives \[2, 3, 8, 8, 1\]"),
    'nothing': (lambda maps: None, "'own' gives NoneType"),
}


@pytest.mark.parametrize('case', OWN)
def test_what_an_explainer_of_ones_own_must_give(small, monkeypatch, case):
    change, message = OWN[case]
    network, variables, images = small('mlp')

    def own(model, variables, images, class_chunk=None):
        return change(explain('grad', model, variables, images, class_chunk=class_chunk))

    def unasked(model, variables, images):
        return explain('grad', model, variables, images)

    def any_option(model, variables, images, **options):
        return explain('grad', model, variables, images)

    def in_numpy(model, variables, images, class_chunk=None):
        return np.asarray(explain('grad', model, variables, images))

    for name, function in (('own', own), ('unasked', unasked), ('any', any_option), ('numpy', in_numpy)):
        monkeypatch.setitem(EXPLAINERS, name, function)
    with pytest.raises(InputError, match=message):
        explain('own', network, variables, images)
    reasons = applicable(network, variables, images.shape[1:])[1]
    assert 'unasked' in reasons and 'not all of it is JAX: The numpy.ndarray conversion' in reasons['numpy']
    assert all('\n' not in reason for reason in reasons.values())
    with pytest.raises(InputError, match=r"'unasked' takes no class_chunk; it takes \(model, variables, images\)"):
        explain('unasked', network, variables, images, class_chunk=2)
    assert explain('any', network, variables, images, class_chunk=2).shape == (3, 3, 8, 8, 1)


@pytest.mark.parametrize('as_shapes', [False, True])
@pytest.mark.parametrize('kind, missing', [
    (HardWired, {*CAMS, 'guided_backprop'}),
    (Gated, {*CAMS, 'guided_backprop', 'lrp_epsilon', 'lrp_z_plus', 'contrastive_lrp'})])
def test_a_network_of_ones_own(digits, kind, missing, as_shapes):
    model = kind()
    make = jax.eval_shape if as_shapes else lambda f, *args: f(*args)
    names, reasons = applicable(model, make(model.init, jax.random.key(0), digits[0]), (32, 32, 3))
    assert {*reasons} == missing and names == tuple(name for name in EXPLAINERS if name not in missing)
    assert f"{kind.__name__} has no field 'activation'" in reasons['guided_backprop']
    assert 'has none; use grad' in reasons['layer_cam']
    assert all('\n' not in reason for reason in reasons.values())


def test_a_tree_of_experts_has_relevance_but_no_last_feature_map():
    """Learnt routing does not depend on the image, so it is affine like all else."""
    model = models.create('hme_tree', 2, width=2, experts=(1, 1), hidden=4)
    variables = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    image = jax.ShapeDtypeStruct((1, 8, 8, 1), jnp.float32)
    assert jax.eval_shape(partial(explain, 'lrp_z_plus', model), variables, image).shape == (1, 2, 8, 8, 1)
    with pytest.raises(InputError, match='HMETree has none; use grad'):
        jax.eval_shape(partial(explain, 'layer_cam', model), variables, image)


def test_what_a_network_can_learn_from():
    assert {*EXPLAINERS} - {*ONE_PASS} == {'smooth_grad', 'integrated_gradients', 'occlusion'}


@pytest.mark.parametrize('name', ['cnn2', pytest.param('resnet8', marks=pytest.mark.slow)])
def test_maps_of_some_classes_are_those_of_all(small, name):
    """The same classes of every image, once in another order, or of each image its own, two of them alike."""
    model, variables, images = small(name)
    every_class = jax.jit(partial(every, model, tuple(EXPLAINERS)))(variables, images)
    for classes in [2, 0], [[1, 1], [0, 2], [2, 1]]:
        classes = np.array(classes)
        some = jax.jit(partial(every, model, tuple(EXPLAINERS)))(variables, images, classes=classes)
        rows = np.broadcast_to(classes, (3, 2))
        for explainer, maps in every_class.items():
            expected = np.stack([image[own] for image, own in zip(np.asarray(maps), rows)])
            np.testing.assert_allclose(some[explainer], expected, rtol=1e-4, atol=1e-6, err_msg=explainer)


def test_classes_that_are_not_there(small):
    """Said at once, and where explaining is compiled, as long as they are numbers and no argument of it."""
    model, variables, images = small('cnn2')
    cases = {'classes are 3 to 3; the network has 0 to 2': [3], 'classes are -1 to 2': [-1, 2],
             r'classes are float64 \[1\]': [0.5], r'classes are .* \[0\]': [], 'give class numbers': 1,
             r'classes are int64 \[2, 1\]; .* or int \[3, m\] for each image its own': [[1], [2]],
             r'classes are int32 \[\]': jnp.int32(1)}
    for message, classes in cases.items():
        for name in 'grad', 'occlusion', 'grad_cam':
            run = partial(explain, name, model, classes=classes)
            for call in run, jax.jit(run):
                with pytest.raises(InputError, match=message):
                    call(variables, images)


@pytest.mark.parametrize('name', ['grad', 'grad_cam', 'lrp_epsilon', 'occlusion'])
def test_traced_classes_that_are_not_there_have_no_map(small, name):
    """-1, a label that is not known, is not the last class, nor is what lies beyond it."""
    model, variables, images = small('cnn2')
    run = jax.jit(lambda classes: explain(name, model, variables, images, classes=classes, **FEW.get(name, {})))
    for dtype, classes in (np.int32, [-1, 1, 3]), (np.uint8, [255, 1, 3]):
        maps = run(np.array(classes, dtype))
        assert np.isnan(maps).all((0, *range(2, maps.ndim))).tolist() == [True, False, True]
    own = np.isnan(run(np.array([[0, -1], [9, 1], [2, 2]])))
    assert own.all((*range(2, own.ndim),)).tolist() == [[False, True], [True, False], [False, False]]


def test_some_classes_of_an_explainer_of_ones_own(small, monkeypatch):
    """Which need not know of `classes`."""
    model, variables, images = small('mlp')
    own = lambda model, variables, images, class_chunk=None: abs(explain('grad', model, variables, images)).sum(-1)
    monkeypatch.setitem(EXPLAINERS, 'own', own)
    every = explain('own', model, variables, images)
    np.testing.assert_array_equal(explain('own', model, variables, images, classes=None), every)
    some = explain('own', model, variables, images, classes=[2, 0])
    np.testing.assert_array_equal(some, every[:, [2, 0]])
