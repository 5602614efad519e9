"""Python files that a command is given: a grid of configs/, or what brings methods and networks of one's own.

And where those lie that came with ikd.
"""
import importlib.util
import pathlib
from os.path import expanduser

from ikd.errors import InputError


def shipped():
    """The folder that holds `configs/`: `ikd/share` of an installed ikd, or else the repository that ikd lies in."""
    package = pathlib.Path(__file__).absolute().parent
    return package / 'share' if (package / 'share').is_dir() else package.parent


def module_of(path):
    """The module of a Python file, such as those of configs/, which is run. InputError if there is no such file."""
    if not pathlib.Path(path).is_file():
        raise InputError(f"there is no file {path}; ikd's own are in configs/")
    if not path.endswith('.py'):
        raise InputError(f"{path} is no Python file; ikd's own are in configs/")
    spec = importlib.util.spec_from_file_location(pathlib.Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def take_config(parser):
    """Give a command that looks at runs the flag `--config`, for `run_config`."""
    parser.add_argument('--config', type=expanduser, metavar='FILE', help='the file of configs/ that brings a '
                        'method, network, explainer or data of your own, as it was named to train with it')


def run_config(options):
    """Run the file that `--config` names, up to a colon, if it names one. Raises InputError as `module_of`."""
    if options.config:
        module_of(options.config.partition(':')[0])
