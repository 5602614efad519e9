"""Explainers with torch.autograd and hooks: maps of every class, one backward pass for each."""
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


def features_and_gradients(network, images):
    """The output of `network.cam_module` [b, c, h', w'] and its gradients of every class [b, k, c, h', w']."""
    outputs = []
    handle = network.cam_module.register_forward_hook(lambda module, args, output: outputs.append(output))
    try:
        logits = network(images)
    finally:
        handle.remove()
    features, = outputs
    return features.detach(), class_gradients(logits, features)


def grad_cam(network, images):
    """Maps [b, k, h', w'], as of all class activation maps but the guided."""
    features, gradients = features_and_gradients(network, images)
    return torch.relu(torch.einsum('bkc,bchw->bkhw', gradients.mean((3, 4)), features))


def grad_cam_plus_plus(network, images):
    """alpha as the equation has it: 0 where it is 0 / 0."""
    features, g = features_and_gradients(network, images)
    alpha = torch.nan_to_num(g ** 2 / (2 * g ** 2 + g ** 3 * features.sum((2, 3))[:, None, :, None, None]))
    return torch.relu(torch.einsum('bkc,bchw->bkhw', (alpha * torch.relu(g)).sum((3, 4)), features))


def layer_cam(network, images):
    features, gradients = features_and_gradients(network, images)
    return torch.relu((torch.relu(gradients) * features[:, None]).sum(2))


def guided_grad_cam(network, images):
    cam = nn.functional.interpolate(grad_cam(network, images), size=images.shape[2:], mode='bilinear')
    return guided_backprop(network, images) * cam[:, :, None]


def integrated_gradients(network, images, steps=3):
    """From a baseline of zeros."""
    return images[:, None] * sum(grad(network, (i + 0.5) / steps * images) for i in range(steps)) / steps


def smooth_grad(network, images, noise):
    """noise [samples, b, c, h, w] is what is added."""
    return sum(grad(network, images + part) for part in noise) / len(noise)


EXPLAINERS = {
    'grad': grad, 'grad_input': grad_input, 'guided_backprop': guided_backprop, 'grad_cam': grad_cam,
    'grad_cam_plus_plus': grad_cam_plus_plus, 'layer_cam': layer_cam, 'guided_grad_cam': guided_grad_cam,
    'integrated_gradients': integrated_gradients,
}
