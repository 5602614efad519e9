"""What the folder of a run holds, and where commands put what they find about it."""
import pathlib
import tempfile

from ikd.errors import InputError, RunError
from ikd.files import has_form, read_json

NUMBER = int | float
# What a summary tells of each trial, and of all, at least.
TRIAL = {'seed': int, 'test_accuracy': NUMBER, 'test_nll': NUMBER, 'test_ece': NUMBER, 'train_seconds': NUMBER}
DEVICE = {'count': int, 'kind': str, 'platform': str}
SUMMARY = {'method': str, 'explainer': str | None, 'model': str, 'dataset': str, 'train_images': int,
           'test_images': int, 'precision': str, 'versions': dict, 'device': DEVICE, 'git_commit': str | None}


def read_config(workdir):
    """A run's config.json, None if there is none; RunError if it is damaged, as no command can write it again."""
    return read_json(pathlib.Path(workdir) / 'config.json', advice='put back a copy')


def read_summary(workdir):
    """A run's summary.json, None if there is none; RunError if it is damaged or does not tell of trials."""
    path = pathlib.Path(workdir) / 'summary.json'
    summary = read_json(path)
    if summary is None:
        return None
    wrong = [f'its {name}' for name, form in SUMMARY.items() if not has_form(summary.get(name), form)]
    if not summary.get('trials') or not has_form(summary['trials'], [TRIAL]):
        wrong.insert(0, f'no trials with {", ".join(sorted(TRIAL))}')
    if wrong:
        raise RunError(f'{path} is damaged ({wrong[0]}); remove it, and the command of the run writes it again')
    return summary


def output_path(options, name):
    """Where a command writes what it finds about a run: `--out`, or `name` in the run's folder, `seedS` in that."""
    of_seed = '' if options.seed is None else f'seed{options.seed}'
    return pathlib.Path(options.out or pathlib.Path(options.workdir, name, of_seed))


def open_folder(path, flag='--out'):
    """Create a folder if need be, and try to write into it: InputError, before the work is done, if it can't be.

    flag: what names the folder on the command line.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except OSError as error:
        raise InputError(f'cannot write to {path} ({error.strerror}); choose another {flag}') from error
