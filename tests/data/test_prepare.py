import subprocess
import sys
import textwrap

import numpy as np
import pytest

from ikd.data import fetch, official, tfds
from ikd.errors import InputError
from ikd.files import temporary

NOWHERE = 'http://127.0.0.1:9/'  # the discard port: nobody answers


def same(found, expected):
    """Whether two sets have the same images and labels in the same order."""
    return found[4] == expected[4] and all(np.array_equal(a[:], b) for a, b in zip(found[:4], expected[:4]))


@pytest.mark.parametrize('name', ['mnist', 'fashion_mnist', 'cifar10', 'cifar100'])
def test_fetch_prepare_read(small, archives, serve, registered, tmp_path, name):
    import tensorflow_datasets

    source = archives(name)
    assert tfds.read(name, tmp_path / 'd') is None
    with serve(source) as (base, requests):
        tfds.prepare(name, tmp_path / 'd', registered(source, base))
        assert sorted(requests) == sorted(f'/{path.name}' for path in source.iterdir())
    expected = official.read(name, source)
    found = tfds.read(name, tmp_path / 'd')
    assert same(found, expected) and same(tfds.read(name, tmp_path / 'd', room=0), expected)
    assert [a.dtype for a in found[:4]] == [np.uint8, np.int32] * 2

    # It is the set that TFDS itself knows, with every feature.
    columns = official.read_columns(name, source)
    stored = tensorflow_datasets.data_source(name, split='test', data_dir=tmp_path / 'd')
    if name in official.CIFAR:
        for example in stored:
            index = int(example['id'].decode().removeprefix('test_'))
            np.testing.assert_array_equal(example['image'], columns[2][index])
            labels = [example[column] for column in official.COLUMNS[name]]
            assert labels == columns[3][index].tolist()
    else:
        np.testing.assert_array_equal(stored[int(tfds.shuffled_places('test', 40)[3])]['image'], found[2][3])
    assert 'tensorflow' not in sys.modules


def test_offline_says_what_is_needed(small, archives, registered, tmp_path):
    source = archives('mnist')
    infos = registered(source, NOWHERE)
    with pytest.raises(InputError) as caught:
        tfds.prepare('mnist', tmp_path / 'd', infos)
    message = str(caught.value)
    assert '\n' not in message and f"mnist is not in {tmp_path / 'd'} and could not be downloaded" in message
    assert not [*(tmp_path / 'd').iterdir()]
    assert all(f'{info.filename} from {url}' in message for url, info in infos.items())
    # With two of the files put there by hand, the others are still needed. A wrong file does not count.
    manual = tmp_path / 'd' / 'downloads' / 'manual'
    manual.mkdir(parents=True)
    first, second, third, fourth = sorted(source.iterdir())
    (manual / first.name).write_bytes(first.read_bytes())
    (tmp_path / 'd' / second.name).write_bytes(second.read_bytes())
    (manual / third.name).write_bytes(bytes(third.stat().st_size))
    with pytest.raises(InputError) as caught:
        tfds.prepare('mnist', tmp_path / 'd', infos)
    assert third.name in str(caught.value) and fourth.name in str(caught.value)
    assert first.name not in str(caught.value) and second.name not in str(caught.value)
    # With all of them, no network is needed.
    for path in (third, fourth):
        (manual / path.name).write_bytes(path.read_bytes())
    tfds.prepare('mnist', tmp_path / 'd', infos)
    assert tfds.read('mnist', tmp_path / 'd')[0].shape == (100, 28, 28, 1)


def test_downloads_are_kept(small, archives, serve, registered, tmp_path):
    source = archives('mnist')
    with serve(source) as (base, requests):
        for _ in range(2):
            folder = fetch.fetch('mnist', registered(source, base), tmp_path / 'd')
        assert len(requests) == 4
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in source.iterdir())


@pytest.mark.parametrize('harm', ['checksum', 'shorter', 'longer', 'absent'])
def test_wrong_downloads(small, archives, serve, registered, tmp_path, harm):
    source = archives('mnist')
    infos = registered(source, '/')
    victim = sorted(source.iterdir())[2]
    content = victim.read_bytes()
    changes = {'checksum': content[:-1] + b'?', 'shorter': content[:-1], 'longer': content + b'?'}
    victim.unlink() if harm == 'absent' else victim.write_bytes(changes[harm])
    with serve(source) as (base, _), pytest.raises(InputError) as caught:
        tfds.prepare('mnist', tmp_path / 'd', {base + url[1:]: info for url, info in infos.items()})
    message = str(caught.value)
    assert ('404' if harm == 'absent' else 'sha256') in message and f'{victim.name} from' in message
    assert len(list((tmp_path / 'd' / 'downloads' / 'ikd' / 'mnist').iterdir())) == 2
    assert tfds.read('mnist', tmp_path / 'd') is None


def test_no_file_is_written_through_a_link(tmp_path):
    """Where others can write, somebody may have guessed the name of a file on its way."""
    target, victim = tmp_path / 'target', tmp_path / 'victim'
    victim.write_bytes(b'precious')
    temporary(target).symlink_to(victim)
    with fetch.atomic(target) as file:
        file.write(b'new')
    assert victim.read_bytes() == b'precious' and target.read_bytes() == b'new' and not target.is_symlink()
    with pytest.raises(ZeroDivisionError), fetch.atomic(target) as file:
        file.write(b'half')
        1 / 0
    assert sorted(tmp_path.iterdir()) == [target, victim] and target.read_bytes() == b'new'


def test_unwritable_directory(small, tmp_path):
    (tmp_path / 'file').write_text('not a folder')
    with pytest.raises(InputError, match='cannot be written'):
        tfds.prepare('mnist', tmp_path / 'file' / 'd', {})


@pytest.mark.parametrize('accident', [KeyboardInterrupt, OSError, ValueError])
def test_failed_preparation_leaves_nothing(small, archives, serve, registered, tmp_path, monkeypatch,
                                           accident):
    source = archives('mnist')
    directory = tmp_path / 'd'
    whole = tfds._examples

    def half(name, split, images, labels):
        yield from whole(name, split, images[:20], labels[:20])
        if split == 'test':
            raise accident('half-way')

    with serve(source) as (base, _):
        infos = registered(source, base)
        monkeypatch.setattr(tfds, '_examples', half)
        with pytest.raises(InputError if accident is OSError else accident):
            tfds.prepare('mnist', directory, infos)
        assert tfds.read('mnist', directory) is None
        assert not list((directory / 'mnist').glob('*'))
        monkeypatch.setattr(tfds, '_examples', whole)
        tfds.prepare('mnist', directory, infos)
    assert len(tfds.read('mnist', directory)[0]) == 100


def test_killed_preparation_does_not_look_prepared(small, archives, registered, tmp_path):
    source = archives('mnist')
    script = f"""
        import os
        from types import SimpleNamespace as namespace
        from ikd.data import official, tfds
        official.COUNTS = {official.COUNTS!r}
        def half(name, split, images, labels, whole=tfds._examples):
            yield from whole(name, split, images[:20], labels[:20])
            if split == "test":
                os._exit(9)
        tfds._examples = half
        tfds.prepare("mnist", {str(source)!r}, {registered(source, NOWHERE)!r})
    """
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(script)], stderr=subprocess.DEVNULL)
    assert done.returncode == 9 and list(source.glob('mnist/incomplete*'))
    assert tfds.read('mnist', source) is None
    tfds.prepare('mnist', source, registered(source, NOWHERE))
    assert len(tfds.read('mnist', source)[0]) == 100


@pytest.mark.slow
def test_the_real_mnist_as_tfds_registers_it(real, serve, tmp_path):
    import tensorflow_datasets

    with serve(real / 'mnist') as (base, requests):
        known = tensorflow_datasets.builder('mnist').url_infos.values()
        infos = {base + info.filename: info for info in known}
        tfds.prepare('mnist', tmp_path, infos)
    assert len(requests) == 4
    assert same(tfds.read('mnist', tmp_path), official.read('mnist', real))
    assert 'tensorflow' not in sys.modules


def test_tfds_shuffles_as_it_was_seen_to():
    """The `id`s with which CIFAR-10 begins in TFDS; the first is in the documentation of ray.data.from_tf, too."""
    stored = np.argsort(tfds.shuffled_places('train', 50000))
    assert stored[:5].tolist() == [16399, 1680, 47917, 17307, 27051]


def test_a_known_set_of_other_counts_keeps_the_order_of_tfds(small, archives, serve, registered, tmp_path,
                                                             monkeypatch):
    """Nobody knows how its examples were numbered."""
    source = archives('mnist')
    with serve(source) as (base, _):
        tfds.prepare('mnist', tmp_path / 'd', registered(source, base))
    numbered = tfds.read('mnist', tmp_path / 'd')
    monkeypatch.setitem(official.COUNTS, 'mnist', (60000, 10000))
    stored = tfds.read('mnist', tmp_path / 'd')
    np.testing.assert_array_equal(stored[1], numbered[1][np.argsort(tfds.shuffled_places('train', 100))])
    assert not np.array_equal(stored[1], numbered[1])
