"""Networks and batches that have no room on the device."""
import os
import subprocess
import sys

import jax
import pytest

import ikd
from ikd import experiment, main
from ikd.config import default
from ikd.errors import OutOfMemory, ending_in_a_line, within_memory

FULL = jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.')
WITHIN = """
import resource
import jax
from ikd.main import cli
jax.devices()
resource.setrlimit(resource.RLIMIT_AS, (16 * 2 ** 30, resource.RLIM_INFINITY))
cli()
"""


def by_a_command(error):
    with ending_in_a_line():
        raise error


def by_a_run(error):
    def run(*args, **more):
        with within_memory():
            raise error

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main.app, 'run', run)
        main.cli()


@pytest.mark.parametrize('ended, code', [(by_a_command, 1), (by_a_run, 3)])
def test_it_is_said_in_a_line(ended, code, capsys):
    with pytest.raises(SystemExit) as caught:
        ended(FULL)
    told = capsys.readouterr().err
    assert caught.value.code == code and told.count('\n') == 1
    assert 'has not enough memory (RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.)' in told
    assert 'config.batch_size' in told
    with pytest.raises(jax.errors.JaxRuntimeError, match='INTERNAL'):
        ended(jax.errors.JaxRuntimeError('INTERNAL: a fault of ours'))


def test_whoever_calls_a_run_meets_one_exception(tmp_path, monkeypatch):
    def load_data(config):
        raise FULL

    monkeypatch.setattr(experiment, 'load_data', load_data)
    with pytest.raises(OutOfMemory, match='has not enough memory'):
        experiment.run(default(), tmp_path / 'run')


def test_a_network_larger_than_memory_ends_a_run(tmp_path):
    """jaxlib waits for ever where it is asked for one array of several of which another had no room."""
    done = subprocess.run([sys.executable, '-c', WITHIN, '--config=configs/le_digits.py:smoke',
                           '--config.model.width=20000', f'--workdir={tmp_path}/run'],
                          cwd=os.path.dirname(ikd.__path__[0]), capture_output=True, text=True, timeout=240)
    assert done.returncode == 3 and 'ikd: the device has not enough memory (RESOURCE_EXHAUSTED' in done.stderr
    assert 'Traceback' not in done.stderr
