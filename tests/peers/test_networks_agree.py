"""ikd's larger networks, made thin, against PyTorch's on the same weights, statistics and images."""
import jax
import numpy as np
import pytest

from ikd import models
from tests.models.filled import filled

torch = pytest.importorskip('torch')

from tests.peers import torch_networks as theirs  # noqa: E402  (it imports torch)

CASES = {
    'resnet18': (models.create('resnet18', 10, width=4), lambda: theirs.GroupedResNet((2, 2, 2, 2), 4)),
    'resnet50': (models.create('resnet50', 10, width=4, blocks=(1, 1, 1, 1)), lambda: theirs.GroupedResNet(
        (1, 1, 1, 1), 4, block=theirs.Bottleneck, expansion=4)),
    'wrn': (models.WideResNet(10, depth=10, widen=2, width=4), lambda: theirs.WideResNet(10, 2, 4)),
    'wrn with identities': (models.WideResNet(10, depth=16, widen=1, width=4), lambda: theirs.WideResNet(16, 1, 4)),
    'vgg8': (models.create('vgg8', 10, width=4), lambda: theirs.VGG8(4)),
}


@pytest.mark.parametrize('case', CASES)
def test_logits_agree(digits, case):
    model, make = CASES[case]
    images = digits[0][:, ::2, ::2]
    variables = filled(model, images.shape[1:])
    peer = theirs.copy_flax(make(), variables)
    assert sum(p.numel() for p in peer.parameters()) == sum(p.size for p in jax.tree.leaves(variables['params']))
    logits, _ = jax.jit(model.apply)(variables, images)
    with torch.no_grad():
        expected = peer(torch.tensor(np.moveaxis(images, -1, 1))).numpy()
    assert np.std(expected, axis=0).min() > 1e-2
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
