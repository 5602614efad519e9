"""launch/slice.sh: a grid in slices on machines that keep nothing."""
import io
import os
import subprocess
import sys
import tarfile

import pytest

from tests.test_launch import LAUNCH, LIMIT
from tests.tiny_grid import CONFIG, finished

# ikd, but told to stop in the middle of a trial: after its sixth epoch.
CUT = '''#!/bin/bash
for word in "$@"; do [[ $word == --workdir=* ]] && runs=${word#--workdir=}; done
"$REAL" "$@" &
until (($(cat "$runs"/*/metrics.jsonl 2>/dev/null | wc -l) >= 6)); do sleep 0.02; done
kill -TERM $!
wait $!
'''


def run_slice(folder, state, out, python=sys.executable, seconds=LIMIT, **environment):
    """launch/slice.sh on the grid in the folder, with no results of the repository."""
    command = [LAUNCH / 'slice.sh', state, out, str(seconds), '--', f'--config={folder}/tiny.py']
    environment = {**os.environ, 'JAX_NUM_CPU_DEVICES': '1', 'IKD_ANEW': '1', 'REAL': sys.executable,
                   'PYTHON': str(python), **environment}
    return subprocess.run(command, text=True, capture_output=True, env=environment, timeout=LIMIT)


def opened(out, name):
    """An archive that a slice has left, perhaps in parts."""
    parts = [part.read_bytes() for part in sorted(out.glob(f'{name}.tar.gz*'))]
    return tarfile.open(fileobj=io.BytesIO(b''.join(parts)))


def unpacked(out, folder):
    """The folder into which a slice's results were unpacked."""
    with opened(out, 'results') as packed:
        packed.extractall(folder, filter='data')
    return folder


@pytest.mark.slow
def test_slices_are_one_run(tmp_path):
    """Cut in the third epoch of a trial, when another is done: what is done stays, the rest is as if never cut."""
    (tmp_path / 'tiny.py').write_text(CONFIG.replace("'epochs': 2", "'epochs': 4").replace('TRIALS', '1'))
    assert run_slice(tmp_path, tmp_path / 'none', tmp_path / 'whole').returncode == 0
    (tmp_path / 'cut').write_text(CUT)
    (tmp_path / 'cut').chmod(0o755)
    first = run_slice(tmp_path, tmp_path / 'none', tmp_path / 'first', tmp_path / 'cut')
    assert first.returncode == 0 and 'all saved; go on with' in first.stdout, first
    begun = finished(unpacked(tmp_path / 'first', tmp_path / 'begun'))
    assert len(begun) == 1
    (name,) = begun
    with opened(tmp_path / 'first', 'runs') as packed:
        saved = [path for path in packed.getnames() if '/checkpoints/seed' in path]
        assert saved and not any(name.removesuffix('-0') in path or 'tensorboard' in path for path in saved)
    second = run_slice(tmp_path, tmp_path / 'first', tmp_path / 'second')
    assert second.returncode == 0 and '[1/2]' in second.stdout, second
    ended = unpacked(tmp_path / 'second', tmp_path / 'ended')
    assert (ended / 'results' / 'tiny.md').exists() and finished(ended)[name] == begun[name]
    tests = [{cell: (record['test_accuracy'], record['test_nll']) for cell, record in finished(folder).items()}
             for folder in (unpacked(tmp_path / 'whole', tmp_path / 'all'), ended)]
    assert tests[0] == tests[1] and len(tests[0]) == 3


def test_what_is_packed(tmp_path):
    """With a made-up ikd: parts of what is large, time that is left in minutes, its exit code, what it has said."""
    (tmp_path / 'python').write_text('''#!/bin/bash
for word in "$@"; do case $word in --workdir=*) runs=${word#*=};; --minutes=*) echo "minutes ${word#*=}";; esac; done
head -c 17M /dev/urandom > "$runs/state"
echo said; exit 3
''')
    (tmp_path / 'python').chmod(0o755)
    done = run_slice(tmp_path, tmp_path / 'none', tmp_path / 'out', tmp_path / 'python', 165, IKD_PACKING='60')
    assert done.returncode == 3 and 'said' in done.stdout
    assert 1.6 < float(done.stdout.partition('minutes ')[2].split()[0]) <= 1.75
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'compiled.tar.gz', 'results.tar.gz', 'runs.tar.gz.00', 'runs.tar.gz.01']
    small = (tmp_path / 'python').read_text().replace('17M', '1M')
    (tmp_path / 'python').write_text(small)
    again = run_slice(tmp_path, tmp_path / 'out', tmp_path / 'out', tmp_path / 'python', 10, IKD_PACKING='60')
    assert 'minutes 0.00' in again.stdout and again.returncode == 3
    assert {path.name for path in (tmp_path / 'out').iterdir()} == {
        'compiled.tar.gz', 'results.tar.gz', 'runs.tar.gz'}
    results = unpacked(tmp_path / 'out', tmp_path / 'results')
    assert (results / 'results' / 'said.txt').read_text().count('said\n') == 2


def test_cells_of_the_repository_are_done(tmp_path):
    (tmp_path / 'python').write_text('#!/bin/bash\nexit 0\n')
    (tmp_path / 'python').chmod(0o755)
    done = run_slice(tmp_path, tmp_path / 'none', tmp_path / 'out', tmp_path / 'python', IKD_ANEW='')
    assert done.returncode == 0, done
    with opened(tmp_path / 'out', 'results') as packed:
        assert len([name for name in packed.getnames() if name.endswith('.json')]) > 400


def test_it_says_how_it_is_called(tmp_path):
    done = subprocess.run([LAUNCH / 'slice.sh', 'a', 'b', 'soon', '--', 'c'], capture_output=True, text=True)
    assert done.returncode == 2 and 'launch/slice.sh STATE OUT SECONDS --' in done.stderr
