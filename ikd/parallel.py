"""Devices, in one place: what runs where, and what is averaged.

Two ways to use several devices. `data`: one network, the batch divided, statistics and gradients averaged over
the axis `AXIS`. `trials`: every device trains its own seed, nothing is exchanged; what belongs to a trial has
a leading axis of trials outside the compiled functions, and none inside. On one device both are plain `jit`.
"""
import functools
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ikd.errors import InputError

AXIS = 'batch'


class Layout(NamedTuple):
    """The devices one compiled program runs on, and whether they share a batch or hold a trial each."""
    devices: tuple
    mode: str

    @property
    def axis_name(self):
        """The mapped axis that the batch is divided over; None where no device holds a part of it."""
        return AXIS if self.mode == 'data' and len(self.devices) > 1 else None

    @property
    def stacked(self):
        """Whether what belongs to a trial carries a leading axis of trials."""
        return self.mode == 'trials' and len(self.devices) > 1

    @property
    def on_cpu(self):
        return self.devices[0].platform == 'cpu'


def layouts(mode, seeds, batch_size, devices=None):
    """[(layout, seeds trained together), ...] for the seeds still to train, on the local devices.

    mode 'data': one seed after another, each on every device; InputError where they can't divide the batch.
    mode 'trials': as many seeds at a time as there are devices.
    """
    devices = tuple(devices or jax.local_devices())
    if mode == 'trials':
        groups = [seeds[i:i + len(devices)] for i in range(0, len(seeds), len(devices))]
        return [(Layout(devices[:len(group)], mode), group) for group in groups]
    if batch_size % len(devices):
        raise InputError(f'batch_size {batch_size} cannot be divided over {len(devices)} devices; choose a multiple '
                         f'of {len(devices)}, or config.parallel=trials')
    return [(Layout(devices, mode), [seed]) for seed in seeds]


def spread(layout, f, per_trial, shared, donate=()):
    """Compile f over the layout's devices: jit on one, pmap on several.

    f's first `per_trial` arguments and its results belong to a trial, the following `shared` are the same for all.
    Under `data` results must come out equal on all devices. `donate` names arguments that may be overwritten.
    """
    if len(layout.devices) == 1:
        return jax.jit(f, donate_argnums=donate)
    trial_axis = 0 if layout.stacked else None
    mapped = jax.pmap(lambda rank, *args: f(*args), axis_name=AXIS, out_axes=trial_axis, devices=layout.devices,
                      in_axes=(0, *[trial_axis] * per_trial, *[None] * shared),
                      donate_argnums=tuple(place + 1 for place in donate))
    # pmap wants one argument that is divided; under `data` none is, so each device is handed its number.
    return functools.partial(mapped, _put(layout, np.arange(len(layout.devices)), PartitionSpec(AXIS)))


def _put(layout, tree, spec):
    if len(layout.devices) == 1:
        return jax.device_put(tree, layout.devices[0])
    return jax.device_put(tree, NamedSharding(Mesh(layout.devices, (AXIS,)), spec))


def replicate(layout, tree):
    """Put the same tree on every device, where compiled functions find it without moving it again."""
    return _put(layout, tree, PartitionSpec())


def join(layout, trees):
    """Put the trees of the trials trained together (a list, one tree under `data`) where `spread` wants them."""
    if layout.stacked:
        return _put(layout, jax.tree.map(lambda *leaves: np.stack(leaves), *trees), PartitionSpec(AXIS))
    return replicate(layout, trees[0])


def split(layout, tree):
    """The reverse of `join`: a list of one host (numpy) tree for each trial."""
    tree = jax.device_get(tree)
    if layout.stacked:
        return [jax.tree.map(lambda leaf: leaf[i], tree) for i in range(len(layout.devices))]
    return [tree]


def mean(tree, axis_name):
    """Average over the devices that share a batch (`Layout.axis_name`); the tree itself where none do."""
    return jax.lax.pmean(tree, axis_name) if axis_name else tree


def my_share(rows, axis_name):
    """This device's consecutive part of the first axis of `rows`, which every device holds in full."""
    if not axis_name:
        return rows
    b = rows.shape[0] // jax.lax.axis_size(axis_name)
    return jax.lax.dynamic_slice_in_dim(rows, jax.lax.axis_index(axis_name) * b, b)


def gather(rows, axis_name):
    """The parts of all devices in order, on every device: the reverse of `my_share`."""
    return jax.lax.all_gather(rows, axis_name, tiled=True) if axis_name else rows
