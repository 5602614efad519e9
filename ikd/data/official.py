"""Readers of MNIST, Fashion-MNIST, CIFAR-10 and CIFAR-100 as their authors distribute them.

MNIST and Fashion-MNIST come as four idx files, CIFAR as the "binary version". All are read with numpy alone
and nothing is trusted: a file has exactly the expected size and header, labels are in range, and no more than
the expected size is ever decompressed.
"""

import gzip
import math
import struct
import tarfile
import zlib
from pathlib import Path

import numpy as np

from ikd.data.limits import printable
from ikd.errors import InputError

# (training, test) examples.
COUNTS = {'mnist': (60000, 10000), 'fashion_mnist': (60000, 10000), 'cifar10': (50000, 10000),
          'cifar100': (50000, 10000)}

# Label columns in the order of the files. The last one is the label to learn.
COLUMNS = {'mnist': ('label',), 'fashion_mnist': ('label',), 'cifar10': ('label',),
           'cifar100': ('coarse_label', 'label')}

IDX_FILES = ('train-images-idx3-ubyte', 'train-labels-idx1-ubyte',
             't10k-images-idx3-ubyte', 't10k-labels-idx1-ubyte')

CIFAR = {
    'cifar10': dict(folder='cifar-10-batches-bin', archive='cifar-10-binary.tar.gz',
                    train=tuple(f'data_batch_{i}.bin' for i in range(1, 6)), test=('test_batch.bin',),
                    names=('batches.meta.txt',)),
    'cifar100': dict(folder='cifar-100-binary', archive='cifar-100-binary.tar.gz',
                     train=('train.bin',), test=('test.bin',),
                     names=('coarse_label_names.txt', 'fine_label_names.txt')),
}

# Per label column.
CLASS_NAMES = {
    'mnist': (tuple('0123456789'),),
    'fashion_mnist': (('T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker',
                       'Bag', 'Ankle boot'),),
    'cifar10': (tuple('airplane automobile bird cat deer dog frog horse ship truck'.split()),),
    'cifar100': (
        tuple("""aquatic_mammals fish flowers food_containers fruit_and_vegetables
        household_electrical_devices household_furniture insects large_carnivores
        large_man-made_outdoor_things large_natural_outdoor_scenes large_omnivores_and_herbivores
        medium_mammals non-insect_invertebrates people reptiles small_mammals trees vehicles_1
        vehicles_2""".split()),
        tuple("""apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus
        butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab
        crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard
        lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom
        oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine
        possum rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
        squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train trout
        tulip turtle wardrobe whale willow_tree wolf woman worm""".split()),
    ),
}


def read(name, directory):
    """Returns (train_images, train_labels, test_images, test_labels, class_names), or None if no file.

    Images are uint8 [n, h, w, c], labels int32 [n] (the fine ones of CIFAR-100), in the order of the files.
    directory is the folder that holds the files, or the one above it; CIFAR may be unpacked or still be the
    official .tar.gz. Raises InputError for a missing or damaged file.
    """
    found = read_columns(name, directory)
    if found is None:
        return None
    train_images, train_labels, test_images, test_labels, class_names = found
    return train_images, train_labels[:, -1], test_images, test_labels[:, -1], class_names[-1]


def read_columns(name, directory):
    """Like read, with all k labels of COLUMNS[name]: labels are [n, k] and class_names k tuples."""
    directory = Path(directory)
    # The folder named after the set first: MNIST's and Fashion-MNIST's files have the same names.
    for folder in (directory / name, directory):
        found = _read_cifar(name, folder) if name in CIFAR else _read_idx(name, folder)
        if found is not None:
            return found
    return None


def _read_idx(name, folder):
    files = [_first_file(folder / f, folder / f'{f}.gz') for f in IDX_FILES]
    if not any(files):
        return None
    if folder.name != name and folder.name in COUNTS:
        raise InputError(f'{folder} holds {folder.name}, not {name}: point to the folder of {name}')
    _require_all(files, [folder / f'{f}.gz' for f in IDX_FILES])
    train, test = COUNTS[name]
    class_names = CLASS_NAMES[name]
    return (_idx_array(files[0], (train, 28, 28))[..., None], _idx_labels(files[1], train, class_names),
            _idx_array(files[2], (test, 28, 28))[..., None], _idx_labels(files[3], test, class_names),
            class_names)


def _idx_labels(path, count, class_names):
    return _checked_labels(path, _idx_array(path, (count,))[:, None], class_names)


def _idx_array(path, shape):
    header = struct.pack(f'>4B{len(shape)}I', 0, 0, 8, len(shape), *shape)
    data = _read_file(path, len(header) + math.prod(shape))
    if not data.startswith(header):
        raise _damaged(path, f'its header is {data[:len(header)].hex()}, not {header.hex()}')
    return np.frombuffer(data, np.uint8, offset=len(header)).reshape(shape)


def _read_cifar(name, folder):
    """Reads one of: the folder itself, the usual folder in it, the archive in it."""
    layout = CIFAR[name]
    batches = layout['train'] + layout['test']
    for inner in (folder, folder / layout['folder']):
        files = [_first_file(inner / f) for f in batches]
        if any(files):
            _require_all(files, [inner / f for f in batches])
            paths = [inner / f for f in layout['names']]
            texts = [_read_file(p, 2**16, exact=False) if p.is_file() else None for p in paths]
            return _parse_cifar(name, inner, lambda f, size: _read_file(inner / f, size), texts)
    archive = folder / layout['archive']
    if archive.is_file():
        members = _tar_members(name, archive)
        missing = [f for f in batches if f not in members]
        if missing:
            raise _damaged(archive, f"it lacks {layout['folder']}/{missing[0]}")
        texts = [members.get(f) for f in layout['names']]
        return _parse_cifar(name, archive, lambda f, size: members[f], texts)
    return None


def _parse_cifar(name, place, content, texts):
    """Parses the bytes content(file, expected size) of each batch, and the texts of the class names."""
    layout = CIFAR[name]
    class_names = tuple(_class_names(text, standard) for text, standard in zip(texts, CLASS_NAMES[name]))
    arrays = []
    for files, count in zip((layout['train'], layout['test']), COUNTS[name]):
        columns = len(class_names)
        each = count // len(files)
        size = each * (columns + 3072)
        images = np.empty((count, 32, 32, 3), np.uint8)
        labels = np.empty((count, columns), np.int32)
        for i, f in enumerate(files):
            data = content(f, size)
            if len(data) != size:
                raise _damaged(place / f, f'it has {len(data)} bytes, not {size}')
            records = np.frombuffer(data, np.uint8).reshape(each, -1)
            rows = slice(i * each, (i + 1) * each)
            labels[rows] = _checked_labels(place / f, records[:, :columns], class_names)
            images[rows] = records[:, columns:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        arrays += [images, labels]
    return (*arrays, class_names)


def _class_names(text, standard):
    """The names in a names file, or the standard ones where it is absent or does not name every class."""
    names = tuple(map(printable, text.decode('utf-8', 'replace').split())) if text else ()
    return names if len(names) == len(standard) else standard


def _tar_members(name, archive):
    """Returns {file name: bytes} of the set's files in the archive, without writing any.

    Header by header instead of by tarfile.open, whose readers of long names and pax headers call each other as deep
    as a file says. An official archive has neither.
    """
    layout = CIFAR[name]
    wanted = {f"{layout['folder']}/{f}" for part in ('train', 'test', 'names') for f in layout[part]}
    payload = sum(COUNTS[name]) * (len(COLUMNS[name]) + 3072)
    data = _read_file(archive, payload + 2**20, exact=False)  # a megabyte more for tar headers and texts
    members, start = {}, 0
    while any(header := data[start:start + 512]):  # zeros mark the end
        try:
            member = tarfile.TarInfo.frombuf(header, 'utf-8', 'replace')
        except (tarfile.TarError, ValueError) as error:
            raise _damaged(archive, error) from None
        content = data[start + 512:start + 512 + max(member.size, 0)]
        if len(content) != member.size:
            raise _damaged(archive, f'member {printable(member.name)} has a size of {member.size} bytes')
        if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.name.removeprefix('./') in wanted:
            members[member.name.rpartition('/')[2]] = content
        start += 512 + -(-member.size // 512) * 512
    return members


def _read_file(path, size, exact=True):
    """Returns the content of a file, gzipped or not, that has size bytes (at most size, if not exact)."""
    try:
        with open(path, 'rb') as file:
            gzipped = file.read(2) == b'\x1f\x8b'
            file.seek(0)
            stream = gzip.GzipFile(fileobj=file) if gzipped else file
            data = stream.read(size + 1)  # the one byte more has gzip verify its checksum, and shows excess
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, error) from None
    if len(data) > size or (exact and len(data) < size):
        bound = 'exactly' if exact else 'at most'
        found = 'more' if len(data) > size else f'{len(data)} bytes'
        raise _damaged(path, f'it holds {found}, not {bound} {size} bytes')
    return data


def _checked_labels(path, labels, class_names):
    for column, names in zip(labels.T, class_names):
        if column.max() >= len(names):
            raise _damaged(path, f'it has a label {column.max()}, but there are {len(names)} classes')
    return labels.astype(np.int32)


def _first_file(*paths):
    return next((path for path in paths if path.is_file()), None)


def _require_all(files, expected):
    for file, path in zip(files, expected):
        if file is None:
            raise InputError(f'{path} is missing: put it beside the other files of the set')


def _damaged(path, reason):
    return InputError(f'{path} is damaged or is not the official file ({reason}): fetch it again')
