"""Objectives: pure functions of a `Batch` that give a loss per example [b] and its named parts (each [b])."""
from collections.abc import Callable
from typing import NamedTuple

import jax

from ikd.objectives.distillation import confidence_weighted, distil
from ikd.objectives.introspective import introspective, uniform
from ikd.objectives.plain import confidence_penalty, cross_entropy, label_smoothing

__all__ = ['Batch', 'Outputs', 'confidence_penalty', 'confidence_weighted', 'cross_entropy', 'distil',
           'introspective', 'label_smoothing', 'uniform']


class Outputs(NamedTuple):
    """What a network says of a batch: logits [b, k] and taps (name -> value [b, ...])."""
    logits: jax.Array
    taps: dict[str, jax.Array]


class Batch(NamedTuple):
    """What an objective may look at: one training step of one device's share b of the batch.

    labels: true classes, int32 [b]. logits [b, k] and taps (name -> value [b, ...]) of the training forward pass,
    which is what gradients flow through. explain(name, **options): class maps [b, k, ...] of that same
    pass, constants. key: this step's random key, the same on every device (`keys.per_example` divides it).
    progress: the share of the schedule's steps that is done, in [0, 1). axis_name: the mapped axis of the devices
    that share the batch, or None. teacher: the `Outputs` of the stage's teacher, constants, or None.
    """
    labels: jax.Array
    logits: jax.Array
    taps: dict[str, jax.Array]
    explain: Callable
    key: jax.Array
    progress: jax.Array
    axis_name: str | None = None
    teacher: Outputs | None = None
