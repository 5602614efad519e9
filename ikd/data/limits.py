"""What keeps data that nobody vouches for from filling the memory or the terminal."""
import contextlib
import os
import pathlib

from ikd.errors import InputError

CGROUPS = ('/sys/fs/cgroup', 'memory.max'), ('/sys/fs/cgroup/memory', 'memory.limit_in_bytes')  # version 2, 1


def printable(name):
    """A file's name on one line: what can't be printed (line ends, control codes, undecodable bytes) is escaped."""
    return ''.join(c if c.isprintable() else ascii(c)[1:-1] for c in str(name))


def half_of_memory():
    """Half of the memory in bytes that this process may have: as much as the images of a set may take."""
    return min([os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'), *_allowed()]) // 2


def _allowed(told='/proc/self/cgroup', tops=CGROUPS):
    """What containers and batch systems allow this process, by Linux's control groups, in bytes."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(told).read_text().splitlines():
            _, kinds, place = line.split(':', 2)
            if kinds and 'memory' not in kinds.split(','):
                continue
            top, name = tops[bool(kinds)]
            group = pathlib.Path(f'{top}{place}')
            for folder in (group, *group.parents):
                if folder.is_relative_to(top):
                    with contextlib.suppress(OSError, ValueError):  # 'max' is no number
                        yield int((folder / name).read_text())


def check_memory(what, count, shape, streams=True):
    """InputError if `count` uint8 images of `shape` [h, w, c] need more than half of the memory.

    streams: whether they could be read as training goes instead.
    """
    h, w, c = shape
    needed, most = count * h * w * c, half_of_memory()
    if needed > most:
        raise InputError(f'{what} has {count:,} images of {h}x{w}x{c}, {needed:,} bytes, but half of the memory here '
                         f'is {most:,}: choose a smaller --config.data.size, fewer images' +
                         (', or --config.data.placement=stream' if streams else ''))
