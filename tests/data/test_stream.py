"""Streamed sets: what threads read is what memory would hold, in its order, a bounded part of it at a time."""
import io
import itertools
import os
import threading
import time
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from ikd.data import folder, hold_out, load, stream, tfds
from ikd.errors import InputError, Unreadable
from tests.data.test_tfds import as_tfrecord, make_set


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith('grain')]


def assert_threads_end():
    limit = time.monotonic() + 30
    while threads():
        assert time.monotonic() < limit, threads()
        time.sleep(0.01)


def assert_same(streamed, held):
    """The same set, but for where it is."""
    assert streamed.streamed and not held.streamed
    for part in ('train_images', 'test_images'):
        ours, theirs = getattr(streamed, part), getattr(held, part)
        assert ours.shape == theirs.shape and len(ours) == len(theirs)
        found = ours[np.arange(len(ours))]
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, theirs)
    for part in ('train_labels', 'test_labels'):
        np.testing.assert_array_equal(getattr(streamed, part), getattr(held, part))
    assert streamed[4:] == held[4:]  # names, mean and deviation


@pytest.mark.parametrize('workers', [1, 2, 5])
def test_the_order_is_the_one_asked_for_whoever_is_first(workers):
    """Blocks that take longer, the earlier they are, come in order all the same."""
    def read(call):
        time.sleep(0.02 / (1 + call % 7))
        return call

    with closing(stream.ahead(read, range(3, 60, 3), workers)) as blocks:
        assert list(blocks) == [*range(3, 60, 3)]
    assert_threads_end()


def test_as_many_threads_read_at_a_time_as_are_asked_for():
    """Each waits for the other two."""
    barrier = threading.Barrier(3, timeout=10)
    with closing(stream.ahead(lambda call: barrier.wait(), range(6), 3)) as blocks:
        assert sorted(blocks) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize('cores, threads', [(1, 1), (5, 5), (200, 16)])
def test_there_is_usually_a_thread_for_each_core(cores, threads, monkeypatch):
    monkeypatch.setattr(os, 'sched_getaffinity', lambda process: {*range(cores)}, raising=False)
    assert stream.usual_workers() == threads


@pytest.mark.parametrize('workers', [1, 3])
def test_what_waits_is_bounded(workers):
    """A consumer that is slower than the threads: never more than workers + 2 blocks alive beside its own."""
    alive, most, lock = set(), [], threading.Lock()

    class Block:
        def __init__(self):
            with lock:
                alive.add(id(self))
                most.append(len(alive))

        def __del__(self):
            with lock:
                alive.discard(id(self))

    with closing(stream.ahead(lambda call: Block(), range(60), workers)) as blocks:
        for _ in blocks:
            time.sleep(0.002)
    assert len(most) == 60 and 2 <= max(most) <= workers + 3
    assert_threads_end()


def test_threads_end_with_a_consumer_that_stops_early():
    read = []
    with closing(stream.ahead(lambda call: read.append(call) or call, range(1000), 3)) as blocks:
        assert list(itertools.islice(blocks, 5)) == [*range(5)]
    assert_threads_end()
    assert len(read) <= 5 + 5


@pytest.mark.parametrize('error, raised', [(InputError, Unreadable), (ZeroDivisionError, ZeroDivisionError)])
def test_what_goes_wrong_in_a_thread_is_raised_in_its_turn(error, raised):
    """What is wrong with the input as that which one of several processes meets alone."""
    def read(call):
        if call == 4:
            raise error('the fifth cannot be read: take it away')
        return call

    found = []
    with pytest.raises(raised, match='^the fifth cannot be read: take it away$'):
        with closing(stream.ahead(read, range(100), 3)) as blocks:
            for block in blocks:
                found.append(block)
    assert found == [0, 1, 2, 3]
    assert_threads_end()


def test_the_part_that_is_alive_of_a_folder(digits_folder, monkeypatch):
    """Of 337 images in blocks of ten, three threads decode at most six blocks that are not used up."""
    decoded, used, ahead = itertools.count(1), 0, []
    decode = folder.decode
    monkeypatch.setattr(folder, 'decode', lambda *args: ahead.append(next(decoded) - used) or decode(*args))
    images = load('folder', digits_folder, room=0).train_images
    ahead.clear()
    decoded = itertools.count(1)
    with closing(stream.ahead(lambda start: images[np.arange(start, start + 10)], range(0, 330, 10), 3)) as blocks:
        for _ in blocks:
            time.sleep(0.005)
            used += 10
    assert len(ahead) == 330 and 10 < max(ahead) <= 60
    assert_threads_end()


def test_images_are_indexed_like_an_array():
    array = np.random.default_rng(0).integers(0, 256, (20, 4, 3, 2), np.uint8)
    images, places = stream.unread(array), np.array([[3, 3, 0], [19, 1, 2]])
    np.testing.assert_array_equal(images[places], array[places])
    part = stream.select(stream.select(images, np.array([5, 2, 11, 7])), slice(1, 3))
    assert part.shape == (2, 4, 3, 2)
    np.testing.assert_array_equal(part[[1, 0]], array[[11, 2]])
    np.testing.assert_array_equal(stream.select(array, slice(2)), array[:2])


def test_the_room_decides(digits_folder):
    """420 images of 8x8 pixels and 1,797 digits: a byte less than they take, and they are streamed."""
    for name, place, size in (('folder', digits_folder, 420 * 64), ('digits', None, 1797 * 64)):
        assert_same(load(name, place, room=size - 1), load(name, place, room=size))
    assert not load('digits').streamed


@pytest.mark.parametrize('size', [None, 12])
def test_a_folder_is_the_same(digits_folder, size):
    assert_same(load('folder', digits_folder, size, room=0), load('folder', digits_folder, size))


def test_holding_out_reads_nothing(digits_folder, monkeypatch):
    held, streamed = (load('folder', digits_folder, room=room) for room in (None, 0))
    with monkeypatch.context() as patch:
        patch.setattr(folder, 'decode', None)
        part = hold_out(streamed, 100)
    assert_same(part, hold_out(held, 100))


def test_statistics_are_those_of_a_sample(digits_folder, monkeypatch):
    """Of fifty images, whichever way they come; the fifty are NumPy's, and the values NumPy's mean and deviation."""
    monkeypatch.setattr('ikd.data.SAMPLE', 50)
    held, streamed = (load('folder', digits_folder, room=room) for room in (None, 0))
    sample = held.train_images[np.random.default_rng(0).permutation(337)[:50]] / 255
    assert (held.mean, held.std) == (streamed.mean, streamed.std)
    np.testing.assert_allclose([held.mean[0], held.std[0]], [sample.mean(), sample.std()], rtol=1e-12)


def test_damaged_images_of_a_folder(tmp_path):
    """A header that is none is refused at once; pixels that are damaged, when they are read, by the file's name."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 30, 30), np.uint8)
    for i, image in enumerate(pixels):
        (tmp_path / 'ab'[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / 'ab'[i % 2] / f'{i}.png')
    images = load('folder', tmp_path, room=0).train_images
    path = folder.files(tmp_path).train[3][0]
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) // 2])
    assert images[[0, 1, 2]].shape == (3, 30, 30, 1)
    with pytest.raises(InputError) as caught:
        images[[2, 3]]
    message = str(caught.value)
    assert message.startswith(f'{path} cannot be read (') and 'take it away' in message and message.isprintable()
    path.write_bytes(b'no image')
    with pytest.raises(InputError, match='1 of 12 images cannot be read'):
        load('folder', tmp_path, room=0)


def test_what_pillow_warns_of_in_threads_is_nothing(tmp_path):
    """A damaged EXIF harms no pixel, and a line for each such image would hide what matters."""
    pixels = np.random.default_rng(0).integers(0, 256, (12, 8, 8), np.uint8)
    for i, image in enumerate(pixels):
        (tmp_path / 'ab'[i % 2]).mkdir(exist_ok=True)
        Image.fromarray(image).save(tmp_path / 'ab'[i % 2] / f'{i}.png', exif=b'Exif\0\0MM\0*garbage')
    images = load('folder', tmp_path, room=0).train_images
    with closing(stream.ahead(lambda i: images[[i]], range(len(images)), 2)) as blocks:
        assert {block.tobytes() for block in blocks} <= {image.tobytes() for image in pixels}


@pytest.fixture
def pets(colour, tmp_path):
    """A TFDS set of 32x32 colour images, 100 for training and 7 for validation."""
    make_set(tmp_path, 'pets', {'train': [(x, i % 2) for i, x in enumerate(colour[0])],
                                'validation': [(x, 1) for x in colour[0][:7]]})
    return tmp_path


@pytest.mark.parametrize('size', [None, 16])
@pytest.mark.parametrize('form', ['array_record', 'tfrecord'])
def test_a_tfds_set_is_the_same(pets, form, size):
    held = load('pets', pets, size)
    if form == 'tfrecord':
        as_tfrecord(pets, 'pets', shards=3)
    streamed = load('pets', pets, size, room=0)
    assert_same(streamed, held)
    rows = [np.random.default_rng(i).permutation(100)[:20] for i in range(8)]
    with closing(stream.ahead(lambda i: streamed.train_images[rows[i]], range(8), 4)) as blocks:
        for row, block in zip(rows, blocks, strict=True):
            np.testing.assert_array_equal(block, held.train_images[row])


@pytest.mark.parametrize('form', ['array_record', 'tfrecord'])
def test_a_tfds_set_of_wide_images_with_opacity_is_the_same(colour, tmp_path, form):
    images = np.concatenate([colour[0][:7, :20], colour[0][:7, 5:25, :, :1]], -1)
    make_set(tmp_path, 'wide', {s: [(x, 0) for x in images] for s in ('train', 'test')}, (None, None, 4))
    if form == 'tfrecord':
        as_tfrecord(tmp_path, 'wide')
    streamed, held = (load('wide', tmp_path, room=room) for room in (0, None))
    assert_same(streamed, held)
    assert held.image_shape == (20, 32, 4)
    assert sorted(x.tobytes() for x in held.train_images) == sorted(x.tobytes() for x in images)


def test_labels_of_a_tfds_set_are_read_once(pets, monkeypatch, capsys):
    first = load('pets', pets, room=0)
    assert 'Reading the labels of 100 images of pets' in capsys.readouterr().err
    monkeypatch.setattr(tfds, '_stored_examples', None)
    np.testing.assert_array_equal(load('pets', pets, 16, room=0).train_labels, first.train_labels)
    assert capsys.readouterr().err == ''
    monkeypatch.undo()
    cache, = pets.rglob('ikd_labels.npz')
    for harm in (b'garbage', cache.read_bytes()[:-50]):
        cache.write_bytes(harm)
        np.testing.assert_array_equal(load('pets', pets, room=0).train_labels, first.train_labels)


def test_tfds_sets_that_cannot_be_streamed(colour, tmp_path):
    """Unequal images need a size; a record whose image is damaged is refused when it is read, in a line."""
    images = colour[0]
    make_set(tmp_path, 'within', {s: [(images[0], 0), (images[1, :20], 1)] for s in ('train', 'test')})
    make_set(tmp_path, 'between', {'train': [(images[0], 0)], 'test': [(images[1, :20], 1)]})
    for name in ('within', 'between'):
        with pytest.raises(InputError, match='set an image size'):
            load(name, tmp_path, room=0)
        assert load(name, tmp_path, size=16, room=0).test_images.shape[1:] == (16, 16, 3)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)).save(file, 'PNG')
    make_set(tmp_path, 'damaged', {s: [(file.getvalue()[:2000], 0)] for s in ('train', 'test')})
    with pytest.raises(InputError, match='the TFDS set damaged in .* cannot be read') as caught:
        load('damaged', tmp_path, room=0)
    assert '\n' not in str(caught.value)
