"""What compiled functions are fed: a data set on the devices, or blocks of it, streamed.

Both come in the same order, which follows from seed and epoch alone, and the compiled step is the same: so are the
weights it ends with. A place in an epoch is the number of a step, and nothing else need be saved of it.
"""
import numpy as np

from ikd import parallel
from ikd.data import stream


def calls(program, first=0):
    """[(step it begins with, how many it takes), ...] of the calls of an epoch's steps, from its step `first` on.

    Each ends at a multiple of the program's chunk, the last at the epoch's end; so an epoch that was cut where calls
    had another length goes on all the same.
    """
    chunk, steps = program.chunk, program.steps
    starts = [first, *range(first - first % chunk + chunk, steps, chunk)]
    return [(start, min(chunk - start % chunk, steps - start)) for start in starts]


def training(program, layout, state, images, labels, first=0):
    """What each of `calls` takes after state and knowledge, from an epoch's step `first` on.

    A generator, to be closed. images, labels: on the devices, to which the epoch's order is added; or `stream.Images`
    and labels on the host, of which blocks come, put on the devices by the threads that read them: images uint8
    [chunk, b, h, w, c] and labels int32 [chunk, b], with the leading axes of `parallel.deal`.
    """
    order, places = program.order(state), calls(program, first)
    if not isinstance(images, stream.Images):
        return ((order, images, labels) for _ in places)
    orders = [order.reshape(program.steps, -1) for order in parallel.split(layout, order)]

    def block(number):
        start, length = places[number]
        rows = parallel.deal(layout, [order[start:start + length] for order in orders])
        return parallel.hand_out(layout, (images[rows], labels[rows]))

    return stream.ahead(block, range(len(places)), program.workers)


def test(program, layout, images, size):
    """What each call of `program.logits` takes after the state, for batches of `size` test images.

    A generator, to be closed. images: on the devices, whole batches; or `stream.Images`, whose last batch is filled
    with the first images.
    """
    starts = range(0, len(images), size)
    if not isinstance(images, stream.Images):
        return ((start // size, images) for start in starts)

    def block(start):
        rows = np.arange(start, start + size) % len(images)
        if layout.stacked:  # all trials are tested on the same
            return parallel.replicate(layout, (images[rows],))
        return parallel.hand_out(layout, (images[parallel.deal(layout, [rows])],))

    return stream.ahead(block, starts, program.workers)
