import hashlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ikd.data import READERS, Dataset, checksum, description, load, official, tfds
from ikd.errors import InputError


def test_digits():
    data = load('digits')
    assert isinstance(data, Dataset)
    assert data.train_images.shape == (1437, 8, 8, 1) and data.test_images.shape == (360, 8, 8, 1)
    assert data.train_images.dtype == np.uint8 and data.train_labels.dtype == np.int32
    assert data.train_images.min() == 0 and data.train_images.max() == 255
    shares = [np.bincount(labels) / len(labels) for labels in (data.train_labels, data.test_labels)]
    np.testing.assert_allclose(*shares, atol=3e-3)
    assert data.class_names == tuple('0123456789') and (data.mean, data.std) == ((0.0,), (1.0,))


def test_the_split_of_digits_never_changes():
    data = load('digits')
    content = b''.join(array.astype(np.uint8).tobytes() for array in data[:4])
    digest = hashlib.sha256(content).hexdigest()
    assert digest == '0c699ee1b3bc1bc500b40944070efde66a8c5e6e73662466fad20af5d1e65d7e'


@pytest.mark.parametrize('size', [8, 12, 5])
def test_size(size):
    data = load('digits', size=size)
    assert data.train_images.shape == (1437, size, size, 1) and data.train_images.dtype == np.uint8
    for image, found in zip(load('digits').train_images[:5], data.train_images):
        resized = image[..., 0] if size == 8 else Image.fromarray(image[..., 0]).resize(
            (size, size), Image.Resampling.BICUBIC)
        np.testing.assert_array_equal(found[..., 0], resized)


def test_official_files_come_before_tfds(small, grey, write_idx, tmp_path, monkeypatch):
    write_idx(tmp_path / 'mnist')
    monkeypatch.setattr(tfds, 'read', None)
    data = load('mnist', tmp_path, size=14)
    assert data.train_images.shape == (100, 14, 14, 1)
    np.testing.assert_array_equal(data.test_labels, grey[3])


@pytest.mark.parametrize('name, mean, std', [
    ('cifar10', (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    ('cifar100', (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))])
def test_cifar_statistics(small, write_cifar, tmp_path, name, mean, std):
    write_cifar(name, tmp_path)
    data = load(name, str(tmp_path))
    assert (data.mean, data.std) == (mean, std) and len(data.class_names) == int(name[5:])


@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist'])
def test_grey_sets_stay_in_0_to_1(small, write_idx, tmp_path, name):
    write_idx(tmp_path / name)
    data = load(name, tmp_path)
    assert (data.mean, data.std) == ((0.0,), (1.0,))


@pytest.mark.parametrize('place', ['argument', 'TFDS_DATA_DIR', 'home'])
def test_tfds_is_prepared_where_it_was_missing(small, grey, write_idx, tmp_path, monkeypatch, place):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    monkeypatch.delenv('TFDS_DATA_DIR', raising=False)
    directory = tmp_path / 'home' / 'tensorflow_datasets' if place == 'home' else tmp_path / 'd'
    directory.mkdir(parents=True)
    if place == 'TFDS_DATA_DIR':
        monkeypatch.setenv(place, str(directory))
    monkeypatch.setattr(tfds, 'fetch', lambda *_: write_idx(tmp_path / 'archives'))
    for _ in range(2):
        data = load('mnist', directory if place == 'argument' else None)
        assert sorted(data.train_labels) == sorted(grey[1])
        monkeypatch.setattr(tfds, 'fetch', None)
    assert (directory / 'mnist' / '3.0.1').is_dir()


def test_statistics_of_other_sets(colour, tmp_path, monkeypatch):
    monkeypatch.setattr(tfds, 'read', lambda *_: (*colour, ('a', 'b')))
    data = load('flowers', tmp_path)
    pixels = colour[0].reshape(-1, 3) / 255
    np.testing.assert_allclose(data.mean, pixels.mean(0))
    np.testing.assert_allclose(data.std, pixels.std(0))
    flat = np.full_like(colour[0], 7)
    monkeypatch.setattr(tfds, 'read', lambda *_: (flat, *colour[1:], ('a', 'b')))
    assert load('flowers', tmp_path).std == (1 / 255,) * 3


def test_errors(tmp_path):
    with pytest.raises(InputError, match='does not exist'):
        load('mnist', tmp_path / 'absent')
    (tmp_path / 'archive.tar.gz').write_bytes(b'')
    with pytest.raises(InputError, match='archive.tar.gz is a file: give the folder that holds it'):
        load('cifar10', tmp_path / 'archive.tar.gz')
    with pytest.raises(InputError, match='digits, mnist, fashion_mnist, cifar10, cifar100.*TFDS'):
        load('mnits', tmp_path)
    with pytest.raises(InputError, match='size'):
        load('digits', size=0)


def test_a_set_of_one_class(monkeypatch):
    images, labels = np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int32)
    monkeypatch.setitem(READERS, 'ones', lambda: (images, labels, images, labels, ('one',)))
    with pytest.raises(InputError, match='ones has 1 class, but two are the least'):
        load('ones')


@pytest.mark.parametrize('name', ['', '../evil', 'a b', '/evil', 'mnist:9.9.9', 'mnist/nothing', 'imagenette',
                                  'huggingface:x'])
def test_names_that_are_no_sets(name, tmp_path):
    with pytest.raises(InputError) as caught:
        load(name, tmp_path)
    assert '\n' not in str(caught.value)


def test_importing_is_light():
    code = "import sys, ikd.data; sys.exit('tensorflow_datasets' in sys.modules or 'jax' in sys.modules)"
    assert subprocess.run([sys.executable, '-c', code]).returncode == 0


def test_real_mnist(real):
    data = load('mnist', real / 'mnist')
    assert data.train_images.shape == (60000, 28, 28, 1) and data.test_labels.shape == (10000,)
    assert 'tensorflow' not in sys.modules and official.COUNTS['mnist'] == (60000, 10000)


def test_the_checksum_of_a_set():
    """Alike for images in memory and for a stream; another for other labels, pixels or shapes, in either part."""
    whole = load('digits')
    found = checksum(whole)
    assert checksum(load('digits', room=0)) == found and description(whole)['checksum'] == found
    changed = [whole._replace(**{part: change(getattr(whole, part))}) for part, change in (
        ('train_labels', lambda labels: np.roll(labels, 1)), ('test_labels', lambda labels: np.roll(labels, 1)),
        ('train_images', lambda images: images ^ 1), ('test_images', lambda images: images[:-1]),
        ('test_images', lambda images: images[::-1]))]
    assert len({found, checksum(load('digits', size=9)), *map(checksum, changed)}) == 7
    assert checksum(load('digits', size=np.int64(9))) == checksum(load('digits', size=9))
    assert checksum(changed[2], pixels=False) == checksum(whole, pixels=False) != checksum(changed[0], pixels=False)


def test_the_checksum_looks_at_images_all_over_each_part():
    """Of the 1,437 and 360 digits: only the second half changed is another set."""
    whole = load('digits')
    half = lambda images: np.concatenate([images[:len(images) // 2], images[len(images) // 2:] ^ 1])
    changed = [whole._replace(**{part: half(getattr(whole, part))}) for part in ('train_images', 'test_images')]
    assert len({checksum(whole), *map(checksum, changed)}) == 3
