"""Older versions of pandas, each in an environment of its own.

Needs PyPI: set RTFACE_OLD_PANDAS to a folder for the environments, which are kept and used again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

READERS = {
    "1.5.3": ("numpy<1.27", "tables==3.8.0", "pyarrow==14.0.2"),
    "2.0.3": ("numpy<1.27", "tables==3.8.0", "pyarrow==14.0.2"),
    "2.2.3": ("numpy<2", "tables==3.9.2", "pyarrow==16.1.0"),
}
"""What goes with each version."""


def python_with_pandas(version: str) -> Path:
    """The Python of an environment with that version; skips the test where there is no folder for it."""
    keep = os.environ.get("RTFACE_OLD_PANDAS")
    if not keep:
        pytest.skip("needs PyPI: name a folder in RTFACE_OLD_PANDAS")
    home = Path(keep) / version
    python = home / "bin" / "python"
    wanted = [f"pandas=={version}", *READERS[version]]
    ready = home / "ready"
    if not ready.exists() or ready.read_text(encoding="utf-8") != " ".join(wanted):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--only-binary=:all:", *wanted], check=True
        )
        ready.write_text(" ".join(wanted), encoding="utf-8")
    return python


def run_in(python: Path, code: str, *arguments: object) -> str:
    """What code prints in another environment; fails with what it says of errors."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), "-c", code, *map(str, arguments)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
