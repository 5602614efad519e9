"""launch/local.sh, with real processes and with made-up ones."""
import os
import signal
import subprocess
import sys

import pytest

from ikd.files import read_json
from ikd.journal import read_records
from tests.test_launch import LAUNCH, LIMIT, arguments, start, stub, wait_for


@pytest.mark.slow
def test_local_goes_on_after_a_process_has_died(tmp_path):
    """The second attempt starts from the checkpoint and finishes; then the summary is there."""
    process = start([LAUNCH / 'local.sh', '2', '--', *arguments(tmp_path / 'run', '--config.epochs=20')],
                    {**os.environ, 'PYTHON': sys.executable, 'JAX_NUM_CPU_DEVICES': '1'})
    wait_for(lambda: len(read_records(tmp_path / 'run')) >= 2, process)
    children = subprocess.run(['pgrep', '-P', str(process.pid)], capture_output=True, text=True).stdout.split()
    second = subprocess.run(['pgrep', '-P', children[1]], capture_output=True, text=True).stdout.split()
    os.kill(int(second[0]), signal.SIGKILL)
    told, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0 and 'all start again from the last checkpoint' in told, told
    assert read_json(tmp_path / 'run' / 'summary.json')['device']['count'] == 2


@pytest.fixture
def played(tmp_path):
    """local(script, **environment): launch/local.sh with two processes that are a shell script instead of ikd."""
    def local(script, **environment):
        (tmp_path / 'python').write_text('#!/bin/bash\n[[ $1 == -c ]] && { echo 1; exit; }\n'
                                         f'echo started >> {tmp_path}/starts\n{script}\n')
        (tmp_path / 'python').chmod(0o755)
        done = subprocess.run([LAUNCH / 'local.sh', '2', '--', '--config=x'], text=True, capture_output=True,
                              env={**os.environ, 'PYTHON': str(tmp_path / 'python'), **environment}, timeout=60)
        starts = (tmp_path / 'starts').read_text().count('started')
        (tmp_path / 'starts').unlink()
        return done.returncode, starts

    return local


def test_local_lets_the_first_process_say_what_is_wrong(played, tmp_path):
    """Though another, which leaves that to it, ends before."""
    assert played(f'[[ $IKD_PROCESS == 0 ]] && sleep 1 && touch {tmp_path}/said; exit 2') == (2, 2)
    assert (tmp_path / 'said').exists()


def test_local_starts_again_as_often_as_it_should(played):
    """Not after bad input; after another end so often; and one that fails takes the others with it."""
    assert played('exit 0') == (0, 2)
    assert played('sleep 0.5; exit 2') == (2, 2)
    assert played('[[ $IKD_PROCESS == 0 ]] && exec sleep 50; sleep 0.5; exit 1', IKD_RESTARTS='1') == (1, 4)
    assert played('[[ $IKD_PROCESS == 0 ]] && exec sleep 50; sleep 0.5; exit 1', IKD_RESTARTS='0') == (1, 2)


def test_local_gives_each_process_its_own_gpus(played, tmp_path):
    """One if told to; by itself as many as there are for each, unless the user says which there are."""
    shown = f'echo "$JAX_LOCAL_DEVICE_IDS" >> {tmp_path}/shown-$IKD_PROCESS'

    def ids(gpus, **environment):
        listed = ''.join(f'echo "GPU {i}: one"; echo "  MIG 1g"\n' for i in range(gpus))
        path = stub(tmp_path / f'bin{gpus}-{len(environment)}', **{'nvidia-smi': f'#!/bin/bash\n{listed}'})
        assert played(shown, PATH=path, **environment)[0] == 0
        files = [tmp_path / f'shown-{i}' for i in range(2)]
        return [(file.read_text().strip(), file.unlink())[0] for file in files]

    assert ids(0) == ids(1) == ['', '']
    assert ids(2) == ids(0, IKD_PER='gpu') == ['0', '1']
    assert ids(5) == ['0,1', '2,3']
    assert ids(2, CUDA_VISIBLE_DEVICES='3,4') == ['', '']
