"""What keeps data that nobody vouches for from filling the memory or the terminal."""
import os

from ikd.errors import InputError


def printable(name):
    """A file's name on one line: what can't be printed (line ends, control codes, undecodable bytes) is escaped."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))


def half_of_memory():
    """Half of this machine's memory in bytes: as much as the images of a set may take."""
    return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') // 2


def check_memory(what, count, shape):
    """InputError if `count` uint8 images of `shape` [h, w, c] need more than half of this machine's memory."""
    h, w, c = shape
    needed, most = count * h * w * c, half_of_memory()
    if needed > most:
        raise InputError(f'{what} has {count:,} images of {h}x{w}x{c}, {needed:,} bytes, but half of the memory here '
                         f'is {most:,}: choose a smaller --config.data.size, fewer images, or '
                         '--config.data.placement=stream')
