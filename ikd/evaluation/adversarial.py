"""The smallest changes that make a network err: attacks within a box around the image, in pixels of 255.

The network is attacked in evaluation mode, through its normalisation. An attack only sees the network's gradient, so
what withstands it need not be robust: a network whose gradient vanishes withstands it too.
"""
import jax
import jax.numpy as jnp

from ikd.objectives.losses import hard_cross_entropy


def loss_gradient(f, pixels, labels):
    """The gradient of cross-entropy with respect to pixels, [b, h, w, c], where f maps these to logits [b, k]."""
    return jax.grad(lambda pixels: hard_cross_entropy(f(pixels), labels).sum())(pixels)


def fgsm(f, pixels, labels, epsilon):
    """The fast gradient sign method (Goodfellow et al. 2015): pixels + epsilon sign(gradient), clipped to [0, 255].

    pixels: float [b, h, w, c] in [0, 255], not rounded; f maps them to logits [b, k]; labels int [b].
    """
    return jnp.clip(pixels + epsilon * jnp.sign(loss_gradient(f, pixels, labels)), 0, 255)


def pgd_step(f, attacked, pixels, labels, epsilon, rate):
    """A step of projected gradient descent (Madry et al. 2018): `rate` along the gradient's sign, back into the box.

    It begins at a random point of the box, `sensitivity.nearby`. Steps are calls of their own, as convolutions in a
    loop are slow on a CPU (`parallel.way`).
    """
    moved = attacked + rate * jnp.sign(loss_gradient(f, attacked, labels))
    return jnp.clip(jnp.clip(moved, pixels - epsilon, pixels + epsilon), 0, 255)
