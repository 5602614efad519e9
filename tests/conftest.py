"""Several devices, real images, and networks whose BatchNorm is far from its initial state.

Compiling is most of the work, so code is compiled without LLVM's optimisations, unless XLA_FLAGS say how. On a CPU,
unless JAX_PLATFORMS says where: a GPU is one device.
"""
import os
import pathlib
import subprocess
import sys
from functools import cache, partial

os.environ.setdefault('XLA_FLAGS', '--xla_backend_optimization_level=0')
os.environ.setdefault('JAX_PLATFORMS', 'cpu')

import jax
import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from ikd import models, training
from tests.quick import plain_pictures
from tests.small_run import make_config, train

jax.config.update('jax_num_cpu_devices', 4)


@pytest.fixture(scope='session', autouse=True)
def compilation_cache(tmp_path_factory):
    """What one test has compiled another need not, also in the processes that tests start and in pytest-xdist's.

    Nor what was compiled before, where JAX's own variable names a folder.
    """
    base = tmp_path_factory.getbasetemp()
    own = str((base.parent if 'PYTEST_XDIST_WORKER' in os.environ else base) / 'compiled')
    directory = os.environ.get('JAX_COMPILATION_CACHE_DIR', own)
    jax.config.update('jax_compilation_cache_dir', directory)
    jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
    os.environ.update(JAX_COMPILATION_CACHE_DIR=directory, JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS='0')


@pytest.fixture(scope='session')
def digits():
    """The handwritten digits 0 to 7: images float32 [8, 32, 32, 3] in [0, 1], labels int32 [8]."""
    pixels, labels = load_digits(return_X_y=True)
    grey = pixels[:8].reshape(8, 8, 8, 1) / 16
    large = np.asarray(jax.image.resize(grey, (8, 32, 32, 1), 'linear'))
    return np.repeat(large, 3, axis=-1).astype(np.float32), labels[:8].astype(np.int32)


@pytest.fixture(scope='session')
def initial(digits):
    """initial(name): fresh variables of a network of 10 classes for the digits."""
    @cache
    def make(name):
        return models.init(models.create(name, 10), jax.random.key(0), digits[0].shape[1:])

    return make


@pytest.fixture(scope='session')
def network(digits, initial):
    """network(name, **options): a model of 10 classes and variables that the digits have gone through.

    Scales and biases are random, and the running averages are the moments of the digits.
    """
    @cache
    def variables(name):
        model, draw = models.create(name, 10), np.random.default_rng(0)
        noise = lambda p: 0.3 * draw.normal(size=p.shape).astype(np.float32) if p.ndim == 1 else 0
        params = jax.tree.map(lambda p: p + noise(p), initial(name)['params'])
        passed = jax.jit(partial(model.apply, train=True, mutable=['batch_stats', 'moments']))
        _, updates = passed({**initial(name), 'params': params}, digits[0])
        return {'params': params, 'batch_stats': updates.get('moments', {})}

    return lambda name, **options: (models.create(name, 10, **options), variables(name))


@pytest.fixture
def without_pictures():
    """The pictures that runs write are empty, which is quicker."""
    with plain_pictures():
        yield


@pytest.fixture
def small_disk(tmp_path):
    """small_disk(size): a file system of so many MiB of its own, and a function that gives it another size."""
    if subprocess.run(['mount', '-t', 'tmpfs', 'tmpfs', tmp_path], capture_output=True).returncode:
        pytest.skip('mounting a small file system is not allowed here')

    def resize(size):
        subprocess.run(['mount', '-o', f'remount,size={size}m', tmp_path], check=True)

    yield lambda size: (resize(size), (tmp_path, resize))[1]
    subprocess.run(['umount', '-l', tmp_path], check=True)


@pytest.fixture(scope='session')
def digits_folder(tmp_path_factory):
    """A folder of digits as PNG files of 8x8 grey pixels: 40 to 44 in each of the folders zero to nine."""
    folder = tmp_path_factory.mktemp('digits')
    pixels, labels = load_digits(return_X_y=True)
    for i, (image, label) in enumerate(zip(pixels[:420], labels)):
        place = folder / 'zero one two three four five six seven eight nine'.split()[label]
        place.mkdir(exist_ok=True)
        Image.fromarray(np.round(image * (255 / 16)).astype(np.uint8).reshape(8, 8)).save(place / f'{i:04d}.png')
    return folder


@pytest.fixture(scope='session')
def real():
    """The folder with the real MNIST archives and the packed CIFAR-10."""
    if 'IKD_TEST_DATA' not in os.environ:
        pytest.skip('IKD_TEST_DATA does not name a folder of real data')
    return pathlib.Path(os.environ['IKD_TEST_DATA']).absolute()


@pytest.fixture(scope='session')
def real_mnist(real):
    """The folder with the four real MNIST archives."""
    return real / 'mnist'


@pytest.fixture(scope='session')
def real_cifar10(real, tmp_path_factory):
    """The real CIFAR-10 in its official layout."""
    folder = tmp_path_factory.mktemp('cifar10')
    subprocess.run([sys.executable, real / 'unpack_cifar10.py', folder], check=True, stdout=subprocess.DEVNULL)
    return folder / 'cifar-10-batches-bin'


@pytest.fixture
def workdir(tmp_path):
    """A run's directory that is not there yet, with a store of its own beside it."""
    return tmp_path / 'run'


@pytest.fixture(scope='session')
def undisturbed(tmp_path_factory):
    """Workdir and summary of a run that nothing happened to."""
    workdir = tmp_path_factory.mktemp('runs') / 'undisturbed'
    return workdir, train(make_config(), workdir)


@pytest.fixture
def count_epochs(monkeypatch):
    """A list that grows by one for every epoch trained; `.stop_after = n` interrupts before the (n+1)-th."""
    class Epochs(list):
        stop_after = None

    epochs, run_epoch = Epochs(), training.run_epoch

    def counted(*args):
        if len(epochs) == epochs.stop_after:
            raise KeyboardInterrupt
        epochs.append(1)
        return run_epoch(*args)

    monkeypatch.setattr(training, 'run_epoch', counted)
    return epochs
