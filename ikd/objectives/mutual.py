"""Learning from a peer: deep mutual learning."""
import jax

from ikd.objectives.losses import entropy, hard_cross_entropy, soft_cross_entropy


def mutual(batch, lam=0.1):
    """For each of two networks CE(p, y) + lam KL(the other's p || p) (Zhang et al. 2018; 2009.09140, section 5.2).

    batch.logits [b, 2, k] (`models.Peers`). To each the other is constant; temperature 1. Both move after one
    forward pass on the same images; the source of lam does not say whether they take turns. Per-example loss [b], the
    sum of both networks', whose gradients are each network's own; parts [2, b], `agreement` [b].
    """
    own = batch.logits.swapaxes(0, 1)
    other = jax.lax.stop_gradient(jax.nn.softmax(own[::-1]))
    each = jax.vmap(hard_cross_entropy, (0, None))(own, batch.labels)
    divergence = soft_cross_entropy(own, other) - entropy(other)
    loss = (each + lam * divergence).sum(0)
    return loss, {'cross_entropy': each, 'distillation': divergence, 'entropy_p': entropy(jax.nn.softmax(own)),
                  'agreement': (own[0].argmax(-1) == own[1].argmax(-1)).astype(own.dtype)}
