"""What a run writes while it trains: `metrics.jsonl` and TensorBoard events."""
import contextlib
import fcntl
import json
import os
import pathlib

from tensorboardX import SummaryWriter

from ikd.errors import InputError


def replace_text(path, text):
    """Replace the contents of the file at `path`, whole or not at all."""
    temporary = pathlib.Path(path).with_suffix('.tmp')
    temporary.write_text(text)
    os.replace(temporary, path)


def write_json(path, value):
    """Replace the file at `path` by `value` as JSON, whole or not at all."""
    replace_text(path, json.dumps(value, indent=2, allow_nan=False) + '\n')


def read_json(path):
    """The JSON value in a file, None if there is none; InputError if it can't be read."""
    try:
        return json.loads(pathlib.Path(path).read_text())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise InputError(f'{path} is damaged ({error}); choose another --workdir, or remove it') from error


def read_records(workdir, seed=None):
    """The lines of `metrics.jsonl` (of one seed) as dicts; a last line cut off by a crash is left out."""
    path = pathlib.Path(workdir) / 'metrics.jsonl'
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    records = [json.loads(line) for line in lines if line.endswith('\n')]
    return [record for record in records if seed in (None, record['seed'])]


@contextlib.contextmanager
def locked(workdir):
    """Nobody else changes the journal or the summary of a run, whose directory other processes may share."""
    folder = pathlib.Path(workdir) / 'checkpoints'
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / '.lock', 'a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given up when the file is closed, also by a process that is killed
        yield


class Journal:
    """The record of one seed's training, an entry an epoch, in `metrics.jsonl` and `tensorboard/seed<seed>/`."""

    def __init__(self, workdir, seed):
        self.path, self.seed = pathlib.Path(workdir) / 'metrics.jsonl', seed
        self.events = SummaryWriter(str(pathlib.Path(workdir) / 'tensorboard' / f'seed{seed}'))

    def rewind(self, epoch):
        """Drop the seed's entries after `epoch`: those of a run that got further than its last checkpoint."""
        with locked(self.path.parent):
            kept = [r for r in read_records(self.path.parent) if r['seed'] != self.seed or r['epoch'] <= epoch]
            replace_text(self.path, ''.join(json.dumps(record) + '\n' for record in kept))

    def write(self, record):
        """Append an epoch's record (a flat dict with `epoch`); its numbers become TensorBoard scalars."""
        with locked(self.path.parent), self.path.open('a') as lines:
            lines.write(json.dumps(record, allow_nan=False) + '\n')
        for name, value in record.items():
            if isinstance(value, float):
                self.events.add_scalar(name, value, record['epoch'])

    def picture(self, name, image, epoch):
        """Add an image, uint8 [h, w, 3], to the TensorBoard events."""
        self.events.add_image(name, image, epoch, dataformats='HWC')

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.events.close()


class Silent:
    """The Journal of a process that does not write."""

    def __init__(self, workdir, seed):
        pass

    def rewind(self, epoch):
        pass

    def write(self, record):
        pass

    def picture(self, name, image, epoch):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass
