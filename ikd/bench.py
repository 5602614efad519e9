"""Measure what ikd promises: `python -m ikd.bench` prints a JSON object for every benchmark this device allows.

  python -m ikd.bench                        all, about ten minutes on two CPU cores
  python -m ikd.bench --only=le_grad_mlp     one
  python -m ikd.bench --peer                 also beside PyTorch, from tests/peers, in the same run

`ratio` is the median over pairs of runs in turn, `low` and `high` its 95 % bootstrap interval; a target is met when
`high` does not exceed it. One that can't be measured has an `error` instead, and the exit code is 1. Networks have
their real sizes; the images are scikit-learn's digits, enlarged.
"""
import argparse
import json
import sys
from functools import partial

import jax
import numpy as np

from ikd.benchmarks import (
    against_ce,
    decoding,
    device_busy,
    explanation_pass,
    first_step,
    large_memory,
    streamed,
    table_2,
    together,
    whole_distillation,
)
from ikd.compiled import keep_compiled
from ikd.config import default
from ikd.errors import InputError, ending_in_a_line
from ikd.host_memory import keep_memory
from ikd.provenance import provenance
from ikd.timing import PAIRS, median_interval
from ikd.words import named

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
    'large_memory': (large_memory, 1.0),
    'trials_together_mlp': (partial(together, 'mlp'), None),
    'trials_together_resnet8': (partial(together, 'resnet8'), None),
    'stream_over_resident_mlp': (partial(streamed, 'mlp'), None),
    'stream_over_resident_resnet8': (partial(streamed, 'resnet8'), None),
    'jpeg_folder_64': (partial(decoding, size=64), None),
    'jpeg_folder_224': (partial(decoding, size=224), None),
    'first_step': (partial(first_step, cached=False, seconds=15), 1.0),
    'first_step_cached': (partial(first_step, cached=True, seconds=8), 1.0),
}
ON_ACCELERATORS = {
    'device_busy': (partial(device_busy, model='resnet8', method='le'), 1 / 0.95),
    'device_busy_mlp': (partial(device_busy, model='mlp', method='le', **{'method.explainer': 'grad'}), None),
    'table_2_tf32': (partial(table_2, precision='tf32', minutes=20), 1.0),
    'table_2_bfloat16': (partial(table_2, precision='bfloat16', minutes=15), 1.0),
}


def measure(name, pairs=PAIRS, benchmarks=BENCHMARKS):
    """One benchmark as a dict, ready for JSON."""
    function, target = benchmarks[name]
    times, more = function(pairs)
    ratio, low, high = median_interval(times[:, 0] / times[:, 1])
    ours, base = np.median(times, axis=0)
    return {'name': name, 'ratio': ratio, 'low': low, 'high': high, 'target': target,
            'met': None if target is None else high <= target, 'ours': float(ours), 'base': float(base),
            'unit': 'seconds', 'pairs': len(times), 'precision': 'float32', **more, **provenance()}


def measure_all(names, pairs, benchmarks):
    """Print a line for each benchmark as it is done, with `error` for one that can't be; how many could not."""
    failed = 0
    for name in names:
        try:
            line = measure(name, pairs, benchmarks)
        except Exception as error:  # whatever a device lacks: the others go on
            failed += 1
            line = {'name': name, 'error': ' '.join(f'{type(error).__name__}: {error}'.split())[:500]}
        print(json.dumps(line), flush=True)
    return failed


def main(argv):
    """Measure what is asked for; the exit code, 1 if any could not be. InputError for an unknown one."""
    parser = argparse.ArgumentParser(prog='python -m ikd.bench', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--only', help='names, separated by commas')
    parser.add_argument('--pairs', type=int, default=PAIRS, help='runs of both sides in turn')
    parser.add_argument('--peer', action='store_true', help='beside PyTorch too')
    options = parser.parse_args(argv)
    if options.pairs < 1:
        raise InputError(f'--pairs={options.pairs}: give at least 1')
    on_cpu = jax.default_backend() == 'cpu'
    benchmarks = BENCHMARKS if on_cpu else BENCHMARKS | ON_ACCELERATORS
    if options.peer:
        if not on_cpu:
            raise InputError('--peer runs PyTorch on the CPU, and ikd would not; set JAX_PLATFORMS=cpu')
        try:
            from tests.peers.benchmarks import PEERS
        except ModuleNotFoundError as error:
            raise InputError(f'--peer needs PyTorch and tests/peers of the repository ({error}); run it there'
                             ) from error
        benchmarks = benchmarks | PEERS
    names = named('only', options.only, benchmarks)
    keep_compiled(default().cache_dir)
    with jax.default_matmul_precision('highest'):
        return 1 if measure_all(names, options.pairs, benchmarks) else 0


def cli():
    """The command line. One line and exit code 2 for bad input."""
    keep_memory()
    with ending_in_a_line():
        sys.exit(main(sys.argv[1:]))


if __name__ == '__main__':
    cli()
