"""What data made to harm is made with, and watched by.

Each property is tried on a few examples, and on many where `slow` tests run.
"""
import functools
import os
import sys

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikd.errors import InputError

examples = lambda few, many: pytest.mark.parametrize('examples', [few, pytest.param(many, marks=pytest.mark.slow)])


def tried(examples, **strategies):
    """Runs the function below it at once, on so many examples, always the same."""
    def run(function):
        settings(max_examples=examples, derandomize=True, deadline=None, database=None,
                 suppress_health_check=list(HealthCheck))(given(**strategies)(function))()
    return run


# Events of Python's audit hooks by which something outside of a directory would be changed, or something run.
HARM = ('os.system', 'os.exec', 'os.fork', 'os.forkpty', 'os.posix_spawn', 'subprocess.Popen', 'pickle.find_class',
        'socket.connect', 'ctypes.dlopen')
CHANGES = ('os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.symlink', 'os.link', 'os.truncate', 'os.chmod')
watching, seen = [], []


def hook(event, arguments):
    if watching:
        written = event == 'open' and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if written or event in HARM or event in CHANGES:
            seen.append((event, *map(str, arguments)))


@functools.cache
def watch():
    """Installs the hook, once, as there is no way to take it off."""
    sys.addaudithook(hook)


def audited(function, inside=None):
    """function's result or InputError; meanwhile nothing was run or unpickled, or written but `inside`."""
    watch()
    seen.clear()
    watching.append(True)
    try:
        return function()
    except InputError as error:
        return error
    finally:
        watching.clear()
        assert [event for event in seen if event[0] in HARM or not inside
                or not event[1].startswith(f'{inside}/')] == []


def assert_clear(error):
    """One line that says, after a colon, what to do."""
    message = str(error)
    assert '\n' not in message and '\x1b' not in message and ': ' in message and len(message) < 1000


def assert_whole(found, images):
    """What a reader gives is a labelled set of images."""
    train, train_labels, test, test_labels, class_names = found
    assert train.dtype == test.dtype == np.uint8 and train.shape[1:] == test.shape[1:] == images
    for part, labels in ((train, train_labels), (test, test_labels)):
        assert len(part) == len(labels) and labels.dtype == np.int32
        assert 0 <= labels.min() <= labels.max() < len(class_names)
    assert all(name.isprintable() for name in class_names)


@st.composite
def harmed(draw, content):
    """Bytes with up to four accidents: cut, changed, removed, doubled, put in."""
    content = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)) | st.integers(0, min(len(content), 64)))
        length = draw(st.integers(1, 64) | st.integers(1, 5000))
        kind = draw(st.sampled_from(['cut', 'change', 'remove', 'double', 'insert']))
        if kind == 'cut':
            del content[start:]
        elif kind == 'remove':
            del content[start:start + length]
        elif kind == 'double':
            content[start:start] = content[start:start + length]
        else:
            new = draw(st.binary(min_size=1, max_size=16) | st.sampled_from([b'\xff' * 4, b'\0' * 8, b'\x7f\xff']))
            content[start:start + (len(new) if kind == 'change' else 0)] = new
    return bytes(content)
