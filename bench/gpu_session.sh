#!/usr/bin/env bash
# All that only a GPU can show, in at most nine minutes, for a machine that is held for as long: the tests that need a
# GPU, and `rtface bench gpu` for the default engine and for a network of the size of Facemap's.
#   bash bench/gpu_session.sh FOLDER
# FOLDER gets *.json and *.png of the benchmarks, tests.txt and machine.txt. A step that fails does not end the others;
# the exit code is that of the first that failed. Run it in a checkout with rtface's packages and torch for CUDA.
# RTFACE_GPU_FRAMES and RTFACE_GPU_SECONDS shorten it, RTFACE_GPU_OPTIONS replaces "--backend torch --device cuda:0".
set -uo pipefail
cd "$(dirname "$0")/.."
out=${1:?usage: bash bench/gpu_session.sh FOLDER}
mkdir -p "$out"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
frames=${RTFACE_GPU_FRAMES:-100000}
seconds=${RTFACE_GPU_SECONDS:-60}
read -ra options <<< "${RTFACE_GPU_OPTIONS:---backend torch --device cuda:0}"
code=0

# step NAME SECONDS COMMAND...: run it for at most so long, and remember the first failure.
step() {
  local name=$1 limit=$2 status
  shift 2
  printf '\n=== %s (at most %s s)\n' "$name" "$limit"
  timeout --kill-after=10 "$limit" "$@"
  status=$?
  if [ "$status" -ne 0 ]; then
    printf '!!! %s: exit code %s\n' "$name" "$status"
    [ "$code" -ne 0 ] || code=$status
  fi
}

{
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.max.sm,persistence_mode --format=csv
  python3 --version
  python3 -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)'
} > "$out/machine.txt" 2>&1
cat "$out/machine.txt"

# The benchmarks first: their results are worth most if the machine is taken away early.
bench() {
  local name=$1
  shift
  step "bench gpu: $name" 190 python3 -m rtface bench gpu --frames "$frames" --seconds "$seconds" "${options[@]}" \
    --out "$out" --name "$name" "$@"
}
bench gpu_default
bench gpu_facemap --widths 32,64,128,200,200
# Those files that hold such tests: the others want packages that a machine rented for its GPU need not have.
mapfile -t files < <(grep -rlE 'mark\.gpu|REAL|ON_GPU' tests --include='test_*.py')
step "pytest -m gpu" 140 bash -o pipefail -c \
  "python3 -m pytest -q -m gpu -p no:cacheprovider ${files[*]} | tee '$out/tests.txt'"
exit "$code"
