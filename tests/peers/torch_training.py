"""Training steps with cross-entropy and with LE(Grad), as fast as PyTorch makes them on a CPU.

A step takes images [b, c, h, w] as the network sees them, in `channels_last`, and labels int64 [b], moves the network
and returns the loss. The caller chooses the threads, `torch.set_num_threads`, before anything is compiled.

What was measured, as processor time of one thread on an AVX-512 CPU that other work shared, with 1.00 for the plain
step with cross-entropy (of two threads the spread was larger than what is compared here):

| | ResNet8, 32x32, batch 128 | MLP 784-1024-1024-10, batch 16 |
|---|---|---|
| cross-entropy; compiled | 1.00; 0.84 | 1.00; 1.08 |
| LE(Grad) `loop`; compiled | 4.6; 4.1 | 3.0; 3.0 |
| LE(Grad) `batched` | 8.3 | 2.3 |
| LE(Grad) `vmap`; compiled | 18; not measured | 2.8; 2.6 |

So the peer to compare with is the compiled `loop` for networks with convolutions, although it takes a second forward
pass (all classes at once leave the caches), and `batched`, not compiled, for the MLP. Compiling the optimiser too
changes nothing; without `channels_last` ResNet8 takes 1.25 (batch 32); SGD `foreach` is like `fused` for ResNet8 and
1.4 for the MLP.
"""
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.func import functional_call, vjp, vmap
from torch.nn import functional

frozen = False


@contextmanager
def statistics_frozen():
    """While it lasts, going back through a BatchNorm takes the moments of the batch as constants."""
    global frozen
    frozen = True
    try:
        yield
    finally:
        frozen = False


class Normalise(torch.autograd.Function):
    """PyTorch's batch normalisation with the moments it used: (values, mean, 1 / standard deviation)."""

    @staticmethod
    def forward(ctx, x, weight, bias, running_mean, running_var, momentum, eps):
        y, mean, gain = torch.native_batch_norm(x, weight, bias, running_mean, running_var, True, momentum, eps)
        ctx.save_for_backward(x, weight, mean, gain)
        ctx.mark_non_differentiable(mean, gain)
        ctx.eps = eps
        return y, mean, gain

    @staticmethod
    def backward(ctx, signal, *_):
        x, weight, mean, gain = ctx.saved_tensors
        if frozen:
            return signal * (weight * gain)[:, None, None], *[None] * 6
        gradients = torch.ops.aten.native_batch_norm_backward(
            signal, x, weight, None, None, mean, gain, True, ctx.eps, [True] * 3)
        return *gradients, *[None] * 4


class BatchNorm(nn.BatchNorm2d):
    """BatchNorm2d that keeps, in training, the `mean` and `var` of the batch (the biased one)."""

    def forward(self, x):
        if not self.training:
            return super().forward(x)
        y, self.mean, gain = Normalise.apply(x, self.weight, self.bias, self.running_mean, self.running_var,
                                             self.momentum, self.eps)
        self.var = gain ** -2 - self.eps
        return y


def ready(network):
    """The network in training mode and `channels_last`, with BatchNorms that can be frozen: returns it."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = BatchNorm
    return network.to(memory_format=torch.channels_last).train()


def sgd(network, learning_rate=0.1, momentum=0.9, weight_decay=1e-4):
    """SGD with momentum and coupled weight decay."""
    return torch.optim.SGD(network.parameters(), learning_rate, momentum, weight_decay=weight_decay, fused=True)


def from_graph(batched):
    """maps(images, logits): the gradients of each logit, through the training pass with statistics frozen."""
    def maps(images, logits):
        k = logits.shape[1]
        one_hot = torch.eye(k)[:, None].expand(k, *logits.shape)
        with statistics_frozen():
            if batched:
                return torch.autograd.grad(logits, images, one_hot, retain_graph=True, is_grads_batched=True)[0]
            return torch.stack([torch.autograd.grad(logits, images, row, retain_graph=True)[0] for row in one_hot])

    return maps


def from_second_pass(network, looped, compiler=lambda f: f):
    """maps(images, logits): the gradients of each logit in evaluation mode with the moments of the batch."""
    norms = {name: module for name, module in network.named_modules() if isinstance(module, BatchNorm)}

    @compiler
    def gradients(images, moments):
        logits, pull_back = vjp(lambda x: functional_call(network, moments, (x,)), images)
        one_hot = torch.eye(logits.shape[1])
        of_class = lambda row: pull_back(row.expand_as(logits))[0]
        return torch.stack([of_class(row) for row in one_hot]) if looped else vmap(of_class)(one_hot)

    def maps(images, logits):
        moments = {f'{name}.running_{moment}': getattr(norm, moment)
                   for name, norm in norms.items() for moment in ('mean', 'var')}
        for norm in norms.values():
            norm.eval()
        with torch.no_grad():
            found = gradients(images.detach(), moments)
        for norm in norms.values():
            norm.train()
        return found

    return maps


def targets(maps, labels, alpha=0.9):
    """Equation 6 from maps [k, b, ...]: [b, k]."""
    k, b = maps.shape[:2]
    vectors = functional.normalize(maps.reshape(k, b, -1), dim=2)
    weights = torch.einsum('kbd,bd->bk', vectors, vectors[labels, torch.arange(b)]).clamp(-1, 1) + 1
    is_true = functional.one_hot(labels, k).bool()
    weights = weights.masked_fill(is_true, 0)
    total = weights.sum(1, keepdim=True)
    share = torch.where(total > 1e-6 * k, weights / total, 1 / (k - 1))
    return torch.where(is_true, alpha, (1 - alpha) * share)


@dataclass(frozen=True)
class Step:
    """A training step: (images, labels) -> loss. Made by `step_ce`, `step_le_grad` and `compiled`.

    forward: the network, or what it compiles to. maps(images, logits) -> [k, b, c, h, w], None for cross-entropy;
    through_graph: whether it goes back through the graph of `logits`. lam: weight of the label term of LE.
    """
    network: nn.Module
    optimizer: torch.optim.Optimizer
    forward: Callable
    way: str | None = None
    maps: Callable | None = None
    through_graph: bool = False
    lam: float = 0.1

    def __call__(self, images, labels):
        images = images.detach().requires_grad_(self.through_graph)
        logits = self.forward(images)
        loss = functional.cross_entropy(logits, labels)
        if self.maps:
            q = targets(self.maps(images, logits), labels)
            loss = functional.cross_entropy(logits, q) + self.lam * loss
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=list(self.network.parameters()))
        self.optimizer.step()
        return loss.detach()


def step_ce(network, optimizer):
    """A step with cross-entropy. The network: of `ready`."""
    return Step(network, optimizer, network)


def step_le_grad(network, optimizer, way):
    """A step with LE(Grad), the network of `ready`; ways, of which a graph's share the training forward pass:

    `loop`, a backward pass for each class; `batched`, all at once; `vmap`, all at once in a second forward pass.
    """
    if way == 'vmap':
        return Step(network, optimizer, network, way, from_second_pass(network, looped=False))
    return Step(network, optimizer, network, way, from_graph(batched=way == 'batched'), through_graph=True)


def compiled(step):
    """The step with its forward and backward passes compiled, that is, with a second pass for the maps of any way."""
    maps = step.maps and from_second_pass(step.network, step.way == 'loop', torch.compile)
    return replace(step, forward=torch.compile(step.network), maps=maps, through_graph=False)
