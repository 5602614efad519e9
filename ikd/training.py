"""One stage of a recipe: its compiled step, its epochs, its evaluation."""
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from ikd import explainers, keys, metrics, models, parallel
from ikd.data.resident import AUGMENTATIONS, epoch_order, normalise
from ikd.errors import InputError
from ikd.objectives import Batch, Outputs
from ikd.stages import Stage, State

EVAL_BATCH = 1000
LONGEST_SCAN = 500  # steps, so that progress shows


class Prepared(NamedTuple):
    """A stage with its network, the names of the parts that train, its optimiser and schedule, and its Program."""
    stage: Stage
    model: Any
    trained: frozenset
    optimizer: Any
    schedule: Any
    program: Any


class Program(NamedTuple):
    """A stage, compiled for a layout. Every function takes and gives device trees (`parallel.join`).

    order(state): this epoch's order. advance(state, knowledge, order, images, labels): `chunk` steps -> state,
    metrics; steps // chunk calls are an epoch; knowledge: the teacher's variables, {} without one. logits(state, i,
    images): those of the i-th evaluation batch.
    """
    order: Callable
    advance: Callable
    logits: Callable
    chunk: int
    steps: int


def fresh_state(seed, prepared, image_shape):
    """State of a seed (an integer, traced or not) before a Prepared stage has begun, for images [h, w, c]."""
    stage, model = prepared.stage, prepared.model
    variables = models.init(model, jax.random.fold_in(keys.stream(seed, keys.INIT), stage.init), image_shape)
    trained = {name: part for name, part in variables['params'].items() if name in prepared.trained}
    extra = stage.extra(model.num_classes) if stage.extra else {}
    return State(jnp.uint32(seed), jnp.int32(0), variables['params'], variables.get('batch_stats', {}),
                 prepared.optimizer.init(trained), extra)


def new_state(seed, prepared, image_shape):
    """`fresh_state` as host arrays."""
    return jax.device_get(jax.jit(lambda seed: fresh_state(seed, prepared, image_shape))(np.uint32(seed)))


def state_shapes(prepared, image_shape):
    """The shapes of a Prepared stage's State, without computing it."""
    return jax.eval_shape(lambda: fresh_state(0, prepared, image_shape))


def variables_of(state):
    """What a network of this State is applied with; also what a teacher's student is handed as `knowledge`."""
    return {'params': state.params, 'batch_stats': state.batch_stats, 'extra': state.extra}


def make_step(prepared, teacher, data, config, axis_name):
    """The pure function (state, knowledge, order, images, labels) -> (state, metrics) of one training step.

    teacher: the network that knowledge, its variables, belongs to; None where the stage has no teacher. images,
    labels: the whole training set, uint8 [n, h, w, c] and int32 [n]; order int32 [steps * batch_size]. metrics: means
    over the global batch. The explanation reads the forward pass the loss is computed from.
    """
    stage, model, optimizer = prepared.stage, prepared.model, prepared.optimizer
    augment = AUGMENTATIONS[config.data.augment]
    b = config.batch_size
    steps = len(data.train_images) // b

    def step(state, knowledge, order, images, labels):
        key = jax.random.fold_in(keys.stream(state.seed, keys.STEP), state.step)
        augment_key, dropout_key, objective_key = jax.random.split(key, 3)
        rows = jax.lax.dynamic_slice_in_dim(order, state.step % steps * b, b)
        rows = parallel.my_share(rows, axis_name)
        y = labels[rows]
        plain = images[rows]
        x = augment(plain, keys.per_example(augment_key, len(rows), axis_name))
        x = normalise(x, data.mean, data.std)

        told = None
        if teacher:
            with jax.named_scope('teacher'):
                seen = x if stage.augmented else normalise(plain, data.mean, data.std)
                told = Outputs(*teacher.apply(knowledge, seen, train=False))

        def loss(trained):
            params = {**state.params, **trained}
            variables = variables_of(state._replace(params=params))
            with jax.named_scope('forward'):
                (logits, taps), updates = model.apply(
                    variables, x, train=True, mutable=['batch_stats', 'moments', 'attention'],
                    rngs={'dropout': dropout_key})
            moments = updates.get('moments') if config.method.bn == 'batch' else None
            frozen = jax.lax.stop_gradient({**variables, 'batch_stats': moments or state.batch_stats})

            def explain(name, **options):
                with jax.named_scope('explain'):
                    return explainers.explain(name, model, frozen, x, **options)

            progress = state.step / (steps * (stage.span or stage.epochs))
            batch = Batch(y, logits, taps, explain, objective_key, progress, axis_name, told,
                          state.step // steps + 1, updates.get('attention', {}), state.extra)
            values, parts, *extra = stage.objective(batch)
            parts = {'loss': values, 'accuracy': 100 * (logits.argmax(-1).T == y), **parts}
            return values.mean(), (updates.get('batch_stats', {}), jax.tree.map(jnp.mean, parts), *extra)

        trained = {name: part for name, part in state.params.items() if name in prepared.trained}
        with jax.named_scope('backward'):
            gradients, (moved, report, *extra) = jax.grad(loss, has_aux=True)(trained)
        gradients, report = parallel.mean((gradients, report), axis_name)
        with jax.named_scope('update'):
            change, opt_state = optimizer.update(gradients, state.opt_state, trained)
            params = {**state.params, **optax.apply_updates(trained, change)}
            batch_stats = {name: moved[name] if name in prepared.trained else old
                           for name, old in state.batch_stats.items()}
        return State(state.seed, state.step + 1, params, batch_stats, opt_state, *(extra or [state.extra])), report

    return step


def prepare(stage, model, teacher, data, config, layout):
    """The stage with its network, optimiser and Program. `model` has been made with the layout's axis_name.

    teacher: the Prepared stage it learns from, or None. How many steps a call takes is the platform's choice,
    `parallel.way`.
    """
    n, b = len(data.train_images), config.batch_size
    steps, axis_name, image_shape = n // b, layout.axis_name, data.train_images.shape[1:]
    if stage.wrap:
        model = stage.wrap(model, models.tap_shapes(teacher.model, image_shape) if teacher else {})
    shapes = jax.eval_shape(partial(model.init, train=False), jax.random.key(0), jnp.zeros((1, *image_shape)))
    if axis_name and shapes.get('batch_stats') and not hasattr(model, 'axis_name'):
        raise InputError(f"{type(model).__name__} has BatchNorm but no field 'axis_name', so each of several devices "
                         'would use statistics of its own; hand axis_name to its BatchNorm, or set parallel=trials')
    trained = frozenset(stage.trains(model, image_shape, tuple(shapes['params'])))
    optimizer, schedule = stage.optimizer(config.optimizer, steps, stage.span or stage.epochs)
    prepared = Prepared(stage, model, trained, optimizer, schedule, None)
    step = make_step(prepared, teacher and teacher.model, data, config, axis_name)
    way = parallel.way(layout, models.has_convolutions(shapes['params']))
    chunk = max(c for c in range(1, steps + 1) if steps % c == 0 and c <= LONGEST_SCAN) if way.scanned else 1

    def advance(state, knowledge, order, images, labels):
        if not way.scanned:
            return step(state, knowledge, order, images, labels)
        return jax.lax.scan(lambda s, _: step(s, knowledge, order, images, labels), state, length=chunk)

    def logits(state, i, images):
        size = eval_batch(len(images), layout)
        x = parallel.my_share(jax.lax.dynamic_slice_in_dim(images, i * size, size), axis_name)
        x = normalise(x, data.mean, data.std)
        return parallel.gather(model.apply(variables_of(state), x, train=False)[0], axis_name)

    return prepared._replace(program=Program(
        parallel.spread(layout, lambda state: epoch_order(state.seed, state.step // steps, n, steps * b), 1, 0),
        parallel.spread(layout, advance, 3, 2, donate=(0,), compiler_options=way.compiler_options),
        parallel.spread(layout, logits, 1, 2, compiler_options=way.compiler_options),
        chunk, steps))


def run_epoch(program, layout, state, knowledge, images, labels, tick=lambda n: None, stop=lambda: False, first=0):
    """Train an epoch on resident images and labels: (state, a dict of numpy arrays [steps] for each trial).

    From its step `first`, a multiple of the program's chunk, to its end, or until stop(), which is asked after each
    call of `advance`; the arrays are as long as the steps taken. Nothing comes to the host until then. tick(n) is
    called as n steps are finished (on accelerators: sent off).
    """
    order, reports = program.order(state), []
    with jax.transfer_guard_device_to_host('disallow'):
        for _ in range(first, program.steps, program.chunk):
            state, report = program.advance(state, knowledge, order, images, labels)
            reports.append(report)
            # On CPU, collectives of many unfinished steps can deadlock; elsewhere two calls ahead keep it busy.
            jax.block_until_ready(reports[-1:] if layout.on_cpu else reports[-3:-2])
            tick(program.chunk)
            if stop():
                break
    trials = zip(*(parallel.split(layout, report) for report in reports))
    return state, [jax.tree.map(lambda *values: np.hstack(values), *trial) for trial in trials]


def trace(program, state, knowledge, images, labels, directory, calls=5):
    """Write an XProf trace of a few calls of `advance` to a directory (None: nowhere), leaving the state as it is."""
    order, state = program.order(state), jax.tree.map(jnp.copy, state)  # advance overwrites its state
    with jax.profiler.trace(str(directory)) if directory else nullcontext():
        for _ in range(calls):
            state, report = program.advance(state, knowledge, order, images, labels)
            jax.block_until_ready(report)


def run_evaluation(program, layout, state, images, labels):
    """`metrics.evaluate` on the test set for each trial. images: resident, padded by `pad_test`; labels: host."""
    size = eval_batch(len(images), layout)
    parts = [parallel.split(layout, program.logits(state, i, images)) for i in range(len(images) // size)]
    return [metrics.evaluate(np.concatenate(trial)[:len(labels)], labels) for trial in zip(*parts)]


def eval_batch(n, layout):
    """Images in an evaluation batch for n test images (padded or not): at most about EVAL_BATCH, divisible."""
    size = min(EVAL_BATCH, n)
    return size + -size % len(layout.devices)


def pad_test(images, layout):
    """Test images [n, h, w, c] with the first repeated at the end until they fill whole evaluation batches."""
    missing = -len(images) % eval_batch(len(images), layout)
    return np.concatenate([images, np.repeat(images[:1], missing, axis=0)])
