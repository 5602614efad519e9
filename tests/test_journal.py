"""What a run writes: lines that a crash may cut, TensorBoard events as their format has them."""
import importlib
import io
import json
import math
import struct
import sys

import numpy as np
import pytest
from PIL import Image
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from ikd.errors import InputError
from ikd.journal import Journal, absent, read_records


def record(epoch, seed=0):
    return {'seed': seed, 'epoch': epoch, 'train_loss': 1 / epoch, 'stage': 'ce'}


def events(workdir, seed=0):
    """The events of a seed: each a length, its checksum, the event, its checksum (TFRecord)."""
    mask = lambda value: ((value >> 15 | value << 17) + 0xa282ead8) % 2 ** 32
    found = []
    for path in sorted((workdir / 'tensorboard' / f'seed{seed}').iterdir()):
        content = path.read_bytes()
        while content:
            length, checked = struct.unpack('<QI', content[:12])
            data, (data_checked,) = content[12:12 + length], struct.unpack('<I', content[12 + length:16 + length])
            assert checked == mask(crc32c(content[:8])) and data_checked == mask(crc32c(data))
            found.append(Event.FromString(data))
            content = content[16 + length:]
    return found


def test_records_and_events(tmp_path):
    """Both are on the disk as soon as they are written: a kill loses none."""
    journal = Journal(tmp_path, 0)
    for epoch in 1, 2:
        journal.write(record(epoch))
        assert read_records(tmp_path) == [record(e) for e in range(1, epoch + 1)]
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    journal.picture('maps', image, 2)
    version, *rest = events(tmp_path)
    assert version.file_version == 'brain.Event:2'
    values = [(event.step, value) for event in rest for value in event.summary.value]
    assert [(step, value.tag, value.simple_value) for step, value in values[:2]] == [
        (1, 'train_loss', 1.0), (2, 'train_loss', 0.5)]
    assert (values[2][0], values[2][1].tag, values[2][1].image.width, values[2][1].image.height) == (2, 'maps', 3, 2)
    np.testing.assert_array_equal(Image.open(io.BytesIO(values[2][1].image.encoded_image_string)), image)
    journal.__exit__()


def test_a_line_that_was_cut_off(tmp_path):
    """It is not read, and it is gone once the journal is rewound, so that the next line stands alone."""
    with Journal(tmp_path, 0) as journal:
        journal.write(record(1))
        journal.write(record(1, seed=1))
        journal.write(record(2))
        with journal.path.open('a') as lines:
            lines.write('{"seed": 0, "epo')
        assert read_records(tmp_path) == [record(1), record(1, seed=1), record(2)]
        journal.rewind(1)
        journal.write(record(2))
    assert read_records(tmp_path) == [record(1), record(1, seed=1), record(2)]


def test_a_stage_that_is_trained_again_keeps_its_place(tmp_path):
    """The epochs after it, and those of other seeds, stay; a seed's are in order, however they were written."""
    with Journal(tmp_path, 0) as journal:
        for epoch in 1, 2, 3, 4, 5:
            journal.write(record(epoch))
            journal.write(record(epoch, seed=1))
        journal.rewind(1, 3)
        assert read_records(tmp_path, 0) == [record(epoch) for epoch in (1, 4, 5)]
        for epoch in 2, 3:
            journal.write(record(epoch))
    for seed in 0, 1:
        assert read_records(tmp_path, seed) == [record(epoch, seed) for epoch in range(1, 6)]


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_what_is_no_number_is_not_written(tmp_path, value):
    """JSON has no word for it, so others than Python could not read the line."""
    with Journal(tmp_path, 0) as journal:
        journal.write(record(1))
        with pytest.raises(ValueError):
            journal.write({**record(2), 'train_loss': value})
    assert read_records(tmp_path) == [record(1)] and len(events(tmp_path)) == 2


def test_what_one_process_could_not_write_does_not_stop_another(tmp_path):
    """As where the disk was full: the half line gives way to the next one, of another seed."""
    with Journal(tmp_path, 0) as journal, Journal(tmp_path, 1) as other:
        journal.write(record(1))
        journal.write(record(2))
        with journal.path.open('a') as lines:
            lines.write('{"seed": 0, "epo')
        other.write(record(1, seed=1))
        journal.write(record(3))
    assert read_records(tmp_path) == [record(1), record(2), record(1, seed=1), record(3)]


@pytest.mark.parametrize('line', ['{"seed": 0, "epoch": 2', '{"sead": 0, "epoch": 2}', '[0, 2]', '\\x00'])
def test_a_damaged_line(tmp_path, line):
    lines = [json.dumps(record(1)), line, json.dumps(record(3))]
    (tmp_path / 'metrics.jsonl').write_text('\n'.join(lines) + '\n')
    with pytest.raises(InputError, match='metrics.jsonl is damaged in line 2; put back a copy'):
        read_records(tmp_path)


def test_epochs_that_are_missing(tmp_path):
    with Journal(tmp_path, 0) as journal:
        journal.expect(0)
        for epoch in 1, 3:
            journal.write(record(epoch))
            journal.write(record(epoch, seed=1))
        journal.expect(1)
        with pytest.raises(InputError, match='lacks epoch 2 of seed 0, though its checkpoints are there'):
            journal.expect(3)
        journal.write(record(2))
        journal.expect(3)
        with pytest.raises(InputError, match='lacks epoch 4 of seed 0'):
            journal.expect(4)


def test_a_package_is_absent_for_a_while_only(tmp_path, monkeypatch):
    """Whoever imports torch after ikd has it, and whoever has it already keeps it."""
    (tmp_path / 'seldom_used.py').touch()
    monkeypatch.syspath_prepend(tmp_path)
    with absent('seldom_used'), pytest.raises(ImportError):
        importlib.import_module('seldom_used')
    module = importlib.import_module('seldom_used')
    with absent('seldom_used'):
        assert importlib.import_module('seldom_used') is module
    assert sys.modules.pop('seldom_used') is module
