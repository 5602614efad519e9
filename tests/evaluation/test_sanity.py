"""Cascading randomisation: the order of layers, and networks whose maps are known before and after."""
import flax.linen as nn
import jax
import numpy as np
import pytest
from scipy.stats import spearmanr

from ikd import models
from ikd.evaluation.sanity import cascade, parts_in_order
from ikd.explainers import EXPLAINERS
from ikd.trained import explain_function
from tests.evaluation.networks import trained_of


class OwnHead(nn.Module):
    """A hidden layer, and a head whose kernel is the network's own."""
    num_classes: int

    @nn.compact
    def __call__(self, images, train=False):
        x = nn.tanh(nn.Dense(16)(images.reshape(len(images), -1)))
        return x @ self.param('kernel', nn.initializers.normal(), (16, self.num_classes)), {}


@pytest.mark.parametrize('name, first, last, count', [
    ('mlp', ['Dense_0', 'Dense_1'], ['Dense_1', 'Dense_2'], 3),
    ('resnet8', ['stem_conv', 'stem_norm', 'block1_1'], ['block2_1', 'block3_1', 'linear'], 6),
    ('cnn4', ['Conv_0', 'BatchNorm_0', 'Conv_1'], ['Conv_3', 'BatchNorm_3', 'Dense_0'], 9)])
def test_parts_come_in_the_order_of_the_image(name, first, last, count):
    model = models.create(name, 10)
    names = jax.eval_shape(model.init, jax.random.key(0), np.zeros((1, 32, 32, 3)))['params']
    found = parts_in_order(model, (32, 32, 3), names)
    assert found[:len(first)] == first and found[-len(last):] == last
    assert len(found) == count and {*found} == {*names}


def test_randomised_from_the_top_down():
    """In the end the network is a new one; its maps' correlations with the old ones are SciPy's."""
    trained, n = trained_of('mlp', seed=0), 30
    steps = cascade(trained, 'grad', most=n, seed=5)
    assert [step['part'] for step in steps] == [None, 'Dense_2', 'Dense_1', 'Dense_0']
    assert steps[0]['absolute']['rho'] == pytest.approx(1) == steps[0]['signed']['rho']
    assert steps[1]['signed']['rho'] != steps[2]['signed']['rho']
    new = trained_of('mlp', seed=5).variables
    images, labels = trained.dataset.test_images[:n] / np.float32(255), trained.dataset.test_labels[:n]
    explain = jax.jit(explain_function(trained, 'grad'))
    before, after = (np.asarray(explain(v, images))[np.arange(n), labels].reshape(n, -1)
                     for v in (trained.variables, new))
    signed = np.mean([spearmanr(a, b).statistic for a, b in zip(before, after)])
    absolute = np.mean([spearmanr(abs(a), abs(b)).statistic for a, b in zip(before, after)])
    assert steps[-1]['signed']['rho'] == pytest.approx(signed, abs=1e-5)
    assert steps[-1]['absolute']['rho'] == pytest.approx(absolute, abs=1e-5)


def test_maps_without_colours_are_read_without_signs_too(monkeypatch):
    """Here the gradient, of images that have one colour: the readings are those of the gradient."""
    monkeypatch.setitem(EXPLAINERS, 'flat', lambda *args, **options: EXPLAINERS['grad'](*args, **options)[..., 0])
    trained = trained_of('mlp', seed=0)
    for flat, grad in zip(cascade(trained, 'flat', most=20), cascade(trained, 'grad', most=20)):
        assert flat['absolute']['rho'] == pytest.approx(grad['absolute']['rho'], abs=1e-5)
        assert flat['as_is']['rho'] == pytest.approx(grad['signed']['rho'], abs=1e-5)
    assert abs(grad['absolute']['rho'] - grad['signed']['rho']) > 0.01


def test_new_weights_that_are_the_old_ones_change_nothing():
    """Statistics included; an image whose map is zero is counted, not correlated."""
    trained = trained_of('cnn2', seed=5)
    for step in cascade(trained, most=40, seed=5):
        assert step['as_is']['rho'] == pytest.approx(1) and 0 < step['as_is']['undefined'] < 40


def test_statistics_are_new_with_their_layer():
    """BatchNorm that has been moved is as at the start once its part is new; the weights are the old ones."""
    trained = trained_of('cnn2', seed=5)
    draw = np.random.default_rng(0)
    moved = jax.tree.map(lambda leaf: leaf + draw.uniform(0, 0.1, leaf.shape), trained.variables['batch_stats'])
    trained = trained._replace(variables={**trained.variables, 'batch_stats': moved})
    rho = {step['part']: step['as_is']['rho'] for step in cascade(trained, most=40, seed=5)}
    assert [*rho] == [None, 'Dense_0', 'BatchNorm_1', 'Conv_1', 'BatchNorm_0', 'Conv_0']
    assert rho['Dense_0'] == pytest.approx(1) and rho['BatchNorm_1'] < 0.999
    assert rho['Conv_1'] == rho['BatchNorm_1'] != rho['BatchNorm_0'] == rho['Conv_0']


def test_the_networks_own_parameters_come_first(monkeypatch):
    """Of a network that differs from the new one in its head alone, the maps change with the head and never again."""
    monkeypatch.setitem(models.MODELS, 'own_head', OwnHead)
    trained = trained_of('own_head', seed=5)
    kernel = trained_of('own_head', seed=6).variables['params']['kernel']
    params = {**trained.variables['params'], 'kernel': kernel}
    steps = cascade(trained._replace(variables={**trained.variables, 'params': params}), 'grad', most=20, seed=5)
    assert [step['part'] for step in steps] == [None, 'OwnHead', 'Dense_0']
    before, head, hidden = (step['signed']['rho'] for step in steps)
    assert before == pytest.approx(1) and head < 0.9 and hidden == head
