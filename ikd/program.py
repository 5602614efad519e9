"""A stage compiled for devices: how many steps a call takes, what its functions are, how test images are batched."""
import math
from collections.abc import Callable
from functools import cache, partial
from typing import NamedTuple

import jax
import numpy as np

from ikd import parallel
from ikd.data.inputs import epoch_order, normalise
from ikd.data.stream import usual_workers
from ikd.stages import variables_of

EVAL_BATCH = 1000
LONGEST_SCAN = 100  # steps, so that progress shows and a stop is soon heard
LARGEST_BLOCK = 2 ** 24  # bytes of images that are streamed at a time, if a batch is not larger


class Program(NamedTuple):
    """A stage, compiled for a layout. Every function takes and gives device trees (`parallel.join`).

    order(state): this epoch's order. advance(length): the function (state, knowledge, *fed) -> (state, metrics) of
    so many steps, `chunk` in most calls; knowledge: the teacher's variables, {} without one; fed: of `feed.training`.
    logits(state, *fed): those of a batch of test images; fed: of `feed.test`. steps: of an epoch. workers: threads
    that read streamed images.
    """
    order: Callable
    advance: Callable
    logits: Callable
    chunk: int
    steps: int
    workers: int


def program_of(prepared, step, data, config, layout, way):
    """The Program of a `training.Prepared` stage.

    step: of `training.make_step`. way: of `parallel.way`, the platform's choice how many steps a call takes.
    """
    n, b, axis_name = len(data.train_images), config.batch_size, layout.axis_name
    steps = data.steps(b)
    chunk = steps_of_a_call(steps, b, data, layout) if way.scanned else 1

    def in_order(state):
        return epoch_order(state.seed, state.step // steps, n, steps * b, prepared.stage.draws)

    def repeated(one, state, batches, length):
        if way.scanned:
            return jax.lax.scan(one, state, batches, length)
        return one(state, jax.tree.map(lambda batch: batch[0], batches))

    def resident(state, knowledge, order, images, labels, length):
        def one(state, _):
            rows = jax.lax.dynamic_slice_in_dim(order, state.step % steps * b, b)
            rows = parallel.my_share(rows, axis_name)
            return step(state, knowledge, images[rows], labels[rows])

        return repeated(one, state, None, length)

    def streamed(state, knowledge, images, labels):
        return repeated(lambda state, batch: step(state, knowledge, *batch), state, (images, labels), None)

    def logits_of(state, images):
        x = normalise(images, data.mean, data.std)
        return parallel.gather(prepared.model.apply(variables_of(state), x, train=False)[0], axis_name)

    def logits_of_batch(state, i, images):
        size = eval_batch(images.shape, layout)
        images = jax.lax.dynamic_slice_in_dim(images, i * size, size)
        return logits_of(state, parallel.my_share(images, axis_name))

    compiled = partial(parallel.spread, layout, compiler_options=way.compiler_options)
    if data.streamed:
        any_length = compiled(streamed, 2, 0, 2, donate=(0,))  # blocks have theirs, which jit looks at
        advance = lambda length: any_length
        logits = compiled(logits_of, 1, 1) if layout.stacked else compiled(logits_of, 1, 0, 1)
    else:
        advance = cache(lambda length: compiled(partial(resident, length=length), 3, 2, donate=(0,)))
        logits = compiled(logits_of_batch, 1, 2)
    return Program(parallel.spread(layout, in_order, 1, 0), advance, logits, chunk, steps,
                   config.data.workers or usual_workers())


def steps_of_a_call(steps, b, data, layout):
    """How many of an epoch's steps, of b images each, are scanned in a call."""
    longest = LONGEST_SCAN
    if data.streamed:
        images = b * layout.trials
        longest = min(longest, max(1, LARGEST_BLOCK // (images * math.prod(data.image_shape))))
    return parallel.call_length(steps, longest)


def eval_batch(shape, layout):
    """Images in an evaluation batch of test images [n, h, w, c] (padded or not), divisible by the devices.

    At most about EVAL_BATCH, and of large images no more than fill LARGEST_BLOCK.
    """
    n, *image_shape = shape
    size = min(EVAL_BATCH, n, max(1, LARGEST_BLOCK // math.prod(image_shape)))
    return size + -size % len(layout.devices)


def pad_test(images, layout):
    """Test images [n, h, w, c] with the first repeated at the end until they fill whole evaluation batches."""
    missing = -len(images) % eval_batch(images.shape, layout)
    return np.concatenate([images, np.repeat(images[:1], missing, axis=0)])
