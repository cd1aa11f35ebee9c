"""Verifying, summarising and exporting: a whole session is whole, and each way of not being so is told."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.recorded_loop import MS, Loop, record_loop, setup
from support.session_parts import made_report

from rtface.config import SessionSettings
from rtface.core.errors import UsageError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import FrameMeta
from rtface.decide.rules import RulesFile
from rtface.record.session import LOG_NAME, VIDEO_NAME
from rtface.record.session.batches import totals
from rtface.record.session.coding import decode, encode, unpack
from rtface.record.session.encoder import VideoEncoder
from rtface.record.session.entries import (
    ENTRIES,
    ClosedEntry,
    DecisionEntry,
    Entry,
    FaultEntry,
    GateReplyEntry,
    HashesEntry,
    PulseCommandEntry,
    UnrecordedEntry,
)
from rtface.record.session.log import DiskFile, LogWriter
from rtface.record.session.logreader import LogReader
from rtface.record.session.reader import read_session
from rtface.record.session.recorder import SessionRecorder
from rtface.record.session.rows import decode_rows, encode_rows
from rtface.record.session.summary import summarise
from rtface.record.session.tables import write_tables
from rtface.record.session.verify import verify


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sessions"), 700)


def rewritten(source: Path, target: Path, change: Callable[[Any], Iterable[Any]]) -> Path:
    """Copy a log, events and rows as `change` returns them, with totals, chain and checksums made right again."""
    target.mkdir()
    log = LogWriter(DiskFile(target / LOG_NAME))
    for record in LogReader(source / LOG_NAME):
        if record.kind in ENTRIES:
            for each in change(decode(record.kind, record.payload)):
                if isinstance(each, ClosedEntry):
                    each = dataclasses.replace(each, totals=totals(log))
                log.append(each.kind, encode(each))
        else:
            for rows in change(decode_rows(record.kind, record.payload)):
                log.append(
                    record.kind,
                    encode_rows(unpack(record.payload)[1], [row.tobytes() for row in rows]),
                    len(rows),
                )
        log.commit()
    log.close()
    return target


def only(kind: type[Entry], change: Callable[[Any], Iterable[Entry]]) -> Callable[[Any], Iterable[Any]]:
    return lambda each: change(each) if isinstance(each, kind) else [each]


def findings(folder: Path) -> dict[str, str]:
    """Verdict and text of what is not whole, by check."""
    return {
        each.check: f"{each.verdict}: {each.text}"
        for each in verify(read_session(folder))
        if each.verdict != "whole"
    }


def test_a_whole_session_is_whole_also_after_it_was_written_anew(loop: Loop, tmp_path: Path) -> None:
    found = verify(read_session(loop.folder))
    assert {each.verdict for each in found} == {"whole"}
    assert [each.check for each in found] == [
        "log",
        "totals",
        "kept",
        "texts",
        "decisions",
        "pulses",
        "times",
    ]
    assert findings(rewritten(loop.folder, tmp_path / "s", lambda each: [each])) == {}


def first_fire(loop: Loop) -> int:
    return next(number for number, each in enumerate(loop.decisions) if each.action.value == "fire")


def test_a_decision_to_fire_without_a_command_is_missing(loop: Loop, tmp_path: Path) -> None:
    number = first_fire(loop)
    gone = only(PulseCommandEntry, lambda each: [] if each.decision == number else [each])
    found = findings(rewritten(loop.folder, tmp_path / "s", gone))
    assert "wrong" in found["pulses"]
    texts = [each.text for each in verify(read_session(tmp_path / "s")) if each.check == "pulses"]
    assert texts == [
        f"1 decided to fire without a command to an output, decision {number}",
        "1 light came on without a command to fire, command 1",
    ]


def test_a_command_without_an_answer_is_missing(loop: Loop, tmp_path: Path) -> None:
    gone = only(GateReplyEntry, lambda each: [] if (each.number, each.event) == (1, "ack") else [each])
    found = findings(rewritten(loop.folder, tmp_path / "s", gone))
    assert found == {"pulses": f"missing: 1 commands without an answer, of decision {first_fire(loop)}"}


@pytest.mark.parametrize("event", ["refused", "timeout", "lost"])
def test_a_refusal_is_an_answer(loop: Loop, tmp_path: Path, event: str) -> None:
    refused = only(
        GateReplyEntry,
        lambda each: (
            [dataclasses.replace(each, event=event)] if (each.number, each.event) == (1, "ack") else [each]
        ),
    )
    assert findings(rewritten(loop.folder, tmp_path / "s", refused)) == {}


def test_light_for_a_sham_is_wrong(loop: Loop, tmp_path: Path) -> None:
    sham = next(number for number, each in enumerate(loop.decisions) if each.action.value == "sham")
    command = PulseCommandEntry(1, sham, 999, "gate", "fire")
    answer = GateReplyEntry.of(made_report(999, "ack", 1), "gate")
    more = only(DecisionEntry, lambda each: [each, command, answer] if each.number == sham else [each])
    found = findings(rewritten(loop.folder, tmp_path / "s", more))
    assert found == {"pulses": f"wrong: 1 fired without a decision to fire, decision {sham}"}


@pytest.mark.parametrize(
    ("reason", "text"),
    [("light_uncommanded", "light that no command explains"), ("light_missing", "light that was commanded")],
)
def test_what_a_photodiode_saw_otherwise_is_wrong(loop: Loop, tmp_path: Path, reason: str, text: str) -> None:
    """A photodiode's fault is in the record, and shown with its time."""
    report = Report(None, OutputEvent.STATE, 0, OutputState.FAULT, OutputReason(reason))

    def seen(each: GateReplyEntry) -> Iterable[Entry]:
        fault = dataclasses.replace(GateReplyEntry.of(report, "gate"), t_ns=each.t_ns)
        return [each, fault] if (each.number, each.event) == (1, "ack") else [each]

    folder = rewritten(loop.folder, tmp_path / "seen", only(GateReplyEntry, seen))
    assert text in findings(folder)["light"]
    assert re.search(r", at -?\d+\.\d{3} s$", findings(folder)["light"])
    blind = [each.text for each in verify(read_session(folder), blinded=True) if each.check == "light"]
    assert len(blind) == 1
    assert "command explains" not in blind[0]


def test_firing_twice_for_one_decision_is_wrong(loop: Loop, tmp_path: Path) -> None:
    twice = only(PulseCommandEntry, lambda each: [each, each] if each.number == 1 else [each])
    found = findings(rewritten(loop.folder, tmp_path / "s", twice))
    assert found == {"pulses": f"wrong: 1 fired twice, decision {first_fire(loop)}"}


def test_a_decision_that_is_gone_leaves_a_gap_in_the_numbers(loop: Loop, tmp_path: Path) -> None:
    gone = only(DecisionEntry, lambda each: [] if each.number == 3 else [each])
    found = findings(rewritten(loop.folder, tmp_path / "s", gone))
    assert found["decisions"] == f"missing: 1 of {len(loop.decisions)}: number 3"


def test_texts_that_are_not_what_was_hashed_are_wrong(loop: Loop, tmp_path: Path) -> None:
    other = only(
        HashesEntry, lambda each: [dataclasses.replace(each, sha256={**each.sha256, "rules": "0" * 64})]
    )
    found = findings(rewritten(loop.folder, tmp_path / "a", other))
    assert found == {"texts": "wrong: the text of rules has another hash than was recorded"}
    none = only(HashesEntry, lambda each: [])
    assert "hashes are not in the log" in findings(rewritten(loop.folder, tmp_path / "b", none))["texts"]


def test_times_that_go_back_are_wrong(loop: Loop, tmp_path: Path) -> None:
    def back(each: Any) -> Iterable[Any]:
        if isinstance(each, np.ndarray) and "inferred_ns" in (each.dtype.names or ()):
            each = each.copy()
            each["inferred_ns"][each["frame_id"] == 300] = 5
        return [each]

    found = findings(rewritten(loop.folder, tmp_path / "s", back))
    assert found == {"times": "wrong: inferred_ns before prepared_ns at frame 300"}


def stamps(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Iterable[Any]]:
    """Changes the rows of when frames were published; numbers of frames begin with 10."""

    def changed(each: Any) -> Iterable[Any]:
        is_published = isinstance(each, np.ndarray) and (each.dtype.names or ())[1:] == ("published_ns",)
        return [change(each.copy())] if is_published else [each]

    return changed


def with_300(rows: np.ndarray, name: str, value: int) -> np.ndarray:
    rows[name][rows["frame_id"] == 300] = value
    return rows


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            lambda rows: with_300(rows, "published_ns", 5),
            [
                "wrong: published_ns before decided_ns at frame 300",
                "wrong: published_ns goes back at frame 300",
            ],
        ),
        (
            lambda rows: np.repeat(rows, 1 + (rows["frame_id"] == 300)),
            ["wrong: published more than once: frame 300"],
        ),
        (
            lambda rows: rows[rows["frame_id"] != 300],
            ["missing: when it was published, of frame 300"],
        ),
        (
            lambda rows: with_300(rows, "frame_id", 5000),
            ["missing: when it was published, of frame 300", "missing: the pose of a published frame: 5000"],
        ),
        (lambda rows: rows[rows["frame_id"] < 300], []),
        (lambda rows: rows[:0], []),
    ],
    ids=[
        "before it was decided on",
        "twice",
        "of one is gone",
        "another frame",
        "a killed host's end",
        "an old log",
    ],
)
def test_when_a_pose_was_published_is_held_against_its_pose(
    loop: Loop, tmp_path: Path, change: Callable[[np.ndarray], np.ndarray], found: list[str]
) -> None:
    folder = rewritten(loop.folder, tmp_path / "s", stamps(change))
    texts = [
        f"{each.verdict}: {each.text}"
        for each in verify(read_session(folder))
        if each.check == "times" and each.verdict != "whole"
    ]
    assert texts == found


def test_what_the_record_says_it_lacks_is_missing(loop: Loop, tmp_path: Path) -> None:
    said = only(
        ClosedEntry,
        lambda each: [
            UnrecordedEntry(1, 0, 2, 0, 3),
            FaultEntry(1, "lost", "no room for mark in the record"),
            each,
        ],
    )
    rewritten(loop.folder, tmp_path / "s", said)
    texts = [each.text for each in verify(read_session(tmp_path / "s")) if each.check == "kept"]
    assert texts == ["the disk was too slow for 2 features, 3 events", "no room for mark in the record"]


def test_counts_that_are_not_those_of_the_end_are_wrong(loop: Loop, tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    log = LogWriter(DiskFile(folder / LOG_NAME))
    for record in LogReader(loop.folder / LOG_NAME):
        if record.kind != GateReplyEntry.kind:
            log.append(record.kind, record.payload)
    log.commit()
    log.close()
    assert "gate: 0 of" in findings(folder)["totals"]


def test_counts_of_kinds_that_a_newer_rtface_writes_are_not_wrong(loop: Loop) -> None:
    session = read_session(loop.folder)
    assert session.closed is not None
    closed = dataclasses.replace(session.closed, totals={**session.closed.totals, "colours": 3})
    newer = dataclasses.replace(session, events=(*session.events[:-1], closed), unknown=3)
    found = {each.check: each.verdict for each in verify(newer) if each.verdict != "whole"}
    assert found == {"log": "missing"}


def test_a_log_that_was_cut_off_is_missing_its_end(loop: Loop, tmp_path: Path) -> None:
    whole = (loop.folder / LOG_NAME).read_bytes()
    (tmp_path / LOG_NAME).write_bytes(whole[:-10])
    found = [each for each in verify(read_session(tmp_path)) if each.verdict != "whole"]
    assert {(each.check, each.verdict) for each in found} == {("log", "missing")}
    said = "; ".join(each.text for each in found)  # a slow disk was synced meanwhile, and that says more
    assert "part of a record that was cut off" in said
    assert "was not closed: its log ends after" in said


def test_a_changed_byte_is_wrong(loop: Loop, tmp_path: Path) -> None:
    whole = bytearray((loop.folder / LOG_NAME).read_bytes())
    whole[len(whole) // 2] ^= 4
    (tmp_path / LOG_NAME).write_bytes(whole)
    assert "wrong: bytes" in findings(tmp_path)["log"]


def with_video(root: Path, codec: Any, frames: int = 30) -> Path:
    recorder = SessionRecorder(
        SessionSettings(folder=root, frames=codec, min_free_gb=0), "v", setup(RulesFile())
    )
    recorder.open()
    random = np.random.default_rng(0)
    for number in range(frames):
        image = random.integers(0, 255, (24, 32), np.uint8)
        recorder.frame(image, FrameMeta(number, number * 5 * MS, number * 5 * MS))
    assert recorder.close()
    return recorder.folder


def test_the_pictures_of_a_video_are_held_against_the_frame_index(tmp_path: Path) -> None:
    folder, other = with_video(tmp_path / "a", "ffv1"), with_video(tmp_path / "b", "ffv1", 20)
    assert findings(folder) == {}
    whole, seen = (folder / VIDEO_NAME).read_bytes(), []
    verify(read_session(folder), progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (30, 30)
    (folder / VIDEO_NAME).write_bytes((other / VIDEO_NAME).read_bytes())
    assert findings(folder) == {"video": "missing: 10 of the 30 frames in the index"}
    at = whole.index(b"\x1f\x43\xb6\x75")
    (folder / VIDEO_NAME).write_bytes(whole[: at // 2])
    assert findings(folder)["video"].startswith("missing")
    (folder / VIDEO_NAME).unlink()
    assert "cannot be opened as a video" in findings(folder)["video"]


def test_a_video_of_other_pictures_is_wrong(tmp_path: Path) -> None:
    folder = with_video(tmp_path / "a", "lossless")
    (folder / VIDEO_NAME).unlink()
    encoder = VideoEncoder(folder / VIDEO_NAME, 32, 24, "lossless")
    for number in range(30):
        encoder.write(np.full((24, 32), number, np.uint8), 5 * number)
    encoder.close()
    assert findings(folder) == {
        "video": "wrong: 30 pictures are not those recorded: number 0, 1, 2, 3, 4 and 25 more"
    }


def test_an_inexact_video_is_counted(tmp_path: Path) -> None:
    folder = with_video(tmp_path / "a", "h264")
    text = next(each.text for each in verify(read_session(folder)) if each.check == "video")
    assert text == "30 frames (h264: not exact, so counted only)"


def test_the_summary_counts_what_happened(loop: Loop) -> None:
    summary = summarise(read_session(loop.folder), unblind=True)
    wanted: dict[tuple[str, str, str], int] = {}
    for each in loop.decisions:
        key = (each.rule, each.action.value, each.reason.value)
        wanted[key] = wanted.get(key, 0) + 1
    assert summary.decisions == wanted
    fires = sum(count for (_, action, _), count in wanted.items() if action == "fire")
    assert summary.pulses is not None
    assert (summary.pulses.commanded, summary.pulses.acknowledged, summary.pulses.lit) == (
        fires,
        fires,
        fires,
    )
    assert (summary.poses, summary.features, summary.rate_hz) == (700, 700, pytest.approx(200))
    assert summary.published == 700
    assert [(each.what, each.who, each.text) for each in summary.armings] == [("armed", "operator", "start")]
    assert (summary.state, summary.missing, summary.blinded) == ("closed", (), 0)
    assert summary.facts["camera"] == "fake fake 1, 32x24, 200 frames per second"
    json.dumps(summary.as_dict())


def test_a_blinded_trial_stays_blind_unless_asked(loop: Loop, tmp_path: Path) -> None:
    session = read_session(loop.folder)
    summary = summarise(session)
    assert summary.pulses is None
    assert summary.blinded > 0
    assert not any(rule == "whisk" and action in ("fire", "sham") for rule, action, _ in summary.decisions)
    assert [each.name for each in write_tables(session, tmp_path)] == ["decisions.csv", "features.csv"]
    with pytest.raises(UsageError, match="exists"):
        write_tables(session, tmp_path, unblind=True)
    written = write_tables(session, tmp_path, unblind=True, overwrite=True)
    assert [each.name for each in written] == ["decisions.csv", "pulses.csv", "features.csv"]


def test_tables_hold_every_decision_and_every_pulse(loop: Loop, tmp_path: Path) -> None:
    session = read_session(loop.folder)
    write_tables(session, tmp_path, unblind=True)
    with (tmp_path / "decisions.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(loop.decisions)
    for row, each in zip(rows, loop.decisions, strict=True):
        assert row["action"] == each.action.value
        assert int(row["t_ns"]) == each.now_ns
        assert row["frame_id"] == ("" if each.frame_id is None else str(each.frame_id))
        assert list(json.loads(row["inputs"])) == [name for name, *_ in each.inputs]
        assert row["pulse_on_ms"] == ("" if each.pulse is None else str(each.pulse.on_ns / 1e6))
    with (tmp_path / "pulses.csv").open(encoding="utf-8") as file:
        pulses = list(csv.DictReader(file))
    fires = [number for number, each in enumerate(loop.decisions) if each.action.value == "fire"]
    assert [int(each["decision"]) for each in pulses] == fires
    assert {each["answer"] for each in pulses} == {"ack"}
    with (tmp_path / "features.csv").open(encoding="utf-8") as file:
        values = list(csv.DictReader(file))
    assert float(values[50]["reach.distance"]) == session.features["values"][50][4]
