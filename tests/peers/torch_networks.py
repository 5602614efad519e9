"""The networks of ikd as a PyTorch user writes them (NCHW), and the copying of ikd's variables into them."""
import re

import numpy as np
import torch
from torch import nn


class Block(nn.Module):
    """Post-activation basic block of He et al. 2016; a 1x1 projection where the shape changes."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.relu2 = nn.ReLU()
        self.projects = stride != 1 or channels != width
        if self.projects:
            self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(width)

    def forward(self, x):
        shortcut = self.shortcut_norm(self.shortcut(x)) if self.projects else x
        y = self.relu1(self.norm1(self.conv1(x)))
        return self.relu2(self.norm2(self.conv2(y)) + shortcut)


class Bottleneck(nn.Module):
    """1x1, 3x3 with the stride, 1x1 to four times the width; a 1x1 projection where the shape changes."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, stride, padding=1, bias=False)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.norm3 = nn.BatchNorm2d(4 * width)
        self.projects = stride != 1 or channels != 4 * width
        if self.projects:
            self.shortcut = nn.Conv2d(channels, 4 * width, 1, stride, bias=False)
            self.shortcut_norm = nn.BatchNorm2d(4 * width)

    def forward(self, x):
        shortcut = self.shortcut_norm(self.shortcut(x)) if self.projects else x
        y = torch.relu(self.norm1(self.conv1(x)))
        y = torch.relu(self.norm2(self.conv2(y)))
        return torch.relu(self.norm3(self.conv3(y)) + shortcut)


class GroupedResNet(nn.Module):
    """3x3 stem, groups of blocks whose width doubles from group to group, global average pool, linear."""

    def __init__(self, blocks, width, num_classes=10, block=Block, expansion=1):
        super().__init__()
        self.stem_conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.stem_relu = nn.ReLU()
        self.groups, channels = nn.Sequential(), width
        for number, count in enumerate(blocks):
            group = nn.Sequential()
            for i in range(count):
                group.append(block(channels, width * 2 ** number, stride=2 if number and i == 0 else 1))
                channels = width * 2 ** number * expansion
            self.groups.append(group)
        self.linear = nn.Linear(channels, num_classes)

    @property
    def cam_module(self):
        """The module whose output Grad-CAM looks at."""
        return self.groups[-1]

    def forward(self, x):
        x = self.groups(self.stem_relu(self.stem_norm(self.stem_conv(x))))
        return self.linear(x.mean((2, 3)))


class ResNet(GroupedResNet):
    """CIFAR ResNet of depth 6n+2, widths 16, 32, 64."""

    def __init__(self, depth, num_classes=10):
        super().__init__([(depth - 2) // 6] * 3, 16, num_classes)


class WideBlock(nn.Module):
    """Pre-activation block of Zagoruyko and Komodakis 2016; where widths differ, the activated input is projected."""

    def __init__(self, channels, width, stride):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False) if channels != width else None

    def forward(self, x):
        active = torch.relu(self.norm1(x))
        y = self.conv2(torch.relu(self.norm2(self.conv1(active))))
        return y + (x if self.shortcut is None else self.shortcut(active))


class WideResNet(nn.Module):
    """WRN-depth-widen on a stem of `width` channels."""

    def __init__(self, depth, widen, width=16, num_classes=10):
        super().__init__()
        self.stem_conv = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.groups, channels = nn.Sequential(), width
        for wide, stride in ((width * widen, 1), (2 * width * widen, 2), (4 * width * widen, 2)):
            blocks = [WideBlock(channels, wide, stride)]
            blocks += [WideBlock(wide, wide, 1) for _ in range((depth - 4) // 6 - 1)]
            self.groups.append(nn.Sequential(*blocks))
            channels = wide
        self.last_norm = nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels, num_classes)

    def forward(self, x):
        x = torch.relu(self.last_norm(self.groups(self.stem_conv(x))))
        return self.linear(x.mean((2, 3)))


class VGG8(nn.Module):
    """Five (convolution with bias, BatchNorm, ReLU), the first three with a max-pool; global average pool, linear."""

    def __init__(self, width=64, num_classes=10):
        super().__init__()
        channels = 3, width, 2 * width, 4 * width, 8 * width, 8 * width
        for i in range(1, 6):
            setattr(self, f'conv{i}', nn.Conv2d(channels[i - 1], channels[i], 3, padding=1))
            setattr(self, f'norm{i}', nn.BatchNorm2d(channels[i]))
        self.pool = nn.MaxPool2d(2)
        self.linear = nn.Linear(channels[-1], num_classes)

    def forward(self, x):
        x = self.pool(torch.relu(self.norm1(self.conv1(x))))
        x = self.pool(torch.relu(self.norm2(self.conv2(x))))
        x = self.pool(torch.relu(self.norm3(self.conv3(x))))
        x = torch.relu(self.norm4(self.conv4(x)))
        x = torch.relu(self.norm5(self.conv5(x)))
        return self.linear(x.mean((2, 3)))


class PlainCNN(nn.Module):
    """Groups of (convolution, BatchNorm, ReLU) between max-pools, then fully connected layers."""

    def __init__(self, groups, size=32, num_classes=10):
        super().__init__()
        self.convs, self.norms, self.relus = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        self.pool, channels = nn.MaxPool2d(2), 3
        self.pool_after = np.cumsum([len(widths) for widths in groups]) - 1
        for width in (width for widths in groups for width in widths):
            self.convs.append(nn.Conv2d(channels, width, 3, padding=1))
            self.norms.append(nn.BatchNorm2d(width))
            self.relus.append(nn.ReLU())
            channels = width
        size //= 2 ** len(groups)
        self.flattened = channels, size, size
        self.linears = nn.ModuleList([nn.Linear(channels * size * size, num_classes)])

    @property
    def cam_module(self):
        return self.relus[-1]

    def forward(self, x):
        for i, (conv, norm, relu) in enumerate(zip(self.convs, self.norms, self.relus)):
            x = relu(norm(conv(x)))
            if i in self.pool_after:
                x = self.pool(x)
        return self.linears[0](x.flatten(1))


class MLP(nn.Module):
    """Two hidden layers of 1024."""

    def __init__(self, image_shape, num_classes=10):
        super().__init__()
        self.flattened = image_shape
        widths = int(np.prod(image_shape)), 1024, 1024, num_classes
        self.linears = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, widths[1:]))
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(2))

    def forward(self, x):
        x = x.flatten(1)
        for linear, relu in zip(self.linears, self.relus):
            x = relu(linear(x))
        return self.linears[-1](x)


CNN6 = (16, 16), (32, 32), (64, 64)


def copy_flax(network, variables):
    """Copy the variables of ikd's network into `network`, in evaluation mode: returns it."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            params, stats = (_at(variables.get(kind, {}), name) for kind in ('params', 'batch_stats'))
            state = {'bias': params['bias']} if 'bias' in params else {}
            if isinstance(module, nn.BatchNorm2d):
                state |= {f'running_{moment}': stats[moment] for moment in ('mean', 'var')}
                state['weight'] = params['scale']
            elif name == 'linears.0':
                state['weight'] = _after_flatten(params['kernel'], *network.flattened)
            else:
                state['weight'] = np.moveaxis(params['kernel'], (-1, -2), (0, 1))
            state = {key: torch.tensor(np.asarray(value)) for key, value in state.items()}
            module.load_state_dict(module.state_dict() | state)
    return network.eval()


FLAX_NAMES = {'convs': 'Conv', 'norms': 'BatchNorm', 'linears': 'Dense'}


def _at(tree, name):
    """The part of a tree of Flax variables that belongs to PyTorch's submodule `name`."""
    name = re.sub(r'groups\.(\d+)\.(\d+)', lambda m: f'block{int(m[1]) + 1}_{int(m[2]) + 1}', name)
    name = re.sub(r'(convs|norms|linears)\.', lambda m: f'{FLAX_NAMES[m[1]]}_', name)
    for part in name.split('.'):
        tree = tree.get(part, {})
    return tree


def _after_flatten(kernel, c, h, w):
    """A kernel [h w c, outputs] as PyTorch's weight [outputs, c h w]: it flattens channels first."""
    return np.asarray(kernel).reshape(h, w, c, -1).transpose(3, 2, 0, 1).reshape(-1, c * h * w)
