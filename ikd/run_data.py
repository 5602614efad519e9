"""The data of a run: what its config says is loaded, and whether it is what the run was trained on."""
import itertools
import os

import jax

from ikd import data
from ikd.data.folder import fingerprint
from ikd.data.limits import half_of_memory, printable
from ikd.data.stream import select
from ikd.errors import InputError


def load_data(config):
    """The config's Dataset; `data.holdout` takes the test set away, `data.train_skip` the first images to train on,
    of the others `data.train_images` and `data.limit` keep the first. InputError if there are none, or fewer than
    `data.train_images`.
    """
    dataset = data.load(config.data.name, config.data.dir, config.data.size, room(config))
    if config.data.holdout:
        dataset = data.hold_out(dataset, config.data.holdout)
    skip, limit, there = config.data.train_skip or 0, config.data.limit, len(dataset.train_images)
    if skip >= there > 0:
        raise InputError(f'data.train_skip {skip} leaves none of the {there} training images: skip fewer')
    if (config.data.train_images or 0) > there - skip:
        raise InputError(f'data.train_images {config.data.train_images} are more than the {there - skip} training '
                         'images that there are: give fewer')
    most = min((n for n in (config.data.train_images, limit) if n is not None), default=there)
    train, test = slice(skip, skip + most), slice(limit)
    return dataset._replace(
        train_images=select(dataset.train_images, train), train_labels=dataset.train_labels[train],
        test_images=select(dataset.test_images, test), test_labels=dataset.test_labels[test])


def checks_pixels(config):
    """Whether pixels are in the data's checksum: not of a folder, whose `data.fingerprint` names its files."""
    return config.data.name != 'folder'


def room(config):
    """How many bytes of images are held on the device, and not streamed: at most a quarter of its memory, and of this
    machine's. None, any number, where `data.placement` is `device`, 0 where it is `stream`.
    """
    if config.data.placement != 'auto':
        return {'device': None, 'stream': 0}[config.data.placement]
    told = [device.memory_stats() or {} for device in jax.local_devices()]  # a CPU tells nothing
    return min([half_of_memory() // 2, *(stats['bytes_limit'] // 4 for stats in told if 'bytes_limit' in stats)])


def check_folder(config, recorded, workdir):
    """InputError if the folder of images now holds other files than those of the fingerprint `recorded`, or None.

    One more may move others between training and test set. A folder that is not there is left to `load_data`.
    """
    place = config.data.dir
    if config.data.name == 'folder' and recorded and os.path.isdir(place or '') and fingerprint(place) != recorded:
        raise other_data(workdir, f'files were added, removed or changed in {printable(place)}')


def as_trained_on(now, then, workdir):
    """The Dataset `now` with the mean and std of `then`, that of the run's data.json, or None: as it is.

    InputError if classes or the shape of images differ.
    """
    if then is None:
        return now
    if different := difference(now, then):
        raise other_data(workdir, different)
    return now._replace(mean=then.mean, std=then.std)


def difference(now, then):
    """Which class, or that the shape of images, is another in the Dataset `now` than in `then`; or None."""
    for i, (was, name) in enumerate(itertools.zip_longest(then.class_names, now.class_names, fillvalue='not there')):
        if was != name:
            return f'class {i} was {was} and is {name} now'
    was, shape = ('x'.join(map(str, dataset.image_shape)) for dataset in (then, now))
    return f'images were {was} and are {shape} now' if was != shape else None


def other_data(workdir, what):
    """The InputError for data that the run was not trained on."""
    return InputError(f'the data is not what {workdir} was trained on: {what}; put it back, or give its place with '
                      '--data')
