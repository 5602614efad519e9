"""One stage of a recipe: its compiled step, its epochs, its evaluation."""
from contextlib import closing, nullcontext
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.traverse_util import flatten_dict, unflatten_dict

from ikd import explainers, feed, keys, metrics, models, parallel
from ikd.compiled import jit_for_once
from ikd.data.inputs import AUGMENTATIONS, normalise
from ikd.errors import InputError
from ikd.objectives import Batch, Outputs
from ikd.program import eval_batch, program_of
from ikd.stages import Stage, State, variables_of


class Prepared(NamedTuple):
    """A stage with its network, the names of the parts that train, its optimiser and schedule, and its Program."""
    stage: Stage
    model: Any
    trainable: frozenset
    optimizer: Any
    schedule: Any
    program: Any


def fresh_state(seed, prepared, image_shape):
    """State of a seed (an integer, traced or not) before a Prepared stage has begun, for images [h, w, c]."""
    stage, model = prepared.stage, prepared.model
    # Not as the other streams have `draws`: what has been trained keeps the weights it began with.
    variables = models.init(model, jax.random.fold_in(keys.stream(seed, keys.INIT), stage.draws), image_shape)
    trainable = {name: part for name, part in variables['params'].items() if name in prepared.trainable}
    extra = stage.extra(model.num_classes) if stage.extra else {}
    return State(jnp.uint32(seed), jnp.int32(0), variables['params'], variables.get('batch_stats', {}),
                 prepared.optimizer.init(trainable), extra)


def new_state(seed, prepared, image_shape):
    """`fresh_state` as host arrays."""
    state = jit_for_once(lambda seed: fresh_state(seed, prepared, image_shape))(np.uint32(seed))
    return jax.device_get(jax.block_until_ready(state))  # which raises where memory is short; device_get would wait


def state_shapes(prepared, image_shape):
    """The shapes of a Prepared stage's State, without computing it."""
    return jax.eval_shape(lambda: fresh_state(0, prepared, image_shape))


def make_step(prepared, teacher, data, config, axis_name):
    """The pure function (state, knowledge, plain, y) -> (state, metrics) of one training step.

    teacher: the network that knowledge, its variables, belongs to; None where the stage has no teacher. plain, y:
    this device's part of the batch, images uint8 [b, h, w, c] and labels int32 [b]. metrics: means over the global
    batch. The explanation reads the forward pass the loss is computed from.
    """
    stage, model, optimizer = prepared.stage, prepared.model, prepared.optimizer
    augment = AUGMENTATIONS[config.data.augment]
    steps = data.steps(config.batch_size)

    def step(state, knowledge, plain, y):
        key = jax.random.fold_in(keys.stream(state.seed, keys.STEP, stage.draws), state.step)
        augment_key, dropout_key, objective_key = jax.random.split(key, 3)
        x = augment(plain, keys.per_example(augment_key, len(y), axis_name))
        x = normalise(x, data.mean, data.std)

        told = None
        if teacher:
            with jax.named_scope('teacher'):
                seen = x if stage.augmented else normalise(plain, data.mean, data.std)
                told = Outputs(*teacher.apply(knowledge, seen, train=False),
                               partial(explainers.explain, model=teacher, variables=knowledge, images=seen))

        def loss(trainable):
            params = {**state.params, **trainable}
            variables = variables_of(state._replace(params=params))
            with jax.named_scope('forward'):
                (logits, taps), updates = model.apply(
                    variables, x, train=True, mutable=['batch_stats', 'moments', 'attention'],
                    rngs={'dropout': dropout_key})
            live = explained_variables(variables, updates.get('moments', {}) if config.method.bn == 'batch' else {})
            held = jax.lax.stop_gradient(live)

            def explain(name, through=False, **options):
                return explainers.explain(name, model, live if through else held, x, **options)

            progress = state.step / (steps * (stage.span or stage.epochs))
            batch = Batch(y, logits, taps, explain, objective_key, progress, axis_name, told,
                          state.step // steps + 1, updates.get('attention', {}), state.extra)
            values, parts, extra = losses_of(stage, batch)
            right = logits.argmax(-1).T == jnp.expand_dims(y, range(logits.ndim - 2))
            parts = {'loss': values, 'accuracy': 100 * right, **parts}
            return values.mean(), (updates.get('batch_stats', {}), jax.tree.map(jnp.mean, parts), extra)

        trainable = {name: part for name, part in state.params.items() if name in prepared.trainable}
        with jax.named_scope('backward'):
            gradients, (moved, report, extra) = jax.grad(loss, has_aux=True)(trainable)
        gradients, report = parallel.mean((gradients, report), axis_name)
        with jax.named_scope('update'):
            change, opt_state = optimizer.update(gradients, state.opt_state, trainable)
            params = {**state.params, **optax.apply_updates(trainable, change)}
            batch_stats = {name: moved[name] if name in prepared.trainable else old
                           for name, old in state.batch_stats.items()}
        return State(state.seed, state.step + 1, params, batch_stats, opt_state, extra), report

    return step


def explained_variables(variables, moments):
    """What a network is explained with: its variables, with `moments` in the place of running averages.

    A BatchNorm has no moments that was applied with its running averages, or is not `models.BatchNorm`.
    """
    statistics = unflatten_dict(flatten_dict(variables['batch_stats']) | flatten_dict(moments))
    return {**variables, 'batch_stats': statistics}


def losses_of(stage, batch):
    """What a stage's objective gives for a Batch: losses [b], their parts, and `extra`, as before if it gives none.

    InputError if the objective gives anything else.
    """
    found = stage.objective(batch)
    if (isinstance(found, tuple) and len(found) in (2, 3) and isinstance(found[1], dict)
            and jnp.shape(found[0]) == batch.labels.shape and jnp.issubdtype(jnp.result_type(found[0]), jnp.floating)
            and all(map(is_told, found[1].items())) and isinstance(found[-1], dict)):
        losses, parts, *extra = found
        return losses, parts, extra[0] if extra else batch.extra
    raise InputError(f"the objective of stage '{stage.name}' must return (losses, parts), or (losses, parts, extra): "
                     "a loss for each example, and a dict of numbers that are told beside it by name, in which "
                     "'loss' and 'accuracy' are taken; extra is a dict of arrays")


def is_told(item):
    """Whether the name and value of a part of an objective are of the kind that an epoch's record can hold."""
    name, value = item
    numbers = jax.Array | np.ndarray | np.generic | int | float
    return isinstance(name, str) and name not in ('loss', 'accuracy') and isinstance(value, numbers)


def prepare(stage, model, teacher, data, config, layout):
    """The stage with its network, optimiser and Program. `model` has been made with the layout's axis_name.

    teacher: the Prepared stage it learns from, or None.
    """
    image_shape, knows_devices = data.image_shape, hasattr(model, 'axis_name')
    if stage.wrap:
        model = stage.wrap(model, models.tap_shapes(teacher.model, image_shape) if teacher else {})
    shapes = models.shapes(model, image_shape)
    if layout.axis_name and shapes.get('batch_stats') and not knows_devices:
        raise InputError(f"{type(model).__name__} has BatchNorm but no field 'axis_name', so each of several devices "
                         'would use statistics of its own; hand axis_name to its BatchNorm, or set parallel=trials')
    parts = dict.fromkeys((*shapes['params'], *shapes.get('batch_stats', {})))  # some have statistics alone
    named = stage.trains(model, image_shape, tuple(parts))
    trainable = frozenset([named] if isinstance(named, str) else named)
    if unknown := trainable - {*parts}:
        raise InputError(f"stage '{stage.name}' trains {', '.join(sorted(map(str, unknown)))}, which is no part of "
                         f"{type(model).__name__}; its parts are: {', '.join(parts)}")
    steps = data.steps(config.batch_size)
    made = stage.optimizer(config.optimizer, steps, stage.span or stage.epochs or 1)  # of a given network unused
    if not (isinstance(made, tuple) and len(made) == 2 and hasattr(made[0], 'init') and callable(made[1])):
        raise InputError(f"the optimizer of stage '{stage.name}' must return (optax transformation, schedule), the "
                         'schedule a function of the step')
    optimizer, schedule = made
    prepared = Prepared(stage, model, trainable, optimizer, schedule, None)
    step = make_step(prepared, teacher and teacher.model, data, config, layout.axis_name)
    passed = [shapes, models.shapes(teacher.model, image_shape)] if teacher else [shapes]
    way = parallel.way(layout, any(models.has_convolutions(network['params']) for network in passed))
    return prepared._replace(program=program_of(prepared, step, data, config, layout, way))


def run_epoch(program, layout, state, knowledge, images, labels, tick=lambda n: None, stop=lambda: False, first=0):
    """Train an epoch: (state, a dict of numpy arrays [steps] for each trial).

    images, labels: as `feed.training` takes them. From its step `first` to its end, or until stop(), which is asked
    after each call; the arrays are as long as the steps taken. Nothing comes to the host until then. tick(n) is
    called as n steps are finished (on accelerators: sent off). InputError if a streamed image can't be read.
    """
    reports = []
    with (closing(feed.training(program, layout, state, images, labels, first)) as blocks,
          jax.transfer_guard_device_to_host('disallow')):
        for (_, length), fed in zip(feed.calls(program, first), blocks):
            state, report = program.advance(length)(state, knowledge, *fed)
            reports.append(report)
            # On CPU, collectives of many unfinished steps can deadlock; elsewhere two calls ahead keep it busy.
            jax.block_until_ready(reports[-1:] if layout.on_cpu else reports[-3:-2])
            tick(length)
            if stop():
                break
    trials = zip(*(parallel.split(layout, report) for report in reports))
    return state, [jax.tree.map(lambda *values: np.hstack(values), *trial) for trial in trials]


def trace(program, layout, state, knowledge, images, labels, directory, calls=5):
    """Write an XProf trace of a few calls of `advance` to a directory (None: nowhere), leaving the state as it is."""
    with (closing(feed.training(program, layout, state, images, labels)) as blocks,
          jax.profiler.trace(str(directory)) if directory else nullcontext()):
        state = jax.tree.map(jnp.copy, state)  # which a call overwrites
        for fed in islice(blocks, min(calls, program.steps // program.chunk)):
            state, report = program.advance(program.chunk)(state, knowledge, *fed)
            jax.block_until_ready(report)


def run_evaluation(program, layout, state, images, labels):
    """`metrics.evaluate` on the test set for each trial.

    images: as `feed.test` takes them, on the devices padded by `pad_test`; labels: on the host.
    """
    with closing(feed.test(program, layout, images, eval_batch(images.shape, layout))) as batches:
        parts = [parallel.split(layout, program.logits(state, *fed)) for fed in batches]
    return [metrics.evaluate(np.concatenate(trial)[:len(labels)], labels) for trial in zip(*parts)]
