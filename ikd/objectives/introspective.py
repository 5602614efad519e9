"""LE: learning with explanations (2009.09140, algorithm 1, stage 2), and the controls that show what it learns."""
import jax
import jax.numpy as jnp

from ikd import keys
from ikd.explainers import targets
from ikd.objectives.losses import entropy, permute_others, smoothed, soft_cross_entropy, turn_others
from ikd.objectives.plain import cross_entropy


def introspective(batch, explainer, alpha=0.9, lam=0.1, similarity='cosine', permute=False, frozen=False, turn=False,
                  **options):
    """CE(p, q) + lam CE(p, y) with targets q of equation 6, made from the network's own maps of this very batch.

    permute shuffles the entries of q but the true class's, for each example anew at every step, which leaves the
    responses and takes the similarity away: LE-Permut (section 5.4.1). frozen takes the maps of the stage's teacher
    instead, so that the targets do not depend on what is learnt from them (in evaluation mode: BatchNorm has its
    running averages, where the network's own maps may be of the batch's statistics); turn gives each class's response
    to the next class, always alike, so that they are as constant as they were, but of the wrong class: controls of
    ours. `options` go to the explainer.
    Per-example loss [b] and its parts, with the rate of all-zero maps.
    """
    explain = batch.teacher.explain if frozen else batch.explain
    maps = explain(explainer, **options)
    with jax.named_scope('targets'):
        q = targets(maps, batch.labels, alpha, similarity)
        if permute:
            q = permute_others(q, batch.labels, keys.per_example(batch.key, len(q), batch.axis_name))
        if turn:
            q = turn_others(q, batch.labels)
    loss, parts = soft_and_hard(batch, q, lam)
    zero = ~maps.any(tuple(range(2, maps.ndim)))
    return loss, {**parts, 'zero_maps': zero.mean(-1, dtype=jnp.float32)}


def uniform(batch, alpha=0.9, lam=0.1):
    """LE's loss with alike responses for all classes but the true one: what is left of LE without explanations.

    The same as label smoothing at (alpha + lam) / (1 + lam) with a step 1 + lam times as large. A control of ours.
    """
    return soft_and_hard(batch, smoothed(batch.labels, batch.logits.shape[-1], alpha), lam)


def soft_and_hard(batch, q, lam):
    """CE(p, q) + lam CE(p, y): per-example loss [b] and its parts."""
    label_loss, parts = cross_entropy(batch)
    distillation = soft_cross_entropy(batch.logits, q)
    return distillation + lam * label_loss, {**parts, 'distillation': distillation, 'entropy_q': entropy(q)}
