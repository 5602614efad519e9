#!/usr/bin/env bash
# One run on a Cloud TPU slice (v4 to v6e, spot), made for it and deleted at the end. What is committed is what runs:
#
#   launch/tpu_vm.sh NAME ZONE TYPE -- --config=FILE [...]      TYPE: v4-32, v5litepod-16, v6e-16, ...
#
# IKD_BUCKET    a Cloud Storage bucket, mounted on every host for the run's directory: checkpoints must outlive a
#               preempted slice
# IKD_RUNTIME   the TPU VM's software version; by default what Google names for the TYPE
# IKD_PYTHON    the Python there, fetched by uv, as the versions for Ubuntu 22.04 have 3.10; 3.12 by default
# IKD_MINUTES   wall-clock limit of the wait for a slice and of the run on it, 720 each by default
# IKD_RESTARTS  how often a new slice is asked for when one was preempted or a process died, 20 by default; where three
#               in a row can't be prepared, none
set -euo pipefail

if [[ $# -lt 5 || $4 != -- ]]; then
  sed -n '2,13s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
name=$1 zone=$2 type=$3
shift 4
bucket=${IKD_BUCKET:?the bucket that keeps the run}
minutes=${IKD_MINUTES:-720}
root=$(cd "$(dirname "$0")/.." && pwd)
case $type in # https://cloud.google.com/tpu/docs/runtimes
  v6e-*) runtime=v2-alpha-tpuv6e ;;
  v5p-*) runtime=v2-alpha-tpuv5 ;;
  v5lite*) runtime=v2-alpha-tpuv5-lite ;;
  *) runtime=tpu-ubuntu2204-base ;;
esac

tpu() { gcloud compute tpus "$@" --zone="$zone" --quiet; }
everywhere() { tpu tpu-vm ssh "$name" --worker=all --command="$1"; }
remove() { tpu queued-resources delete "$name" --force >/dev/null 2>&1 || true; }
archive=$(mktemp)
trap 'remove; rm -f "$archive"' EXIT
trap 'exit 143' TERM INT

# Each step says for itself that a failure ends it: what is called under || is not left by set -e.
prepare() {
  tpu queued-resources create "$name" --node-id="$name" --accelerator-type="$type" \
    --runtime-version="${IKD_RUNTIME:-$runtime}" --spot || return
  while true; do
    case $(tpu queued-resources describe "$name" --format='value(state.state)') in
      ACTIVE) break ;;
      FAILED | SUSPENDED) return 1 ;;
    esac
    ((SECONDS < 60 * minutes)) || return 124
    sleep 30
  done
  git -C "$root" archive --format=tar --output="$archive" HEAD || return
  tpu tpu-vm scp "$archive" "$name:ikd.tar" --worker=all || return
  # Checkpoints are folders that get their names when they are whole, which gcsfuse refuses by default in flat buckets.
  everywhere "mkdir -p ikd runs && tar -xf ikd.tar -C ikd && python3 -m pip install -q --user uv && \
    python3 -m uv venv -q --clear --python=${IKD_PYTHON:-3.12} env && \
    python3 -m uv pip install -q --python=env -r ikd/requirements.txt 'jax[tpu]' && \
    gcsfuse --implicit-dirs --rename-dir-limit=100000 $bucket runs" || return 70
}

printf -v arguments ' %q' "$@"
run="cd ikd && IKD_COMMIT=$(git -C "$root" rev-parse HEAD) timeout --kill-after=120 ${minutes}m \
  ../env/bin/python -m ikd.main --multihost$arguments --workdir=\$HOME/runs/$name --exit_stopped=75"
unprepared=0
for ((attempt = 0; attempt <= ${IKD_RESTARTS:-20}; attempt++)); do
  remove
  SECONDS=0
  code=0
  { prepare && everywhere "$run"; } || code=$?
  if ((code == 0 || code == 2 || code == 3)); then exit "$code"; fi
  unprepared=$((code == 70 ? unprepared + 1 : 0))
  if ((unprepared == 3)); then
    echo "tpu_vm.sh: three slices could not be prepared; see why above" >&2
    exit 70
  fi
  echo "tpu_vm.sh: ended with $code; a new slice goes on from the last checkpoint" >&2
done
exit "$code"
