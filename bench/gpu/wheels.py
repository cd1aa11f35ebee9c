"""Gather what a bare machine with torch lacks, as wheels for its Python: ``python -m bench.gpu.wheels``.

They go to the folder .whl of the checkout, which git ignores; bench/gpu_session.sh unpacks them there, without pip and a network.
The machine has torch for CUDA, numpy, OpenCV and msgpack. Tests, and an engine of random weights, need the second part.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / ".whl"
PYTHON = "3.12"
SYSTEMS = ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014", "manylinux1")

FOR_RTFACE = (
    "pydantic==2.14.4",
    "pydantic-core==2.50.5",
    "annotated-types",
    "typing-inspection",
    "pyzmq==27.3.0",
)
FOR_ALL_STEPS = (
    *("PyYAML==6.0.4", "onnx==1.23.2", "ml-dtypes", "protobuf"),
    *("pytest==9.2.0", "iniconfig", "pluggy", "packaging", "pygments", "pytest-timeout"),
    *("psutil", "hypothesis", "sortedcontainers"),
)


def main() -> None:
    """Download them anew."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.whl"):
        old.unlink()
    platforms = [word for system in SYSTEMS for word in ("--platform", f"{system}_x86_64")]
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
        *("--python-version", PYTHON, "--implementation", "cp", *platforms, "-d", str(FOLDER)),
        *FOR_RTFACE,
        *FOR_ALL_STEPS,
    ]
    subprocess.run(command, check=True)
    made = sorted(FOLDER.glob("*.whl"))
    print(f"{FOLDER}: {len(made)} wheels, {sum(path.stat().st_size for path in made) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
