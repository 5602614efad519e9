"""The four explainers with torch.autograd and hooks: maps of every class, one backward pass for each."""
from contextlib import contextmanager

import torch
from torch import nn


def class_gradients(logits, x):
    """d logits[:, k] / d x for every class k: [b, k, ...]."""
    return torch.stack([torch.autograd.grad(logits[:, k].sum(), x, retain_graph=True)[0]
                        for k in range(logits.shape[1])], dim=1)


def grad(network, images):
    """Maps [b, k, c, h, w] of images [b, c, h, w]."""
    images = images.detach().requires_grad_()
    return class_gradients(network(images), images)


def grad_input(network, images):
    return images[:, None] * grad(network, images)


@contextmanager
def guided(network):
    """While it lasts, every ReLU of the network lets positive signals through only."""
    def keep_positive(module, grad_input, grad_output):
        return tuple(signal.clamp(min=0) for signal in grad_input)

    handles = [module.register_full_backward_hook(keep_positive)
               for module in network.modules() if isinstance(module, nn.ReLU)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def guided_backprop(network, images):
    with guided(network):
        return grad(network, images)


def grad_cam(network, images):
    """Maps [b, k, h', w'] at the output of `network.cam_module`."""
    outputs = []
    handle = network.cam_module.register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        logits = network(images)
    finally:
        handle.remove()
    features, = outputs
    weights = class_gradients(logits, features).mean((3, 4))
    return torch.relu(torch.einsum('bkc,bchw->bkhw', weights, features)).detach()


EXPLAINERS = {
    'grad': grad, 'grad_input': grad_input, 'guided_backprop': guided_backprop, 'grad_cam': grad_cam,
}
