"""Convolution and its gradients, arranged so that XLA is fast with them: on a CPU, and with trials together.

The three are linear in either argument, and the derivatives of each are the other two, to any order. Figures:
results/performance.md.
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
    return one_by_one(partial(plain, stride=stride, pad=pad), in_a_batch)(x, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def by_x(g, kernel, h_w, stride, pad):
    """The gradient by x, [b, *h_w, ci], where g [b, h', w', co] is that by what `convolve` gives."""
    def as_jax_does(g, kernel):
        x = jax.ShapeDtypeStruct((len(g), *h_w, kernel.shape[2]), g.dtype)
        return jax.linear_transpose(lambda x: plain(x, kernel, stride, pad), x)(g)[0]

    return one_by_one(as_jax_does, in_a_batch)(g, kernel)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def by_kernel(x, g, size, stride, pad):
    """The gradient by the kernel [size, size, ci, co], g as in `by_x`."""
    def as_jax_does(x, g):
        kernel = jax.ShapeDtypeStruct((size, size, x.shape[-1], g.shape[-1]), g.dtype)
        return jax.linear_transpose(lambda kernel: plain(x, kernel, stride, pad), kernel)(g)[0]

    on_cpu = partial(moved_whole, size=size, stride=stride, pad=pad)
    return one_by_one(lambda x, g: jax.lax.platform_dependent(x, g, cpu=on_cpu, default=as_jax_does))(x, g)


def forward(x, kernel, stride, pad):
    """What is kept for the backward pass: x only where the kernel is differentiated, as it is not for a map."""
    x, kernel, learns = x.value, kernel.value, kernel.perturbed
    of_x_shape = x[:0]
    return convolve(x, kernel, stride, pad), (x if learns else None, of_x_shape, kernel)


def backward(stride, pad, kept, g):
    """The gradients by x and by the kernel; None is zero."""
    x, of_x_shape, kernel = kept
    if isinstance(g, SymbolicZero):
        return None, None
    return (by_x(g, kernel, of_x_shape.shape[1:3], stride, pad),
            None if x is None else by_kernel(x, g, len(kernel), stride, pad))


def by_x_backward(h_w, stride, pad, kept, x):
    """The gradients of `by_x` by g and by the kernel, where x is that by what it gives."""
    g, kernel = kept
    return convolve(x, kernel, stride, pad), by_kernel(x, g, len(kernel), stride, pad)


def by_kernel_backward(size, stride, pad, kept, kernel):
    """The gradients of `by_kernel` by x and by g, where kernel is that by what it gives."""
    x, g = kept
    return by_x(g, kernel, x.shape[1:3], stride, pad), convolve(x, kernel, stride, pad)


convolve.defvjp(forward, backward, symbolic_zeros=True)
by_x.defvjp(lambda g, kernel, *of: (by_x(g, kernel, *of), (g, kernel)), by_x_backward)
by_kernel.defvjp(lambda x, g, *of: (by_kernel(x, g, *of), (x, g)), by_kernel_backward)


def one_by_one(f, in_common=None):
    """f of two arrays; under vmap of each pair by itself, or in_common(f, a, b) where the second is all the same.

    Of trials together vmap alone makes grouped convolutions, for which cuDNN has slow kernels, or, of gradients by
    kernels, none.
    """
    @jax.custom_batching.custom_vmap
    def of_pair(a, b):
        return f(a, b)

    @of_pair.def_vmap
    def of_pairs(n, batched, a, b):
        if in_common and not batched[1]:
            return in_common(of_pair, a, b), True
        return jnp.stack([of_pair(a[i] if batched[0] else a, b[i] if batched[1] else b) for i in range(n)]), True

    return of_pair


def in_a_batch(f, images, kernel):
    """f of images [n, b, h, w, c], as of n b images: of all classes' gradients, say."""
    found = f(images.reshape(-1, *images.shape[2:]), kernel)
    return found.reshape(*images.shape[:2], *found.shape[1:])


def moved_whole(x, g, size, stride, pad):
    """`by_kernel` as a convolution of images [ci, h, w, b] with kernels [h', w', b, co], for a CPU.

    XLA:CPU merges what made x, BatchNorm and ReLU say, into the strided loop of its transposition, which then takes
    several times as long. Here the transpositions stand alone, and x goes to [h, w, ci, b] first, from where the
    batch's rows are moved whole; at once is slower.
    """
    padding = [(pad, size + (after - 1) * stride - before - pad) for before, after in zip(x.shape[1:3], g.shape[1:3])]
    return jax.lax.conv_general_dilated(
        transposed(x, (1, 2, 3, 0)), transposed(g, (1, 2, 0, 3)), (1, 1), padding, rhs_dilation=(stride, stride),
        dimension_numbers=('HWNC', 'HWIO', 'HWNC'))


def transposed(x, axes):
    """x.transpose(axes), by itself: XLA merges nothing into a branch. Both give the same, but it can't know.

    Turned, as XLA has jaxlib 0.11 and 0.12 copy what is transposed only.
    """
    def turned(axis, x):
        return jnp.flip(jnp.flip(x, axes[axis]).transpose(axes), axis)

    return jax.lax.cond(x[0, 0, 0, 0] < jnp.inf, partial(turned, 0), partial(turned, 1), x)
