"""Our h5 files in the hands of older versions of pandas; see `support.oldpandas`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.oldpandas import READERS, python_with_pandas, run_in

from rtface.learn.labels.formats.deeplabcut_tables import write_labels
from rtface.record.formats.deeplabcut import KEY

_READ = f"import pandas, sys; d = pandas.read_hdf(sys.argv[1], {KEY!r}); print(pandas.__version__, d.iloc[-1, 0], d.columns[0])"


@pytest.mark.timeout(600)
@pytest.mark.parametrize("version", READERS)
def test_labels_are_read_by_an_older_pandas(tmp_path: Path, version: str) -> None:
    pytest.importorskip("pandas")
    python = python_with_pandas(version)
    images = [("labeled-data", "a", f"{number}.png") for number in range(3)]
    write_labels(tmp_path / "labels", "me", images, ["tip", "lip"], np.arange(12.0).reshape(3, 2, 2))
    told = run_in(python, _READ, tmp_path / "labels.h5")
    assert told.split(maxsplit=2) == [version, "8.0", "('me', 'tip', 'x')\n"]
