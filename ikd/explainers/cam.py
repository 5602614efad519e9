"""Class activation maps: what a feature map holds, weighted by what it means to a class."""
import jax.numpy as jnp

from ikd.errors import InputError
from ikd.explainers.maps import class_gradients
from ikd.models import head


def grad_cam(model, variables, images, tap=None, relu=True, class_chunk=None):
    """Grad-CAM (Selvaraju et al. 2017): ReLU(sum_c w_kc A_c), w_kc = mean over positions of d a_k / d A_c.

    A [b, h', w', c'] is the value of `tap` (default: the network's last feature map); relu=False keeps the sign.
    Maps [b, k, h', w'], not upsampled. Only the network after the tap is differentiated, so at the last feature
    map of a ResNet all classes cost one small matrix product.
    """
    tap = tap or getattr(model, 'cam_tap', None)
    _, taps = model.apply(variables, images, train=False)
    spatial = [name for name, value in taps.items() if value.ndim == 4]
    if tap not in spatial:
        choice = f"its feature maps are: {', '.join(spatial)}" if spatial else 'this one has none; use grad'
        raise InputError(f"grad_cam needs a feature map as method.tap, not '{tap}'; {choice}")
    features, f = taps[tap].astype(jnp.float32), head(model, variables, images, tap)
    b, h, w, c = features.shape
    # The sum of a gradient over positions is the gradient of what is added to all of them: [b, k, c], never [b, k,
    # h, w, c].
    lifted = class_gradients(lambda level: f(taps[tap] + level[:, None, None]), jnp.zeros((b, c), taps[tap].dtype),
                             class_chunk)
    weights = lifted.astype(jnp.float32) / (h * w)
    maps = jnp.einsum('bkc,bhwc->bkhw', weights, features)
    return jnp.maximum(maps, 0) if relu else maps
