"""What a run writes while it trains: `metrics.jsonl` and TensorBoard events."""
import json
import math
import os
import pathlib
import socket
import sys
import time
from contextlib import contextmanager

from ikd.errors import RunError, writing
from ikd.files import holding, replace_text


@contextmanager
def absent(package):
    """Meanwhile a package that nobody has imported yet can't be imported."""
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None
    try:
        yield
    finally:
        del sys.modules[package]


with absent('torch'):  # for which tensorboardX would wait for seconds where it is installed, though it can do without
    from tensorboardX import summary
    from tensorboardX.proto.event_pb2 import Event
    from tensorboardX.record_writer import RecordWriter


def read_records(workdir, seed=None):
    """The lines of `metrics.jsonl` as dicts, or those of one seed by epoch.

    A last line cut off by a crash is left out. RunError if another line can't be read.
    """
    path = pathlib.Path(workdir) / 'metrics.jsonl'
    records = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True) if path.exists() else [], 1):
        if line.endswith(b'\n'):
            try:
                record = json.loads(line)
                records.append({'seed': record['seed'], 'epoch': record['epoch'], **record})
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f'{path} is damaged in line {number}; put back a copy, or train again in another '
                               '--workdir') from error
    if seed is None:
        return records
    return sorted((record for record in records if record['seed'] == seed), key=lambda record: record['epoch'])


def locked(workdir):
    """A context in which nobody else changes the journal or the summary of a run, whose directory may be shared."""
    return holding(pathlib.Path(workdir) / 'checkpoints' / '.lock')


class Journal:
    """The record of one seed's training, an entry an epoch, in `metrics.jsonl` and `tensorboard/seed<seed>/`.

    Everything is on the disk when a method returns, and no thread is left to fail unseen. Raises Unwritable.
    """

    def __init__(self, workdir, seed):
        self.path, self.seed = pathlib.Path(workdir) / 'metrics.jsonl', seed
        self.folder = pathlib.Path(workdir) / 'tensorboard' / f'seed{seed}'
        name = f'events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}'
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self.events = RecordWriter(str(self.folder / name))
        self._add(Event(wall_time=time.time(), file_version='brain.Event:2'))

    def expect(self, epoch):
        """RunError if the seed's entries up to `epoch`, which its checkpoints have reached, are not all there."""
        missing = {*range(1, epoch + 1)} - {record['epoch'] for record in read_records(self.path.parent, self.seed)}
        if missing:
            raise RunError(f'{self.path} lacks epoch {min(missing)} of seed {self.seed}, though its checkpoints '
                           'are there; put back a copy, or train again in another --workdir')

    def rewind(self, epoch, last=math.inf):
        """Drop the seed's entries after `epoch` up to `last`, and a line that was cut off.

        They are of a run that got further than its last checkpoint.
        """
        with locked(self.path.parent):
            kept = [r for r in read_records(self.path.parent)
                    if r['seed'] != self.seed or not epoch < r['epoch'] <= last]
            replace_text(self.path, ''.join(json.dumps(record) + '\n' for record in kept))

    def write(self, record):
        """Append an epoch's record (a flat dict with `epoch`); its numbers become TensorBoard scalars."""
        with locked(self.path.parent), writing(self.path), self.path.open('ab+') as lines:
            drop_half_line(lines)
            lines.write(f'{json.dumps(record, allow_nan=False)}\n'.encode())
            lines.flush()
            os.fsync(lines.fileno())
        self._add(*(Event(wall_time=time.time(), step=record['epoch'], summary=summary.scalar(name, value))
                    for name, value in record.items() if isinstance(value, float)))

    def picture(self, name, image, epoch):
        """Add an image, uint8 [h, w, 3], to the TensorBoard events."""
        drawn = summary.image(name, image, dataformats='HWC')
        self._add(Event(wall_time=time.time(), step=epoch, summary=drawn))

    def _add(self, *events):
        with writing(self.folder):
            for event in events:
                self.events.write(event.SerializeToString())
            self.events.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with writing(self.folder):
            self.events.close()


def drop_half_line(lines):
    """Cut off what a process left that could not write its line whole; else the file, 'ab+', is not read."""
    if lines.tell():
        lines.seek(-1, os.SEEK_END)
        if lines.read() != b'\n':
            lines.seek(0)
            lines.truncate(lines.read().rfind(b'\n') + 1)
