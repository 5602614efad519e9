"""The smallest changes that make a network err: attacks within a box around the image, in pixels of 255.

The network is attacked in evaluation mode, through its normalisation. An attack only sees the network's gradient, so
what withstands it need not be robust: a network whose gradient vanishes withstands it too.
"""
import jax
import jax.numpy as jnp


def ascent(f, pixels, labels):
    """The direction in which cross-entropy grows fastest, [b, h, w, c], where f maps pixels to logits [b, k].

    It is the gradient of u = log(sum of exp a_k over the wrong classes) - a_t. Cross-entropy is log(1 + e^u), so its
    own gradient is that times a number; but where a_t leads by 17, p_t is 1 in float32, the true class's part of the
    gradient is lost, and its sign points elsewhere: networks would withstand for being sure.
    """
    def wrongness(pixels):
        logits = f(pixels).astype(jnp.float32)
        true = jax.nn.one_hot(labels, logits.shape[-1], dtype=bool)
        return (jax.nn.logsumexp(logits, -1, where=~true) - logits.sum(-1, where=true)).sum()

    return jax.grad(wrongness)(pixels)


def fgsm(f, pixels, labels, epsilon):
    """The fast gradient sign method (Goodfellow et al. 2015): pixels + epsilon sign(gradient), clipped to [0, 255].

    pixels: float [b, h, w, c] in [0, 255], not rounded; f maps them to logits [b, k]; labels int [b].
    """
    return jnp.clip(pixels + epsilon * jnp.sign(ascent(f, pixels, labels)), 0, 255)


def pgd_step(f, attacked, pixels, labels, epsilon, rate):
    """A step of projected gradient descent (Madry et al. 2018): `rate` along the gradient's sign, back into the box.

    It begins at a random point of the box, `sensitivity.nearby`. Steps are calls of their own, as convolutions in a
    loop are slow on a CPU (`parallel.way`).
    """
    moved = attacked + rate * jnp.sign(ascent(f, attacked, labels))
    return jnp.clip(jnp.clip(moved, pixels - epsilon, pixels + epsilon), 0, 255)
