from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.core.errors import DataError
from rtface.learn.study.contents import Stated
from rtface.learn.study.made import BAD, write_made_study
from rtface.learn.study.sessions import read_study
from rtface.learn.study.staging import stage

pytestmark = pytest.mark.timeout(900)


def test_made_recordings_are_read_as_the_public_data_are(tmp_path: Path) -> None:
    names = write_made_study(tmp_path / "made", 1, 30, 12.0, components=5)
    (session,) = read_study(tmp_path / "made", Stated())
    assert [session.name] == names
    assert session.simulated
    assert session.points is not None
    assert len(session.points.names) == 14
    assert np.isfinite(session.points.read()).all()
    assert session.film is not None
    assert session.film.read().shape == (600, 5)
    assert len(session.tcam) == 599  # they are one short, as in the deposit
    assert stage(session.neurons, len(session.tneural), tmp_path / "t.npy").dropped == BAD
    with pytest.raises(DataError, match="is not empty"):
        write_made_study(tmp_path / "made", 1, 30, 12.0)
