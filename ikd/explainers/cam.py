"""Class activation maps: what a feature map holds, weighted by what it means to a class.

A [b, h', w', c'] is the value of `tap` (default: the network's last feature map), g its gradient d a_k / d A. Only
the network after the tap is differentiated. Maps are not upsampled, but for Guided Grad-CAM; relu=False leaves the
last ReLU out, of Guided Grad-CAM that of its factor Grad-CAM.
"""
import jax
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.explainers.maps import class_gradients, guided_backprop
from ikd.models import has_taps, head


def feature_map(model, variables, images, tap):
    """The value of a tap [b, h', w', c'], and the network from it on as a function; InputError if it is no map."""
    found = model.apply(variables, images, train=False)
    if not has_taps(found):
        raise InputError(f'class activation maps need a feature map, and {type(model).__name__} gives logits alone; '
                         'let it return (logits, taps)')
    taps = found[1]
    spatial = [name for name, value in taps.items() if value.ndim == 4]
    tap = tap or getattr(model, 'cam_tap', spatial[-1] if spatial else None)
    if tap not in spatial:
        why = 'has none; use grad'
        if spatial:
            why = f"has no '{tap}'" if tap else 'does not say which'
            why += f"; tap (method.tap) may be: {', '.join(spatial)}"
        raise InputError(f'class activation maps need a feature map, and {type(model).__name__} {why}')
    return taps[tap], head(model, variables, images, tap)


def grad_cam(model, variables, images, tap=None, relu=True, class_chunk=None, classes=None):
    """Grad-CAM (Selvaraju et al. 2017): ReLU(sum_c w_kc A_c), w_kc the mean of g_kc; maps [b, k, h', w'].

    At the last feature map of a ResNet all classes cost one small matrix product.
    """
    value, f = feature_map(model, variables, images, tap)
    b, h, w, c = value.shape
    # The sum of a gradient over positions is the gradient of what is added to all of them: [b, k, c], never [b, k,
    # h, w, c]. In float32, as bfloat16 loses too much in a sum.
    lifted = lambda level: f((value + level[:, None, None]).astype(value.dtype))
    weights = class_gradients(lifted, jnp.zeros((b, c), jnp.float32), class_chunk, classes=classes) / (h * w)
    maps = jnp.einsum('bkc,bhwc->bkhw', weights, value.astype(jnp.float32))
    return jnp.maximum(maps, 0) if relu else maps


def grad_cam_plus_plus(model, variables, images, tap=None, relu=True, class_chunk=None, classes=None):
    """Grad-CAM++ (Chattopadhay et al. 2018): ReLU(sum_c w_kc A_c), w_kc = sum_ij alpha_ij ReLU(g_ij); [b, k, h', w'].

    alpha = g^2 / (2 g^2 + g^3 sum A), equation 19, which takes exp(a_k) as the score and a_k as linear in A near the
    image (so it is behind the last ReLU, and almost everywhere before it): the score's second and third derivatives
    are exp(a_k) g^2 and exp(a_k) g^3. The weights' common factor exp(a_k), which scales a whole map and may overflow,
    is left out. alpha ReLU(g) is then g / (2 + g sum A) where g is positive, which is what is computed.
    """
    value, f = feature_map(model, variables, images, tap)
    up = jnp.maximum(class_gradients(f, value, class_chunk, classes=classes).astype(jnp.float32), 0)
    features = value.astype(jnp.float32)
    under = 2 + up * features.sum((1, 2))[:, None, None, None]
    weights = (up / jnp.where(under == 0, 1, under)).sum((2, 3))
    maps = jnp.einsum('bkc,bhwc->bkhw', weights, features)
    return jnp.maximum(maps, 0) if relu else maps


def layer_cam(model, variables, images, tap=None, relu=True, class_chunk=None, classes=None):
    """Layer-CAM (Jiang et al. 2021): ReLU(sum_c ReLU(g) A), each position by its own gradient; maps [b, k, h', w'].

    Made for early layers too, as `tap`.
    """
    value, f = feature_map(model, variables, images, tap)
    up = jnp.maximum(class_gradients(f, value, class_chunk, classes=classes).astype(jnp.float32), 0)
    maps = jnp.einsum('bkhwc,bhwc->bkhw', up, value.astype(jnp.float32))
    return jnp.maximum(maps, 0) if relu else maps


def guided_grad_cam(model, variables, images, tap=None, relu=True, class_chunk=None, classes=None):
    """Guided Grad-CAM (Selvaraju et al. 2017, section 3.2): GuidedBP times Grad-CAM; maps [b, k, h, w, c].

    Grad-CAM is enlarged bilinearly to the image. The network must take its ReLU as the field `activation`.
    """
    cam = grad_cam(model, variables, images, tap, relu, class_chunk, classes)
    large = jax.image.resize(cam, (*cam.shape[:2], *images.shape[1:3]), 'bilinear')
    return guided_backprop(model, variables, images, class_chunk, classes) * large[..., None]
