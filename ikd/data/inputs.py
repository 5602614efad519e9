"""What compiled functions do with images, held on the device or streamed: order, augmentation, normalisation."""
import jax
import jax.numpy as jnp

from ikd import keys

PAD = 4  # pixels on every side before a crop


def epoch_order(seed, epoch, n, size, draws=0):
    """The order of an epoch's training images: int32 [size], the first `size` of a permutation of n.

    Depends on the seed, the epoch (both may be traced) and the stage's `draws` alone, so that methods compared on a
    seed see the same images in the same order.
    """
    return jax.random.permutation(jax.random.fold_in(keys.stream(seed, keys.ORDER, draws), epoch), n)[:size]


def crop_and_flip(images, example_keys):
    """Pad every side with PAD zeros, crop the old size at random, mirror each image or not: uint8 [b, h, w, c].

    The standard CIFAR augmentation (2009.09140, section 3); each image draws from its own key.
    """
    h, w, c = images.shape[1:]
    padded = jnp.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))

    def one(image, key):
        corner_key, flip_key = jax.random.split(key)
        row, column = jax.random.randint(corner_key, (2,), 0, 2 * PAD + 1)
        crop = jax.lax.dynamic_slice(image, (row, column, 0), (h, w, c))
        return jnp.where(jax.random.bernoulli(flip_key), crop[:, ::-1], crop)

    return jax.vmap(one)(padded, example_keys)


AUGMENTATIONS = {'none': lambda images, example_keys: images, 'crop_flip': crop_and_flip}


def normalise(images, mean, std):
    """uint8 [b, h, w, c] to float32: (pixel / 255 - mean) / std, mean and std per channel."""
    axes = range(images.ndim - 1)  # spelt out, as JAX may be told not to add axes by itself
    mean, std = (jnp.expand_dims(jnp.asarray(value, jnp.float32), axes) for value in (mean, std))
    return (images.astype(jnp.float32) / 255 - mean) / std
