"""docs/formats.md says where everything is in the files."""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import pytest
from support.paths import DOCS
from support.recorded_loop import Loop, record_loop

from rtface.core.clock import ManualClock
from rtface.offline.export.metadata import metadata_template, read_metadata
from rtface.offline.export.parquet import parquet_files
from rtface.offline.export.source import session_recording
from rtface.offline.sessions.outline import outline

PART = (DOCS / "formats.md").read_text(encoding="utf-8").split("## NWB, SLEAP and Parquet")[1]


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(
        tmp_path_factory.mktemp("sessions"), 400, pictures="lossless", clock=ManualClock(10**12 - 50_000_000)
    )


def test_each_place_of_an_nwb_file_is_on_the_page(loop: Loop, tmp_path: Path) -> None:
    pytest.importorskip("ndx_optogenetics")
    from rtface.offline.export.nwb.writing import write_nwb

    found = outline(loop.folder)
    meta = tmp_path / "meta.yaml"
    meta.write_text(metadata_template(found.session), encoding="utf-8")
    recording = session_recording(found, unblind=True)
    assert write_nwb(recording, tmp_path / "x.nwb", read_metadata(meta, found.session))
    told = set(re.findall(r"^\| `(/[^`]+)` \|", PART, flags=re.M))
    with h5py.File(tmp_path / "x.nwb") as file:
        there = {"/general/optogenetic_experiment_metadata", "/processing/behavior/Skeletons/face"}
        assert all(each in file for each in there)
        for folder in ("/acquisition", "/events", "/intervals", "/processing/behavior"):
            for name, item in file[folder].items():
                each = f"{folder}/{name}"
                kinds = {"PoseEstimation": "/NAME", "Skeletons": "/face"}
                if name in kinds:
                    each += kinds[name]
                elif item.attrs["neurodata_type"] == "BehavioralTimeSeries":
                    each += "/VALUE"
                there.add(each)
        columns = re.search(r"`/processing/behavior/frames` \|(.+)\|", PART)
        assert columns is not None
        told_columns = set(re.findall(r"`(\w+)`", columns[1])) - {"likelihood"}
        assert told_columns <= set(file["/processing/behavior/frames"])
    assert told == there


def test_each_parquet_file_is_on_the_page(loop: Loop, tmp_path: Path) -> None:
    recording = session_recording(outline(loop.folder), unblind=True)
    files = {path.name for path in parquet_files(recording, tmp_path).values()}
    assert set(re.findall(r"`(\w+\.parquet)`", PART.split("### Parquet")[1])) == files
