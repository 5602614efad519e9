"""Every explainer by name, and which of them can explain a given network."""
from collections.abc import Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.explainers.cam import grad_cam
from ikd.explainers.maps import grad, grad_input, guided_backprop

EXPLAINERS = {'grad': grad, 'grad_input': grad_input, 'guided_backprop': guided_backprop, 'grad_cam': grad_cam}


def explain(name: str, model: nn.Module, variables: Mapping[str, Any], images: jax.Array,
            **options: Any) -> jax.Array:
    """One saliency map for every class of every image: float32 [b, k, h, w, c], or [b, k, h, w] for Grad-CAM.

    name: a key of `EXPLAINERS`. model: a Flax module whose `apply(variables, images, train=False)` gives logits
    [b, k] and taps. images: float [b, h, w, c] in the network's input scale. Options: `class_chunk` (classes computed
    together; bounds the memory) for all; `tap` and `relu` for grad_cam. Raises InputError for an unknown name or a
    tap that is not there.
    """
    if name not in EXPLAINERS:
        raise InputError(f"unknown method.explainer '{name}'; choose one of: {', '.join(EXPLAINERS)}")
    return EXPLAINERS[name](model, variables, images, **options).astype(jnp.float32)


def applicable(model, variables, image_shape):
    """Which explainers can explain a network: (their names, name -> why not, in one line, for the others).

    Both in the order of `EXPLAINERS`. variables: arrays or shapes; image_shape: (h, w, c). Each explainer is traced
    with its defaults on one image and says itself what it misses; nothing is computed.
    """
    image, reasons = jax.ShapeDtypeStruct((1, *image_shape), jnp.float32), {}
    for name in EXPLAINERS:
        try:
            jax.eval_shape(partial(explain, name, model), variables, image)
        except InputError as error:
            reasons[name] = str(error)
    return tuple(name for name in EXPLAINERS if name not in reasons), reasons
