"""Objectives: pure functions of a `Batch` that give a loss per example [b] and its named parts.

Steps report the means of the parts: [b], of two networks [2, b], of what is no example's, as attention, a scalar.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from ikd.objectives.distillation import confidence_weighted, distil, mutual
from ikd.objectives.features import attention, flow, hint, match
from ikd.objectives.introspective import introspective, uniform
from ikd.objectives.plain import confidence_penalty, cross_entropy, label_smoothing
from ikd.objectives.routing import attentive, binary, routed

__all__ = ['Batch', 'Outputs', 'attention', 'attentive', 'binary', 'confidence_penalty', 'confidence_weighted',
           'cross_entropy', 'distil', 'flow', 'hint', 'introspective', 'label_smoothing', 'match', 'mutual', 'routed',
           'uniform']


class Outputs(NamedTuple):
    """What a network says: logits [b, k], taps (name -> value [b, ...]), explain as in `Batch`, always constants."""
    logits: jax.Array
    taps: dict[str, jax.Array]
    explain: Callable | None = None


class Batch(NamedTuple):
    """What an objective may look at: one training step of one device's share b of the batch.

    labels: true classes, int32 [b]. logits [b, k] and taps (name -> value [b, ...]) of the training forward pass,
    which is what gradients flow through. explain(name, **options): class maps [b, k, ...] of that same pass (under
    `method.bn=running` its BatchNorms have the running averages); constants, or with `through=True` maps that the
    gradient flows through into the network. key: this step's random key, the same on every device (`keys.per_example`
    divides it). progress: the State's steps over those of the stage's schedule, in [0, 1); in a `continued` stage
    they go on from where the one before it stopped. axis_name: the mapped axis of the devices that share the batch,
    or None. teacher: the `Outputs` of the stage's teacher, constants, or None. epoch: the number of this epoch by the
    same count, from 1. attention: the matrices [rows, parents] that attention modules have used, {} without any.
    extra: what the stage keeps from step to step; the objective returns the new one, the same on all devices, as a
    third result, or leaves it out to keep the old.
    """
    labels: jax.Array
    logits: jax.Array
    taps: dict[str, jax.Array]
    explain: Callable
    key: jax.Array
    progress: jax.Array
    axis_name: str | None = None
    teacher: Outputs | None = None
    epoch: jax.Array | int = 1
    attention: Any = None
    extra: Any = None
