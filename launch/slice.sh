#!/usr/bin/env bash
# A slice of a grid on a machine that keeps nothing, from and to a few small files:
#
#   launch/slice.sh STATE OUT SECONDS -- --config=FILE [what else python -m ikd.reproduce takes]
#
# STATE     a folder with what the slice before left in its OUT; at first there need be none
# OUT       where this slice's files go: results.tar.gz (finished cells, tables, what was said), runs.tar.gz (what is half
#           done, and stages that others share), compiled.tar.gz (programs); what has over 15 MiB in parts .00, .01, ...
# SECONDS   what the whole may take. Training ends IKD_PACKING seconds before, 75 by default, and is killed after half of
#           those, which loses the steps since a checkpoint
#
# The first slice has the cells of results/, which are not run again; with IKD_ANEW=1 it has none. results.tar.gz unpacks
# where results/ is. Where there is no .git IKD_COMMIT must say the commit. Give the same --together to every slice.
set -euo pipefail

if [[ $# -lt 5 || ! $3 =~ ^[1-9][0-9]*$ || $4 != -- ]]; then
  sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
state=$1 out=$2 limit=$3
shift 4
packing=${IKD_PACKING:-75}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out" "$work/results/cells" "$work/runs" "$work/compiled"

if compgen -G "$state/results.tar.gz*" >/dev/null; then
  for name in results runs compiled; do
    cat "$state/$name.tar.gz"* | tar -xzC "$work" || echo "launch/slice.sh: $state/$name.tar.gz can't be read" >&2
  done
elif [[ ! ${IKD_ANEW:-} && -d results/cells ]]; then
  cp -r results/cells "$work/results"
fi

export JAX_COMPILATION_CACHE_DIR=$work/compiled JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.1 PYTHONUNBUFFERED=1
left=$((limit - packing > SECONDS ? limit - packing - SECONDS : 0))
code=0
timeout --signal=KILL $((left + packing / 2)) "${PYTHON:-python}" -m ikd.reproduce "$@" --workdir="$work/runs" \
  --results="$work/results" --minutes="$(printf '%d.%02d' $((left / 60)) $((left % 60 * 100 / 60)))" 2>&1 |
  tee -a "$work/results/said.txt" || code=$?

done_with=() # checkpoints of finished seeds
for cell in "$work"/results/cells/*.json; do
  name=$(basename "$cell" .json)
  [[ ! -e $cell ]] || done_with+=(--exclude="runs/${name%-*}/checkpoints/seed${name##*-}")
done
for name in results runs compiled; do
  tar -cz -C "$work" --exclude=tensorboard "${done_with[@]}" $name | split -b 15M -d - "$work/$name.tar.gz."
  [[ -e $work/$name.tar.gz.01 ]] || mv "$work/$name.tar.gz.00" "$work/$name.tar.gz"
  rm -f "$out/$name.tar.gz"* # STATE and OUT may be the same folder
  mv "$work/$name.tar.gz"* "$out"
done
exit "$code"
