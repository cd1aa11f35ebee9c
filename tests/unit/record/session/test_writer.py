"""The writer: everything comes back in order, nothing waits for a disk, and what is lost is counted and told."""

from __future__ import annotations

import dataclasses
import errno
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.session_parts import START_NS, OpenedFiles, SmallDisk, StuckDisk, made_decision, pose, put_pose
from support.waits import LONG_S, finishes, wait_until

from rtface.core.clock import SYSTEM_CLOCK, ManualClock
from rtface.core.errors import DataError, UsageError
from rtface.core.features import NEVER_NS, Features
from rtface.record.session import LOG_NAME, log_of, session_folder
from rtface.record.session.coding import encode
from rtface.record.session.entries import (
    ENTRIES,
    CallEntry,
    ClosedEntry,
    ConfigurationEntry,
    DecisionEntry,
    Entry,
    FaultEntry,
    MarkEntry,
    OpenedEntry,
    UnrecordedEntry,
)
from rtface.record.session.log import DiskFile, LogWriter
from rtface.record.session.packing import Packer
from rtface.record.session.reader import read_session
from rtface.record.session.reading import iterate
from rtface.record.session.rows import (
    FEATURES,
    FRAMES,
    PUBLISHED,
    ROW_NAMES,
    RowBatch,
    pack_frame_row,
    pack_published_row,
)
from rtface.record.session.writer import SessionWriter

POINTS = 3
PACKER = Packer(POINTS, 2)


class Faults:
    """Gathers faults; `came` is set with each."""

    def __init__(self) -> None:
        self.found: list[FaultEntry] = []
        self.came = threading.Event()

    def __call__(self, fault: FaultEntry) -> None:
        self.found.append(fault)
        self.came.set()

    @property
    def kinds(self) -> list[str]:
        return [each.what for each in self.found]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., SessionWriter]]:
    """Makes writers that are closed in the end."""
    made: list[SessionWriter] = []

    def make_writer(**options: Any) -> SessionWriter:
        writer = SessionWriter(tmp_path / "s", "test", PACKER.widths, **options)
        made.append(writer)
        return writer

    yield make_writer
    for writer in made:
        writer.close()


def put_features(writer: SessionWriter, number: int) -> bool:
    values = np.array([number, np.nan])
    features = Features(values, values / 2, np.array([number, -1]))
    return writer.put_row(FEATURES, PACKER.features(number, START_NS + number, features))


def put_decision(writer: SessionWriter, number: int) -> bool:
    return writer.put(DecisionEntry.of(made_decision(), number))


def test_all_that_is_handed_over_comes_back(make: Callable[..., SessionWriter], tmp_path: Path) -> None:
    writer = make()
    writer.open()
    configuration = ConfigurationEntry(
        1, "rig: é\n", "rules", ("a", "b", "c"), (True, True, False), ("f", "g"), ("px", "1"), ("g",), "score"
    )
    assert writer.put(configuration)
    poses = [
        pose(number, POINTS, likelihood=number % 3 == 0, camera=number % 2 == 0) for number in range(1200)
    ]
    for number, each in enumerate(poses):
        assert put_pose(writer, each)
        assert writer.put_row(PUBLISHED, pack_published_row(number, each.stamps.decided_ns + 5))
        assert put_features(writer, number)
        assert writer.put_row(FRAMES, pack_frame_row(number, number, number * 3, 2**32 - 1))
    made = made_decision(
        frame_id=None, session_ns=None, trial=None, blind=True, inputs=(("x", np.nan, 0.0, -(2**62)),)
    )
    assert put_decision(writer, 0)
    assert writer.put(DecisionEntry.of(made, 1))
    assert writer.close("because")
    session = read_session(tmp_path / "s")
    assert (session.state, session.missing, session.damage) == ("closed", (), ())
    assert [type(each) for each in session.events] == [
        OpenedEntry,
        ConfigurationEntry,
        DecisionEntry,
        DecisionEntry,
        ClosedEntry,
    ]
    assert session.configuration == configuration
    assert session.opened is not None
    assert session.opened.session == "test"
    assert session.opened.machine["rtface"]
    first, second = session.decisions
    assert dataclasses.replace(first, pulse=None) == DecisionEntry(
        START_NS, 0, "whisk", 3, 5, "armed", "firing", "fire", "rule", None, 0, made_decision().inputs, False
    )
    assert first.pulse == {"on_ns": 1_000_000, "period_ns": 1_000_000, "count": 1, "amplitude": 0.5}
    assert (second.frame_id, second.session_ns, second.trial, second.blind) == (None, None, None, True)
    assert np.isnan(second.inputs[0][1])
    for row, each in zip(session.poses, poses, strict=True):
        assert row["frame_id"] == each.frame.frame_id
        assert row["exposure_ns"] == each.frame.exposure_ns == each.stamps.exposure_ns
        assert row["arrival_ns"] == each.frame.arrival_ns
        assert row["camera_ns"] == (-1 if each.frame.camera_ns is None else each.frame.camera_ns)
        for name in ("taken_ns", "prepared_ns", "inferred_ns", "decided_ns"):
            assert row[name] == getattr(each.stamps, name)
        assert row["published_ns"] == each.stamps.decided_ns + 5
        assert row["xy"].tobytes() == each.xy.tobytes()
        assert row["score"].tobytes() == each.score.tobytes()
        assert row["outside"].tobytes() == each.outside.tobytes()
        if each.likelihood is None:
            assert np.isnan(row["likelihood"]).all()
        else:
            assert row["likelihood"].tobytes() == each.likelihood.tobytes()
    assert session.features["values"][:, 0].tolist() == list(range(1200))
    assert np.isnan(session.features["values"][:, 1]).all()
    assert session.features["exposure_ns"][7].tolist() == [7, -1]
    assert session.frames["crc32"].tolist() == [2**32 - 1] * 1200
    closed = session.closed
    assert closed is not None
    assert closed.reason == "because"
    assert closed.totals == dict.fromkeys(ROW_NAMES.values(), 0) | {
        "opened": 1, "configuration": 1, "decision": 2, "poses": 1200, "features": 1200, "frames": 1200,
        "published": 1200,
    }  # fmt: skip
    assert session.fingerprint == writer.fingerprint


def test_rows_stand_before_the_events_that_came_after_them(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    writer = make()
    writer.open()
    for number in range(50):
        put_features(writer, number)
        put_pose(writer, pose(number, POINTS))
        if number % 7 == 0:
            writer.put(CallEntry(START_NS + number, "tick", {"at": number}))
    writer.close()
    seen = {"features": 0, "poses": 0}
    for each in iterate(tmp_path / "s"):
        if isinstance(each, RowBatch):
            seen[each.name] += len(each.rows)
        elif isinstance(each, CallEntry):
            assert seen == dict.fromkeys(seen, each.arguments["at"] + 1)
    assert seen == {"features": 50, "poses": 50}


def test_several_threads_keep_each_its_order(make: Callable[..., SessionWriter], tmp_path: Path) -> None:
    writer = make()
    writer.open()

    def work(name: str) -> None:
        for number in range(300):
            assert writer.put(MarkEntry(number, name, ""))

    threads = [threading.Thread(target=work, args=(str(each),)) for each in range(4)]
    threads.append(threading.Thread(target=lambda: [put_decision(writer, number) for number in range(300)]))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert writer.close()
    session = read_session(tmp_path / "s")
    for name in "0123":
        assert [each.t_ns for each in session.of(MarkEntry) if each.who == name] == list(range(300))
    assert [each.number for each in session.decisions] == list(range(300))


def test_what_was_taken_while_the_session_closed_is_in_the_log_and_the_rest_is_refused(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    writer = make()
    writer.open()
    taken, started = [0] * 3, threading.Barrier(4)

    def work(thread: int) -> None:
        each = pose(thread, POINTS)
        started.wait()
        while put_pose(writer, each):
            taken[thread] += 1

    threads = [threading.Thread(target=work, args=(each,)) for each in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    assert writer.close()
    for thread in threads:
        thread.join()
    ids, counts = np.unique(read_session(tmp_path / "s").poses["frame_id"], return_counts=True)
    assert dict(zip(ids.tolist(), counts.tolist(), strict=True)) == {
        number: count for number, count in enumerate(taken) if count
    }


def test_a_session_can_be_read_while_it_is_written(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    writer = make()
    writer.open()
    folder, seen = tmp_path / "s", -1
    for number in range(40):
        put_pose(writer, pose(number, POINTS))
        session = read_session(folder)
        assert session.state == "open"
        assert session.damage == ()
        assert session.poses["frame_id"].tolist() == list(range(len(session.poses)))
        assert len(session.poses) > seen or len(session.poses) == seen
        seen = len(session.poses)
    wait_until(lambda: len(read_session(folder).poses) == 40)
    assert any("still being written" in each for each in read_session(folder).missing)
    writer.close()
    assert read_session(folder).state == "closed"


def test_records_of_a_newer_version_are_skipped_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    log = LogWriter(DiskFile(folder / LOG_NAME))
    newest = max(ENTRIES) + 1
    for kind in (newest, newest, 200):
        log.append(kind, b"unknown")
    log.commit()
    log.close()
    session = read_session(folder)
    assert (session.unknown, session.damage) == (3, ())
    assert any("3 records are of kinds that a newer rtface writes" in each for each in session.missing)
    assert list(iterate(folder)) == []


def test_nothing_waits_for_a_slow_disk_and_what_finds_no_room_is_counted(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    files, faults = OpenedFiles(StuckDisk), Faults()
    writer = make(open_file=files, queue_rows=100, queue_events=10, on_fault=faults, stall_s=1e6)
    writer.open()
    disk = files.files[0]
    disk.free.clear()
    writer.put(MarkEntry(0, "me", "wakes the writer"))
    assert disk.waiting.wait(LONG_S)

    def overfill() -> None:
        assert [put_pose(writer, pose(number, POINTS)) for number in range(130)] == [True] * 100 + [
            False
        ] * 30
        assert not put_features(writer, 1)
        assert not writer.put_row(FRAMES, pack_frame_row(1, 1, 1, 1))
        assert [writer.put(MarkEntry(number, "me", "")) for number in range(12)] == [True] * 10 + [False] * 2
        assert not put_decision(writer, 0)

    finishes(overfill)
    assert faults.kinds == ["lost"]
    assert writer.fault is not None
    disk.free.set()
    assert writer.close()
    session = read_session(tmp_path / "s")
    assert len(session.poses) == 100
    assert session.poses["frame_id"].tolist() == list(range(100))
    assert session.last(UnrecordedEntry) == dataclasses.replace(
        session.of(UnrecordedEntry)[-1], poses=30, features=1, frames=1, events=3
    )
    assert [each.what for each in session.of(FaultEntry)] == ["lost"]
    assert "no room for mark" in session.of(FaultEntry)[0].text


def test_a_disk_that_does_not_answer_is_a_fault_at_once(make: Callable[..., SessionWriter]) -> None:
    files, faults, clock = OpenedFiles(StuckDisk), Faults(), ManualClock(START_NS)
    writer = make(open_file=files, on_fault=faults, stall_s=2.0, clock=clock)
    writer.open()
    disk = files.files[0]
    disk.free.clear()
    put_pose(writer, pose(0, POINTS))
    assert disk.waiting.wait(LONG_S)
    put_pose(writer, pose(1, POINTS))
    assert faults.kinds == []
    clock.sleep_until_ns(START_NS + 2_000_000_001)
    put_pose(writer, pose(2, POINTS))
    put_pose(writer, pose(3, POINTS))
    assert faults.kinds == ["stalled"]
    disk.free.set()
    assert writer.close()


def disk_filled_after(room: int) -> Callable[[Path], SmallDisk]:
    return lambda path: SmallDisk(path, room)


@pytest.mark.parametrize("room", [3_000, 3_001, 3_500, 4_321])
def test_a_full_disk_is_a_fault_and_what_was_recorded_stays_valid(
    make: Callable[..., SessionWriter], tmp_path: Path, room: int
) -> None:
    faults = Faults()
    writer = make(open_file=disk_filled_after(room), on_fault=faults, stall_s=1e6)
    writer.open()
    for number in range(200):
        put_pose(writer, pose(number, POINTS))
        if number % 20 == 0:
            writer.put(MarkEntry(number, "me", ""))
    assert faults.came.wait(LONG_S)
    assert "No space left" in faults.found[0].text
    assert not put_pose(writer, pose(200, POINTS))
    assert not put_decision(writer, 0)
    assert faults.kinds == ["write"]
    assert not writer.close()
    session = read_session(tmp_path / "s")
    assert session.damage == ()
    assert 0 < len(session.poses) < 200
    assert session.poses["frame_id"].tolist() == list(range(len(session.poses)))
    assert (tmp_path / "s" / LOG_NAME).stat().st_size <= room


def test_where_there_is_room_again_the_log_says_what_it_lost(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    class Once(DiskFile):
        """Fails once and then has room, as where somebody tidies up."""

        writes = 0

        def write(self, data: memoryview) -> int:
            self.writes += 1
            if self.writes == 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    faults = Faults()
    writer = make(open_file=Once, on_fault=faults)
    writer.open()
    for number in range(10):
        put_pose(writer, pose(number, POINTS))
    writer.put(MarkEntry(0, "me", ""))
    assert faults.came.wait(LONG_S)
    assert not writer.close()
    session = read_session(tmp_path / "s")
    assert session.damage == ()
    assert session.closed is not None
    assert session.closed.reason == "write"
    lost = session.last(UnrecordedEntry)
    assert lost is not None
    assert lost.poses + len(session.poses) == 10
    assert lost.events == 1
    assert [each.what for each in session.of(FaultEntry)] == ["write"]


def test_a_disk_that_fails_to_sync_is_a_fault(make: Callable[..., SessionWriter]) -> None:
    class Failing(DiskFile):
        synced = 0

        def sync(self) -> None:
            self.synced += 1
            if self.synced > 1:
                raise OSError(errno.EIO, "Input/output error")

    faults, clock = Faults(), ManualClock(START_NS)
    writer = make(open_file=Failing, on_fault=faults, clock=clock)
    writer.open()
    clock.sleep_until_ns(START_NS + 2_000_000_000)
    assert faults.came.wait(LONG_S)
    assert faults.kinds == ["write"]
    assert not writer.close()


def test_a_bug_in_the_recorder_is_a_fault_and_not_silence(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    faults, clock = Faults(), ManualClock(START_NS)

    def buggy(folder: Path) -> int:
        raise RuntimeError("a bug")

    writer = make(on_fault=faults, clock=clock, free_bytes=buggy)
    writer.open()
    clock.sleep_until_ns(START_NS + 2_000_000_000)
    assert faults.came.wait(LONG_S)
    assert faults.kinds == ["internal"]
    assert not writer.close()
    assert read_session(tmp_path / "s").of(FaultEntry)[0].text.endswith("RuntimeError: a bug")


def test_little_room_on_the_disk_is_told_and_recording_goes_on(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    faults, clock = Faults(), ManualClock(START_NS)
    writer = make(on_fault=faults, clock=clock, free_bytes=lambda folder: 5 << 20, min_free_bytes=6 << 20)
    writer.open()
    clock.sleep_until_ns(START_NS + 1_000_000_000)
    assert faults.came.wait(LONG_S)
    assert put_pose(writer, pose(0, POINTS))
    assert writer.close()
    assert faults.kinds == ["space"]
    session = read_session(tmp_path / "s")
    assert session.state == "closed"
    assert len(session.poses) == 1


def test_a_real_disk_that_is_really_full(make: Callable[..., SessionWriter], tmp_path: Path) -> None:
    mount, point = shutil.which("mount"), tmp_path / "s"
    point.mkdir()
    command = [str(mount), "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(point)]
    if mount is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    try:
        faults = Faults()
        writer = SessionWriter(point / "s", "full", PACKER.widths, on_fault=faults, min_free_bytes=0)
        writer.open()
        number = 0
        while not faults.came.is_set():
            put_pose(writer, pose(number % 7, POINTS))
            number += 1
        assert faults.kinds[-1] == "write"
        assert not writer.close()
        session = read_session(point / "s")
        assert session.damage == ()
        assert session.state in ("truncated", "closed")
        assert len(session.poses) > 1000
    finally:
        subprocess.run(["umount", str(point)], check=True)


def test_a_folder_that_is_there_is_left_alone(make: Callable[..., SessionWriter], tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with pytest.raises(DataError, match="File exists"):
        make().open()
    assert list((tmp_path / "s").iterdir()) == []


def test_what_does_not_fit_the_session_is_refused(make: Callable[..., SessionWriter]) -> None:
    writer = make()
    writer.open()
    with pytest.raises(UsageError, match=r"a pose of float32 \(4, 2\) for a record of 3 keypoints"):
        PACKER.pose(pose(0, 4))
    wide = dataclasses.replace(pose(0, POINTS), xy=np.zeros((POINTS, 2)))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="a pose of float64"):
        PACKER.pose(wide)
    with pytest.raises(UsageError, match="for the features of this record"):
        PACKER.features(0, 0, Features(np.zeros(3), np.zeros(3), np.zeros(3, np.int64)))
    with pytest.raises(UsageError, match="mark cannot be recorded"):
        writer.put(MarkEntry(0, "me", "", {"a": object()}))
    assert writer.fault is None


def test_closing_twice_and_putting_after_the_end_are_harmless(
    make: Callable[..., SessionWriter], tmp_path: Path
) -> None:
    writer = make()
    assert not writer.close()
    writer.open()
    assert writer.close("first")
    assert writer.close("second")
    assert not put_pose(writer, pose(0, POINTS))
    assert not writer.put(MarkEntry(0, "me", ""))
    assert not put_decision(writer, 0)
    session = read_session(tmp_path / "s")
    assert session.closed is not None
    assert session.closed.reason == "first"


def test_a_put_costs_the_same_however_much_waits(make: Callable[..., SessionWriter]) -> None:
    """The hot path pays for one row, not for the queue: a thousand rows cost alike when 20,000 wait."""
    files = OpenedFiles(StuckDisk)
    writer = make(open_file=files, stall_s=1e6)
    writer.open()
    files.files[0].free.clear()
    each = pose(0, POINTS)

    def cost() -> int:
        began_ns = SYSTEM_CLOCK.now_ns()
        for _ in range(1000):
            put_pose(writer, each)
        return SYSTEM_CLOCK.now_ns() - began_ns

    writer.put(MarkEntry(0, "me", ""))
    assert files.files[0].waiting.wait(LONG_S)
    empty = min(cost() for _ in range(5))
    for _ in range(15):
        cost()
    full = min(cost() for _ in range(5))
    files.files[0].free.set()
    assert writer.close()
    assert full < 5 * empty


def test_further_values_stand_behind_the_features_and_are_unknown_where_they_are_not_given(
    tmp_path: Path,
) -> None:
    packer = Packer(POINTS, 2, 1)
    writer = SessionWriter(tmp_path / "s", "test", packer.widths)
    writer.open()
    features = Features(np.array([1.0, 2.0]), np.array([0.5, 0.25]), np.array([5, 6]))
    given = Features(np.array([3.0]), np.array([1.0]), np.array([7]))
    assert writer.put_row(FEATURES, packer.features(0, 1, features, given))
    assert writer.put_row(FEATURES, packer.features(1, 2, features))
    with pytest.raises(UsageError, match="further values"):
        packer.features(2, 3, features, features)
    writer.close()
    first, second = read_session(tmp_path / "s").features
    assert [first[name].tolist() for name in ("values", "scores", "exposure_ns")] == [
        [1.0, 2.0, 3.0], [0.5, 0.25, 1.0], [5, 6, 7]
    ]  # fmt: skip
    assert np.isnan(second["values"][2])
    assert (second["scores"][2], second["exposure_ns"][2]) == (0.0, NEVER_NS)


@pytest.mark.parametrize("session", ["", "a/b", "..", "ä", "a b"])
def test_the_id_of_a_session_makes_a_plain_folder_name(session: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        session_folder(tmp_path, session)


def test_the_folder_says_when_in_universal_time(tmp_path: Path) -> None:
    folder = session_folder(tmp_path, "a1_b-2", began_ns=1_763_853_245_000_000_000)
    assert folder == tmp_path / "2025-11-22T23-14-05Z_a1_b-2"
    folder.mkdir()
    assert log_of(folder) == folder / LOG_NAME
    assert log_of(folder / LOG_NAME) == folder / LOG_NAME


def test_no_session_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no session there"):
        read_session(tmp_path)


def test_records_after_the_end_are_damage(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    log = LogWriter(DiskFile(folder / LOG_NAME))
    entries: list[Entry] = [ClosedEntry(1, 2, "ended", {}), MarkEntry(1, "me", "")]
    for entry in entries:
        log.append(entry.kind, encode(entry))
    log.commit()
    log.close()
    session = read_session(folder)
    assert session.state == "damaged"
    assert "after the session was closed" in session.missing[0]


def test_a_payload_that_its_kind_cannot_have_is_damage_and_the_rest_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    log = LogWriter(DiskFile(folder / LOG_NAME))
    log.append(MarkEntry.kind, b"\xc1")
    log.append(FaultEntry.kind, b"\x80")
    log.commit()
    log.close()
    session = read_session(folder)
    assert session.state == "damaged"
    assert [each.text for each in session.damage] == [
        "a record is not MessagePack: FormatError",
        "fault.t_ns is missing",
    ]
