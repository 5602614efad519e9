"""ikd's mixtures of experts against PyTorch's on the same weights, statistics and images."""
import jax
import numpy as np
import pytest

from ikd.models.hme import HMEResNet18, HMETree
from tests.models.filled import filled

torch = pytest.importorskip('torch')

from tests.peers import torch_hme  # noqa: E402  (it imports torch)

TEMPERATURE, EXPERTS = 0.4, (2, 3, 4)
CASES = {
    **{f'tree with {outputs}': (
        HMETree(3, width=4, hidden=16, experts=EXPERTS, outputs=outputs), torch_hme.copy_tree,
        torch_hme.HMETree(3, 4, 16, EXPERTS, outputs, TEMPERATURE)) for outputs in (1, 2)},
    'resnet18': (HMEResNet18(3, width=4, sub=2, tau=0.7), torch_hme.copy_resnet,
                 torch_hme.HMEResNet18(3, 4, sub=2, tau=0.7 * TEMPERATURE)),
}


@pytest.mark.parametrize('case', CASES)
def test_logits_agree(digits, case):
    model, copy, peer = CASES[case]
    images = digits[0][:, ::2, ::2]
    variables = filled(model, images.shape[1:])
    logits, _ = jax.jit(model.apply)({**variables, 'extra': {'temperature': TEMPERATURE}}, images)
    with torch.no_grad():
        theirs = copy(peer, variables)(torch.tensor(np.moveaxis(images, -1, 1))).numpy()
    assert np.std(theirs, axis=0).min() > 1e-2
    np.testing.assert_allclose(logits, theirs, rtol=1e-4, atol=1e-5 * np.abs(theirs).max())
