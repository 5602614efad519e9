"""Cross-entropy with the labels: the baseline, and the warm-up of everything else."""
import jax

from ikd.objectives.losses import entropy, hard_cross_entropy


def cross_entropy(batch):
    """CE(p, y) (2009.09140, equation 3). Per-example loss [b] and its parts."""
    loss = hard_cross_entropy(batch.logits, batch.labels)
    return loss, {'cross_entropy': loss, 'entropy_p': entropy(jax.nn.softmax(batch.logits))}
