"""What the folder of a run holds, and where commands put what they find about it."""
import pathlib
import tempfile

from ikd.errors import InputError, RunError
from ikd.files import read_json

TRIAL = {'seed', 'test_accuracy', 'test_nll', 'test_ece', 'train_seconds'}  # what a summary tells of each at least


def read_config(workdir):
    """A run's config.json, None if there is none; RunError if it is damaged, as no command can write it again."""
    return read_json(pathlib.Path(workdir) / 'config.json', advice='put back a copy')


def read_summary(workdir):
    """A run's summary.json, None if there is none; RunError if it is damaged or does not tell of trials."""
    path = pathlib.Path(workdir) / 'summary.json'
    summary = read_json(path)
    if summary is None:
        return None
    trials = summary.get('trials')
    if not (trials and isinstance(trials, list) and all(
            isinstance(trial, dict) and TRIAL <= {*trial} for trial in trials)):
        raise RunError(f"{path} is damaged (no trials with {', '.join(sorted(TRIAL))}); remove it, and the command "
                       'of the run writes it again')
    return summary


def output_path(options, name):
    """Where a command writes what it finds about a run: `--out`, or `name` in the run's folder, `seedS` in that."""
    of_seed = '' if options.seed is None else f'seed{options.seed}'
    return pathlib.Path(options.out or pathlib.Path(options.workdir, name, of_seed))


def open_folder(path):
    """Create a folder if need be, and try to write into it: InputError, before the work is done, if it can't be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise InputError(f'cannot write to {path} ({error.strerror}); choose another --out') from error
