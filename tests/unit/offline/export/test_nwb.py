"""NWB files of sessions that were killed, are blinded or long, and on a disk that is full."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import h5py
import numpy as np
import pytest
from support.changed_log import changed
from support.recorded_loop import Loop, record_loop
from support.smalldisk import disk_of

from rtface.core.clock import ManualClock
from rtface.core.errors import DataError, UsageError
from rtface.offline.export.metadata import Metadata, SessionFacts
from rtface.offline.export.nwb.writing import write_nwb
from rtface.offline.export.parquet import parquet_files, write_parquet
from rtface.offline.export.slp import write_slp
from rtface.offline.export.source import MEASURED, ExportSource, session_recording, table_recording
from rtface.offline.sessions.outline import outline
from rtface.record.session import LOG_NAME
from rtface.record.session.reader import read_session
from rtface.record.session.rows import POSES, decode_rows, encode_rows

pynwb = pytest.importorskip("pynwb")
for _package in ("ndx_optogenetics", "pyarrow", "sleap_io"):
    pytest.importorskip(_package)

BEGAN_NS = 10**12 - 50_000_000
FRAMES = 400


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(
        tmp_path_factory.mktemp("sessions"), FRAMES, pictures="lossless", clock=ManualClock(BEGAN_NS)
    )


def source_of(folder: Path) -> ExportSource:
    return session_recording(outline(folder))


def write(kind: str, recording: ExportSource, folder: Path, *, overwrite: bool = False) -> None:
    """Write one of the three."""
    if kind == "nwb":
        assert write_nwb(recording, folder / "x.nwb", Metadata(), overwrite=overwrite)
    elif kind == "slp":
        assert write_slp(recording, folder / "x.slp", overwrite=overwrite) is not None
    else:
        assert write_parquet(recording, parquet_files(recording, folder), overwrite=overwrite)


KINDS = ("nwb", "slp", "parquet")


def test_a_session_that_was_killed_goes_out_up_to_its_end_and_says_so(loop: Loop, tmp_path: Path) -> None:
    whole = (loop.folder / LOG_NAME).read_bytes()
    cut = tmp_path / "cut"
    cut.mkdir()
    (cut / LOG_NAME).write_bytes(whole[: len(whole) * 2 // 3])
    recording = source_of(cut)
    session = read_session(cut)
    assert 0 < recording.count == len(session.poses) < FRAMES
    for kind in KINDS:
        write(kind, recording, tmp_path)
    with pynwb.NWBHDF5IO(tmp_path / "x.nwb", "r") as io:
        found = io.read()
        behavior = found.processing["behavior"]
        nose = behavior["PoseEstimation"]["nose"]
        np.testing.assert_array_equal(nose.data[:], session.poses["xy"][:, 0])
        assert len(behavior["frames"]) == len(session.poses)
        facts = behavior["recorded_facts"].to_dataframe().set_index("fact")["text"]
        for told in (found.notes, facts["missing"]):
            assert "the session was not closed" in told
    from pyarrow import parquet

    table = parquet.read_table(tmp_path / "poses.parquet")
    assert table.num_rows == len(session.poses)
    assert b"was not closed" in table.schema.metadata[b"rtface.missing"]
    import sleap_io

    labels = sleap_io.load_slp(str(tmp_path / "x.slp"), open_videos=False)
    assert "was not closed" in " ".join(labels.provenance["missing"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_leaves_nothing_and_keeps_what_stood_there(loop: Loop, tmp_path: Path, kind: str) -> None:
    recording = source_of(loop.folder)
    write(kind, recording, tmp_path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    largest = max(map(len, before.values()))
    for size in (100, largest // 3, largest - 50):
        with disk_of(size), pytest.raises(DataError, match="cannot be written"):
            write(kind, recording, tmp_path, overwrite=True)
        assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    assert read_session(loop.folder).fingerprint == outline(loop.folder).session.fingerprint


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_there_is_kept(loop: Loop, tmp_path: Path, kind: str) -> None:
    recording = source_of(loop.folder)
    write(kind, recording, tmp_path)
    with pytest.raises(UsageError):
        write(kind, recording, tmp_path)
    write(kind, recording, tmp_path, overwrite=True)


def test_what_was_ended_leaves_nothing(loop: Loop, tmp_path: Path) -> None:
    recording = source_of(loop.folder)

    def no(done: int, total: int) -> bool:
        return False

    assert not write_nwb(recording, tmp_path / "x.nwb", Metadata(), progress=no)
    assert write_slp(recording, tmp_path / "x.slp", progress=no) is None
    assert not write_parquet(recording, parquet_files(recording, tmp_path), progress=no)
    assert list(tmp_path.iterdir()) == []


def longer(loop: Loop, folder: Path, times: int) -> ExportSource:
    """The session with each pose so often, up to 512 in a record, as a busy writer has them; without its video."""
    count = 0

    def repeat(kind: int, payload: bytes) -> Iterable[tuple[int, bytes]]:
        if kind != POSES:
            return [(kind, payload)]
        nonlocal count
        rows = np.repeat(decode_rows(kind, payload), times)
        rows["frame_id"] = np.arange(count, count := count + len(rows))
        parts = [rows[first : first + 512] for first in range(0, len(rows), 512)]
        return [(kind, encode_rows(3, [row.tobytes() for row in part])) for part in parts]

    return replace(source_of(changed(loop.folder, folder, repeat)), video=None, first_frame=0)


@pytest.mark.parametrize("kind", KINDS)
def test_memory_does_not_grow_with_the_session(
    loop: Loop, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.offline.export.rows.HELD", 4)
    peaks = []
    for times in (60, 180):
        recording = _without_features(longer(loop, tmp_path / f"{kind}-{times}", times))
        assert recording.count == FRAMES * times
        out = tmp_path / f"out-{times}"
        out.mkdir()
        tracemalloc.start()
        try:
            write(kind, recording, out)
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.3 * peaks[0], peaks


def _without_features(recording: ExportSource) -> ExportSource:
    """Without those that are computed anew from each pose, which take long."""
    return replace(
        recording,
        values=replace(recording.values, measured=(), measured_units=()),
        batches=lambda: (each for each in recording.batches() if each.name != MEASURED),
    )


def test_a_keypoint_file_goes_out_too(loop: Loop, tmp_path: Path) -> None:
    table = read_session(loop.folder).pose_table()
    recording = table_recording(table, "poses.rtface.h5")
    for kind in ("slp", "parquet"):
        write(kind, recording, tmp_path)
    with pytest.raises(DataError, match="session_start_time"):
        write_nwb(recording, tmp_path / "x.nwb", Metadata())
    said = Metadata(session=SessionFacts(session_start_time=datetime(2026, 1, 31, tzinfo=UTC)))
    assert write_nwb(recording, tmp_path / "x.nwb", said)
    with h5py.File(tmp_path / "x.nwb") as file:
        nose = file["processing/behavior/PoseEstimation/nose"]
        np.testing.assert_array_equal(nose["data"][:], table.xy[:, 0])
        np.testing.assert_array_equal(nose["timestamps"][:], (table.exposure_ns - table.exposure_ns[0]) / 1e9)


def test_times_of_a_keypoint_file_are_asked_for_once(loop: Loop) -> None:
    table = read_session(loop.folder).pose_table()
    with pytest.raises(UsageError, match="leave --rate out"):
        table_recording(table, "x", rate_hz=30.0)
    none = np.full(len(table), -1, np.int64)
    blank = replace(table, exposure_ns=none, arrival_ns=none, camera_ns=none)
    with pytest.raises(UsageError, match="--rate says"):
        table_recording(blank, "x")
    timed = table_recording(blank, "x", rate_hz=50.0)
    (batch, *_) = timed.batches()
    np.testing.assert_allclose(timed.axis(batch.rows, 0)[:3], [0.0, 0.02, 0.04])
