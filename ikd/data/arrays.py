"""Arrays of a data set kept in a file, so that only the first read decodes images."""
import contextlib
import zipfile

import numpy as np

from ikd.data.fetch import atomic


def load_arrays(path, kinds, classes):
    """The arrays that save_arrays wrote, or None if there are none of these kinds: (dtype, dimensions, length) each.

    Those of one dimension are labels of so many classes.
    """
    try:
        with open(path, 'rb') as file, zipfile.ZipFile(file) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                return None  # ours are as large in the file as they will be
            content = np.load(file, allow_pickle=False)
            arrays = tuple(content[f'arr_{i}'] for i in range(len(kinds)))
    except (OSError, ValueError, LookupError, EOFError, MemoryError, RuntimeError, zipfile.BadZipFile):
        return None
    whole = all((a.dtype, a.ndim, a.shape[:1]) == (dtype, ndim, (n,)) for a, (dtype, ndim, n) in zip(arrays, kinds))
    return arrays if whole and all(0 <= a.min() <= a.max() < classes for a in arrays if a.ndim == 1) else None


def save_arrays(path, arrays):
    """Write them whole or not at all; no room, or no right to write, is no error."""
    with contextlib.suppress(OSError), atomic(path) as file:
        np.savez(file, *arrays)
