"""What networks hand on to their layers: whether they train, the axis of devices, the activation; their wrappers."""
from functools import partial

import flax.linen as nn
import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from ikd import models
from ikd.models.hme import HMEResNet18, HMETree
from ikd.models.layers import BatchNorm, Dropout
from tests.models.filled import filled

SMALL, BATCH = (16, 16, 3), jax.ShapeDtypeStruct((2, 16, 16, 3), np.float32)
NETWORKS = {
    'mlp': models.MLP(3, widths=(8, 8)),
    'resnet': models.ResNet(3, blocks=(2, 1), width=4),
    'bottleneck': models.ResNet(3, blocks=(1, 1), width=4, bottleneck=True),
    'wide': models.WideResNet(3, depth=10, widen=2, width=4),
    'vgg': models.VGG8(3, width=4),
    'cnn': models.PlainCNN(3, depth=8),
    'tree': HMETree(3, width=4, hidden=16, experts=(2, 3, 4)),
    'groups': HMEResNet18(3, width=4, sub=2),
}
WRAPPED = {'itself': lambda network: network, 'peers': models.Peers,
           'regressed': lambda network: models.Regressed(network, network.group_taps[0], 5)}


@pytest.mark.parametrize('name, wrap', [*((name, 'itself') for name in NETWORKS), ('vgg', 'peers'),
                                        ('vgg', 'regressed')])
@pytest.mark.parametrize('train', [False, True])
def test_every_layer_is_told_of_training_and_of_the_devices(name, wrap, train):
    """One BatchNorm that kept its running averages, or its device's own statistics, would hardly show in a loss."""
    model = WRAPPED[wrap](NETWORKS[name].clone(axis_name='batch', dropout_rate=0.5))
    told = {}

    def note(call, args, kwargs, context):
        module = context.module
        if not isinstance(module, BatchNorm | Dropout) or context.method_name != '__call__':
            return call(*args, **kwargs)
        told[module.path] = module.axis_name, *args[1:]
        return args[0]

    variables = models.shapes(WRAPPED[wrap](NETWORKS[name]), SMALL)
    with nn.intercept_methods(note):
        jax.eval_shape(partial(model.apply, train=train), variables, BATCH)
    assert told and {*told.values()} == {('batch', train)}
    norms = {path[:-1] for path in flatten_dict(variables.get('batch_stats', {}))}
    assert norms <= told.keys()


@pytest.mark.parametrize('name', NETWORKS)
def test_every_activation_is_the_one_that_is_asked_for(name):
    """Explainers put others in: no ReLU is left where tanh is asked for."""
    def rectifies(model):
        return 'relu' in str(jax.make_jaxpr(model.apply)(models.shapes(model, SMALL), BATCH))

    assert rectifies(NETWORKS[name]) and not rectifies(NETWORKS[name].clone(activation=jax.numpy.tanh))


@pytest.mark.parametrize('name', NETWORKS)
def test_logits_are_float32_whatever_the_activations_are(name):
    model = NETWORKS[name].clone(dtype=jax.numpy.bfloat16)
    logits, taps = jax.eval_shape(model.apply, models.shapes(model, SMALL), BATCH)
    assert logits.dtype == np.float32
    assert all(value.dtype == jax.numpy.bfloat16 for value in taps.values() if value.ndim > 3)


@pytest.mark.parametrize('name, before', [
    ('mlp', ()), ('vgg', ()), ('cnn', ()), ('groups', ('binary',)),
    ('resnet', ('group1_conv', 'group1_sum', 'group2_conv', 'group2_sum')),
    ('wide', ('stem', 'group1', 'group2', 'group3'))])
def test_what_is_tapped_before_its_activation(digits, name, before):
    """Those alone: no other tap has a negative number."""
    _, taps = jax.jit(NETWORKS[name].apply)(filled(NETWORKS[name], SMALL), digits[0][:4, ::2, ::2])
    assert {tap for tap, value in taps.items() if value.min() < 0} == {*before}


def test_hidden_layers_of_an_mlp_are_tapped_after_their_activation(digits):
    _, taps = NETWORKS['mlp'].apply(filled(NETWORKS['mlp'], SMALL), digits[0][:2, ::2, ::2])
    assert all(tap.min() == 0 < tap.max() for tap in taps.values())


@pytest.mark.parametrize('name, pools', [
    ('mlp', 0), ('resnet', 0), ('wide', 0), ('vgg', 3), ('cnn', 4), ('groups', 0)])
def test_a_group_is_tapped_then_pooled_then_dropped(digits, name, pools):
    """So the tap is whole; the first `pools` groups are pooled."""
    model = NETWORKS[name].clone(dropout_rate=0.5)

    @jax.jit
    def run(variables, images):
        dropped = []

        def note(call, args, kwargs, context):
            if isinstance(context.module, Dropout):
                dropped.append(args[0])
            return call(*args, **kwargs)

        with nn.intercept_methods(note):
            (_, taps), _ = model.apply(variables, images, train=True, mutable=['batch_stats'],
                                       rngs={'dropout': jax.random.key(0)})
        return dropped, taps

    dropped, taps = run(filled(model, SMALL), digits[0][:2, ::2, ::2])
    groups = model.group_taps or [f'group{i}' for i in (1, 2, 3, 4)]
    for i, (tap, given) in enumerate(zip(groups, dropped, strict=True)):
        expected = nn.max_pool(taps[tap], (2, 2), (2, 2)) if i < pools else taps[tap]
        np.testing.assert_allclose(given, expected, rtol=1e-5, err_msg=tap)


def test_the_end_of_a_plain_network_in_closed_form(digits):
    """A hidden layer with ReLU, and a linear one."""
    variables = filled(NETWORKS['cnn'], SMALL)
    logits, taps = jax.jit(NETWORKS['cnn'].apply)(variables, digits[0][:4, ::2, ::2])
    first, last = (variables['params'][f'Dense_{i}'] for i in (0, 1))
    hidden = np.maximum(taps['flat'] @ first['kernel'] + first['bias'], 0)
    np.testing.assert_allclose(logits, hidden @ last['kernel'] + last['bias'], rtol=1e-4, atol=1e-4)
    assert 0.1 < (hidden == 0).mean() < 0.9


def test_peers_are_two_networks_of_whom_the_first_is_the_one_alone(digits):
    network, images = NETWORKS['vgg'], digits[0][:2, ::2, ::2]
    variables = filled(models.Peers(network), SMALL)
    logits, taps = models.Peers(network).apply(variables, images)
    first, others = ({part: {name: leaf for name, leaf in tree.items() if name != 'peer'}
                      for part, tree in variables.items()},
                     {part: tree['peer'] for part, tree in variables.items()})
    for i, alone in enumerate((first, others)):
        expected, theirs = network.apply(alone, images)
        np.testing.assert_allclose(logits[:, i], expected, rtol=1e-5)
        assert np.allclose(taps['pooled'], theirs['pooled'], rtol=1e-5) == (i == 0)


def test_a_regressor_in_closed_form(digits):
    """A 1x1 convolution with bias and ReLU of a tap, beside a network that gives what it gave without."""
    network, images = NETWORKS['vgg'], digits[0][:2, ::2, ::2]
    model = models.Regressed(network, 'group2', 5)
    variables = filled(model, SMALL)
    logits, taps = model.apply(variables, images)
    kernel, bias = (variables['params']['regressor'][name] for name in ('kernel', 'bias'))
    expected, own = network.apply(variables, images)
    np.testing.assert_allclose(logits, expected, rtol=1e-5)
    np.testing.assert_allclose(taps['hint'], np.maximum(own['group2'] @ kernel + bias, 0), rtol=1e-4, atol=1e-5)
    assert 0.1 < (taps['hint'] == 0).mean() < 0.9 and taps.keys() == own.keys() | {'hint'}


def test_a_regressor_starts_as_he_with_fan_out():
    """A standard deviation of sqrt(2 / width), to five standard errors, and no bias."""
    model = models.Regressed(NETWORKS['mlp'].clone(widths=(400, 8)), 'hidden1', 40)
    params = model.init(jax.random.key(0), np.zeros((1, 2, 2, 1), np.float32))['params']['regressor']
    assert abs(params['kernel'].std() / np.sqrt(2 / 40) - 1) < 5 / np.sqrt(2 * params['kernel'].size)
    assert not params['bias'].any()
