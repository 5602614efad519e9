"""Folders of images: DIR/CLASS/*.png, or DIR/train/CLASS/* beside DIR/test/CLASS/*, in any common format."""
import functools
import hashlib
import math
import os
import sys
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import UnidentifiedImageError
from tqdm import tqdm

from ikd.data.images import FORMATS, GREY, SUFFIXES, decode, opened, quiet
from ikd.data.left_out import left_out, names_in
from ikd.data.limits import check_memory, printable
from ikd.data.stream import Images, select
from ikd.errors import InputError

SIZE = 64  # pixels a side, unless the images are smaller
TESTS = ('test', 'val', 'valid', 'validation')  # the first that is there
THREADS = 4  # each may hold an image of images.MOST_PIXELS


class Files(NamedTuple):
    """What a folder holds: the names of its classes, and (path, label) of every training and test image."""
    class_names: tuple[str, ...]
    train: list[tuple[Path, int]]
    test: list[tuple[Path, int]]


def files(directory):
    """The Files of a folder of images; none is opened.

    The folder has a subfolder for each class, or one called train (and test, val, valid or validation), in letters
    of any case, that has. Classes are numbered by sorted names. What has a name that begins with a dot, and files
    without the suffix of an image, are left alone. A test set that is not there is split off: of each class a
    fifth, rounded, at least one image, those whose sha256 of "CLASS/FILE" is smallest. So the split follows from
    the names alone, and an image more moves at most one other. In both parts images come in the order of that
    sha256, classes mixed.

    Raises InputError for a folder that is not like that: fewer than two classes, a class without an image, with a
    single one that would have to be split, or in one part only, folders in a class, folders beside train none of
    which is called like a test set.
    """
    directory = Path(directory)
    parts = {path.name.lower(): path for path in _scan(directory)[0]}
    train, test = parts.get('train'), next((parts[name] for name in TESTS if name in parts), None)
    is_split = train and _scan(train)[0]
    others = [printable(path.name) for name, path in parts.items() if name != 'train']
    if is_split and not test and others:
        raise InputError(f"{printable(directory)} has {', '.join(others)} beside train: call the test set one of "
                         f"{', '.join(TESTS)}, or take what is none of it away")
    classes = _classes(train if is_split else directory)
    names = list(classes)
    if is_split and test:
        tests = _classes(test)
        if names != list(tests):
            name = min({*names} ^ {*tests})
            raise InputError(f'class {printable(name)} is in only one of {printable(train)} and {printable(test)}: '
                             'both need the same classes')
    else:
        tests = {name: paths[:_test_count(paths)] for name, paths in classes.items()}
        classes = {name: paths[len(tests[name]):] for name, paths in classes.items()}
    return Files(tuple(map(printable, names)), _in_order(classes), _in_order(tests))


def fingerprint(directory):
    """Twelve hexadecimal digits that name what `files` lists: the names and sizes of the files; none is opened.

    The same wherever the folder is. InputError as of `files`; a file that is not there counts, and `read` refuses it.
    """
    listing, digest = files(directory), hashlib.sha256()
    for part in listing.train, listing.test:
        for path, _ in part:
            try:
                size = os.stat(path).st_size
            except OSError:
                size = -1
            digest.update(os.fsencode(f'{path.parent.name}/{path.name}') + f'\0{size}\0'.encode())
        digest.update(b'\0')
    return digest.hexdigest()[:12]


def read(directory, size=None, room=None):
    """Returns (train_images, train_labels, test_images, test_labels, class_names) of the images that `files` lists.

    Images are uint8 [n, size, size, c], labels int32 [n]; c is 1 if every file's mode is grey, else 3, and pixels are
    made alike by `images.decode`. Without a size it is the images' own, if all are squares of one size of at most 64
    pixels a side, and else 64. Of all files the headers are read. If the images take more than `room` bytes, they are
    `stream.Images`, decoded when they are wanted, and one whose pixels are damaged is an InputError only then.

    Raises InputError as `files` does, for images that can't be read, and, without a room, for more of them than fit
    into memory.
    """
    listing = files(directory)
    paths, labels = zip(*listing.train, *listing.test)
    n, split = len(paths), len(listing.train)
    headers = _try_each(_header, paths)
    found = {header for header, _ in headers if header}
    size = size or _own_size({size for size, _ in found})
    shape = size, size, 1 if all(is_grey for _, is_grey in found) else 3
    streamed = room is not None and n * math.prod(shape) > room
    if not streamed:
        check_memory(printable(directory), n, shape)
    print(f"{'Streaming' if streamed else 'Reading'} {n} images of {len(listing.class_names)} classes in "
          f"{printable(directory)} as {'x'.join(map(str, shape))}: {split} for training, {n - split} for test"
          f'{left_out(Path(directory), (path.parent for path in paths))}', file=sys.stderr)
    faults = [fault for _, fault in headers]
    if streamed:
        images = Images(functools.partial(_decoded, paths, shape), np.arange(n), shape)
    else:
        images = np.empty((n, *shape), np.uint8)

        def fill(place):
            images[place] = decode(paths[place], shape[-1], size)

        sound = [place for place in range(n) if not faults[place]]
        for place, (_, fault) in zip(sound, _try_each(fill, sound)):
            faults[place] = fault
    if bad := [place for place in range(n) if faults[place]]:
        raise InputError(f'{len(bad)} of {n} images cannot be read, the first is {printable(paths[bad[0]])} '
                         f'({faults[bad[0]]}): take them away, or put a dot before their names; '
                         'ikd.data.folder.unreadable(DIR) lists them')
    labels = np.array(labels, np.int32)
    return (select(images, slice(split)), labels[:split], select(images, slice(split, None)), labels[split:],
            listing.class_names)


def _decoded(paths, shape, rows):
    """The images at some rows of a list of paths, of a shape [h, w, c]; InputError that names one that is damaged."""
    images = np.empty((len(rows), *shape), np.uint8)
    for image, row in zip(images, rows):
        try:
            image[:] = decode(paths[row], shape[-1], shape[0])
        except Exception as error:  # whatever Pillow makes of a damaged file
            raise InputError(f'{printable(paths[row])} cannot be read ({_fault(error)}): take it away, or put a dot '
                             'before its name; ikd.data.folder.unreadable(DIR) lists all that cannot') from error
    return images


def read_each(paths, shape):
    """(images uint8 [n, h, w, c], faults) of image files, made alike by `images.decode` for a shape [h, w, c].

    faults: for each path None, or in a line why it can't be read; images holds those without a fault, in order.
    """
    def read_one(path):
        _header(path)
        return decode(path, shape[-1], shape[:2])

    tried = _try_each(read_one, paths)
    found = [image for image, fault in tried if not fault]
    return np.array(found, np.uint8).reshape(-1, *shape), [fault for _, fault in tried]


def unreadable(directory):
    """The images of a folder that `read` refuses: (path, reason) each, in the order of their names."""
    listing = files(directory)
    paths = sorted(path for path, _ in listing.train + listing.test)
    tried = _try_each(lambda path: _header(path) and decode(path, 3, 1), paths)
    return [(path, fault) for path, (_, fault) in zip(paths, tried) if fault]


def _scan(folder):
    """The subfolders and the image files in a folder, by name."""
    try:
        entries = sorted(folder / name for name in names_in(folder))
    except OSError as error:
        raise InputError(f'{printable(folder)} cannot be listed ({error.strerror}): correct the path or its '
                         'permissions') from error
    folders = [path for path in entries if os.path.isdir(path)]
    return folders, [path for path in entries if path.suffix.lower() in SUFFIXES and path not in folders]


def _classes(folder):
    """{class name: paths of its images, by digest}."""
    folders, _ = _scan(folder)
    if len(folders) < 2:
        raise InputError(f'{printable(folder)} has folders of images for {len(folders)} classes, but two are the '
                         'least: make a folder for each class, or correct --config.data.dir')
    classes = {}
    for inner in folders:
        deeper, paths = _scan(inner)
        if deeper:
            raise InputError(f'{printable(deeper[0])} is a folder in what should be the folder of a class: images '
                             'belong into DIR/CLASS/, or DIR/train/CLASS/ and DIR/test/CLASS/')
        if not paths:
            raise InputError(f"{printable(inner)} has no image ({', '.join(SUFFIXES)}): put some in, or take it away")
        classes[inner.name] = sorted(paths, key=_digest)
    return classes


def _in_order(classes):
    """(path, label) of every image, by digest."""
    entries = [(path, label) for label, paths in enumerate(classes.values()) for path in paths]
    return sorted(entries, key=lambda entry: _digest(entry[0]))


def _digest(path):
    return hashlib.sha256(os.fsencode(f'{path.parent.name}/{path.name}')).digest()


def _test_count(paths):
    if len(paths) == 1:
        raise InputError(f'{printable(paths[0])} is the only image of its class, but training and test need one '
                         'each: add another, or take the folder away')
    return max(1, round(len(paths) / 5))


def _header(path):
    """((h, w), whether it is grey) of an image file."""
    if not path.is_file():  # a pipe would be waited for
        raise ValueError('not a file')
    with opened(path) as picture:
        return picture.size[::-1], picture.mode in GREY


def _own_size(sizes):
    """That of small squares which are all alike, else SIZE."""
    h, w = max(sizes, default=(SIZE, SIZE))
    return h if len(sizes) == 1 and h == w <= SIZE else SIZE


def _fault(error):
    """What is wrong with an image file, in a line."""
    if isinstance(error, UnidentifiedImageError):
        return f"not of {', '.join(FORMATS)}"
    return printable(' '.join(f'{error}'.split()))[:200] or type(error).__name__


def _try_each(function, items):
    """(result, None) or (None, the fault in a line) of function(item), for each item."""
    def attempt(item):
        try:
            return function(item), None
        except Exception as error:  # whatever Pillow makes of a damaged file
            return None, _fault(error)

    with quiet(), ThreadPool(THREADS) as pool:
        return list(tqdm(pool.imap(attempt, items, 16), total=len(items), disable=None))
