"""Measure what ikd promises: `python -m ikd.bench` prints a JSON object for every benchmark this device allows.

  python -m ikd.bench                        all, about ten minutes on two CPU cores
  python -m ikd.bench --only=le_grad_mlp     one
  python -m ikd.bench --peer                 also beside PyTorch, from tests/peers, in the same run

`ratio` is the median over pairs of runs in turn, `low` and `high` its 95 % bootstrap interval; a target is met when
`high` does not exceed it. Networks have their real sizes; the images are scikit-learn's digits, enlarged.
"""
import argparse
import json
import subprocess
import sys
from functools import partial

import jax
import numpy as np

from ikd import data, parallel, training
from ikd.config import default
from ikd.errors import InputError
from ikd.explainers.maps import grad
from ikd.report.provenance import provenance
from ikd.report.timing import PAIRS, median_interval, paired_times, times_of
from ikd.trials import prepare_stages
from ikd.validation import resolve

GFLOPS = 100  # of the explanation pass, on two CPU cores


def dataset(size, channels, classes=10):
    """The bundled digits as images [n, size, size, channels], said to be of `classes` classes."""
    digits = data.load('digits', size=size)
    train, test = (np.repeat(images, channels, axis=-1) for images in (digits.train_images, digits.test_images))
    return digits._replace(train_images=train, test_images=test, mean=digits.mean * channels,
                           std=digits.std * channels, class_names=tuple(map(str, range(classes))))


def settings(model, method, **fields):
    """ResNets as 2009.09140, section 5, trains them, the MLP as section 5.1 does."""
    config = default()
    config.model.name, config.method.name = model, method
    config.update(batch_size=16 if model == 'mlp' else 128)
    config.update_from_flattened_dict(fields)
    return resolve(config)


class Steps:
    """A stage of a method, ready to run: each call is one of its compiled function, of `steps` training steps."""

    def __init__(self, config, images, index=-1):
        self.layout = parallel.Layout(tuple(jax.local_devices()[:1]), 'data')
        stages = prepare_stages(config, images, self.layout)
        prepared = stages[index]
        self.model, self.program, self.batch_size = prepared.model, prepared.program, config.batch_size
        shape = images.train_images.shape[1:]
        told = prepared.stage.teacher
        self.knowledge = {} if told is None else self.put(
            training.variables_of(training.new_state(1, stages[told], shape)))
        self.state = self.put(training.new_state(0, prepared, shape))
        self.order = self.program.order(self.state)
        self.resident = self.put((images.train_images, images.train_labels))

    def put(self, tree):
        return parallel.replicate(self.layout, tree)

    def __call__(self):
        self.state, report = self.program.advance(self.state, self.knowledge, self.order, *self.resident)
        jax.block_until_ready(report)

    @property
    def steps(self):
        """Training steps of a call."""
        return self.program.chunk

    def memory(self):
        """Bytes that the compiled function needs beside its arguments."""
        lowered = self.program.advance.lower(self.state, self.knowledge, self.order, *self.resident)
        return lowered.compile().memory_analysis().temp_size_in_bytes


def against_ce(model, method, pairs, classes=10, **fields):
    """A method's step over cross-entropy's."""
    size, channels = (28, 1) if model == 'mlp' else (32, 3)
    images = dataset(size, channels, classes)
    ours, base = (Steps(settings(model, name, **fields), images) for name in (method, 'ce'))
    times = paired_times(ours, base, pairs) / ours.steps
    return times, {'temporary_bytes': ours.memory(), 'temporary_bytes_ce': base.memory()}


def explanation_pass(pairs):
    """The gradients of all ten logits of ResNet8 with respect to 128 images, over the time that GFLOPS would take."""
    digits = dataset(32, 3)
    steps = Steps(settings('resnet8', 'ce'), digits)
    images = steps.put(np.float32(digits.train_images[:128]) / 255)
    explain = jax.jit(partial(grad, steps.model))
    variables = training.variables_of(steps.state)
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


def first_step(pairs):
    """Seconds from nothing to the first step of the digits job, over 15."""
    command = [sys.executable, '-c', FIRST_STEP]
    runs = min(pairs, 5)
    seconds = times_of(lambda: subprocess.run(command, check=True), runs, warm_up=1)
    return np.stack([seconds, np.full(runs, 15.0)], 1), {}


FIRST_STEP = '''
from configs import digits
from ikd import experiment, bench
from ikd.validation import resolve
config = resolve(digits.get_config('le'))
bench.Steps(config, experiment.load_data(config), index=0)()
'''

# name: (what it takes, the ratio to stay under or None)
BENCHMARKS = {
    'le_grad_cam_resnet8': (partial(against_ce, 'resnet8', 'le'), 1.05),
    'le_grad_cam_resnet14': (partial(against_ce, 'resnet14', 'le'), 1.05),
    'le_grad_resnet8': (partial(against_ce, 'resnet8', 'le', **{'method.explainer': 'grad'}), 4.5),
    'explanation_pass': (explanation_pass, 1.0),
    'le_grad_mlp': (partial(against_ce, 'mlp', 'le', **{'method.explainer': 'grad'}), 1.8),
    'kd_resnet8': (partial(against_ce, 'resnet8', 'kd'), None),
    'kd_resnet8_with_teacher': (whole_distillation, None),
    'le_grad_cam_100_classes': (partial(against_ce, 'resnet8', 'le', classes=100), None),
    'le_grad_cam_1000_classes': (partial(against_ce, 'resnet8', 'le', classes=1000, class_chunk=100), None),
    'first_step': (first_step, 1.0),
}


def measure(name, pairs=PAIRS, benchmarks=BENCHMARKS):
    """One benchmark as a dict, ready for JSON."""
    function, target = benchmarks[name]
    times, more = function(pairs)
    ratio, low, high = median_interval(times[:, 0] / times[:, 1])
    ours, base = np.median(times, axis=0)
    return {'name': name, 'ratio': ratio, 'low': low, 'high': high, 'target': target,
            'met': None if target is None else high <= target, 'seconds': float(ours), 'seconds_base': float(base),
            'pairs': len(times), 'precision': 'float32', **more, **provenance()}


def main(argv):
    """Print a line for each benchmark asked for; InputError for an unknown one."""
    parser = argparse.ArgumentParser(prog='python -m ikd.bench', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', help='names, separated by commas')
    parser.add_argument('--pairs', type=int, default=PAIRS, help='runs of both sides in turn')
    parser.add_argument('--peer', action='store_true', help='beside PyTorch too')
    options = parser.parse_args(argv)
    benchmarks = dict(BENCHMARKS)
    if options.peer:
        from tests.peers.benchmarks import PEERS
        benchmarks |= PEERS
    names = options.only.split(',') if options.only else list(benchmarks)
    unknown = [name for name in names if name not in benchmarks]
    if unknown:
        raise InputError(f"no benchmark {unknown[0]}; there are: {', '.join(benchmarks)}")
    with jax.default_matmul_precision('highest'):
        for name in names:
            print(json.dumps(measure(name, options.pairs, benchmarks)), flush=True)


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except InputError as error:
        sys.exit(f'ikd: {error}')
