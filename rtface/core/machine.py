"""The facts of the machine that a measurement was made on."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from rtface import __version__
from rtface.core.clock import utc

_PACKAGES = (
    *("numpy", "openvino", "pyzmq", "opencv-python-headless", "av", "torch"),
    *("tensorrt", "tensorrt-rtx", "pycuda"),
)


def machine_facts() -> dict[str, Any]:
    """Return processor, cores, memory, system and versions."""
    return {
        "processor": _processor_name(),
        "cores": os.cpu_count(),
        "memory_gib": _memory_gib(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "rtface": __version__,
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def run_facts() -> dict[str, Any]:
    """Return date, command and machine: the head of every result."""
    date = utc().isoformat(timespec="seconds")
    return {"date": date, "command": _command(), "machine": machine_facts()}


def _command() -> str:
    program, *arguments = sys.argv
    spec = sys.modules["__main__"].__spec__
    module = "" if spec is None else spec.name.removesuffix(".__main__")
    name = {"": Path(program).stem, "rtface": "rtface"}.get(module, f"python -m {module}")
    return " ".join([name, *arguments])


def _memory_gib() -> float | None:
    """Return the memory of the machine; None on Windows, which tells it otherwise."""
    if sys.platform == "win32":
        return None
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)


def _processor_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.machine()


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
