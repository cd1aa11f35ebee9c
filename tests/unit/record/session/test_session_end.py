"""What a log says of its end when it was not closed: what is known, and no more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from support.fakes import LONG_S
from support.recorded_loop import Loop, record_loop
from support.session_parts import START_NS, pose, put_pose

from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, ManualClock
from rtface.record.session import LOG_NAME
from rtface.record.session.entries import ClosedEntry, SyncedEntry
from rtface.record.session.logreader import LogReader, LogRecord
from rtface.record.session.packing import Packer
from rtface.record.session.reader import Session, read_session
from rtface.record.session.reading import iterate
from rtface.record.session.verify import verify
from rtface.record.session.writer import SessionWriter

KIB = 1024


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("session"), 600)


def cut(folder: Path, to: Path, size: int, zeros: int = 0) -> Session:
    """Read the first `size` bytes of a log, with zeros behind."""
    to.mkdir(exist_ok=True)
    (to / LOG_NAME).write_bytes((folder / LOG_NAME).read_bytes()[:size] + bytes(zeros))
    return read_session(to)


def records(folder: Path) -> list[LogRecord]:
    return list(LogReader(folder / LOG_NAME))


def test_half_a_log_is_not_said_to_lack_a_second(loop: Loop, tmp_path: Path) -> None:
    found = records(loop.folder)
    for at in (found[len(found) // 2].offset, found[3].offset, found[-1].offset):
        session = cut(loop.folder, tmp_path / "cut", at)
        assert session.state == "truncated"
        # A busy machine records slowly enough for syncs, each of which says how large the log was.
        synced = any(each.kind == SyncedEntry.kind and each.offset < at for each in found)
        text, *more = session.missing
        assert len(more) == synced
        assert f"its log ends after {at} bytes" in text
        assert "where a closed one has its totals" in text
        assert ("no sync is recorded" in text) is not synced
        assert "is not known" in text
        assert "second" not in text
        (kept,) = (each.text for each in verify(session) if each.check == "kept")
        assert kept.endswith("up to where the log ends")
        assert [each.text for each in verify(session) if each.verdict != "whole" and each.check == "log"] == [
            text,
            *more,
        ]


def test_the_end_is_given_in_seconds_of_the_session(loop: Loop, tmp_path: Path) -> None:
    whole = read_session(loop.folder)
    assert whole.opened is not None
    session = cut(loop.folder, tmp_path / "cut", records(loop.folder)[-1].offset)
    ends_ns = max(
        *(each.t_ns for each in session.events),
        int(session.poses["decided_ns"][-1]),
        int(session.features["now_ns"][-1]),
        int(session.published["published_ns"][-1]),
    )
    assert f"{(ends_ns - whole.opened.t_ns) / NS_PER_S:.3f} s after it began" in session.missing[0]


def test_a_damaged_log_that_was_not_closed_says_both(loop: Loop, tmp_path: Path) -> None:
    found, whole = records(loop.folder), (loop.folder / LOG_NAME).read_bytes()
    at = found[4].offset + 25
    (tmp_path / LOG_NAME).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 : found[-1].offset])
    session = read_session(tmp_path)
    assert session.state == "damaged"
    assert any("not closed" in each for each in session.missing)


@pytest.fixture
def synced(tmp_path: Path) -> Path:
    """A session that was synced three times, cut off where its host died."""
    clock = ManualClock(START_NS)
    writer = SessionWriter(
        tmp_path / "s",
        "test",
        Packer(3).widths,
        clock=clock,
        min_free_bytes=0,
        reserve_bytes=64 * KIB,
        stall_s=1e6,
    )
    writer.open()
    log = tmp_path / "s" / LOG_NAME

    def seen() -> int:
        return sum(isinstance(each, SyncedEntry) for each in iterate(log))

    for second in range(3):
        put_pose(writer, pose(second))
        clock.sleep_until_ns(START_NS + (second + 1) * NS_PER_S)
        deadline_ns = SYSTEM_CLOCK.now_ns() + int(LONG_S * 1e9)
        while seen() <= second:
            assert SYSTEM_CLOCK.now_ns() < deadline_ns
            SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.now_ns() + 1_000_000)
    put_pose(writer, pose(3))
    (tmp_path / "died").mkdir()
    shutil.copyfile(log, tmp_path / "died" / LOG_NAME)
    assert writer.close()
    return tmp_path / "died"


def test_the_newest_sync_is_told_with_its_time(synced: Path) -> None:
    session = read_session(synced)
    assert (session.state, session.damage, session.cut_off) == ("truncated", (), 0)
    assert session.unused > 0
    assert session.synced is not None
    assert session.synced.reserved == 64 * KIB == session.size
    (text,) = session.missing
    assert f"was 3.000 s after it began, of {session.synced.bytes} bytes" in text
    assert not session.of(SyncedEntry), "how the log was written is no event"


def test_a_log_that_is_shorter_than_it_was_at_its_sync_was_cut_off(synced: Path, tmp_path: Path) -> None:
    found = records(synced)
    for each in found[-3:]:
        session = cut(synced, tmp_path / "cut", each.offset)
        if session.synced is not None:
            assert f"had {64 * KIB} bytes at that sync and has {each.offset}" in session.missing[-1]
    second = next(each for each in found if each.kind == SyncedEntry.kind)
    after = next(each.offset for each in found if each.number == second.number + 1)
    for zeros in (0, 64 * KIB - after):
        session = cut(synced, tmp_path / "cut", after, zeros)
        assert session.synced is not None
        assert "was 1.000 s after it began" in session.missing[0]
        assert any("cut off" in each for each in session.missing) == (zeros == 0)


def test_a_closed_session_has_syncs_that_are_not_in_its_totals(synced: Path) -> None:
    session = read_session(synced.parent / "s")
    assert (session.state, session.missing) == ("closed", ())
    assert session.synced is not None
    assert session.closed is not None
    assert "synced" not in session.closed.totals
    assert {each.verdict for each in verify(session) if each.check in ("log", "totals")} == {"whole"}
    assert records(synced.parent / "s")[-1].kind == ClosedEntry.kind
