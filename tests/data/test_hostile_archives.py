"""Official files made to harm: read, or refused in one line; nothing is written or run, no room made for claims."""
import gzip
import tarfile

import pytest
from hypothesis import strategies as st

from ikd.data import official
from ikd.errors import InputError
from tests.data.hostile import assert_clear, assert_whole, audited, examples, harmed, tried


@examples(100, 2000)
def test_idx(examples, small, write_idx, tmp_path):
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


@examples(60, 1500)
@pytest.mark.parametrize('name', ['cifar10', 'cifar100'])
def test_cifar_binary(examples, small, write_cifar, tmp_path, name):
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


@examples(40, 500)
def test_archives(examples, small, write_cifar, pack, tmp_path):
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
def test_headers_that_announce_headers(small, tmp_path, kind):
    """A chain of long names or pax headers, which recurs as deep as it is long in `tarfile.open`."""
    member = tarfile.TarInfo('x')
    member.type = kind
    (tmp_path / 'cifar-10-binary.tar.gz').write_bytes(gzip.compress(member.tobuf(tarfile.GNU_FORMAT) * 2000))
    found = audited(lambda: official.read('cifar10', tmp_path))
    assert_clear(found)
    assert 'it lacks cifar-10-batches-bin/data_batch_1.bin' in str(found)


def test_bombs_within_bombs(small, tmp_path):
    """Gzip in gzip is unpacked once; many empty gzip members are one short file."""
    bomb = gzip.compress(gzip.compress(bytes(10**7)))
    for content in (bomb, gzip.compress(b'') * 1000):
        (tmp_path / 'cifar-10-binary.tar.gz').write_bytes(content)
        assert_clear(audited(lambda: official.read('cifar10', tmp_path)))
