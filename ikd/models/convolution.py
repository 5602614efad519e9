"""Convolution, with a gradient by its kernel that is fast on a CPU.

That gradient is a convolution too, of images [ci, h, w, b] with kernels [h', w', b, co]. XLA:CPU transposes for it,
and merges what made the image, BatchNorm and ReLU say, into the transposition's strided loop, which then takes
several times as long. Here the transpositions stand alone. Figures: results/performance.md.
"""
from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero


def plain(x, kernel, stride, pad):
    """`convolve`, with the derivatives that JAX gives it."""
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), ((pad, pad), (pad, pad)),
                                        dimension_numbers=('NHWC', 'HWIO', 'NHWC'))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(x, kernel, stride, pad):
    """x [b, h, w, ci] with a kernel [size, size, ci, co], padded by `pad` zeros on all sides: [b, h', w', co]."""
    return plain(x, kernel, stride, pad)


def forward(x, kernel, stride, pad):
    """What is kept for the backward pass: x only where the kernel is differentiated, as it is not for a map."""
    y, by_x = jax.vjp(lambda x: plain(x, kernel.value, stride, pad), x.value)
    return y, (by_x, x.value if kernel.perturbed else None, kernel.value)


def backward(stride, pad, kept, g):
    """The gradients by x and by the kernel; None is zero."""
    by_x, x, kernel = kept
    if isinstance(g, SymbolicZero):
        return None, None
    if x is None:
        return *by_x(g), None

    @jax.custom_batching.custom_vmap
    def as_jax_does(x, g):
        shape = jax.ShapeDtypeStruct(kernel.shape, kernel.dtype)
        return jax.linear_transpose(lambda kernel: plain(x, kernel, stride, pad), shape)(g)[0]

    # Of trials together, else one grouped convolution with kernels as large as images, which cuDNN does not take for
    # a gradient.
    @as_jax_does.def_vmap
    def one_by_one(n, batched, *arrays):
        of_trial = lambda i: [array[i] if its else array for array, its in zip(arrays, batched)]
        return jnp.stack([as_jax_does(*of_trial(i)) for i in range(n)]), True

    return *by_x(g), jax.lax.platform_dependent(
        x, g, cpu=partial(by_kernel, stride=stride, pad=pad, size=kernel.shape[0]), default=as_jax_does)


convolve.defvjp(forward, backward, symbolic_zeros=True)


def by_kernel(x, g, stride, pad, size):
    """The gradient by a kernel [size, size, ci, co] as a convolution of its own, for a CPU.

    x goes to [h, w, ci, b] first, from where the batch's rows are moved whole; at once is slower.
    """
    padding = [(pad, size + (after - 1) * stride - before - pad) for before, after in zip(x.shape[1:3], g.shape[1:3])]
    return jax.lax.conv_general_dilated(
        transposed(x, (1, 2, 3, 0)), transposed(g, (1, 2, 0, 3)), (1, 1), padding, rhs_dilation=(stride, stride),
        dimension_numbers=('HWNC', 'HWIO', 'HWNC'))


def transposed(x, axes):
    """x.transpose(axes), by itself: XLA merges nothing into a branch. Both give the same, but it can't know."""
    def otherwise(x):
        return jnp.flip(jnp.flip(x, axes[0]).transpose(axes), 0)

    return jax.lax.cond(x[0, 0, 0, 0] < jnp.inf, lambda x: x.transpose(axes), otherwise, x)
