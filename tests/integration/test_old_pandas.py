"""Our h5 files in the hands of older versions of pandas, each in an environment of its own.

Needs PyPI: set RTFACE_OLD_PANDAS to a folder for the environments, which are kept and used again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtface.learn.labels.formats.deeplabcut_tables import write_labels
from rtface.record.formats.deeplabcut import KEY

READERS = {
    "1.5.3": ("numpy<1.27", "tables==3.8.0"),
    "2.0.3": ("numpy<1.27", "tables==3.8.0"),
    "2.2.3": ("numpy<2", "tables==3.9.2"),
}
_READ = f"import pandas, sys; d = pandas.read_hdf(sys.argv[1], {KEY!r}); print(pandas.__version__, d.iloc[-1, 0], d.columns[0])"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", READERS)
def test_labels_are_read_by_an_older_pandas(tmp_path: Path, version: str) -> None:
    pytest.importorskip("pandas")
    keep = os.environ.get("RTFACE_OLD_PANDAS")
    if not keep:
        pytest.skip("needs PyPI: name a folder in RTFACE_OLD_PANDAS")
    home = Path(keep) / version
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=True)
        wanted = [f"pandas=={version}", *READERS[version]]
        subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--only-binary=:all:", *wanted], check=True
        )
        (home / "ready").touch()
    images = [("labeled-data", "a", f"{number}.png") for number in range(3)]
    write_labels(tmp_path / "labels", "me", images, ["tip", "lip"], np.arange(12.0).reshape(3, 2, 2))
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(python), "-c", _READ, str(tmp_path / "labels.h5")],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.stdout.split(maxsplit=2) == [version, "8.0", "('me', 'tip', 'x')\n"], done.stderr
