"""One training step of ikd, compiled as it runs, against PyTorch's from the same weights on the same images."""
from functools import cache

import jax
import numpy as np
import pytest

from ikd import models, parallel, training
from ikd.config import default
from ikd.data import Dataset, digits
from ikd.data.inputs import normalise
from ikd.recipes import recipe
from ikd.validation import resolve

torch = pytest.importorskip('torch')

from tests.peers import torch_networks, torch_training  # noqa: E402  (they import torch)

PEERS = {'resnet8': lambda: torch_networks.ResNet(8), 'mlp': lambda: torch_networks.MLP((3, 16, 16))}
WAYS = ('loop', 'batched', 'vmap')
CASES = [(name, way) for name in PEERS for way in (None, *WAYS)]


@pytest.fixture(scope='module')
def dataset():
    """One batch, 16 digits of 16x16 in three channels."""
    images, labels, _, _, names = digits.read()
    images = np.repeat(np.kron(images[:16], np.ones((1, 2, 2, 1), np.uint8)), 3, axis=-1)
    return Dataset(images, labels[:16], images, labels[:16], names, (0.1,) * 3, (0.3,) * 3)


@pytest.fixture(scope='module')
def ours(dataset):
    """ours(name, index): the state before and after a step of a stage (0: CE, 1: LE(Grad)), and its loss."""
    @cache
    def run(name, index):
        config = default()
        config.update_from_flattened_dict({'model.name': name, 'method.explainer': 'grad', 'batch_size': 16,
                                           'epochs': 10})
        config, layout = resolve(config), parallel.Layout(tuple(jax.devices()[:1]), 'data')
        stage = recipe(config)[index]
        prepared = training.prepare(stage, models.create(name, 10), None, dataset, config, layout)
        before = training.new_state(0, prepared, dataset.train_images.shape[1:])
        before = before._replace(params=jax.tree.map(shaken, before.params))
        state = parallel.join(layout, [before])
        resident = parallel.replicate(layout, (dataset.train_images, dataset.train_labels))
        program = prepared.program
        after, report = program.advance(program.chunk)(state, {}, program.order(state), *resident)
        return before, parallel.split(layout, after)[0], np.ravel(report['loss'])[0]

    return run


def shaken(p):
    """Scales and biases away from 1 and 0."""
    return p + 0.3 * np.random.default_rng(p.size).normal(size=p.shape).astype(np.float32) if p.ndim == 1 else p


def peer_of(name, state):
    variables = {'params': state.params, 'batch_stats': state.batch_stats}
    return torch_training.ready(torch_networks.copy_flax(PEERS[name](), variables))


def steps_of(network, way):
    optimizer = torch_training.sgd(network)
    return (torch_training.step_le_grad(network, optimizer, way) if way else
            torch_training.step_ce(network, optimizer))


def torch_batch(dataset):
    images = np.moveaxis(np.asarray(normalise(dataset.train_images, dataset.mean, dataset.std)), -1, 1)
    images = torch.tensor(images).contiguous(memory_format=torch.channels_last)
    return images, torch.tensor(dataset.train_labels, dtype=torch.int64)


def assert_agree(name, network, loss, before, after, expected_loss):
    """Losses agree, and so does the change of every parameter."""
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
    began, expected = (dict(peer_of(name, state).named_parameters()) for state in (before, after))
    for key, value in network.named_parameters():
        change = expected[key] - began[key]
        assert torch.linalg.norm(change) > 0
        assert torch.linalg.norm(value - expected[key]) < 1e-4 * torch.linalg.norm(expected[key]), key
        assert torch.linalg.norm(value - expected[key]) < 1e-3 * torch.linalg.norm(change), key


@pytest.mark.parametrize('name, way', CASES)
def test_one_step_agrees(dataset, ours, name, way):
    before, after, expected_loss = ours(name, 1 if way else 0)
    network = peer_of(name, before)
    loss = steps_of(network, way)(*torch_batch(dataset))
    assert_agree(name, network, loss, before, after, expected_loss)


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')  # of PyTorch about itself
@pytest.mark.parametrize('name, way', [(name, way) for name in PEERS for way in (None, 'loop', 'vmap')])
def test_a_compiled_step_agrees(dataset, ours, name, way):
    before, after, expected_loss = ours(name, 1 if way else 0)
    network = peer_of(name, before)
    loss = torch_training.compiled(steps_of(network, way))(*torch_batch(dataset))
    assert_agree(name, network, loss, before, after, expected_loss)
