"""Data made to harm: read, or refused in one line; nothing written or run, no room made for what is claimed.

Each property is tried on a few examples, and on many where `slow` tests run.
"""
import gzip
import io
import itertools
import os
import subprocess
import sys
import tarfile
import textwrap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ikd.data import folder, load, official, tfds
from ikd.errors import InputError
from tests.data.test_tfds import make_set

examples = lambda few, many: pytest.mark.parametrize('examples', [few, pytest.param(many, marks=pytest.mark.slow)])


def tried(examples, **strategies):
    """Runs the function below it at once, on so many examples, always the same."""
    def run(function):
        settings(max_examples=examples, derandomize=True, deadline=None, database=None,
                 suppress_health_check=list(HealthCheck))(given(**strategies)(function))()
    return run


# Events of Python's audit hooks by which something outside of a directory would be changed, or something run.
HARM = ('os.system', 'os.exec', 'os.fork', 'os.forkpty', 'os.posix_spawn', 'subprocess.Popen', 'pickle.find_class',
        'socket.connect', 'ctypes.dlopen')
CHANGES = ('os.mkdir', 'os.rename', 'os.remove', 'os.rmdir', 'os.symlink', 'os.link', 'os.truncate', 'os.chmod')
watching, seen = [], []


def hook(event, arguments):
    if watching:
        written = event == 'open' and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if written or event in HARM or event in CHANGES:
            seen.append((event, *map(str, arguments)))


@pytest.fixture(scope='session')
def audited():
    """audited(call): call's result or InputError; meanwhile nothing was run or unpickled, or written but `inside`."""
    sys.addaudithook(hook)  # there is no way to take it off

    def call(function, inside=None):
        seen.clear()
        watching.append(True)
        try:
            return function()
        except InputError as error:
            return error
        finally:
            watching.clear()
            assert [event for event in seen if event[0] in HARM or not inside
                    or not event[1].startswith(f'{inside}/')] == []

    return call


def assert_clear(error):
    """One line that says, after a colon, what to do."""
    message = str(error)
    assert '\n' not in message and '\x1b' not in message and ': ' in message and len(message) < 1000


def assert_whole(found, images):
    """What a reader gives is a labelled set of images."""
    train, train_labels, test, test_labels, class_names = found
    assert train.dtype == test.dtype == np.uint8 and train.shape[1:] == test.shape[1:] == images
    for part, labels in ((train, train_labels), (test, test_labels)):
        assert len(part) == len(labels) and labels.dtype == np.int32
        assert 0 <= labels.min() <= labels.max() < len(class_names)
    assert all(name.isprintable() for name in class_names)


@st.composite
def harmed(draw, content):
    """Bytes with up to four accidents: cut, changed, removed, doubled, put in."""
    content = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(content)) | st.integers(0, min(len(content), 64)))
        length = draw(st.integers(1, 64) | st.integers(1, 5000))
        kind = draw(st.sampled_from(['cut', 'change', 'remove', 'double', 'insert']))
        if kind == 'cut':
            del content[start:]
        elif kind == 'remove':
            del content[start:start + length]
        elif kind == 'double':
            content[start:start] = content[start:start + length]
        else:
            new = draw(st.binary(min_size=1, max_size=16) | st.sampled_from([b'\xff' * 4, b'\0' * 8, b'\x7f\xff']))
            content[start:start + (len(new) if kind == 'change' else 0)] = new
    return bytes(content)


@examples(100, 5000)
def test_idx(examples, small, write_idx, tmp_path, audited):
    write_idx(tmp_path, gzipped=False)
    plain = {name: (tmp_path / name).read_bytes() for name in official.IDX_FILES}
    packed = {name: gzip.compress(content, 1) for name, content in plain.items()}

    @tried(examples, data=st.data(), name=st.sampled_from(official.IDX_FILES),
           how=st.sampled_from(['plain', 'in', 'on']))
    def run(data, name, how):
        """A file harmed as it is, harmed and gzipped, gzipped and harmed."""
        content = data.draw(harmed(packed[name] if how == 'on' else plain[name]))
        (tmp_path / name).write_bytes(gzip.compress(content, 1) if how == 'in' else content)
        found = audited(lambda: official.read('mnist', tmp_path))
        (tmp_path / name).write_bytes(plain[name])
        if isinstance(found, InputError):
            assert_clear(found)
            assert name in str(found)
        else:
            assert_whole(found, (28, 28, 1))


@examples(60, 3000)
@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_cifar_binary(examples, small, write_cifar, tmp_path, audited, name):
    inner = write_cifar(name, tmp_path)
    files = {path.name: path.read_bytes() for path in inner.iterdir()}

    @tried(examples, data=st.data(), file=st.sampled_from(sorted(files)))
    def run(data, file):
        (inner / file).write_bytes(data.draw(harmed(files[file]) | st.binary(max_size=100)))
        found = audited(lambda: official.read(name, tmp_path))
        (inner / file).write_bytes(files[file])
        if isinstance(found, InputError):
            assert_clear(found)
            assert file in str(found)
        else:
            assert_whole(found, (32, 32, 3))


TYPES = [bytes([code]) for code in b'0\x001234567LKSxgXV?']
NAMES = ['cifar-10-batches-bin/test_batch.bin', './cifar-10-batches-bin/data_batch_1.bin', '../evil', '/tmp/evil',
         'cifar-10-batches-bin/../../evil', 'cifar-10-batches-bin/batches.meta.txt', 'cifar-10-batches-bin/', '']


@st.composite
def headers(draw):
    """A tar header of any type, name, link and claimed size, with the right checksum."""
    member = tarfile.TarInfo(draw(st.sampled_from(NAMES) | st.text(max_size=20)))
    member.type = draw(st.sampled_from(TYPES))
    member.linkname = draw(st.sampled_from(['', '../evil', '/etc/passwd', 'cifar-10-batches-bin/test_batch.bin']))
    member.size = draw(st.sampled_from([0, 1, 512, 2**33 - 1, 2**40, 2**62]) | st.integers(0, 5000))
    header = bytearray(member.tobuf(tarfile.GNU_FORMAT, 'utf-8', 'surrogateescape')[-512:])
    if draw(st.booleans()):  # a negative size
        header[124:136] = (-draw(st.integers(1, 5000)) % 256**12).to_bytes(12, 'big')
        header[148:156] = b'%06o\0 ' % (sum(header[:148]) + 256 + sum(header[156:]))
    return bytes(header)


@examples(40, 1000)
def test_archives(examples, small, write_cifar, pack, tmp_path, audited):
    """Members of every kind among the real ones, and the whole harmed, inside gzip or outside."""
    archive = pack(write_cifar('cifar10', tmp_path / 'a' / 'b'), tmp_path / 'a' / 'cifar-10-binary.tar.gz')
    tar = gzip.decompress(archive.read_bytes())
    before = sorted(tmp_path.rglob('*'))

    @tried(examples, data=st.data(), members=st.lists(headers() | st.binary(max_size=600)), last=st.booleans(),
           how=st.sampled_from(['whole', 'in', 'on']))
    def run(data, members, last, how):
        content = b''.join([*members, tar] if last else [tar.rstrip(b'\0'), *members])
        content = gzip.compress(data.draw(harmed(content)) if how == 'in' else content, 1)
        archive.write_bytes(data.draw(harmed(content)) if how == 'on' else content)
        found = audited(lambda: official.read('cifar10', archive.parent))
        assert sorted(tmp_path.rglob('*')) == before
        if isinstance(found, InputError):
            assert_clear(found)
            assert archive.name in str(found)
        else:
            assert_whole(found, (32, 32, 3))


@pytest.mark.parametrize('kind', [tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE, tarfile.XGLTYPE])
def test_headers_that_announce_headers(small, tmp_path, audited, kind):
    """A chain of long names or pax headers, which recurs as deep as it is long in `tarfile.open`."""
    member = tarfile.TarInfo('x')
    member.type = kind
    (tmp_path / 'cifar-10-binary.tar.gz').write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) * 2000))
    found = audited(lambda: official.read('cifar10', tmp_path))
    assert_clear(found)
    assert 'it lacks cifar-10-batches-bin/data_batch_1.bin' in str(found)


def test_bombs_within_bombs(small, tmp_path, audited):
    """Gzip in gzip is unpacked once; many empty gzip members are one short file."""
    bomb = gzip.compress(gzip.compress(bytes(10**7)))
    for content in (bomb, gzip.compress(b'') * 1000):
        (tmp_path / 'cifar-10-binary.tar.gz').write_bytes(content)
        assert_clear(audited(lambda: official.read('cifar10', tmp_path)))


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


@examples(100, 1000)
def test_image_folders(examples, tmp_path, audited):
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


@examples(20, 500)
@pytest.mark.parametrize('file', ['features.json', 'dataset_info.json', 'digits-train.array*', 'ikd_original.npz'])
def test_prepared_sets(examples, grey, tmp_path, audited, file):
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


@examples(300, 5000)
def test_pictures(examples, audited):
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
