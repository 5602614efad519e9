#!/usr/bin/env bash
# N processes of one run on this machine:
#
#   launch/local.sh N -- --config=FILE [what else python -m ikd.main takes]
#
# IKD_MINUTES   wall-clock limit of the whole, 1440 by default; then exit code 124
# IKD_RESTARTS  how often all are started again, from the last checkpoint, when one has died; 3 by default. What ends in
#               the same way each time is not: bad input (exit code 2), a loss that diverges or no room on the device (3)
# IKD_PER=gpu   process i uses GPU i only. By default several processes share the GPUs alike where there are enough, and
#               CUDA_VISIBLE_DEVICES does not say which
set -euo pipefail

if [[ $# -lt 3 || ! $1 =~ ^[1-9][0-9]*$ || $2 != -- ]]; then
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
n=$1
shift 2
limit=$((60 * ${IKD_MINUTES:-1440}))
python=${PYTHON:-python}
pids=()
asked=
share=0
if [[ ${IKD_PER:-} == gpu ]]; then
  share=1
elif ((n > 1)) && [[ -z ${CUDA_VISIBLE_DEVICES:-} ]]; then
  share=$(($(nvidia-smi --list-gpus 2>/dev/null | grep -c '^GPU ' || true) / n))
fi

trap 'asked=1; jobs -p | xargs -r kill -TERM 2>/dev/null || true' TERM INT # one just started is in no list yet

for ((attempt = 0; ; attempt++)); do
  IKD_COORDINATOR=127.0.0.1:$("$python" -c 'import socket; s = socket.socket(); s.bind(("", 0)); print(s.getsockname()[1])')
  export IKD_COORDINATOR IKD_PROCESSES=$n
  left=$((limit - SECONDS))
  ((left > 0)) || exit 124
  pids=()
  for ((i = 0; i < n; i++)); do
    if [[ $asked ]]; then break; fi
    if ((share)); then
      JAX_LOCAL_DEVICE_IDS=$(seq -s, $((i * share)) $(((i + 1) * share - 1)))
      export JAX_LOCAL_DEVICE_IDS
    fi
    IKD_PROCESS=$i timeout --kill-after=60 "$left" "$python" -m ikd.main --multihost "$@" &
    pids+=($!)
  done
  code=0
  for ((i = 0; i < n; i++)); do
    wait -n || code=$?
    if ((code)) || [[ $asked ]]; then break; fi
  done
  if [[ $asked ]]; then # all have been told, and save
    code=0
    for pid in "${pids[@]}"; do
      wait "$pid" || code=$?
    done
    exit "$code"
  fi
  if ((code)); then # timeout hands the signal on, and a minute later SIGKILL
    for ((i = 0; i < 50 && code == 2; i++)); do # process 0 says what is wrong with the input
      kill -0 "${pids[0]}" 2>/dev/null || break
      sleep 0.1
    done
    kill -TERM "${pids[@]}" 2>/dev/null || true
    wait || true
  fi
  if ((code == 0 || code == 2 || code == 3 || code == 124 || attempt >= ${IKD_RESTARTS:-3})); then
    exit "$code"
  fi
  echo "launch/local.sh: a process ended with $code; all start again from the last checkpoint" >&2
done
