"""Devices, in one place: what runs where, how a platform wants it compiled, and what is averaged.

Two ways to use several devices. `data`: one network, the batch divided, statistics and gradients averaged over
the axis `AXIS`. `trials`: every device trains seeds of its own, nothing is exchanged; what belongs to a trial has
a leading axis of trials outside the compiled functions, and none inside. On one device both are plain `jit`.
Under `data` the devices may be those of several processes: each puts arrays on its own, and pmap joins them.
"""
import functools
import math
import os
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ikd.errors import InputError

AXIS = 'batch'
MATMUL = {'float32': 'highest', 'tf32': 'tensorfloat32', 'bfloat16': 'tensorfloat32'}  # a precision as JAX says it
# What XLA:GPU may put into CUDA graphs: its default from jax 0.10 to 0.12, collectives left out, and the last two.
GRAPHED = 'FUSION,CUBLAS,CUBLASLT,CUDNN,CUSTOM_CALL,DYNAMIC_SLICE_FUSION,CONDITIONAL,CONVOLUTION,WHILE'


class Layout(NamedTuple):
    """The devices one compiled program runs on, and whether they share a batch or hold `together` trials each."""
    devices: tuple
    mode: str
    together: int = 1

    @property
    def trials(self):
        """How many seeds the program trains."""
        return len(self.devices) * self.together if self.mode == 'trials' else 1

    @property
    def axis_name(self):
        """The mapped axis that the batch is divided over; None where no device holds a part of it."""
        return AXIS if self.mode == 'data' and len(self.devices) > 1 else None

    @property
    def axes(self):
        """Lengths of the leading axes of what belongs to a trial: devices, trials on each, where there are more."""
        return [n for n in (len(self.devices), self.together) if n > 1] if self.mode == 'trials' else []

    @property
    def stacked(self):
        """Whether what belongs to a trial has leading axes."""
        return bool(self.axes)

    @property
    def here(self):
        """The devices of this process."""
        return [device for device in self.devices if device.process_index == jax.process_index()]

    @property
    def on_cpu(self):
        return self.devices[0].platform == 'cpu'

    @property
    def on_cuda(self):
        """Whether these are GPUs of NVIDIA's."""
        return 'cuda' in self.devices[0].client.platform_version


class Way(NamedTuple):
    """How a platform wants a training step: many steps scanned in a call or one, and options for its compiler."""
    scanned: bool
    compiler_options: dict | None = None


def way(layout, convolves):
    """The Way of a step that does, or does not, convolve (in its network or its teacher), on a layout's platform.

    Accelerators scan: what a step costs there is the launching of its kernels. XLA:CPU runs a convolution inside a
    loop on a slow path, 24 times slower, so there each call is one step; without convolutions a scan is faster (2.2
    ms a step of the MLP instead of 2.6). XLA:CPU's default leaves the gradients of convolutions and the sums over a
    batch to slow code; given to YNNPACK, cross-entropy's step of ResNet8 takes 0.5 to 0.7 of the time (and the MLP's
    twice as long, so only convolutions are given to it). XLA:GPU by default leaves loops and cuDNN's convolutions out
    of CUDA graphs; with them (`GRAPHED`) a step of LE on ResNet8 takes 0.92 of the time. In a graph trials may also
    run beside each other, for more memory: 0.63 and 0.72 for five. Where XLA_FLAGS speak of command buffers, as XLA
    advises where memory is short, they decide. Figures: results/performance.md.
    """
    if not convolves:
        return Way(scanned=True)
    if layout.on_cpu:
        return Way(False, {'xla_cpu_experimental_ynn_fusion_type':
                           'LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE'})
    if not layout.on_cuda or 'command_buffer' in os.environ.get('XLA_FLAGS', ''):
        return Way(scanned=True)
    beside = {'xla_gpu_command_buffer_scheduling_mode': 'CONCURRENT'} if layout.together > 1 else {}
    return Way(True, {'xla_gpu_enable_command_buffer': GRAPHED, **beside})


def call_length(steps, longest):
    """How many of an epoch's steps a call takes, at most `longest`: all calls alike, if that leaves them long.

    Else the last is shorter by a few steps, for which a second program is compiled.
    """
    even = max(length for length in range(1, min(steps, longest) + 1) if steps % length == 0)
    return even if even >= longest / 10 else math.ceil(steps / math.ceil(steps / longest))


def seeds_at_once(devices=None):
    """How many seeds a grid trains at a time: five on each GPU, which its small networks do not fill.

    Together five take 0.53 (the MLP) and 0.48 to 0.63 (ResNet8) of the time of one after another on a GPU, on a CPU
    1.98 and 0.97 (results/performance.md), so there it is one. On a TPU core, not measured, one.
    """
    devices = devices or jax.devices()
    return {'cpu': 1, 'gpu': 5 * len(devices)}.get(devices[0].platform, len(devices))


def layouts(mode, seeds, batch_size, devices=None, together=1):
    """[(layout, seeds trained together), ...] for the seeds still to train; by default on all devices.

    mode 'data': one seed after another, each on every device; InputError where they can't divide the batch.
    mode 'trials': `together` seeds at a time on each device; those left over fill as many devices as they can, and
    where they can't be divided alike, one device each.
    """
    devices = tuple(devices or jax.devices())
    if mode == 'trials':
        return list(_groups(seeds, devices, together))
    if batch_size % len(devices):
        raise InputError(f'batch_size {batch_size} cannot be divided over {len(devices)} devices; choose a multiple '
                         f'of {len(devices)}, or config.parallel=trials')
    return [(Layout(devices, mode), [seed]) for seed in seeds]


def _groups(seeds, devices, together):
    """The groups of `layouts` under `trials`."""
    while seeds:
        n = min(len(devices), len(seeds))
        each = min(together, len(seeds) // n)
        yield Layout(devices[:n], 'trials', each), seeds[:n * each]
        seeds = seeds[n * each:]


def spread(layout, f, per_trial, shared, dealt=0, donate=(), compiler_options=None):
    """Compile f over the layout's devices: jit on one, pmap on several, vmap over the trials of each.

    f's first `per_trial` arguments and its results belong to a trial, the following `shared` are the same for all,
    the last `dealt` come from `hand_out`. Under `data` results must come out equal on all devices. `donate` names
    arguments that may be overwritten; compiler_options are for one device, as pmap takes none.
    """
    if layout.together > 1:
        f = jax.vmap(f, in_axes=(*[0] * per_trial, *[None] * shared, *[0] * dealt))
    if len(layout.devices) == 1:
        return jax.jit(f, donate_argnums=donate, compiler_options=compiler_options)
    trial_axis = 0 if layout.stacked else None
    mapped = jax.pmap(lambda rank, *args: f(*args), axis_name=AXIS, out_axes=trial_axis, devices=layout.devices,
                      in_axes=(0, *[trial_axis] * per_trial, *[None] * shared, *[0] * dealt),
                      donate_argnums=tuple(place + 1 for place in donate))
    # pmap wants one argument that is divided; under `data` none is, so each device is handed its number.
    return functools.partial(mapped, _put(layout, np.arange(len(layout.here)), PartitionSpec(AXIS)))


def _put(layout, tree, spec):
    if len(layout.devices) == 1:
        return jax.device_put(tree, layout.devices[0])
    return jax.device_put(tree, NamedSharding(Mesh(layout.here, (AXIS,)), spec))


def replicate(layout, tree):
    """Put the same tree on every device, where compiled functions find it without moving it again."""
    return _put(layout, tree, PartitionSpec())


def join(layout, trees):
    """Put the trees of the trials trained together (a list, one tree under `data`) where `spread` wants them."""
    if not layout.stacked:
        return replicate(layout, trees[0])
    stacked = jax.tree.map(lambda *leaves: np.stack(leaves).reshape(*layout.axes, *np.shape(leaves[0])), *trees)
    return _put(layout, stacked, PartitionSpec(AXIS))


def deal(layout, rows):
    """What each device of this process is to have of the rows of batches, int [..., b] of each trial (a list).

    Under `data` its consecutive part of every batch, as `my_share` takes it, under `trials` the batches of its
    trials; with an axis of devices in front, and one of trials, where there are several.
    """
    if layout.stacked:
        return np.stack(rows).reshape(*layout.axes, *rows[0].shape)
    parts = np.split(rows[0], len(layout.devices), axis=-1)
    own = [part for part, device in zip(parts, layout.devices) if device.process_index == jax.process_index()]
    return np.stack(own) if len(parts) > 1 else parts[0]


def hand_out(layout, tree):
    """Put a tree of host arrays with the leading axes of `deal` where `spread` wants what is dealt."""
    return _put(layout, tree, PartitionSpec(AXIS))


def split(layout, tree):
    """The reverse of `join`: a list of one host (numpy) tree for each trial."""
    tree = jax.device_get(tree)
    if not layout.stacked:
        return [tree]
    flat = jax.tree.map(lambda leaf: leaf.reshape(layout.trials, *leaf.shape[len(layout.axes):]), tree)
    return [jax.tree.map(lambda leaf: leaf[i], flat) for i in range(layout.trials)]


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
