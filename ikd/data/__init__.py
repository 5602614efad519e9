"""Data sets as arrays: the bundled digits, official files, folders of images, or TFDS, all without TensorFlow."""

import hashlib
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ikd.data import digits, folder, official, tfds
from ikd.data.check import check
from ikd.data.images import quiet, resize
from ikd.data.limits import check_memory
from ikd.data.stream import Images, select, unread
from ikd.errors import InputError
from ikd.files import read_json

# Per-channel mean and standard deviation in units of pixel / 255. Grey sets stay in [0, 1] on purpose.
STATISTICS = {
    'digits': ((0.0,), (1.0,)),
    'mnist': ((0.0,), (1.0,)),
    'fashion_mnist': ((0.0,), (1.0,)),
    'cifar10': ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    'cifar100': ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
}

# Sets that come from nowhere but a function, which gives what `digits.read` does.
READERS = {'digits': digits.read}

CHECKED = 100  # images of each part, evenly spaced, that go into a checksum
SAMPLE = 2000  # training images, of which mean and deviation are taken where they are not known


class Dataset(NamedTuple):
    """A labelled image data set.

    Images are uint8 [n, h, w, c] and labels int32 [n]. mean and std hold a float per channel, in units of
    pixel / 255: inputs of a model are (image / 255 - mean) / std. Images are arrays, which training holds on the
    device, or `stream.Images`, which are read as training goes.
    """

    train_images: np.ndarray | Images
    train_labels: np.ndarray
    test_images: np.ndarray | Images
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __repr__(self):  # a notebook would show every pixel
        return (f"Dataset({len(self.train_images)} images to train on, {len(self.test_images)} to test, "
                f"{'x'.join(map(str, self.image_shape))}, {len(self.class_names)} classes)")

    @property
    def image_shape(self):
        """[h, w, c]."""
        return self.train_images.shape[1:]

    def steps(self, batch_size):
        """How many whole batches an epoch has; what is left of the images is unused in it."""
        return len(self.train_images) // batch_size

    @property
    def streamed(self):
        """Whether images are read as training goes."""
        return isinstance(self.train_images, Images)


def checksum(dataset, pixels=True):
    """Twelve hexadecimal digits of what a Dataset holds: all labels, and the pixels of CHECKED images of each part.

    The same whether images are in memory or streamed. pixels=False: of labels alone, as for JPEG files, which another
    version of their decoder may round otherwise. InputError where an image can't be read.
    """
    digest = hashlib.sha256()
    for images, labels in ((dataset.train_images, dataset.train_labels), (dataset.test_images, dataset.test_labels)):
        digest.update(' '.join(map(str, map(int, images.shape))).encode())
        digest.update(np.ascontiguousarray(labels))
        if pixels:
            digest.update(np.ascontiguousarray(images[::-(-len(images) // CHECKED) or 1]))
    return digest.hexdigest()[:12]


def description(dataset, pixels=True):
    """What is to be known of a Dataset beside its images, as JSON has it: class names, image shape, mean and std, and
    its checksum.
    """
    return {'class_names': list(dataset.class_names), 'image_shape': list(dataset.image_shape),
            'mean': list(dataset.mean), 'std': list(dataset.std), 'checksum': checksum(dataset, pixels)}


def noted_checksum(directory):
    """The checksum in a directory's data.json, or None, as from before there was one. RunError if it is damaged."""
    return (read_json(Path(directory) / 'data.json') or {}).get('checksum')


def without_images(described):
    """The Dataset that `description` told of, with no image in it. InputError if it is not one."""
    try:
        h, w, c = described['image_shape']
        names, mean, std = (tuple(described[field]) for field in ('class_names', 'mean', 'std'))
        images, labels = np.empty((0, h, w, c), np.uint8), np.empty(0, np.int32)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'no description of a data set ({error}): remove the file data.json, and the data is read '
                         'instead') from error
    return Dataset(images, labels, images, labels, names, mean, std)


def load(name, directory=None, size=None, room=None):
    """Returns the Dataset called name, its images resized to size x size pixels if size is given.

    "digits" is bundled; "folder" is directory itself, with a folder of images for each class, see `folder.read`.
    Others are looked for in directory: first as official distribution files (mnist, fashion_mnist, cifar10,
    cifar100), then as a prepared TFDS set of any name. Without a directory, it is TFDS's own. One of the four that is
    not there is fetched and prepared as a TFDS set. Either way the four come in the order of the official files.

    If the images take more than `room` bytes they are `stream.Images`: of a folder and of a TFDS set decoded when
    they are wanted. mean and std of a set that is not in STATISTICS are those of 2,000 of its training images, the
    first of NumPy's `default_rng(0).permutation(n)`, or of all where there are fewer: the same with any room.

    Raises InputError for an unknown name, a missing directory, missing, damaged or unsuitable data, and more of it
    than fits into memory: without a room, or of a set of arrays that is resized.
    """
    if size is not None and size < 1:
        raise InputError(f'image size {size} is not positive: give a number of pixels')
    if directory is not None and Path(directory).is_file():
        raise InputError(f'data directory {directory} is a file: give the folder that holds it')
    if directory is not None and not Path(directory).is_dir():
        raise InputError(f'data directory {directory} does not exist: create it or correct the path')
    *arrays, class_names = _read(name, directory, size, room)
    if len(class_names) < 2:
        raise InputError(f"{name} has {len(class_names)} class, but two are the least")
    if size is not None and not isinstance(arrays[0], Images):
        check_memory(name, len(arrays[0]) + len(arrays[2]), (size, size, arrays[0].shape[-1]), streams=False)
        for i in (0, 2):
            arrays[i] = _resize_all(arrays[i], size)
    resident = [images for images in arrays[::2] if not isinstance(images, Images)]
    if len(resident) == 1 or (resident and room is not None and sum(images.nbytes for images in resident) > room):
        arrays[::2] = [images if isinstance(images, Images) else unread(images) for images in arrays[::2]]
    mean, std = STATISTICS.get(name) or _statistics(arrays[0])
    return Dataset(*arrays, class_names, mean, std)


def hold_out(dataset, count):
    """The Dataset without its test set: the last `count` training images of a fixed order are tested on instead.

    The order is NumPy's `default_rng(0).permutation(n)`: every search and every seed holds out the same images.
    Raises InputError where nothing would be left to train on.
    """
    n = len(dataset.train_images)
    if count >= n:
        raise InputError(f'data.holdout {count} leaves none of the {n} training images: hold out fewer')
    order = np.random.default_rng(0).permutation(n)
    kept, held = order[:n - count], order[n - count:]
    images, labels = dataset.train_images, dataset.train_labels
    return dataset._replace(train_images=select(images, kept), train_labels=labels[kept],
                            test_images=select(images, held), test_labels=labels[held])


def _read(name, directory, size, room):
    """The first source that has the set."""
    if name in READERS:
        found = READERS[name]()
        check(name, found, size)
        return found
    if name == 'folder':
        if directory is None:
            raise InputError('data.name=folder needs a folder with a folder of images for each class: name it with '
                             '--config.data.dir')
        return folder.read(directory, size, room)
    known = name in official.COUNTS
    if known and directory is not None and (found := official.read(name, directory)):
        return found
    directory = Path(directory or tfds.default_directory())
    if found := tfds.read(name, directory, size, room):
        return found
    if not known:
        raise InputError(f"no data set {name!r} in {directory}: use one of {', '.join(STATISTICS)}, "
                         'folder for images of your own, or the name of any image classification set that TFDS has '
                         'prepared there')
    tfds.prepare(name, directory)
    return tfds.read(name, directory, size, room)


def _resize_all(images, size):
    if images.shape[1:3] == (size, size):
        return images
    if not len(images):
        return np.empty((0, size, size, images.shape[-1]), np.uint8)
    return np.stack([resize(image, size) for image in images])


def _statistics(images):
    """Per-channel mean and standard deviation over the pixels of SAMPLE images, in units of pixel / 255."""
    places = np.random.default_rng(0).permutation(len(images))[:SAMPLE]

    def counts(start):
        """How often each channel has each grey level, [c, 256]."""
        return sum(np.stack([np.bincount(channel.ravel(), minlength=256) for channel in np.moveaxis(image, -1, 0)])
                   for image in images[places[start:start + 50]])

    with quiet(), ThreadPool(4) as pool:
        histogram = sum(pool.imap(counts, range(0, len(places), 50)))
    pixels, levels = histogram[0].sum(), np.arange(256)
    mean, squares = histogram @ levels / pixels, histogram @ levels ** 2
    std = np.sqrt(np.maximum(squares / pixels - mean**2, 1.0))  # at least one grey level, as a constant channel has 0
    return tuple((mean / 255).tolist()), tuple((std / 255).tolist())
