"""Images that are read while a network trains: by threads, a few blocks ahead, in the order that is asked for."""
import dataclasses
import os
from collections.abc import Callable
from contextlib import closing

import numpy as np

from ikd.data.images import quiet
from ikd.errors import InputError, Unreadable

MOST_WORKERS = 16


@dataclasses.dataclass(frozen=True)
class Images:
    """The images of a set that is not held in memory: uint8 [n, h, w, c], read when they are indexed.

    read(rows): those in the rows int [m] of wherever they are, uint8 [m, h, w, c]; it is called by several threads at
    a time. rows: where each of the n images is; image_shape: [h, w, c].
    """
    read: Callable
    rows: np.ndarray
    image_shape: tuple[int, int, int]

    def __len__(self):
        return len(self.rows)

    @property
    def shape(self):
        return len(self.rows), *self.image_shape

    def __getitem__(self, places):
        """The images at some places (a slice, or an array of any shape): uint8 [*places.shape, h, w, c]."""
        places = np.arange(len(self))[places]
        return self.read(self.rows[places.ravel()]).reshape(*places.shape, *self.image_shape)

    def select(self, places):
        """Those at some places (a slice or an array [m]), of which none is read."""
        return dataclasses.replace(self, rows=self.rows[places])


def unread(array):
    """Images that are in memory after all, to be handed to the device batch by batch."""
    return Images(array.__getitem__, np.arange(len(array)), array.shape[1:])


def select(images, places):
    """The images or labels at some places (a slice or an array [m]), of an array or of Images."""
    return images.select(places) if isinstance(images, Images) else images[places]


def usual_workers():
    """As many threads as this process may use cores, at most MOST_WORKERS."""
    return min(len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(), MOST_WORKERS)


def ahead(read, calls, workers):
    """Yields read(call) for each of `calls`, a range, in its order, read by so many threads.

    At most workers + 2 results wait for whoever asks, so memory does not grow with the set. What read raises is
    raised here when its turn has come, an InputError as Unreadable; the threads end when the generator is closed.
    """
    import grain  # which takes two seconds

    def attempt(call):
        try:
            return read(call), None
        except Exception as error:  # to which grain would add lines of its own
            return None, error

    blocks = grain.MapDataset.range(calls.start, calls.stop, calls.step).map(attempt)
    options = grain.ReadOptions(num_threads=workers, prefetch_buffer_size=workers + 1)
    with quiet(), closing(iter(blocks.to_iter_dataset(options))) as blocks:
        for block, error in blocks:
            if isinstance(error, InputError):
                raise Unreadable(f'{error}') from error
            if error:
                raise error
            yield block
