"""TensorFlow Datasets without TensorFlow: reading prepared sets, and fetching and preparing the known four.

TFDS itself needs TensorFlow to parse MNIST and CIFAR. Here its own builders write the usual folders, with examples
from our readers of the official archives, so that `tfds.data_source` finds what TFDS would have made: same versions,
same features, same order.
"""
import contextlib
import functools
import hashlib
import io
import math
import os
import re
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ikd.data import official, records
from ikd.data.arrays import load_arrays, save_arrays
from ikd.data.fetch import fetch
from ikd.data.images import quiet
from ikd.data.limits import check_memory, printable
from ikd.data.stream import Images, select
from ikd.errors import InputError

MOST_CLASSES = 10**6  # for which names are made up where a set has none

# Importing tensorflow_datasets takes a second: the functions that need it do so.


def default_directory():
    """The folder that TFDS uses unless told otherwise."""
    return Path(os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets').expanduser()


def read(name, directory, size=None, room=None):
    """Returns (train_images, train_labels, test_images, test_labels, class_names), or None if not there.

    name is what `tfds.load` takes. Images are uint8 [n, h, w, c], resized to size x size if given; labels int32 [n].
    The order of the four known sets is that of the official files, of others that of TFDS, which shuffles once when
    it prepares. A validation split stands in for a missing test split. The arrays are kept in the set's own folder:
    only the first read decodes images. If they take more than `room` bytes they are `stream.Images`, read from their
    records when they are wanted; then only the labels are kept there, for which the first read goes through all
    records.

    Raises InputError for a set that is damaged or is not one of labelled uint8 images of one size.
    """
    import tensorflow_datasets as tfds

    try:
        with _refusing(name, directory), records.only_known_features(), quiet():
            builder = tfds.builder(name, data_dir=directory)
            if not builder.data_path.exists():
                return None
            return _read_builder(builder, size, room)
    except tfds.core.DatasetNotFoundError:
        return None
    except InputError:
        if not (Path(directory) / re.split('[/:]', name)[0]).exists():  # not damaged, but no set's name
            return None
        raise


@contextlib.contextmanager
def _refusing(name, directory):
    """Raises whatever TFDS and its formats make of a damaged folder as InputError."""
    import tensorflow_datasets as tfds

    try:
        yield
    except (InputError, tfds.core.DatasetNotFoundError):
        raise
    except Exception as error:
        reason = printable(' '.join(f'{type(error).__name__}: {error}'.split()))[:300]
        raise InputError(f'the TFDS set {name} in {directory} cannot be read ({reason}): delete its folder '
                         'and prepare it again') from error


def prepare(name, directory, url_infos=None):
    """Fetches the official archives of a known set and writes the usual TFDS set into directory.

    url_infos maps each URL to its registered size, sha256 and file name; by default those that TFDS registers. A set
    appears all at once or not at all.

    Raises InputError if an archive can be neither found nor fetched, and if directory cannot be written.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder(name, data_dir=directory, file_format='array_record')
    try:
        folder = fetch(name, url_infos or builder.url_infos, directory)
        *arrays, class_names = official.read_columns(name, folder)
        if name in official.CIFAR:
            for column, names in zip(official.COLUMNS[name], class_names):
                builder.info.features[column].names = names
        splits = {'train': arrays[:2], 'test': arrays[2:]}
        # The one place that leans on TFDS's internals: the stock builder writes, our examples are written.
        builder._split_generators = lambda dl_manager: {
            split: _examples(name, split, *data) for split, data in splits.items()}
        print(f'Preparing {name} in {builder.data_path}, once', file=sys.stderr)
        tfds.display_progress_bar(sys.stderr.isatty())
        with contextlib.redirect_stdout(io.StringIO()):
            builder.download_and_prepare()
    except OSError as error:
        if not builder.is_prepared():  # else another process was faster
            raise InputError(f'{directory} cannot be written ({error}): make room there or choose another '
                             'data directory') from error


def _examples(name, split, images, labels):
    """Yields (key, example) as the stock builder does; the key decides the order in which TFDS shuffles."""
    for index, (image, row) in enumerate(zip(images, labels)):
        example = {'image': records.encode(image), **dict(zip(official.COLUMNS[name], row.tolist()))}
        if name in official.CIFAR:
            example['id'] = f'{split}_{index:05d}'
        yield index, example


def _read_builder(builder, size, room):
    """The images and labels of a prepared set, from the cache or else from its records, and its class names."""
    import tensorflow_datasets as tfds

    if not builder.is_prepared():
        raise InputError(f'{builder.data_path} is incomplete: delete it and prepare {builder.name} again')
    features, splits = dict(builder.info.features.items()), builder.info.splits
    test = 'test' if 'test' in splits else 'validation'
    image, label = features.get('image'), features.get('label')
    if not ({'train', test} <= set(splits) and isinstance(image, tfds.features.Image)
            and image.np_dtype == np.uint8 and isinstance(label, tfds.features.ClassLabel)):
        raise InputError(f'{builder.name} has splits {sorted(splits)} and features {sorted(features)}, but '
                         'train, test (or validation), an 8-bit image and a class label are needed: choose an image '
                         'classification set')
    if not 0 < (label.num_classes or 0) <= MOST_CLASSES:
        raise InputError(f'{builder.name} has {label.num_classes} classes, not 1 to {MOST_CLASSES:,}: choose another '
                         'set')
    examples = functools.cache(functools.partial(records.examples, builder))
    counts = [splits['train'].num_examples, splits[test].num_examples]
    if room is not None and sum(counts) * math.prod(_first_shape(builder, examples, size)) > room:
        arrays = _streamed(builder, examples, ('train', test), size)
    else:
        cache = Path(builder.data_path) / f"ikd_{size or 'original'}.npz"
        kinds = [kind for n in counts for kind in ((np.uint8, 4, n), (np.int32, 1, n))]
        arrays = load_arrays(cache, kinds, label.num_classes)
        if arrays is None:
            arrays = *_read_split(builder, examples, 'train', size), *_read_split(builder, examples, test, size)
            save_arrays(cache, arrays)
    if arrays[0].shape[1:] != arrays[2].shape[1:]:
        raise InputError(f'{builder.name} has training images {arrays[0].shape[1:]}, but test images '
                         f'{arrays[2].shape[1:]}: set an image size')
    if tuple(counts) == official.COUNTS.get(builder.name):
        places = [shuffled_places(split, n) for split, n in zip(('train', test), counts)]
        arrays = [select(part, places[i // 2]) for i, part in enumerate(arrays)]
    return *arrays, tuple(map(printable, label.names))


def shuffled_places(split, n):
    """int [n]: where TFDS puts each of n examples that are numbered in the order it got them.

    It sorts a split by the MD5 of its name and the example's key, which is that number in the four known sets
    (tensorflow_datasets/core/hashing.py; image_classification/mnist.py and cifar.py there).
    """
    return np.argsort(np.argsort([hashlib.md5(f'{split}{number}'.encode()).hexdigest() for number in range(n)]))


def _first_shape(builder, examples, size):
    """[h, w, c] of the set's first training image."""
    if size is None and examples('train')[0]:
        return *records.size_of(examples('train')[1]([0])[0]), records.channels_of(builder)
    return size or 0, size or 0, records.channels_of(builder)


def _read_split(builder, examples, split, size):
    """(images uint8 [n, h, w, c], labels int32 [n]) of one split."""
    info, images, labels, channels = builder.info, None, [], records.channels_of(builder)
    count = info.splits[split].num_examples
    print(f'Reading {count} images of {info.full_name} ({split}), once', file=sys.stderr)
    for example in tqdm(_stored_examples(examples, split), total=count, disable=None):
        image = records.decode(example, channels, size)
        if images is None:
            check_memory(info.full_name, count, image.shape)
            images = np.empty((count, *image.shape), np.uint8)
        if image.shape != images.shape[1:]:
            raise _unequal(builder)
        if len(labels) < count:
            images[len(labels)] = image
        labels.append(example['label'])
    return images, _checked_labels(info, split, labels)


def _streamed(builder, examples, splits, size):
    """(images, labels) of each of the splits in turn; the images are `stream.Images`."""
    info, channels = builder.info, records.channels_of(builder)
    cache = Path(builder.data_path) / 'ikd_labels.npz'
    kinds = [*((np.int32, 1, info.splits[split].num_examples) for split in splits), (np.int32, 2, len(splits))]
    kept = load_arrays(cache, kinds, info.features['label'].num_classes)
    if kept is None:
        labels, sizes = zip(*(_survey(info, examples, split) for split in splits))
        kept = *labels, np.array(sizes, np.int32)
        save_arrays(cache, kept)
    *labels, sizes = kept
    if size is None and not sizes.all():
        raise _unequal(builder)
    arrays = []
    for split, own, (h, w) in zip(splits, labels, sizes.tolist()):
        shape = size or h, size or w, channels
        read = functools.partial(_read_rows, builder, examples(split)[1], size, shape)
        arrays += Images(read, np.arange(len(own)), shape), own
    return arrays


def _read_rows(builder, read, size, shape, rows):
    """The images of some examples, uint8 [len(rows), h, w, c]. InputError for a damaged one."""
    with _refusing(builder.name, Path(builder.data_path).parents[1]):
        images = [records.decode(example, shape[-1], size) for example in read(rows)]
    if any(image.shape != shape for image in images):
        raise _unequal(builder)
    return np.stack(images)


def _survey(info, examples, split):
    """(labels int32 [n], (h, w) of the images, (0, 0) if they are of several sizes) of one split; none is decoded."""
    labels, sizes, count = [], set(), info.splits[split].num_examples
    print(f'Reading the labels of {count} images of {info.full_name} ({split}), once', file=sys.stderr)
    for example in tqdm(_stored_examples(examples, split), total=count, disable=None):
        labels.append(example['label'])
        sizes.add(records.size_of(example))
    return _checked_labels(info, split, labels), sizes.pop() if len(sizes) == 1 else (0, 0)


def _stored_examples(examples, split):
    """Yields the examples of a split, images still encoded."""
    n, read = examples(split)
    for start in range(0, n, 1000):  # one by one is six times slower
        yield from read(range(start, min(start + 1000, n)))


def _checked_labels(info, split, labels):
    count, classes = info.splits[split].num_examples, info.features['label'].num_classes
    if len(labels) != count or not 0 <= min(labels, default=-1) <= max(labels) < classes:
        span = f'labels from {min(labels)} to {max(labels)}' if labels else 'none to learn from'
        raise InputError(f'{info.full_name} has {len(labels)} of {count} examples in {split} and {span}: choose '
                         'another set, or prepare this one again')
    return np.array(labels, np.int32)


def _unequal(builder):
    return InputError(f'{builder.name} has images of different sizes: set an image size')
