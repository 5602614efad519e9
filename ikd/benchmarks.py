"""What `python -m ikd.bench` measures, each a function of a number of pairs.

A benchmark gives an array of seconds [pairs, 2], ours and what we are compared with, and a dict of more that its line
says. Networks have their real sizes; the images are scikit-learn's digits, enlarged.
"""
import os
import subprocess
import sys
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path

import jax
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from ikd import data, parallel
from ikd.data.stream import ahead, unread
from ikd.device_time import busy_share, busy_time, device_events, slowest
from ikd.explainers.maps import grad
from ikd.modules import shipped
from ikd.stages import variables_of
from ikd.timed_steps import Steps, dataset, images_for, settings
from ikd.timing import paired_times, times_of

GFLOPS = 100  # of the explanation pass, on two CPU cores
TRIALS = 5  # as the paper's tables have
EPOCH = 35  # copies of the digits, about as many images as MNIST or CIFAR-10 has


def against_ce(model, method, pairs, classes=10, **fields):
    """A method's step over cross-entropy's."""
    images = images_for(model, classes=classes)
    ours, base = (Steps(settings(model, name, **fields), images) for name in (method, 'ce'))
    times = paired_times(ours, base, pairs) / ours.steps
    return times, {'temporary_bytes': ours.memory(), 'temporary_bytes_ce': base.memory()}


def explanation_pass(pairs):
    """The gradients of all ten logits of ResNet8 with respect to 128 images, over the time that GFLOPS would take."""
    digits = dataset(32, 3)
    steps = Steps(settings('resnet8', 'ce'), digits)
    images = steps.put(np.float32(digits.train_images[:128]) / 255)
    explain = jax.jit(partial(grad, steps.model),
                      compiler_options=parallel.way(steps.layout, convolves=True).compiler_options)
    variables = variables_of(steps.state)
    seconds = times_of(lambda: jax.block_until_ready(explain(variables, images)), pairs)
    operations = 128 * (1 + 10) * 2 * resnet8_products()
    ideal = operations / GFLOPS / 1e9
    return np.stack([seconds, np.full(pairs, ideal)], 1), {'gflops': operations / 1e9 / float(np.median(seconds))}


def resnet8_products():
    """Multiplications of ResNet8's convolutions for an image of 32x32x3, as many in a pass back to the image."""
    stem = 9 * 3 * 16 * 32 ** 2
    first = 2 * 9 * 16 * 16 * 32 ** 2
    second = (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32) * 16 ** 2
    third = (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64) * 8 ** 2
    return stem + first + second + third


def whole_distillation(pairs):
    """KD with the training of its ResNet26 teacher, over cross-entropy: what a run costs, by its steps."""
    images, config = dataset(32, 3), settings('resnet8', 'kd')
    student, teacher = Steps(config, images), Steps(config, images, index=0)
    base = Steps(settings('resnet8', 'ce'), images)

    def both():
        teacher()
        student()

    return paired_times(both, base, pairs), {}


def together(model, pairs):
    """Trials of cross-entropy in one program over as many one after another."""
    images, config = images_for(model), settings(model, 'ce')
    all_at_once, alone = Steps(config, images, trials=TRIALS), Steps(config, images)

    def one_by_one():
        for _ in range(TRIALS):
            alone()

    return paired_times(all_at_once, one_by_one, pairs) / alone.steps, {'trials': TRIALS}


def streamed(model, pairs, **fields):
    """An epoch's step of cross-entropy with images streamed from memory over one with them on the device."""
    images, config = images_for(model), settings(model, 'ce', **fields)
    unheld = images._replace(train_images=unread(images.train_images), test_images=unread(images.test_images))
    ours, base = Steps(config, unheld), Steps(config, images)
    times = paired_times(ours.epoch, base.epoch, pairs) / base.program.steps
    return times, {'images_per_second': [float(config.batch_size / np.median(side)) for side in times.T],
                   'workers': ours.program.workers}


def decoding(pairs, size, count=320):
    """Images of 500x375 pixels decoded from a folder of JPEG files, to size x size, by two threads over one."""
    with tempfile.TemporaryDirectory() as directory:
        photographs(Path(directory), count)
        images = data.load('folder', directory, size, room=0).train_images

        def read(workers):
            block = lambda start: images[np.arange(start, min(start + 16, len(images)))]
            with closing(ahead(block, range(0, len(images), 16), workers)) as blocks:
                for _ in blocks:
                    pass

        times = paired_times(partial(read, 2), partial(read, 1), pairs)
    return times, {'images_per_second': [float(len(images) / np.median(side)) for side in times.T]}


def photographs(directory, count):
    """A folder of two classes: JPEG files, 500x375 parts of the two photographs that scikit-learn bundles."""
    draw = np.random.default_rng(0)
    for place, photograph in enumerate(load_sample_images().images):
        (directory / f'{place}').mkdir()
        for i in range(count // 2):
            top, left = (draw.integers(side - part + 1) for side, part in zip(photograph.shape, (375, 500)))
            Image.fromarray(photograph[top:top + 375, left:left + 500]).save(directory / f'{place}' / f'{i}.jpg',
                                                                            quality=90)


def first_step(pairs, cached, seconds):
    """Seconds from nothing to the first step of the digits job, over `seconds`; cached: with what an earlier run
    has compiled."""
    runs = min(pairs, 5)
    with tempfile.TemporaryDirectory() as directory:
        kept = {'JAX_COMPILATION_CACHE_DIR': directory, 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.1'}
        variables = {**os.environ, **(kept if cached else {'JAX_ENABLE_COMPILATION_CACHE': 'false'})}
        variables['XLA_PYTHON_CLIENT_PREALLOCATE'] = 'false'  # this process has most of a GPU's memory
        variables['PYTHONPATH'] = os.pathsep.join([str(shipped()), *filter(None, [os.environ.get('PYTHONPATH')])])
        command = partial(subprocess.run, [sys.executable, '-c', FIRST_STEP], check=True, env=variables)
        times = times_of(command, runs, warm_up=1)
    return np.stack([times, np.full(runs, float(seconds))], 1), {}


FIRST_STEP = '''
from configs import digits
from ikd.run_data import load_data
from ikd.timed_steps import Steps
from ikd.validation import resolve
config = resolve(digits.get_config('le'))
Steps(config, load_data(config), index=0)()
'''


def large_memory(pairs, size=224, classes=1000):
    """Bytes that LE(Grad-CAM)'s step of ResNet8 needs for `classes` classes and 128 images of size x size, over an
    accelerator's 80 GiB. Compiled, not run: pairs has no meaning."""
    images = dataset(size, 3, classes)
    images = images._replace(train_images=images.train_images[:128], train_labels=images.train_labels[:128])
    needs = {name: Steps(settings('resnet8', name, class_chunk=100), images).memory() for name in ('le', 'ce')}
    return np.array([[needs['le'], 80 * 2 ** 30]], float), {'unit': 'bytes', 'bytes_ce': needs['ce']}


def device_busy(pairs, model, method, **fields):
    """The time that a method's steps of an epoch take over that in which the accelerator is busy with them.

    Busy as a trace of as many says. While one is taken XLA launches operations one by one, which it else puts
    together, so the time is that of steps without a trace; `share_traced` is the share within the trace. Also how
    many operations a step takes, and which take longest. An epoch is as long as CIFAR-10's or MNIST's.
    """
    steps = Steps(settings(model, method, **fields), images_for(model, copies=EPOCH))
    thrice = lambda: [steps() for _ in range(3)]
    seconds, busy, shares, counts = times_of(thrice, min(pairs, 5)), [], [], []
    for _ in seconds:
        with tempfile.TemporaryDirectory() as directory:
            with jax.profiler.trace(directory):
                thrice()
            events = device_events(directory)
        busy.append(busy_time(events) / 1e9)
        shares.append(busy_share(events))
        counts.append(len(events) / 3 / steps.steps)
    return np.stack([seconds, busy], 1), {'share_traced': float(np.median(shares)),
                                          'operations_a_step': float(np.median(counts)), 'slowest': slowest(events)}


def table_2(pairs, precision, minutes):
    """Minutes that the steps of the paper's Table 2 take, over `minutes`: two networks, five methods, five trials.

    160 epochs of 390 steps each. As many trials in one program as a grid trains together.
    """
    total, images = 0, dataset(32, 3, copies=EPOCH)
    at_once = parallel.seeds_at_once(jax.local_devices()[:1])
    for model in ('resnet8', 'resnet14'):
        for method in ('ce', 'dropout', 'label_smoothing', 'confidence_penalty', 'le'):
            with jax.default_matmul_precision(parallel.MATMUL[precision]):
                config = settings(model, method, precision=precision, **{'data.augment': 'crop_flip'})
                steps = Steps(config, images, trials=at_once)
                total = total + times_of(steps, min(pairs, 5)) / steps.steps
    total = total * 390 * 160 * TRIALS / at_once / 60
    return np.stack([total, np.full(len(total), float(minutes))], 1), {'unit': 'minutes', 'precision': precision,
                                                                       'trials_together': at_once}
