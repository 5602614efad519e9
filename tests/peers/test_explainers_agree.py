"""ikd's networks and explainers against PyTorch's on the same weights, statistics and images."""
import jax
import numpy as np
import pytest

from ikd import keys
from ikd.explainers import CAMS, explain

torch = pytest.importorskip('torch')

from tests.peers import torch_explainers, torch_networks  # noqa: E402  (they import torch)

PEERS = {
    'resnet8': lambda: torch_networks.ResNet(8),
    'resnet14': lambda: torch_networks.ResNet(14),
    'cnn6': lambda: torch_networks.PlainCNN(torch_networks.CNN6),
    'mlp': lambda: torch_networks.MLP((3, 32, 32)),
}
PAPERS = 'grad', 'grad_input', 'guided_backprop', 'grad_cam'
PAIRS = [(name, explainer) for name in PEERS for explainer in PAPERS if (name, explainer) != ('mlp', 'grad_cam')]
PAIRS += [('cnn6', 'grad_cam_plus_plus'), ('cnn6', 'layer_cam'), ('cnn6', 'guided_grad_cam'),
          ('mlp', 'integrated_gradients')]
MORE = [(name, explainer) for name in ('resnet14', 'cnn6') for explainer in PAPERS[:3]]  # as resnet8's, and slow
OPTIONS = {'integrated_gradients': {'steps': 3}}


@pytest.fixture(scope='module')
def peer(network):
    """peer(name): the PyTorch network with the variables of network(name)."""
    return lambda name: torch_networks.copy_flax(PEERS[name](), network(name)[1])


def to_torch(images):
    return torch.tensor(np.moveaxis(images, -1, 1))


def relative_error(ours, theirs, rows):
    """The largest relative difference in norm of any row."""
    ours, theirs = np.asarray(ours).reshape(rows, -1), np.asarray(theirs).reshape(rows, -1)
    length = np.linalg.norm(theirs, axis=1)
    different = np.linalg.norm(ours - theirs, axis=1)
    assert np.median(length) > 0
    return np.max(np.divide(different, length, where=length > 0, out=np.where(different > 0, np.inf, 0.0)))


@pytest.mark.parametrize('name', PEERS)
def test_logits_agree(network, peer, digits, name):
    model, variables = network(name)
    logits, _ = jax.jit(model.apply)(variables, digits[0])
    with torch.no_grad():
        theirs = peer(name)(to_torch(digits[0]))
    assert relative_error(logits, theirs, rows=8) < 1e-5


@pytest.mark.parametrize('name, explainer', [
    pytest.param(*pair, marks=[pytest.mark.slow] * (pair in MORE)) for pair in PAIRS])
def test_maps_agree(network, peer, digits, name, explainer):
    images, (model, variables) = digits[0][:2], network(name)
    maps = jax.jit(lambda x: explain(explainer, model, variables, x, **OPTIONS.get(explainer, {})))(images)
    theirs = torch_explainers.EXPLAINERS[explainer](peer(name), to_torch(images)).numpy()
    if theirs.ndim == 5:
        theirs = np.moveaxis(theirs, 2, -1)
    assert maps.shape == theirs.shape
    # of some classes the ReLU of Grad-CAM leaves a sliver, so there the measure is all maps of an image
    assert relative_error(maps, theirs, rows=2 if explainer in CAMS else 20) < 1e-5


def test_smooth_grad_agrees_on_the_same_noise(network, peer, digits):
    images, key, (model, variables) = digits[0][:2], jax.random.key(3), network('mlp')
    maps = jax.jit(lambda x: explain('smooth_grad', model, variables, x, samples=3, noise=0.1, key=key))(images)
    width = 0.1 * (images.max((1, 2, 3)) - images.min((1, 2, 3)))
    noise = np.stack([scale * np.asarray(jax.random.normal(example_key, (3, *images.shape[1:])))
                      for scale, example_key in zip(width, keys.per_example(key, 2))], axis=1)
    theirs = torch_explainers.smooth_grad(peer('mlp'), to_torch(images), torch.tensor(np.moveaxis(noise, -1, 2)))
    assert relative_error(maps, np.moveaxis(theirs.numpy(), 2, -1), rows=20) < 1e-5
