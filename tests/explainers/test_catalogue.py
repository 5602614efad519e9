"""Which explainers explain which network, and what the others say."""
import flax.linen as nn
import jax
import pytest

from ikd.explainers import EXPLAINERS, applicable


class HardWired(nn.Module):
    """A network as somebody else would write it: its ReLU is no field, and it has no taps."""

    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(3)(nn.relu(nn.Dense(4)(images.reshape(len(images), -1)))), {}


def test_all_explain_a_residual_network(network):
    names, reasons = applicable(*network('resnet8'), (32, 32, 3))
    assert names == tuple(EXPLAINERS) and reasons == {}


def test_those_that_need_feature_maps_do_not_explain_a_perceptron(network):
    names, reasons = applicable(*network('mlp'), (32, 32, 3))
    assert 'grad' in names and 'this one has none; use grad' in reasons['grad_cam']
    assert {*names, *reasons} == {*EXPLAINERS} and not {*names} & {*reasons}


@pytest.mark.parametrize('as_shapes', [False, True])
def test_a_network_of_ones_own(digits, as_shapes):
    model = HardWired()
    make = jax.eval_shape if as_shapes else lambda f, *args: f(*args)
    names, reasons = applicable(model, make(model.init, jax.random.key(0), digits[0]), (32, 32, 3))
    assert 'grad' in names and "HardWired has no field 'activation'" in reasons['guided_backprop']
    assert all('\n' not in reason for reason in reasons.values())
