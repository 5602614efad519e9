"""Cross-entropy with the labels, the warm-up of everything else, and its regularised relatives."""
import jax

from ikd.objectives.losses import entropy, hard_cross_entropy, smoothed, soft_cross_entropy


def cross_entropy(batch):
    """CE(p, y) (2009.09140, section 3; its gradient is equation 3). Per-example loss [b] and its parts."""
    loss = hard_cross_entropy(batch.logits, batch.labels)
    return loss, {'cross_entropy': loss, 'entropy_p': entropy(jax.nn.softmax(batch.logits))}


def label_smoothing(batch, alpha=0.9):
    """CE(p, t), t = alpha for the true class and (1 - alpha) / (k - 1) for each other (2009.09140, section 2)."""
    _, parts = cross_entropy(batch)
    loss = soft_cross_entropy(batch.logits, smoothed(batch.labels, batch.logits.shape[-1], alpha))
    return loss, {**parts, 'distillation': loss}


def confidence_penalty(batch, beta=0.5):
    """CE(p, y) - beta H(p) (Pereyra et al. 2017, section 3; 2009.09140, section 5.1): can be negative."""
    loss, parts = cross_entropy(batch)
    return loss - beta * parts['entropy_p'], parts
