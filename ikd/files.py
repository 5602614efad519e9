"""Files that are replaced whole or not at all, whatever ends the process; JSON in them; locks."""
import contextlib
import fcntl
import glob
import json
import os
import pathlib
import socket

from ikd.errors import Busy, RunError, writing


def temporary(path):
    """Where this process writes what is to take the place of a file: no other process does.

    What processes of this machine have left there for the same file when they were killed is removed.
    """
    start = f'{path.name}.{socket.gethostname()}.'
    for left in path.parent.glob(f'{glob.escape(start)}*.tmp'):
        pid = left.name.removeprefix(start).removesuffix('.tmp')
        if pid.isdecimal() and not _lives(int(pid)):
            left.unlink(missing_ok=True)
    return path.with_name(f'{start}{os.getpid()}.tmp')


def _lives(pid):
    try:
        os.kill(pid, 0)  # asks, and sends nothing
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


@contextlib.contextmanager
def holding(path, busy=None):
    """Meanwhile no other process has the file at `path` locked.

    Where one has, it is waited for, or, with a message `busy`, Busy is raised at once.
    """
    with contextlib.ExitStack() as stack:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(path.open('a'))  # given up when it is closed, also by a process that is killed
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
            except BlockingIOError as error:
                raise Busy(busy) from error
        yield


@contextlib.contextmanager
def whole(path):
    """Gives a path to write to, which then takes the place of `path`: whole or not at all, whatever ends the process.

    Of several processes that do so at once, on one machine or on several, the last wins. Raises OSError.
    """
    new = temporary(pathlib.Path(path))
    try:
        yield new
        with new.open('rb') as written:
            os.fsync(written.fileno())
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(path):
    """As `whole`, but what goes wrong is raised as Unwritable."""
    with writing(path), whole(path) as new:
        yield new


def replace_text(path, text):
    """Replace the contents of the file at `path`, whole or not at all."""
    with replacing(path) as new:
        new.write_text(text)


def write_json(path, value, indent=2):
    """Replace the file at `path` by `value` as JSON, whole or not at all; indent None: in one line."""
    replace_text(path, json.dumps(value, indent=indent, allow_nan=False) + '\n')


def read_json(path, kind=dict, advice='remove it'):
    """The JSON value in a file, None if there is no file; RunError if it can't be read or is no `kind`.

    advice: what to do with a damaged one.
    """
    try:
        value = json.loads(pathlib.Path(path).read_text())
        if not isinstance(value, kind):
            raise ValueError(f'a {type(value).__name__} in the place of a {kind.__name__}')
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RunError(f'{path} cannot be read ({error.strerror})') from error
    except ValueError as error:
        raise RunError(f'{path} is damaged ({error}); choose another --workdir, or {advice}') from error
    return value


def has_form(value, form):
    """Whether a JSON value has a form: a type, a list of the form of each item, or forms of a dict's keys."""
    if isinstance(form, dict):
        return isinstance(value, dict) and all(has_form(value.get(key), part) for key, part in form.items())
    if isinstance(form, list):
        return isinstance(value, list) and all(has_form(item, form[0]) for item in value)
    return isinstance(value, form)
