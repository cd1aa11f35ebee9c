#!/usr/bin/env bash
# All that only a GPU can show, in at most nine minutes, for a machine that is held for as long (bench/gpu/session.py).
#   python -m bench.gpu.wheels                            here, once: gathers in .whl what the machine lacks
#   bash bench/gpu_session.sh FOLDER [--rehearse] [--only STEP...]
# The machine needs Python 3.12 with torch for CUDA, numpy, OpenCV and msgpack, and no network. FOLDER gets session.json, written anew after
# each step, and log.txt. --rehearse runs the same steps here, on the CPU with an emulated GPU. PYTHON names another Python, WHEELS another
# folder of wheels.
set -euo pipefail
cd "$(dirname "$0")/.."
: "${1:?usage: bash bench/gpu_session.sh FOLDER [--rehearse] [--only STEP...]}"
python=${PYTHON:-python3}
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
for wheel in "${WHEELS:-.whl}"/*.whl; do
  [ -e "$wheel" ] || break
  "$python" -m zipfile -e "$wheel" "$site"
done
export PYTHONPATH="$PWD:$site${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
"$python" -m bench.gpu.session "$@"
