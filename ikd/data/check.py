"""Whether what a reader of `data.READERS` gives, which may be a user's own, is a data set."""
from ikd.errors import InputError


def check(name, found, size=None):
    """InputError if `found` is not what `digits.read` gives; labels may be integers of any size.

    size: what images that are not streamed are resized to, or None.
    """
    if not isinstance(found, tuple | list) or len(found) != 5:
        raise InputError(f'the reader of data.name={name} must return five things: images and labels to train, '
                         'images and labels to test, names of classes')
    *arrays, names = found
    if not hasattr(names, '__len__') or not all(isinstance(one, str) for one in names):
        raise InputError(f'the classes of data.name={name} are not named in words: its reader must return strings')
    if twice := [one for one in dict.fromkeys(names) if list(names).count(one) > 1]:
        raise InputError(f"two classes of data.name={name} are called '{twice[0]}': its reader must give each a name "
                         'of its own')
    for part, images, labels in ('training', *arrays[:2]), ('test', *arrays[2:]):
        if _type(images) != 'uint8' or len(images.shape) != 4:
            raise InputError(f'the {part} images of data.name={name} are {_told(images)}: its reader must return '
                             'uint8 [n, h, w, c], in 0 to 255')
        if not _type(labels).startswith(('int', 'uint')) or getattr(labels, 'shape', None) != (len(images),):
            raise InputError(f'the {part} labels of data.name={name} are {_told(labels)}: its reader must return '
                             f'int32 [{len(images)}], one for each image')
        alike = images.shape[3:] == arrays[0].shape[3:] if size else images.shape[1:] == arrays[0].shape[1:]
        if not alike or not len(arrays[0]):
            raise InputError(f'the images of data.name={name} are {_told(arrays[0])} and, to test, {_told(images)}: '
                             'its reader must return some to train, and all of one size')
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
            raise InputError(f'the {part} labels of data.name={name} are {labels.min()} to {labels.max()}, but its '
                             f'reader names {len(names)} classes: count them from 0')


def _type(array):
    """The name of an array's dtype; that of streamed images, which are bytes; of anything else that of its type."""
    dtype = getattr(array, 'dtype', 'uint8' if hasattr(array, 'image_shape') else type(array).__name__)
    return getattr(dtype, 'name', str(dtype))


def _told(array):
    """`float32 [256, 16, 16, 1]`."""
    return ' '.join([_type(array), *([str([*array.shape])] if hasattr(array, 'shape') else [])])
