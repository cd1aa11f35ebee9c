"""The recorder: what it is handed is in the log, decisions have numbers, and a clock's map is recorded now and then."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.recorded_loop import MS, setup
from support.session_parts import START_NS, made_decision, pose

from rtface.config import SessionSettings
from rtface.core.clock import NS_PER_S, ManualClock
from rtface.core.clockfit import ClockLine
from rtface.core.decision import Action
from rtface.core.latency import Histogram
from rtface.core.records import FrameMeta, Losses
from rtface.core.status import CameraStatus, PtpStatus
from rtface.decide.rules import RulesFile
from rtface.record import formats
from rtface.record.session.entries import NO_NUMBER, CameraStatusEntry, ClockFitEntry
from rtface.record.session.reader import Session, read_session
from rtface.record.session.recorder import SessionRecorder
from rtface.record.session.summary import summarise


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[SessionRecorder]:
    made = SessionRecorder(
        SessionSettings(folder=tmp_path / "new", min_free_gb=0),
        "r",
        setup(RulesFile()),
        clock=ManualClock(START_NS),
    )
    made.open()
    yield made
    made.close()


def closed(recorder: SessionRecorder) -> Session:
    assert recorder.close("done")
    return read_session(recorder.folder)


def test_losses_that_nobody_knows_are_recorded_as_unknown(recorder: SessionRecorder) -> None:
    recorder.losses(Losses(transport_known=False))
    assert summarise(closed(recorder)).losses == {"camera": 0, "transport": None, "ring": 0, "publish": 0}


def test_the_recorder_writes_what_it_is_handed(recorder: SessionRecorder) -> None:
    histogram = Histogram(10)
    histogram.add(5 * MS)
    recorder.latency({"end_to_end": histogram.summary()})
    recorder.losses(Losses())
    recorder.losses(Losses(ring=3))
    recorder.losses(Losses(ring=3))
    recorder.clock_fit("camera", ClockLine(1, 2.5, 1e-5))
    recorder.mark("me", "look", {"n": 1})
    recorder.output("gate", {"kind": "gate"})
    recorder.failed("camera", "gone")
    recorder.frame(np.zeros((24, 32), np.uint8), FrameMeta(0, 0, 0))
    recorder.pose(pose(0, 3))
    assert recorder.decision(made_decision(action=Action.WITHHOLD)) == 0
    assert recorder.fault is None
    session = closed(recorder)
    assert len(recorder.fingerprint) == 64
    assert session.fingerprint == recorder.fingerprint
    names = [each.name for each in session.events]
    assert names == [
        "opened", "configuration", "hashes", "camera", "network", "latency", "losses", "clock_fit", "mark", "output",
        "fault", "decision", "closed",
    ]  # fmt: skip
    summary = summarise(session)
    assert summary.losses == {"camera": 0, "transport": 0, "ring": 3, "publish": 0}
    assert summary.latency["end_to_end"]["misses"] == 1
    assert summary.facts["camera clock"] == "+10.0 ppm against this computer's"
    assert [each.text for each in summary.faults] == ["gone"]


def test_what_the_camera_sent_beside_the_pictures_is_recorded(recorder: SessionRecorder) -> None:
    sent: list[tuple[int | None, float | None]] = [(7, 1000.5), (9, None), (None, 12.0), (None, None)]
    for number, (trigger_id, exposure_us) in enumerate(sent):
        made = pose(number, 3)
        frame = replace(made.frame, trigger_id=trigger_id, exposure_us=exposure_us)
        recorder.pose(replace(made, frame=frame))
    recorder.losses(Losses(missed_triggers=1))
    session = closed(recorder)
    assert session.chunks["frame_id"].tolist() == [0, 1, 2]
    assert session.chunks["trigger_id"].tolist() == [7, 9, -1]
    np.testing.assert_array_equal(session.chunks["exposure_us"], [1000.5, np.nan, 12.0])
    summary = summarise(session)
    assert summary.facts["triggers missed"] == "1"
    assert "missed_triggers" not in summary.losses


def test_how_the_camera_does_is_recorded_when_it_changes(recorder: SessionRecorder) -> None:
    good = CameraStatus(ptp=PtpStatus("Slave", 5))
    bad = CameraStatus(("A is not B",), clock="it stands still", clock_steps=1, ptp=PtpStatus("Slave", 9))
    for status in (
        CameraStatus(),
        CameraStatus(),
        good,
        replace(good, ptp=PtpStatus("Slave", 6)),
        bad,
        bad,
        good,
    ):
        recorder.camera_status(status)
    session = closed(recorder)
    assert [
        (each.problems, each.clock, each.clock_steps, each.ptp) for each in session.of(CameraStatusEntry)
    ] == [
        ((), "", 0, {"state": "Slave", "offset_ns": 5}),
        (("A is not B",), "it stands still", 1, {"state": "Slave", "offset_ns": 9}),
        ((), "", 0, {"state": "Slave", "offset_ns": 5}),
    ]
    assert summarise(session).facts["camera problems"] == (
        "A is not B; exposures were times of arrival: it stands still"
    )


def test_decisions_are_numbered_in_the_order_that_they_come_in(recorder: SessionRecorder) -> None:
    numbers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda: numbers.extend(recorder.decision(made_decision()) for _ in range(100))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(numbers) == list(range(300))
    assert sorted(each.number for each in closed(recorder).decisions) == list(range(300))
    assert recorder.decision(made_decision()) == NO_NUMBER, "there is no room in a record that is closed"


def test_when_a_pose_was_published_stands_in_the_pose_whichever_came_first(recorder: SessionRecorder) -> None:
    for number in (3, 5, 4, 9):
        recorder.pose(pose(number, 3))
    for number in (5, 3, 7, 4):
        recorder.published(number, START_NS + number)
    session = closed(recorder)
    assert session.poses["frame_id"].tolist() == [3, 5, 4, 9]
    assert session.poses["published_ns"].tolist() == [START_NS + 3, START_NS + 5, START_NS + 4, -1]
    assert session.published["frame_id"].tolist() == [5, 3, 7, 4]
    file = recorder.folder / "poses.rtface.h5"
    formats.write(session.pose_table(), file)
    kept = formats.read(file).published_ns
    assert kept is not None
    assert kept.tolist() == session.poses["published_ns"].tolist()


def test_poses_that_were_not_published_have_no_such_times(recorder: SessionRecorder) -> None:
    recorder.pose(pose(0, 3))
    session = closed(recorder)
    assert session.poses["published_ns"].tolist() == [-1]
    assert session.pose_table().published_ns is None


def test_without_poses_the_stamps_of_publishing_stand_alone(recorder: SessionRecorder) -> None:
    recorder.published(0, START_NS)
    session = closed(recorder)
    assert (len(session.poses), len(session.published)) == (0, 1)


@pytest.mark.parametrize(
    ("after_s", "change", "fits"),
    [
        (1, lambda line: line, 1),
        (59, lambda line: line, 1),
        (60, lambda line: line, 2),
        (1, lambda line: line._replace(offset_ns=line.offset_ns + 90_000), 1),
        (1, lambda line: line._replace(offset_ns=line.offset_ns - 110_000), 2),
        (1, lambda line: line._replace(anchor_ns=line.anchor_ns + NS_PER_S, offset_ns=line.offset_ns + 50_000), 1),
        (50, lambda line: line._replace(slope=line.slope + 5e-6), 2),
    ],
    ids=[
        "the same", "nearly a minute", "a minute", "a little off", "far off", "the same line given elsewhere", "faster",
    ],
)  # fmt: skip
def test_the_map_of_a_clock_is_recorded_at_first_once_a_minute_and_when_it_changed(
    tmp_path: Path, after_s: int, change: Callable[[ClockLine], ClockLine], fits: int
) -> None:
    clock = ManualClock(START_NS)
    settings = SessionSettings(folder=tmp_path, min_free_gb=0)
    recorder = SessionRecorder(settings, "r", setup(RulesFile()), clock=clock)
    recorder.open()
    line = ClockLine(17, float(START_NS - 17), 5e-5)
    recorder.clock_fit("camera", line)
    clock.sleep_until_ns(START_NS + after_s * NS_PER_S)
    recorder.clock_fit("camera", change(line))
    found = closed(recorder).of(ClockFitEntry)
    assert len(found) == fits
    assert found[0] == ClockFitEntry(START_NS, "camera", *line)
    assert found[-1] == ClockFitEntry(clock.now_ns(), "camera", *change(line)) or fits == 1


def test_a_session_does_not_begin_on_a_disk_that_is_nearly_full(tmp_path: Path) -> None:
    settings = SessionSettings(folder=tmp_path, min_free_gb=2)
    recorder = SessionRecorder(settings, "r", setup(RulesFile()), free_bytes=lambda folder: 1_900_000_000)
    with pytest.raises(Exception, match=r"has 1\.9 GB left, a session begins with 2"):
        recorder.open()
    assert list(tmp_path.iterdir()) == []
