"""What ends a run early, each in one line: what a user can put right, and what happened to the run."""
import contextlib
import os
import sys
import traceback


class InputError(Exception):
    """A mistake in what the user gave: a flag, a config field, a file, a directory.

    The message is one line that says what is wrong and what to do. Command lines print it without a
    traceback and exit with code 2.
    """


class Unmet(InputError):
    """The processes of a --multihost run did not find each other: each prints the message itself."""


class Unreadable(InputError):
    """Data that turned out damaged when it was read during training. Of several processes this one alone knows."""


class RunError(InputError):
    """The directory of one run can't be used: damaged, or of something else. Other runs go on without it."""


class Busy(RunError):
    """Another process does already what was asked for."""


class Apart(RunError):
    """Seeds to be trained together have come so far apart that some would lose much; one by one none does."""


class Stopped(Exception):
    """Training ended early because it was asked to. The message says where; all that was done is saved."""


class Diverged(Exception):
    """A loss is no longer a number. The message names the step and the checkpoint that is left."""


class OutOfMemory(Exception):
    """Something has no room on the device. What was saved is whole."""


class Unwritable(Exception):
    """A file can't be written: the disk is full, a directory is read-only or gone. What was there before is whole."""


@contextlib.contextmanager
def writing(path):
    """Raises what goes wrong with writing `path` as Unwritable."""
    try:
        yield
    except OSError as error:
        raise Unwritable(f'cannot write {path} ({error.strerror or error})') from error


@contextlib.contextmanager
def within_memory():
    """Raises JAX's error that something has no room on the device as OutOfMemory, and leaves its others alone."""
    try:
        yield
    except RuntimeError as error:
        said = ' '.join(str(error).split())
        if type(error).__name__ != 'JaxRuntimeError' or 'RESOURCE_EXHAUSTED' not in said:
            raise
        raise OutOfMemory(f'the device has not enough memory ({said[:160]}); less is needed with smaller '
                          'config.batch_size, config.class_chunk, config.together or config.model.width. What was '
                          'saved is whole') from error


@contextlib.contextmanager
def on_a_platform():
    """Raises JAX's error of a platform that can't be had, which JAX_PLATFORMS asks for, as an InputError."""
    try:
        yield
    except (RuntimeError, AssertionError) as error:  # a bare assertion where CUDA finds no GPU
        asked, said = os.environ.get('JAX_PLATFORMS'), ' '.join(f'{error}'.partition(' (set JAX')[0].split())
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        if not asked or not (said.startswith('Unable to initialize backend') or last.endswith('xla_bridge.py')):
            raise
        raise InputError(f"JAX_PLATFORMS={asked} cannot be had here{said and f' ({said})'}; leave it out, and JAX "
                         'takes what there is') from error


@contextlib.contextmanager
def while_read():
    """Ends a command without a word where what reads its output has gone, as `head`: exit code 141, as of a shell."""
    try:
        try:
            yield
        finally:
            if sys.stdout:  # None where it was closed
                sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python would try once more
        sys.exit(141)


@contextlib.contextmanager
def ending_in_a_line(advice=''):
    """Ends a command with a line and an exit code: 2 for an InputError, 130 for Ctrl-C, 1 for want of disk or memory.

    advice: what stands after the line of Unwritable. Without a line where nobody reads: `while_read`.
    """
    try:
        with while_read(), within_memory(), on_a_platform():
            yield
    except KeyboardInterrupt:
        print('ikd: stopped', file=sys.stderr, flush=True)
        sys.exit(130)
    except (InputError, OutOfMemory, Unwritable) as error:
        print(f"ikd: {error}{advice if isinstance(error, Unwritable) else ''}", file=sys.stderr, flush=True)
        sys.exit(2 if isinstance(error, InputError) else 1)
