"""The mixtures of experts as a PyTorch user writes them (NCHW, soft routing), and the copying of ikd's variables."""
import numpy as np
import torch
from torch import nn

from tests.peers.torch_networks import Block


def mix(routing, tau, maps):
    """The children's inputs, one by one, from the parents' maps."""
    shares = torch.softmax(routing / tau, dim=1)
    return [sum(share * features for share, features in zip(row, maps)) for row in shares]


def expert(channels, middle, width):
    """(Convolution, BatchNorm, ReLU) twice and a max-pool."""
    return nn.Sequential(nn.Conv2d(channels, middle, 3, padding=1), nn.BatchNorm2d(middle), nn.ReLU(),
                         nn.Conv2d(middle, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2))


def routings(*sizes):
    """One matrix [children, parents] between each two sizes."""
    return nn.ParameterList(torch.zeros(children, parents) for parents, children in zip(sizes, sizes[1:]))


class HMETree(nn.Module):
    """Three levels of experts and a head for each class."""

    def __init__(self, num_classes, width, hidden, experts, outputs, temperature):
        super().__init__()
        self.tau = 0.5 * temperature
        self.levels = nn.ModuleList([
            nn.ModuleList(expert(channels, width, out) for _ in range(count))
            for count, channels, out in zip(experts, (3, width, width), (width, width, width // 2))])
        self.routing = routings(*experts, num_classes)
        self.pool = nn.AdaptiveAvgPool2d(7)
        self.heads = nn.ModuleList(nn.Sequential(
            nn.Linear(49 * width // 2, hidden), nn.ReLU(), nn.Dropout(0.15), nn.Linear(hidden, hidden), nn.ReLU(),
            nn.Dropout(0.15), nn.Linear(hidden, outputs)) for _ in range(num_classes))

    def forward(self, images):
        inputs = [images] * len(self.levels[0])
        for experts, routing in zip(self.levels, self.routing):
            inputs = mix(routing, self.tau, [module(x) for module, x in zip(experts, inputs)])
        return torch.cat([head(self.pool(x).flatten(1)).amax(1, keepdim=True)
                          for head, x in zip(self.heads, inputs)], dim=1)


class HMEResNet18(nn.Module):
    """ResNet18 of a whole group and three of `sub` thin ones; each class mixes maps, pools, and has two numbers."""

    def __init__(self, num_classes, width, sub, tau):
        super().__init__()
        self.sub, self.tau = sub, tau
        self.stem_conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        group = lambda channels, width, stride: nn.Sequential(Block(channels, width, stride), Block(width, width, 1))
        self.first = group(width, width, 1)
        self.levels = nn.ModuleList(
            nn.ModuleList(group(channels, wide, 2) for _ in range(sub))
            for channels, wide in ((width, width // 2), (width // 2, width), (width, 2 * width)))
        self.routing = routings(sub, sub, sub, num_classes)
        self.heads = nn.ModuleList(nn.Linear(2 * width, 2) for _ in range(num_classes))

    def forward(self, images):
        inputs = [self.first(torch.relu(self.stem_norm(self.stem_conv(images))))] * self.sub
        for groups, routing in zip(self.levels, self.routing):
            inputs = mix(routing, self.tau, [module(x) for module, x in zip(groups, inputs)])
        pairs = torch.stack([head(x.mean((2, 3))) for head, x in zip(self.heads, inputs)], dim=1)
        return pairs[..., 0] - pairs[..., 1]


def tensor(array):
    return torch.tensor(np.asarray(array))


def copy_layer(module, params, stats=None):
    """Fill a convolution, a linear layer or a BatchNorm from Flax's parameters and statistics."""
    if stats is not None:
        state = {'weight': tensor(params['scale']), 'running_mean': tensor(stats['mean']),
                 'running_var': tensor(stats['var'])}
    else:
        state = {'weight': tensor(params['kernel']).movedim((-1, -2), (0, 1))}
    state |= {'bias': tensor(params['bias'])} if 'bias' in params else {}
    module.load_state_dict(module.state_dict() | state)


def copy_tree(network, variables):
    """Copy ikd's HMETree into `network`, in evaluation mode: returns it."""
    params, stats = variables['params'], variables['batch_stats']
    for level, experts in enumerate(network.levels, 1):
        network.routing[level - 1].data = tensor(params[f'branch{level}']['routing'])
        for i, module in enumerate(experts, 1):
            mine, moments = params[f'level{level}_{i}'], stats[f'level{level}_{i}']
            for place, n in ((0, 1), (3, 2)):
                copy_layer(module[place], mine[f'conv{n}'])
                copy_layer(module[place + 1], mine[f'norm{n}'], moments[f'norm{n}'])
    for k, module in enumerate(network.heads, 1):
        mine = params[f'head_{k}']
        first = np.asarray(mine['linear1']['kernel'])
        rows = first.reshape(7, 7, -1, first.shape[1]).transpose(2, 0, 1, 3).reshape(first.shape)  # channels first
        copy_layer(module[0], mine['linear1'] | {'kernel': rows})
        copy_layer(module[3], mine['linear2'])
        copy_layer(module[6], mine['linear3'])
    return network.eval()


def copy_group(network, params, stats):
    for i, block in enumerate(network, 1):
        mine, moments = params[f'block{i}'], stats[f'block{i}']
        for name in mine:
            copy_layer(getattr(block, name), mine[name], moments.get(name))


def copy_resnet(network, variables):
    """Copy ikd's HMEResNet18 into `network`, in evaluation mode: returns it."""
    params, stats = variables['params'], variables['batch_stats']
    copy_layer(network.stem_conv, params['stem_conv'])
    copy_layer(network.stem_norm, params['stem_norm'], stats['stem_norm'])
    copy_group(network.first, params['level1'], stats['level1'])
    for level, groups in enumerate(network.levels, 2):
        network.routing[level - 2].data = tensor(params[f'branch{level - 1}']['routing'])
        for i, module in enumerate(groups, 1):
            copy_group(module, params[f'level{level}_{i}'], stats[f'level{level}_{i}'])
    for k, head in enumerate(network.heads):
        copy_layer(head, {'kernel': params['head_kernel'][k], 'bias': params['head_bias'][k]})
    return network.eval()
