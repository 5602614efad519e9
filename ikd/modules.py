"""Python files that a command is given: a grid of configs/, or what brings methods and networks of one's own.

And where those lie that came with ikd.
"""
import contextlib
import importlib.util
import os
import pathlib
import re
import sys
import sysconfig
import traceback
from os.path import expanduser

from ikd.errors import InputError

# Folders whose code is not the user's: Python's, those of packages, and ikd itself.
LIBRARIES = (*(f'{folder}{os.sep}' for name, folder in sysconfig.get_paths().items() if 'lib' in name),
             f'{pathlib.Path(__file__).absolute().parent}{os.sep}')


def shipped():
    """The folder that holds `configs/`: `ikd/share` of an installed ikd, or else the repository that ikd lies in."""
    package = pathlib.Path(__file__).absolute().parent
    return package / 'share' if (package / 'share').is_dir() else package.parent


def module_of(path):
    """The module of a Python file, such as those of configs/, which is run.

    InputError if there is no such file, and, with the line, for a mistake in it.
    """
    if not pathlib.Path(path).is_file():
        raise InputError(f"there is no file {path}; ikd's own are in configs/")
    if not path.endswith('.py'):
        raise InputError(f"{path} is no Python file; ikd's own are in configs/")
    spec = importlib.util.spec_from_file_location(f'config_{pathlib.Path(path).stem}', path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses, as Flax's modules are, look up what annotations name
    with mistakes_in_a_line(path):
        spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def mistakes_in_a_line(path):
    """Raises errors that mistakes in the Python file `path` end with as InputError, with the line."""
    try:
        yield
    except BrokenPipeError:  # of what the file prints
        raise
    except (AttributeError, ImportError, KeyError, NameError, OSError, SyntaxError, TypeError, ValueError) as error:
        raise InputError(mistake(path, error)) from error


def mistake(path, error):
    """What an error says, in a line, and where: in the Python file `path` or in one that it calls, but no library."""
    # Libraries put what they caught into a message, with its traceback.
    told = ''.join(traceback.format_exception(error)) if path else ''
    places = [(file, line) for file, line in re.findall(r'File "([^"]*)", line (\d+)', told)
              if os.path.isfile(file) and not os.path.abspath(file).startswith(LIBRARIES)]
    said = getattr(error, 'msg', error)  # a SyntaxError's text has the place too
    while isinstance(said, AttributeError | KeyError) and said.args:  # a KeyError shows its text in quotes
        said = said.args[0]
    text = f'{said}'
    text = text.strip().splitlines()[-1] if 'Traceback' in text else ' '.join(text.split())
    if ' ' not in text:  # the key of a KeyError, say
        text = f'{type(error).__name__} {text}'.strip()
    if not places:
        return f'{path}: {text}' if isinstance(error, SyntaxError) else text
    file, line = places[-1]
    return f'{path if os.path.abspath(file) == os.path.abspath(path) else file}, line {line}: {text}'


def take_config(parser):
    """Give a command that looks at runs the flag `--config`, for `run_config`."""
    parser.add_argument('--config', type=expanduser, metavar='FILE', help='the file of configs/ that brings a '
                        'method, network, explainer or data of your own, as it was named to train with it')


def run_config(options):
    """Run the file that `--config` names, up to a colon, if it names one. Raises InputError as `module_of`."""
    if options.config:
        module_of(options.config.partition(':')[0])
