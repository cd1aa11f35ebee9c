"""Builds the harness that runs the gate's firmware on simavr, once for each version of its sources."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from rtface.core.errors import GateError
from rtface.core.files import cache_folder, written_whole

PACKAGES = "gcc simavr libsimavr-dev libelf-dev"
"""Debian packages that the emulated gate needs."""

FOLDER = Path(__file__).parents[1] / "simavr"
_SOURCES = ("harness.c", "chip.c", "receiver.c", "wire.c")
_HEADERS = ("chip.h", "receiver.h", "wire.h")
_OPTIONS = ("-O2", "-Wall", "-Wextra", "-I/usr/include/simavr")
_LIBRARIES = ("-lsimavr", "-lelf", "-lutil")


def harness_path() -> Path:
    """Return the harness, built if this version of it lies in the user's cache not yet.

    Raises
    ------
    GateError
        There is no compiler or no simavr.
    """
    return build_harness(cache_folder("gate"))


def build_harness(folder: Path) -> Path:
    """Return ``folder/gate-harness-<hash of the sources>``, compiled if it is not there.

    Raises
    ------
    GateError
        There is no compiler or no simavr.
    """
    texts = b"".join((FOLDER / name).read_bytes() for name in (*_SOURCES, *_HEADERS))
    key = hashlib.sha256(texts + " ".join((*_OPTIONS, *_LIBRARIES)).encode()).hexdigest()
    built = folder / f"gate-harness-{key[:16]}"
    if built.exists():
        return built
    compiler = shutil.which("cc")
    if compiler is None:
        raise GateError(f"the emulated gate needs a C compiler and simavr: apt-get install {PACKAGES}")
    folder.mkdir(parents=True, exist_ok=True)
    with written_whole(built) as fresh:
        sources = [str(FOLDER / name) for name in _SOURCES]
        command = [compiler, *_OPTIONS, "-o", str(fresh), *sources, *_LIBRARIES]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
            raise GateError(
                f"the emulated gate's harness does not compile ({reason}); apt-get install {PACKAGES}"
            )
    return built
