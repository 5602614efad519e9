"""LE: learning with explanations (2009.09140, algorithm 1, stage 2)."""
import jax
import jax.numpy as jnp

from ikd.explainers import targets
from ikd.objectives.losses import entropy, hard_cross_entropy, soft_cross_entropy


def introspective(batch, explainer, alpha=0.9, lam=0.1, similarity='cosine', **options):
    """CE(p, q) + lam CE(p, y) with targets q of equation 6, made from the network's own maps of this very batch.

    `options` go to the explainer. Per-example loss [b] and its parts, with the rate of all-zero maps.
    """
    maps = batch.explain(explainer, **options)
    with jax.named_scope('targets'):
        q = targets(maps, batch.labels, alpha, similarity)
    label_loss = hard_cross_entropy(batch.logits, batch.labels)
    distillation = soft_cross_entropy(batch.logits, q)
    zero = ~maps.any(tuple(range(2, maps.ndim)))
    return distillation + lam * label_loss, {
        'cross_entropy': label_loss,
        'distillation': distillation,
        'entropy_p': entropy(jax.nn.softmax(batch.logits)),
        'entropy_q': entropy(q),
        'zero_maps': zero.mean(-1, dtype=jnp.float32),
    }
