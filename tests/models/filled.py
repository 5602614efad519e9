"""Variables for a network without compiling its initialisation."""
import jax
import jax.numpy as jnp
import numpy as np


def filled(model, image_shape, seed=0):
    """Random float32 variables for images [h, w, c], none of them at a neutral value: kernels as He et al., routing
    and running variances uniform, scales around one, biases and running means around zero."""
    draw = np.random.default_rng(seed)
    shapes = jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, *image_shape)))

    def fill(path, leaf):
        name = path[-1].key
        if name in ('routing', 'var'):
            values = draw.uniform(0, 1, leaf.shape) + (name == 'var') / 2
        elif leaf.ndim > 1:
            values = draw.normal(size=leaf.shape) * np.sqrt(2 / np.prod(leaf.shape[:-1]))
        else:
            values = 0.3 * draw.normal(size=leaf.shape) + (name == 'scale')
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(fill, shapes)
