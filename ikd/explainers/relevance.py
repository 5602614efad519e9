"""Layer-wise relevance propagation (Bach et al. 2015): the logit of a class, divided among the pixels.

For networks of affine operations, ReLUs, max(x, 0) with 0 as a number, and maxima over axes or windows, which hand
their relevance to the winner. BatchNorm in evaluation mode is merged with what comes before it, biases and shifts get
none. Every class from one forward pass.
"""
import jax
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.explainers.maps import class_gradients, of_classes, whole_network
from ikd.explainers.propagation import Z_PLUS_RULES, epsilon_rules, propagated


def lrp_epsilon(model, variables, images, epsilon=1e-6, class_chunk=None, classes=None):
    """LRP's epsilon rule (Bach et al. 2015, equation 58): maps [b, k, h, w, c], signed.

    R_i = sum_j x_i w_ij R_j / (z_j + epsilon sign z_j), j the neurons: what is affine between two ReLUs, BatchNorm,
    sums and means of shortcuts and pools included, is one layer. By Ancona et al. 2018, proposition 1, that is the
    image times a gradient in which a ReLU's derivative is its output over its damped input; as epsilon -> 0 it is
    Grad*Input, and in networks without biases it adds up to the logit.
    """
    if epsilon <= 0:
        raise InputError(f'epsilon is {epsilon}; it must be positive')
    found, logits, _ = shares('lrp_epsilon', epsilon_rules(epsilon), model, variables, images, class_chunk, classes)
    size = jnp.abs(of_classes(logits, classes))
    return images[:, None] * found * spread(size / (size + epsilon), found)


def shares(name, rules, model, variables, images, class_chunk, classes):
    """(shares [b, k, h, w, c], logits [b, k], run) by the rules of the explainer called `name`.

    The share of every pixel in one unit of relevance of every class, or of `classes`: the gradients of run, which
    under the rules of epsilon are still to be multiplied by the pixel.
    """
    def logits(x):
        return model.apply(variables, x, train=False)[0]

    run = propagated(logits, images, rules, name)
    found = class_gradients(run, images, class_chunk, whole_network(variables, len(images)), classes)
    return found, logits(images), run


def lrp_z_plus(model, variables, images, class_chunk=None, classes=None):
    """LRP's z+ rule (Montavon et al. 2017): maps [b, k, h, w, c] with the sign of the logit.

    R_i = sum_j (x_i w_ij)^+ / sum_i' (x_i' w_i'j)^+ R_j, beginning with the logit. Written so, it also holds where
    inputs are negative, as normalised pixels are (alpha = 1, beta = 0 in Bach et al. 2015, equation 60). A shortcut's
    sum is a layer like others. A map adds up to the logit, but for what reaches a neuron to which no input adds: one
    that its bias makes active, or a logit below zero that nothing speaks for.
    """
    found, logits, _ = shares('lrp_z_plus', Z_PLUS_RULES, model, variables, images, class_chunk, classes)
    return found * spread(of_classes(logits, classes), found)


def contrastive_lrp(model, variables, images, relu=True, class_chunk=None, classes=None):
    """Contrastive LRP (Gu, Yang and Tresp 2018, CLRP1): ReLU(R - R_dual), by the z+ rule; maps [b, k, h, w, c].

    R is the relevance of the class, R_dual that of the dual class, for which the same score is divided evenly among
    all other classes. The score is the logit's absolute value, as in the authors' code, so that a class below zero is
    explained like any other. That code has other rules besides: z^B at the pixels, where this is z+, the other
    classes' own scores as the dual's, and both maps divided by their sums before one is taken from the other.
    relu=False keeps the sign; the map then adds up to zero where all classes keep as much of their relevance, of
    which `lrp_z_plus` tells what is lost. Relevance is linear in what it begins with, so all classes cost as much as
    `lrp_z_plus`.
    """
    found, logits, run = shares('contrastive_lrp', Z_PLUS_RULES, model, variables, images, class_chunk, classes)
    if logits.shape[-1] < 2:
        raise InputError('contrastive_lrp compares a class with the others, and this network has one; use lrp_z_plus')
    every = found.sum(1) if classes is None else jax.grad(lambda x: run(x).sum())(images)
    others = (every[:, None] - found) / (logits.shape[-1] - 1)
    maps = (found - others) * spread(jnp.abs(of_classes(logits, classes)), found)
    return jnp.maximum(maps, 0) if relu else maps


def spread(values, maps):
    """Values [b, k] with the axes of maps [b, k, ...]."""
    return values.reshape(*values.shape, *[1] * (maps.ndim - 2)).astype(maps.dtype)
