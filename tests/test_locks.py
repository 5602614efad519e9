"""A seed of a workdir is trained by one process at a time; another is told so, and changes nothing."""
import pathlib
import subprocess
import sys

import jax
import pytest

from configs import digits as digits_config
from ikd import checkpoint, experiment
from ikd.errors import InputError, Stopped
from ikd.journal import read_records
from tests.test_multihost import arguments, finish, start

ROOT = pathlib.Path(__file__).parents[1]
HOLDER = '''
import sys, time
from ikd import checkpoint
with checkpoint.trained_here(sys.argv[1], 0):
    print('held', flush=True)
    time.sleep(600)
'''


def run(workdir, stop=lambda: False):
    """Train an MLP for two epochs."""
    config = digits_config.get_config('ce,smoke')
    config.update_from_flattened_dict({'model.name': 'mlp', 'data.size': 8, 'data.limit': 128})
    return experiment.run(config, workdir, jax.devices()[:1], stop=stop)


def is_free(workdir, seed=0):
    try:
        with checkpoint.trained_here(workdir, seed):
            return True
    except InputError:
        return False


def test_a_seed_is_free_again_when_its_training_ends_or_fails(tmp_path):
    with pytest.raises(ZeroDivisionError), checkpoint.trained_here(tmp_path, 0):
        with pytest.raises(InputError) as caught, checkpoint.trained_here(tmp_path, 0):
            pytest.fail('two at once')
        assert str(caught.value) == (f'seed 0 of {tmp_path} is being trained by another process; wait for it, or '
                                     'choose another --workdir')
        assert is_free(tmp_path, 1) and is_free(tmp_path / 'other')
        1 / 0
    assert is_free(tmp_path) and is_free(tmp_path)


def test_a_seed_is_free_again_when_its_process_is_killed(tmp_path):
    command = [sys.executable, '-c', HOLDER, tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == 'held\n' and not is_free(tmp_path)
        finally:
            holder.kill()
    assert is_free(tmp_path)


@pytest.mark.usefixtures('without_pictures')
def test_a_second_run_beside_the_first_is_refused(tmp_path):
    """Whatever the first has written stays, and it ends as if alone; so does one that was asked to stop before."""
    workdir, refused = tmp_path / 'run', []

    def stop():
        """Asked before the seed, when nothing is held; after each epoch's steps, which are one call; and after it."""
        if (workdir / 'checkpoints' / '.lock-seed0').exists():
            before = read_records(workdir)
            with pytest.raises(InputError, match='seed 0 of .* is being trained by another process'):
                run(workdir)
            assert read_records(workdir) == before
            refused.append(len(before))
        return refused == [0, 1]

    with pytest.raises(Stopped, match='after epoch 1 of 2'):
        run(workdir, stop)
    assert refused == [0, 1] and len(run(workdir)['trials']) == 1
    assert [record['epoch'] for record in read_records(workdir)] == [1, 2]
    assert [path.name for path in (workdir / 'checkpoints' / 'seed0').iterdir()] == ['0-ce']


@pytest.mark.slow
def test_all_processes_of_a_run_are_told(tmp_path):
    with checkpoint.trained_here(tmp_path / 'run', 0):
        results = finish(start(2, arguments(tmp_path / 'run', 'ce')))
    assert [code for code, *_ in results] == [2, 2]
    (line,) = [line for _, _, errors in results for line in errors.splitlines() if line.startswith('ikd: ')]
    assert 'seed 0 of' in line and not (tmp_path / 'run' / 'metrics.jsonl').exists()
