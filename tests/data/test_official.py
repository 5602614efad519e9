import gzip
import io
import pickle
import struct
import tarfile
import tracemalloc

import numpy as np
import pytest

from ikd.data import official
from ikd.errors import InputError


def rejects(name, folder, *words):
    """The folder is refused in one line that holds the words and, after a colon, what to do."""
    with pytest.raises(InputError) as caught:
        official.read(name, folder)
    message = str(caught.value)
    assert '\n' not in message and ': ' in message
    for word in words:
        assert word in message
    return message


def same(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('gzipped', [True, False])
@pytest.mark.parametrize('inner', ['', 'mnist'])
def test_idx(small, grey, write_idx, tmp_path, gzipped, inner):
    write_idx(tmp_path / inner, gzipped)
    *arrays, class_names = official.read('mnist', tmp_path)
    same(arrays, grey)
    assert arrays[0].dtype == np.uint8 and arrays[1].dtype == np.int32
    assert class_names == tuple('0123456789')


def test_idx_sets_do_not_mix(small, write_idx, tmp_path):
    write_idx(tmp_path / 'mnist')
    rejects('fashion_mnist', tmp_path / 'mnist', 'holds mnist', 'point to')
    assert official.read('fashion_mnist', tmp_path) is None
    write_idx(tmp_path / 'fashion_mnist')
    assert official.read('fashion_mnist', tmp_path)[4][0] == 'T-shirt/top'


@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_cifar(small, colour, write_cifar, pack, tmp_path, name):
    inner = write_cifar(name, tmp_path / 'a' / name)
    archive = tmp_path / official.CIFAR[name]['archive']
    pack(inner, archive)
    for folder in (inner, inner.parent, inner.parent.parent, tmp_path):
        images, labels, test_images, test_labels, class_names = official.read(name, folder)
        np.testing.assert_array_equal(images, colour[0])
        np.testing.assert_array_equal(test_images, colour[2])
        fine = (lambda digit: digit * 10 + 3) if name == 'cifar100' else (lambda digit: digit)
        np.testing.assert_array_equal(labels, fine(colour[1]))
        np.testing.assert_array_equal(test_labels, fine(colour[3]))
        assert class_names == official.CLASS_NAMES[name][-1] and labels.dtype == np.int32
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a', archive.name]  # read in place


def test_class_names_come_from_the_file_when_it_is_there(small, write_cifar, tmp_path):
    inner = write_cifar('cifar10', tmp_path)
    (inner / 'batches.meta.txt').write_text('\n'.join('abcdefghij'))
    assert official.read('cifar10', inner)[4] == tuple('abcdefghij')
    (inner / 'batches.meta.txt').unlink()
    assert official.read('cifar10', inner)[4] == official.CLASS_NAMES['cifar10'][0]


def test_no_file_at_all(tmp_path):
    assert all(official.read(name, tmp_path) is None for name in official.COUNTS)


def test_some_files_but_not_all(small, write_idx, write_cifar, tmp_path):
    (write_idx(tmp_path / 'mnist') / 't10k-labels-idx1-ubyte.gz').unlink()
    rejects('mnist', tmp_path, 't10k-labels-idx1-ubyte', 'missing')
    (write_cifar('cifar10', tmp_path) / 'data_batch_3.bin').unlink()
    rejects('cifar10', tmp_path, 'data_batch_3.bin', 'missing')


@pytest.mark.parametrize('keep', [0, 1, 2, 10, 200, -9, -5, -1])
def test_truncated_gzip(small, write_idx, tmp_path, keep):
    path = write_idx(tmp_path) / 'train-images-idx3-ubyte.gz'
    path.write_bytes(path.read_bytes()[:keep])
    rejects('mnist', tmp_path, path.name, 'fetch it again')


@pytest.mark.parametrize('keep', [0, 3, 8, 107])
def test_truncated_idx(small, write_idx, tmp_path, keep):
    path = write_idx(tmp_path, gzipped=False) / 'train-labels-idx1-ubyte'
    path.write_bytes(path.read_bytes()[:keep])
    rejects('mnist', tmp_path, path.name, 'fetch it again')


@pytest.mark.parametrize('position, value', [(2, 9), (3, 1), (7, 99), (11, 27)])  # magic, ndim, count, height
def test_wrong_idx_header(small, write_idx, tmp_path, position, value):
    path = write_idx(tmp_path, gzipped=False) / 'train-images-idx3-ubyte'
    content = bytearray(path.read_bytes())
    content[position] = value
    path.write_bytes(content)
    rejects('mnist', tmp_path, path.name, 'header')


def test_gzip_with_one_wrong_byte(small, write_idx, tmp_path):
    path = write_idx(tmp_path) / 't10k-images-idx3-ubyte.gz'
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    rejects('mnist', tmp_path, path.name)


def test_garbage(small, write_idx, tmp_path):
    path = write_idx(tmp_path) / 'train-labels-idx1-ubyte.gz'
    noise = np.random.default_rng(0).bytes(108)
    for content in (noise, b'\x1f\x8b' + noise, b'\x1f\x8b\x08\x00' + noise, pickle.dumps([1, 2, 3])):
        path.write_bytes(content)
        rejects('mnist', tmp_path, path.name)


def test_labels_out_of_range(small, write_idx, write_cifar, tmp_path):
    path = write_idx(tmp_path, gzipped=False) / 't10k-labels-idx1-ubyte'
    path.write_bytes(path.read_bytes()[:-1] + b'\xff')
    rejects('mnist', tmp_path, path.name, 'label 255')
    for name, file, offset in (('cifar10', 'data_batch_2.bin', 0), ('cifar100', 'test.bin', 1)):
        path = write_cifar(name, tmp_path) / file
        content = bytearray(path.read_bytes())
        content[offset] = 255
        path.write_bytes(content)
        rejects(name, tmp_path, file, 'label 255')


def test_wrong_sizes(small, write_cifar, tmp_path):
    path = write_cifar('cifar10', tmp_path) / 'test_batch.bin'
    content = path.read_bytes()
    for wrong in (b'', content[:-1], content[:-3073], content + b'\0', content + content[:3073]):
        path.write_bytes(wrong)
        rejects('cifar10', tmp_path, path.name)


def test_gzip_bombs_do_not_fill_the_memory(small, write_idx, tmp_path):
    bomb = gzip.compress(bytes(200_000_000), 1)
    (write_idx(tmp_path) / 'train-images-idx3-ubyte.gz').write_bytes(bomb)
    (tmp_path / 'cifar-10-binary.tar.gz').write_bytes(bomb)
    tracemalloc.start()
    rejects('mnist', tmp_path, 'train-images', 'more')
    rejects('cifar10', tmp_path, 'cifar-10-binary.tar.gz', 'more')
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


def test_pax_header_bombs_do_not_fill_the_memory(small, tmp_path):
    header = tarfile.TarInfo('x')
    header.type, header.size = tarfile.XHDTYPE, 2**40
    (tmp_path / 'cifar-10-binary.tar.gz').write_bytes(gzip.compress(header.tobuf() + bytes(2**18)))
    rejects('cifar10', tmp_path, 'cifar-10-binary.tar.gz')


def test_archive_truncated_or_changed_anywhere(small, write_cifar, pack, tmp_path):
    path = pack(write_cifar('cifar10', tmp_path / 'a'), tmp_path / 'cifar-10-binary.tar.gz')
    content = path.read_bytes()
    for keep in (0, 1, 10, 1000, len(content) // 2, len(content) - 8, len(content) - 1):
        path.write_bytes(content[:keep])
        rejects('cifar10', tmp_path, path.name, 'fetch it again')
    tar = bytearray(gzip.decompress(content))
    random = np.random.default_rng(0)
    for _ in range(60):  # inside a good gzip stream: read, or refused in one line
        changed = tar.copy()
        for position in 512 * random.integers(len(tar) // 512, size=40) + random.integers(512, size=40):
            changed[position] = random.integers(256)
        path.write_bytes(gzip.compress(changed, 1))
        try:
            official.read('cifar10', tmp_path)
        except InputError as error:
            assert path.name in str(error) and '\n' not in str(error)


def test_archive_members_are_never_written_and_only_the_expected_are_read(small, write_cifar, tmp_path):
    inner = write_cifar('cifar10', tmp_path / 'a' / 'b')
    archive = tmp_path / 'a' / 'cifar-10-binary.tar.gz'
    with tarfile.open(archive, 'w:gz') as tar:
        for name in ('../evil', '/evil', 'cifar-10-batches-bin/../../evil', 'evil/test_batch.bin'):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b'evil'))
        link = tarfile.TarInfo('cifar-10-batches-bin/test_batch.bin')
        link.type, link.linkname = tarfile.SYMTYPE, '../evil'
        tar.addfile(link)
    before = sorted(tmp_path.rglob('*'))
    rejects('cifar10', archive.parent, 'lacks', 'data_batch_1.bin')
    with tarfile.open(archive, 'w:gz') as tar:
        tar.addfile(link)
        tar.add(inner, arcname=f'./{inner.name}')
    assert official.read('cifar10', archive.parent)[0].shape == (100, 32, 32, 3)
    assert sorted(tmp_path.rglob('*')) == before


def test_real_mnist(real):
    images, labels, test_images, test_labels, _ = official.read('mnist', real)
    assert images.shape == (60000, 28, 28, 1) and test_images.shape == (10000, 28, 28, 1)
    assert labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3] and test_labels[:4].tolist() == [7, 2, 1, 0]
    assert images.mean() / 255 == pytest.approx(0.1307, abs=1e-4)


def test_real_mnist_with_a_wrong_count(real, tmp_path):
    for path in (real / 'mnist').iterdir():
        (tmp_path / path.name).symlink_to(path)
    path = tmp_path / 'train-labels-idx1-ubyte.gz'
    labels = gzip.decompress(path.read_bytes())[8:]
    path.unlink()
    path.write_bytes(gzip.compress(struct.pack('>II', 2049, 59999) + labels[:59999]))
    rejects('mnist', tmp_path, path.name, '60008')


@pytest.mark.slow
def test_real_cifar10(real_cifar10, pack, tmp_path):
    found = official.read('cifar10', real_cifar10)
    assert found[0].shape == (50000, 32, 32, 3) and found[1][:4].tolist() == [6, 9, 9, 4]
    assert np.bincount(found[1]).tolist() == [5000] * 10 and np.bincount(found[3]).tolist() == [1000] * 10
    np.testing.assert_allclose(found[0].mean((0, 1, 2)) / 255, [0.4914, 0.4822, 0.4465], atol=2e-4)
    pack(real_cifar10, tmp_path / 'cifar-10-binary.tar.gz')
    same(official.read('cifar10', tmp_path), found)
