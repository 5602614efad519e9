"""Pictures, folders, prepared sets made to harm: read, or refused in one line; nothing outside is written or run."""
import gzip
import io
import itertools
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from ikd.data import folder, load, official, tfds
from ikd.errors import InputError
from tests.data.hostile import assert_clear, assert_whole, audited, examples, harmed, tried
from tests.data.test_tfds import make_set


def picture_files():
    """{suffix: bytes} of a picture of 12x10 pixels in every format and of several modes."""
    pixels = np.random.default_rng(0).integers(256, size=(10, 12, 3), dtype=np.uint8)
    made, exif = [], Image.Exif()
    exif[0x0112] = 6
    for kind, mode, options in (
            ('png', 'RGB', {}), ('png', 'LA', {}), ('png', 'P', {'transparency': 3}), ('png', '1', {}),
            ('jpeg', 'RGB', {'exif': exif}), ('jpeg', 'CMYK', {}), ('jpeg', 'L', {'progressive': True}),
            ('bmp', 'RGB', {}), ('gif', 'P', {}), ('webp', 'RGBA', {}), ('tiff', 'RGB', {}),
            ('tiff', 'L', {'compression': 'tiff_lzw'}), ('tiff', 'F', {}), ('tiff', 'CMYK', {'exif': exif})):
        file = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(file, kind, **options)
        made.append((f'.{kind}', file.getvalue()))
    return made


PICTURES = picture_files()
ODD = st.text(st.characters(blacklist_characters='/\0', blacklist_categories=['Cs']), min_size=1, max_size=12)
ODD = ODD.filter(lambda name: name not in ('.', '..')) | st.sampled_from(
    ['train', 'test', 'val', '.hidden', '-rf', '$x$', 'a\nb', '\x1b[2J', os.fsdecode(b'\xff'), '%s', '{}', '~', '\\'])


@st.composite
def file_trees(draw):
    """[(path in parts, what it is)]: classes, mostly of pictures, with whatever else may be in a folder."""
    tree, seldom = {}, st.integers(0, 9).map(lambda number: number == 9)
    roots = draw(st.sampled_from([[()], [()], [('train',), ('test',)]]))
    classes = draw(st.lists(ODD, min_size=1 if draw(seldom) else 2, max_size=3, unique=True))
    for root, name in itertools.product(roots, classes):
        for i in range(draw(st.integers(0, 1) if draw(seldom) else st.integers(2, 4))):
            suffix, content = draw(st.sampled_from(PICTURES))
            if draw(seldom):
                content = draw(harmed(content) | st.binary(max_size=200))
            tree[(*root, name, f'{i}{suffix}')] = content
    kinds = st.sampled_from(['folder', 'pipe', 'link', 'loop', 'zeros', 'outside', 'knot']) | st.binary(max_size=20)
    others = st.lists(st.tuples(st.sampled_from(classes), ODD, kinds), min_size=1, max_size=2)
    for where, name, kind in draw(others) if draw(seldom) else ():
        tree.setdefault((*roots[0], where, name + draw(st.sampled_from(['', '.png', '.JPG']))), kind)
    return tree


LINKS = {'link': 'nowhere', 'loop': '.', 'zeros': '/dev/zero', 'outside': '/etc/passwd'}


def plant(directory, tree):
    """Makes the files of `file_trees` in the directory; a knot is a link to itself."""
    for parts, kind in tree.items():
        path = directory.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() or path.is_symlink():
            continue
        if isinstance(kind, bytes):
            path.write_bytes(kind)
        elif kind == 'folder':
            path.mkdir()
        elif kind == 'pipe':
            os.mkfifo(path)
        else:
            path.symlink_to(LINKS.get(kind, path.name))


@examples(100, 500)
def test_image_folders(examples, tmp_path):
    number = itertools.count()

    @tried(examples, tree=file_trees(), size=st.sampled_from([None, 1, 7]))
    def run(tree, size):
        directory = tmp_path / str(next(number))
        directory.mkdir()
        plant(directory, tree)
        before = sorted(directory.rglob('*'))
        found = audited(lambda: load('folder', directory, size))
        assert sorted(directory.rglob('*')) == before
        if isinstance(found, InputError):
            assert_clear(found)
        else:
            n = found.train_images.shape[1]
            assert n == size or (size is None and n in (12, 64))
            assert_whole(found[:5], (n, n, len(found.mean)))
            assert np.isfinite(found.mean).all() and np.all(np.array(found.std) > 0)
            assert not folder.unreadable(directory)


@examples(20, 250)
@pytest.mark.parametrize('file', ['features.json', 'dataset_info.json', 'digits-train.array*', 'ikd_original.npz'])
def test_prepared_sets(examples, grey, tmp_path, file):
    """Files of a TFDS set harmed; only the cache of the arrays is written, beside them."""
    few = [(image[..., 0], label % 2) for image, label in zip(grey[0][:20], grey[1])]
    make_set(tmp_path, 'digits', {'train': few, 'test': few[:5]}, (None, None, 1))
    expected = tfds.read('digits', tmp_path)
    path, = (tmp_path / 'digits' / '1.0.0').glob(file)
    cache, content = path.with_name('ikd_original.npz'), path.read_bytes()

    @tried(examples, data=st.data())
    def run(data):
        path.write_bytes(data.draw(harmed(content)))
        if path != cache:
            cache.unlink(missing_ok=True)
        found = audited(lambda: tfds.read('digits', tmp_path), inside=path.parent)
        path.write_bytes(content)
        if isinstance(found, InputError):
            assert path != cache
            assert_clear(found)
        else:
            assert_whole(found, (28, 28, 1))
            assert path != cache or len(found[0]) == len(expected[0])


@examples(300, 2000)
def test_pictures(examples):
    """Each format harmed: an array of the shape that was asked for, or an exception that names no program."""
    from ikd.data.images import decode, quiet

    @tried(examples, data=st.data(), picture=st.sampled_from(PICTURES))
    def run(data, picture):
        content = data.draw(harmed(picture[1]))

        def attempt():
            with quiet():
                try:
                    return decode(io.BytesIO(content), 3, 8)
                except Exception as error:  # whatever Pillow makes of it; `folder.read` says so in a line
                    return error

        found = audited(attempt)
        assert isinstance(found, Exception) or (found.shape == (8, 8, 3) and found.dtype == np.uint8)


def test_memory_of_bombs(tmp_path):
    """In a process that may have 700 MB: bombs of each kind, one after another, each refused in a line."""
    gigabyte = gzip.compress(bytes(10**7), 1) * 100
    for name in 'ab':
        (tmp_path / 'folder' / name).mkdir(parents=True)
        for i in range(5):
            Image.new('L', (8, 8)).save(tmp_path / 'folder' / name / f'{i}.png')
    bomb = Image.new('1', (13000, 13000))
    bomb.save(tmp_path / 'folder' / 'a' / 'bomb.png')
    bomb.save(tmp_path / 'folder' / 'a' / 'bomb.tif', compression='group4')
    (tmp_path / 'cifar-10-binary.tar.gz').write_bytes(gigabyte)
    (tmp_path / 'train-images-idx3-ubyte.gz').write_bytes(gigabyte)
    for file in official.IDX_FILES[1:]:
        (tmp_path / f'{file}.gz').write_bytes(gzip.compress(bytes(10)))
    script = f"""
        import resource
        from ikd.data import load
        from ikd.errors import InputError
        resource.setrlimit(resource.RLIMIT_DATA, (700 * 2**20,) * 2)
        for name, directory in ('folder', 'folder'), ('cifar10', ''), ('mnist', ''):
            try:
                load(name, {str(tmp_path)!r} + '/' + directory)
            except InputError as error:
                print(error)
    """
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(script)], capture_output=True, text=True,
                          cwd=Path(__file__).parents[2])
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and done.returncode == 0, done.stderr
    assert '2 of 12 images cannot be read' in lines[0] and all('holds more, not' in line for line in lines[1:])
