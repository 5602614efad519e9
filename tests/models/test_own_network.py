"""Networks that ikd has not written: what they need, and one line for what they lack."""
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import digits as digits_config
from ikd import experiment, models, networks, parallel, run_data
from ikd.errors import InputError
from ikd.explainers import CAMS, EXPLAINERS, applicable, explain
from ikd.models import MODELS, BatchNorm, Tap, Taps
from ikd.validation import resolve


class Small(nn.Module):
    """Flax's own layers, two taps, and a call without a default for train."""
    num_classes: int
    activation: Callable = nn.relu

    @nn.compact
    def __call__(self, x, train):
        taps = Taps()
        x = taps('first', self.activation(nn.Conv(4, (3, 3))(x)))
        x = taps('last', self.activation(nn.Conv(8, (3, 3), strides=2)(x)))
        return nn.Dense(self.num_classes)(x.mean((1, 2))), taps


class Bare(nn.Module):
    """No field but the one that is needed, BatchNorm that only one device can have, Dropout."""
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        taps = Taps()
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(4, (3, 3))(x))
        x = nn.Dropout(0.1, deterministic=not train)(taps('last', nn.relu(x)))
        return nn.Dense(self.num_classes)(x.mean((1, 2))), taps


class Mixed(nn.Module):
    """Two of ikd's BatchNorms in a part, of which one always has its running averages, and one of Flax's."""
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        taps = Taps()
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(4, (3, 3))(x))
        x = taps('last', nn.relu(Norms(name='norms')(x, train)))
        return nn.Dense(self.num_classes)(x.mean((1, 2))), taps


class Norms(nn.Module):
    @nn.compact
    def __call__(self, x, train):
        return BatchNorm()(BatchNorm()(x, False), train)


class LogitsOnly(nn.Module):
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(self.num_classes)(Tap(name='last')(x).mean((1, 2)))


class Untapped(nn.Module):
    """It returns a feature map, but explainers can't start from it."""
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(self.num_classes)(x.mean((1, 2))), {'last': x}


class Counting(nn.Module):
    """It keeps something that a run does not save."""
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        seen = self.variable('counter', 'seen', lambda: jnp.zeros(()))
        return nn.Dense(self.num_classes)(x.mean((1, 2)) + seen.value), Taps(last=x)


class TooMany(nn.Module):
    """It returns other logits than it was told."""
    num_classes: int

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(self.num_classes + 1)(x.mean((1, 2))), Taps(last=x)


class Unasked(nn.Module):
    """It is not told of how many classes to return logits."""

    @nn.compact
    def __call__(self, x, train):
        return nn.Dense(10)(x.mean((1, 2))), Taps(last=x)


@pytest.fixture
def known(monkeypatch):
    for kind in Small, Bare, Mixed, LogitsOnly, Untapped, Counting, TooMany, Unasked:
        monkeypatch.setitem(MODELS, kind.__name__.lower(), kind)


def config_of(name, **fields):
    config = digits_config.get_config('le,smoke')
    config.update_from_flattened_dict({'model.name': name, 'data.size': 8, 'data.limit': 64, **fields})
    return resolve(config)


def variables_of(model):
    return models.init(model, jax.random.key(0), (8, 8, 3))


def test_every_explainer_explains_it(digits):
    """Those of feature maps the last one; Grad-CAM is NumPy's."""
    model, images = Small(5), jnp.asarray(digits[0][:2, ::4, ::4])
    variables = variables_of(model)
    assert applicable(model, variables, (8, 8, 3)) == (tuple(EXPLAINERS), {})
    maps = explain('grad_cam', model, variables, images, relu=False)
    _, taps = model.apply(variables, images, train=False)
    kernel = np.asarray(variables['params']['Dense_0']['kernel'])  # a mean over 16 places, then this matrix
    np.testing.assert_allclose(maps, np.einsum('bhwc,ck->bkhw', taps['last'], kernel) / 16, rtol=1e-4, atol=1e-7)
    assert explain('grad_cam', model, variables, images, tap='first').shape == (2, 5, 8, 8)


def test_what_is_missing_is_said_of_those_that_miss_it():
    names, reasons = applicable(Bare(5), variables_of(Bare(5)), (8, 8, 3))
    assert {'grad', 'grad_cam', 'lrp_epsilon'} <= {*names} and "no field 'activation'" in reasons['guided_backprop']
    for name in 'grad', 'grad_cam':
        with pytest.raises(InputError) as error:
            explain(name, Untapped(5) if name == 'grad_cam' else LogitsOnly(5),
                    variables_of(LogitsOnly(5)), jnp.ones((2, 8, 8, 3)))
        assert '\n' not in str(error.value) and ("x = taps('last', x)" in str(error.value)) == (name == 'grad_cam')


def test_taps_are_a_tree_in_their_order():
    model = Small(5)
    (_, taps), _ = jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), jnp.ones((1, 8, 8, 3)), False))
    assert type(taps) is Taps and [*taps] == ['first', 'last'] and taps['last'].shape == (1, 4, 4, 8)
    assert jax.tree.map(jnp.shape, jax.jit(lambda taps: taps)(Taps(b=jnp.ones(3), a=jnp.ones(2)))) == {
        'a': (2,), 'b': (3,)}


@pytest.mark.parametrize('name', ['bare', 'mixed'])
def test_le_trains_it(known, tmp_path, name):
    """With Flax's BatchNorm, whose running averages explain, also beside ikd's, and Dropout; its maps are drawn."""
    config = config_of(name)
    assert config.method.explainer == 'grad_cam' and config.method.tap is None
    summary = experiment.run(config, tmp_path / 'run', jax.devices()[:1])
    assert summary['explainer'] == 'grad_cam' and (tmp_path / 'run' / 'explanations.png').is_file()


@pytest.mark.parametrize('name, fields, message', [
    ('logitsonly', {}, r'LogitsOnly must return \(logits \[b, k\], taps\)'),
    ('untapped', {}, "Untapped returns 'last', but nothing can be put into its place: write x = taps"),
    ('counting', {}, "Counting keeps variables beside 'params' and 'batch_stats', which .* from collection .counter"),
    ('toomany', {}, 'TooMany returns 11 logits, though it was told num_classes=10'),
    ('unasked', {}, "unasked has no field 'num_classes'"),
    ('small', {'method.tap': 'middle'}, "has no 'middle'; tap .method.tap. may be: first, last"),
    ('bare', {'precision': 'bfloat16'}, "needs a network with the field 'dtype', and bare has none"),
    ('bare', {'method.name': 'dropout'}, "method.name=dropout needs a network with the field 'dropout_rate'"),
    ('bare', {'model.width': 8}, 'model.width does not apply to bare'),
    ('bare', {'model.vam': True}, 'model.vam is not for bare'),
    ('bare', {'method.name': 'at_kd'}, "compares groups, and bare has no 'group_taps'"),
])
def test_what_a_run_can_not_do_is_one_line(name, fields, message, known, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        experiment.run(config_of(name, **fields), tmp_path / 'run', jax.devices()[:1])
    assert '\n' not in str(error.value) and not (tmp_path / 'run').exists()


def test_its_batch_norm_would_differ_between_devices(known, tmp_path):
    config = config_of('bare')
    dataset = run_data.load_data(config)
    ((layout, _),) = parallel.layouts('data', [0], config.batch_size, jax.devices()[:2], 1)
    with pytest.raises(InputError, match="Bare has BatchNorm but no field 'axis_name'"):
        networks.prepare_stages(config, dataset, layout)
    small = networks.prepare_stages(config_of('small'), dataset, layout)  # it has nothing to share
    assert [prepared.stage.name for prepared in small] == ['warmup', 'introspective']


class Unsaid(Small):
    """Small, which does not say which of its feature maps is meant."""
    cam_tap = None


def test_the_options_of_a_run_decide_what_applies():
    model, variables = Unsaid(5), variables_of(Small(5))
    assert {*applicable(model, variables, (8, 8, 3))[1]} == {*CAMS}
    names, reasons = applicable(model, variables, (8, 8, 3), {'grad_cam': {'tap': 'first', 'relu': True}})
    assert 'grad_cam' in names and {*reasons} == {*CAMS} - {'grad_cam'}
