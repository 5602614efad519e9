"""Real pixels in the official layouts: digits in small; MNIST and CIFAR-10 if IKD_TEST_DATA has them."""

import contextlib
import gzip
import hashlib
import http.server
import tarfile
import threading
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from ikd.data import images, official, tfds
from ikd.data.digits import read as read_digits

COUNTS = {'mnist': (100, 40), 'fashion_mnist': (100, 40), 'cifar10': (100, 40), 'cifar100': (100, 40)}


@pytest.fixture
def small(monkeypatch):
    """Lets official sets have 100 + 40 examples."""
    monkeypatch.setattr(official, 'COUNTS', COUNTS)


@pytest.fixture(scope='session')
def grey():
    """Digits as MNIST would have them: images [n, 28, 28, 1] and labels, 100 for training and 40 for test."""
    train_images, train_labels, test_images, test_labels, _ = read_digits()
    enlarge = lambda batch: np.stack([images.resize(image, 28) for image in batch])
    return enlarge(train_images[:100]), train_labels[:100], enlarge(test_images[:40]), test_labels[:40]


@pytest.fixture(scope='session')
def colour(grey):
    """Digits as CIFAR would have them: [n, 32, 32, 3], each channel different."""
    def paint(batch):
        large = np.stack([images.resize(image, 32)[..., 0] for image in batch])
        return np.stack([large, 255 - large, large // 2], axis=-1)
    return paint(grey[0]), grey[1], paint(grey[2]), grey[3]


@pytest.fixture
def write_folder(grey):
    """write_folder(folder, {class: count}, ...) makes grey PNG files of digits, 28x28; with colours, in colour."""
    def make(directory, counts, colours=None, first=0):
        for name, count in counts.items():
            (directory / name).mkdir(parents=True, exist_ok=True)
            for i in range(first, first + count):
                picture = Image.fromarray(grey[0][i % 100, ..., 0])
                (picture.convert('RGB') if colours else picture).save(directory / name / f'{i:03d}.png')
        return directory
    return make


@pytest.fixture
def write_idx(grey):
    """write_idx(folder) makes the four files of MNIST or Fashion-MNIST, gzipped or not."""
    def write(folder, gzipped=True):
        folder.mkdir(parents=True, exist_ok=True)
        for name, array in zip(official.IDX_FILES, grey):
            array = array[..., 0] if array.ndim == 4 else array
            header = np.array([0x0800 + array.ndim, *array.shape], '>u4').tobytes()
            content = header + array.astype(np.uint8).tobytes()
            path = folder / (name + '.gz' if gzipped else name)
            path.write_bytes(gzip.compress(content) if gzipped else content)
        return folder
    return write


@pytest.fixture
def write_cifar(colour):
    """write_cifar(name, folder) makes the usual inner folder of a CIFAR set and returns it."""
    def write(name, folder):
        layout = official.CIFAR[name]
        inner = folder / layout['folder']
        inner.mkdir(parents=True)
        for files, batch, digits in ((layout['train'], *colour[:2]), (layout['test'], *colour[2:])):
            labels = digits[:, None] if name == 'cifar10' else np.stack([digits * 2, digits * 10 + 3], axis=1)
            records = np.concatenate([labels, batch.transpose(0, 3, 1, 2).reshape(len(batch), -1)], axis=1)
            for file, part in zip(files, np.split(records.astype(np.uint8), len(files))):
                part.tofile(inner / file)
        for file, names in zip(layout['names'], official.CLASS_NAMES[name]):
            (inner / file).write_text(''.join(f'{n}\n' for n in names) + '\n')
        return inner
    return write


@pytest.fixture
def pack():
    """pack(inner, archive) makes a .tar.gz of a folder, under the folder's own name."""
    def write(inner, archive):
        with tarfile.open(archive, 'w:gz', compresslevel=1) as tar:
            tar.add(inner, arcname=inner.name)
        return archive
    return write


@pytest.fixture(scope='session')
def serve():
    """`with serve(folder) as (url, requests)` runs a loopback server and lists what was asked for."""
    @contextlib.contextmanager
    def run(folder):
        requests = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *args):
                requests.append(self.path)

        with http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(Handler, directory=folder)) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={'poll_interval': 0.02})
            thread.start()
            try:
                yield f'http://127.0.0.1:{server.server_port}/', requests
            finally:
                server.shutdown()
                thread.join()

    return run


@pytest.fixture(scope='session')
def registered():
    """registered(folder, base) is what TFDS would register for the files of a folder."""
    def infos(folder, base):
        files = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
        return {base + name: SimpleNamespace(
            size=len(content), checksum=hashlib.sha256(content).hexdigest(), filename=name)
            for name, content in files.items()}

    return infos


@pytest.fixture
def archives(write_idx, write_cifar, pack, tmp_path):
    """archives(name) makes the folder of a set's official archives, with 100 + 40 examples."""
    def make(name):
        folder = tmp_path / 'server' / name
        if name in official.CIFAR:
            folder.mkdir(parents=True)
            pack(write_cifar(name, tmp_path / 'unpacked'), folder / official.CIFAR[name]['archive'])
            return folder
        return write_idx(folder)
    return make


@pytest.fixture
def prepared(small, archives, serve, registered, tmp_path):
    """A folder with a prepared miniature MNIST."""
    source = archives('mnist')
    directory = tmp_path / 'prepared'
    with serve(source) as (base, _):
        tfds.prepare('mnist', directory, registered(source, base))
    return directory
