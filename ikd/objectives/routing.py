"""What is learnt beside a loss by networks that route: trees of experts (HME), attention inside kernels (VAM).

KDExplainer (Xue et al. 2021). Its text could not be had: the tree follows its code, the rest our reconstruction.
"""
import jax
import jax.numpy as jnp
import numpy as np

from ikd.objectives.losses import entropy, smoothed
from ikd.objectives.plain import cross_entropy


def relative_entropy(rows):
    """Entropy of each row of an attention matrix [children, parents] over its largest value, in [0, 1]: [children].

    0 where there is one parent only.
    """
    return entropy(rows) / np.log(max(rows.shape[-1], 2))


def attentive(batch, objective, gamma):
    """objective + gamma * H, H the mean over VAM's kernels and rows of the entropy (nats) of their attention.

    gamma * H of each where logits [b, networks, k] are those of several, whose losses an objective adds.
    """
    loss, parts, *extra = objective(batch)
    kernels = [entropy(rows).mean() for rows in jax.tree.leaves(batch.attention)]
    penalty = sum(kernels) / len(kernels)
    networks = batch.logits.shape[1] if batch.logits.ndim == 3 else 1
    return loss + gamma * networks * penalty, {**parts, 'attention_entropy': penalty}, *extra


def routed(batch, objective, anneal=False):
    """The objective, with the relative entropy of every routing row as parts `entropy_<branch>_<child>`.

    anneal: the temperature of a soft tree, its extra state, falls as 10 / epoch. What is set in a step holds from the
    next on, so an epoch's first step still has the temperature of the epoch before.
    """
    loss, parts = objective(batch)
    rows = {f'entropy_{branch}_{child}': value for branch, matrix in batch.attention.items()
            for child, value in enumerate(relative_entropy(matrix['alpha']))}
    parts = {**parts, **rows, 'entropy_routing': sum(rows.values()) / len(rows)}
    return (loss, parts, {'temperature': 10 / batch.epoch.astype(jnp.float32)}) if anneal else (loss, parts)


def binary(batch, alpha=1.0):
    """k binary tasks, whether an image is of class j: mean over j of CE(sigmoid(a_j), t_j). Loss [b] and its parts.

    t = alpha for the true class and (1 - alpha) / (k - 1) for each other, as label smoothing has them; 1: the
    labels. a_j: the logit of task j, the difference of its two numbers.
    """
    t = smoothed(batch.labels, batch.logits.shape[-1], alpha)
    loss = (jax.nn.softplus(batch.logits) - t * batch.logits).mean(-1)
    return loss, {**cross_entropy(batch)[1], 'binary': loss}
