"""ikd's steps beside PyTorch's, for `python -m ikd.bench --peer`: the same weights, images, batch and optimiser.

Both sides take a step on the same images first and must agree. PyTorch's best way is what is timed: `LE_WAYS` are
tried, as they are and compiled, and the fastest is kept; for the MLP the better number of threads. PyTorch is handed
batches of normalised images, ours takes them from the data set and normalises them, as in training.
"""
from functools import partial

import jax
import numpy as np
import torch

from ikd import training
from ikd.data.inputs import normalise
from ikd.timed_steps import Steps, images_for, settings
from ikd.timing import paired_times, times_of
from tests.peers import torch_networks, torch_training

LE_WAYS = ('loop', 'batched')
AGREE = 1e-3  # relative, of losses of a step in float32


def beside_torch(model, method, pairs, threads=(2,), **fields):
    """Our step over PyTorch's fastest, each call as many steps as ours compiles into one; also which that was."""
    images = images_for(model)
    config = settings(model, method, **fields)
    ours = Steps(config, images)
    state = jax.device_get(ours.state)
    batches = torch_batches(images, ours)

    def network():
        peer = torch_networks.MLP((1, 28, 28)) if model == 'mlp' else torch_networks.ResNet(8)
        return torch_training.ready(torch_networks.copy_flax(peer, training.variables_of(state)))

    candidates = {}
    for way in LE_WAYS if method == 'le' else (None,):
        for count in threads:
            torch.set_num_threads(count)
            for compiled in (False, True):
                step = step_of(network(), way)
                step = torch_training.compiled(step) if compiled else step
                candidates[way, count, compiled] = step, float(step(*batches[0]))
    expected = first_loss(ours)
    for name, (_, loss) in candidates.items():
        if abs(loss / expected - 1) > AGREE:
            raise RuntimeError(f'PyTorch ({name}) has a loss of {loss}, ikd {expected}: not the same step')

    def theirs(step, count):
        torch.set_num_threads(count)
        for batch in batches:
            step(*batch)

    speed = {name: np.median(times_of(partial(theirs, step, name[1]), 5)) for name, (step, _) in candidates.items()}
    best = min(speed, key=speed.get)
    times = paired_times(ours, partial(theirs, candidates[best][0], best[1]), pairs) / ours.steps
    way, count, compiled = best
    return times, {'peer': {'torch': torch.__version__, 'way': way, 'threads': count, 'compiled': compiled}}


def step_of(network, way):
    optimizer = torch_training.sgd(network)
    return (torch_training.step_le_grad(network, optimizer, way) if way else
            torch_training.step_ce(network, optimizer))


def torch_batches(images, ours):
    """The batches of the first call of `ours`, as PyTorch has them."""
    rows = np.asarray(ours.order)[:ours.steps * ours.batch_size].reshape(ours.steps, -1)
    x = np.asarray(normalise(images.train_images, images.mean, images.std))
    return [(torch.tensor(np.moveaxis(x[r], -1, 1)).contiguous(memory_format=torch.channels_last),
             torch.tensor(images.train_labels[r], dtype=torch.int64)) for r in rows]


def first_loss(ours):
    """The loss of our first step, from the state before it."""
    copy = jax.tree.map(jax.numpy.copy, ours.state)
    _, report = ours.program.advance(ours.steps)(copy, ours.knowledge, ours.order, *ours.data)
    return float(np.ravel(report['loss'])[0])


PEERS = {
    'ce_resnet8_over_torch': (partial(beside_torch, 'resnet8', 'ce'), 1.0),
    'le_grad_resnet8_over_torch': (partial(beside_torch, 'resnet8', 'le', **{'method.explainer': 'grad'}), 0.7),
    'ce_mlp_over_torch': (partial(beside_torch, 'mlp', 'ce', threads=(1, 2)), 0.5),
    'le_grad_mlp_over_torch': (
        partial(beside_torch, 'mlp', 'le', threads=(1, 2), **{'method.explainer': 'grad'}), None),
}
