"""Learning from another network's logits: Hinton's distillation, the probes of what makes it work, mutual learning.

The teacher is the frozen network of an earlier stage, in evaluation mode, on the same augmented images (SRDL's, if
asked, on plain ones); a peer learns at the same time. Nothing flows back into either.
"""
import jax
import jax.numpy as jnp

from ikd import keys, parallel
from ikd.objectives.losses import entropy, hard_cross_entropy, permute_others, soft_cross_entropy
from ikd.objectives.plain import cross_entropy


def softened(logits, temperature):
    """softmax(logits / T): [b, k]."""
    return jax.nn.softmax(logits / temperature)


def parts_with_teacher(batch, temperature):
    """What every objective with a teacher reports, each [b]: its entropies are at temperature 1 and T."""
    teacher = batch.teacher.logits
    return {
        **cross_entropy(batch)[1],
        'entropy_q': entropy(softened(teacher, temperature)),
        'agreement': (batch.logits.argmax(-1) == teacher.argmax(-1)).astype(jnp.float32),
    }


def distil(batch, temperature=4.0, lam=0.1, weight=1.0, permute=False, labels=cross_entropy):
    """weight T^2 KL(q_T || p_T) + lam CE(p, y): Hinton et al. 2015, T and lam as in 2009.09140, section 5.3.

    That section names neither T^2, which is Hinton et al.'s, nor a weight.

    permute shuffles all of q_T but its largest entry, for each example anew at every step: DKPP (section 3,
    Furlanello et al. 2018). labels: another objective in the place of CE(p, y). Per-example loss [b] and its parts;
    the gradient of the first term is T (p_T - q_T).
    """
    q = softened(batch.teacher.logits, temperature)
    if permute:
        q = permute_others(q, q.argmax(-1), keys.per_example(batch.key, len(q), batch.axis_name))
    divergence = soft_cross_entropy(batch.logits / temperature, q) - entropy(q)
    label_loss, parts = labels(batch)
    distillation = temperature ** 2 * divergence
    return weight * distillation + lam * label_loss, {
        **parts_with_teacher(batch, temperature), **parts, 'distillation': distillation}


def confidence_weighted(batch, temperature=1.0, weights='teacher', beta=0.5):
    """CWTM: CE(p_i, y_i) weighted by w_i = v_i / sum_j v_j, v_i the teacher's largest probability (equation 5).

    weights: `teacher`; `permuted`, the v_i shuffled over the batch (CWTM-Permut); `random`, v_i uniform in [beta, 1)
    (CWTM-Random). The sum and the shuffle span the batch of all devices. Returned per example as b w_i CE_i, whose
    mean is the weighted sum; `weight` reports b w_i, whose mean is 1, and `weight_spread` |b w_i - 1|.
    """
    b = len(batch.labels)
    confidence = softened(batch.teacher.logits, temperature).max(-1)
    if weights == 'permuted':
        everyone = parallel.gather(confidence, batch.axis_name)
        confidence = parallel.my_share(jax.random.permutation(batch.key, everyone), batch.axis_name)
    elif weights == 'random':
        draw = jax.vmap(lambda key: jax.random.uniform(key, minval=beta, maxval=1.0))
        confidence = draw(keys.per_example(batch.key, b, batch.axis_name))
    weight = confidence / parallel.mean(confidence.mean(), batch.axis_name)
    parts = parts_with_teacher(batch, temperature)
    return weight * parts['cross_entropy'], {**parts, 'weight': weight, 'weight_spread': jnp.abs(weight - 1)}


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
