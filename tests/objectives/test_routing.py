"""What routing networks learn beside their loss."""
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import expit

from ikd.objectives import Batch, attentive, binary, cross_entropy, mutual, routed
from ikd.objectives.routing import relative_entropy

B, K = 4, 5
DRAW = np.random.default_rng(1)
LOGITS, LABELS = 2 * DRAW.normal(size=(B, K)), DRAW.integers(0, K, B)
ROWS = DRAW.dirichlet(np.ones(3), size=2).astype(np.float32)


def batch_of(logits=LOGITS, attention=None, epoch=1):
    return Batch(LABELS, jnp.float32(logits), {}, None, None, None, None, None, jnp.int32(epoch), attention or {})


def test_relative_entropy():
    rows = np.array([[0.25] * 4, [0, 1, 0, 0], [0.5, 0.5, 0, 0]], np.float32)
    np.testing.assert_allclose(relative_entropy(jnp.array(rows)), [1, 0, 0.5], atol=1e-6)
    np.testing.assert_array_equal(relative_entropy(jnp.ones((3, 1))), 0)


def test_binary_tasks():
    """Mean over classes of -t log s - (1 - t) log(1 - s), s = sigmoid(a); gradient (s - t) / k."""
    s = expit(LOGITS)
    for alpha in (1.0, 0.9):
        t = np.where(np.eye(K)[LABELS] == 1, alpha, (1 - alpha) / (K - 1))
        expected = (-t * np.log(s) - (1 - t) * np.log(1 - s)).mean(1)
        loss, parts = binary(batch_of(), alpha)
        np.testing.assert_allclose(loss, expected, rtol=1e-5)
        np.testing.assert_allclose(parts['binary'], expected, rtol=1e-5)
        gradient = jax.grad(lambda a: binary(batch_of(a), alpha)[0].sum())(jnp.float32(LOGITS))
        np.testing.assert_allclose(gradient, (s - t) / K, atol=1e-6)


def test_attentive_adds_the_mean_entropy_of_the_kernels():
    """Mean over rows first, then over kernels, so that a kernel of many rows counts no more than another."""
    one_hot = np.eye(4, dtype=np.float32)
    attention = {'block2_1': {'conv1': {'alpha': ROWS}, 'conv2': {'alpha': one_hot}}}
    loss, parts = attentive(batch_of(attention=attention), cross_entropy, gamma=0.5)
    expected = -(ROWS * np.log(ROWS)).sum(1).mean() / 2
    np.testing.assert_allclose(parts['attention_entropy'], expected, rtol=1e-5)
    np.testing.assert_allclose(loss, cross_entropy(batch_of())[0] + 0.5 * expected, rtol=1e-5)


def test_each_of_two_networks_pays_for_its_attention():
    """Their losses are added, so their penalties are: twice the mean over the kernels of both."""
    attention = {'conv1': ROWS, 'peer': {'conv1': np.eye(4, dtype=np.float32)}}
    both = batch_of(np.stack([LOGITS, LOGITS], 1), attention=attention)
    losses = [attentive(both, partial(mutual, lam=1.0), gamma)[0] for gamma in (0.0, 0.5)]
    np.testing.assert_allclose(losses[1] - losses[0], 0.5 * -(ROWS * np.log(ROWS)).sum(1).mean(), rtol=1e-4)


def test_attentive_hands_on_what_an_objective_keeps():
    def keeping(batch):
        return *cross_entropy(batch), 'kept'

    assert attentive(batch_of(attention={'a': ROWS}), keeping, 0.1)[2] == 'kept'


def test_routed_names_the_entropy_of_every_row():
    attention = {'branch1': {'alpha': ROWS}, 'branch2': {'alpha': np.eye(2, dtype=np.float32)}}
    loss, parts = routed(batch_of(attention=attention), cross_entropy)
    expected = -(ROWS * np.log(ROWS)).sum(1) / np.log(3)
    np.testing.assert_allclose([parts['entropy_branch1_0'], parts['entropy_branch1_1']], expected, rtol=1e-5)
    assert parts['entropy_branch2_0'] == parts['entropy_branch2_1'] == 0
    np.testing.assert_allclose(parts['entropy_routing'], expected.sum() / 4, rtol=1e-5)
    np.testing.assert_array_equal(loss, cross_entropy(batch_of())[0])


def test_a_soft_tree_cools_down():
    temperatures = [routed(batch_of(attention={'branch1': {'alpha': ROWS}}, epoch=epoch), cross_entropy,
                           anneal=True)[2]['temperature'] for epoch in (1, 2, 5)]
    np.testing.assert_allclose(temperatures, [10, 5, 2])


def test_objectives_can_be_nested():
    objective = partial(attentive, objective=partial(binary, alpha=0.9), gamma=0.0)
    np.testing.assert_allclose(objective(batch_of(attention={'a': ROWS}))[0], binary(batch_of(), 0.9)[0])
