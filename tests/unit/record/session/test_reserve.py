"""Room ahead of the log: what was taken is in the log whatever the disk does, and a log that was not closed is read."""

from __future__ import annotations

import errno
import os
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from support.fakes import LONG_S
from support.session_parts import (
    START_NS,
    FilledDisk,
    made_decision,
    made_report,
    pose,
    small_log,
)

from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.decision import Action
from rtface.core.errors import DataError
from rtface.record.seal.cipher import read_key
from rtface.record.session import LOG_NAME, allocation
from rtface.record.session.entries import (
    DecisionEntry,
    FaultEntry,
    GateReplyEntry,
    MarkEntry,
    PulseCommandEntry,
    SecretEntry,
)
from rtface.record.session.log import RECORD_HEAD, RECORD_TAIL, DiskFile, LogWriter, record_head
from rtface.record.session.logreader import LogReader
from rtface.record.session.packing import Packer
from rtface.record.session.reader import read_session
from rtface.record.session.verify import verify
from rtface.record.session.writer import SessionWriter

POINTS = 3
PACKER = Packer(POINTS)
REPLIES = ("sent", "ack", "light_on", "light_off", "train_ended")
KIB = 1024


def fire(writer: SessionWriter, number: int) -> bool:
    """Decide, and do what a loop does: nothing without a decision in the record; else command and replies."""
    if not writer.put(DecisionEntry.of(made_decision(frame_id=number), number)):
        return False
    assert writer.put(PulseCommandEntry(START_NS, number, number, "gate", "fire", {}))
    for event in REPLIES:
        assert writer.put(GateReplyEntry.of(made_report(number, event, START_NS), "gate"))
    return True


def fire_sealed(writer: SessionWriter, number: int) -> bool:
    """The same in a session that is blinded: what tells it from a sham is sealed first."""
    if not writer.put_sealed(SecretEntry(START_NS, number, {"action": "fire", "reason": "rule"})):
        return False
    hidden = made_decision(frame_id=number, action=Action.TRIAL, blind=True)
    if not writer.put(DecisionEntry.of(hidden, number)):
        return False
    assert writer.put_sealed(PulseCommandEntry(START_NS, number, number, "gate", "fire", {}))
    for event in REPLIES:
        assert writer.put_sealed(GateReplyEntry.of(made_report(number, event, START_NS), "gate")), (
            writer.faults
        )
    return True


def until(true: Callable[[], object]) -> None:
    """Wait until something is so; fail if it never is."""
    deadline_ns = SYSTEM_CLOCK.now_ns() + int(LONG_S * 1e9)
    while not true():
        assert SYSTEM_CLOCK.now_ns() < deadline_ns
        SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.now_ns() + 1_000_000)


@pytest.mark.parametrize("burst", [10, 10_000])
@pytest.mark.parametrize("size", range(32 * KIB, 56 * KIB, 2_111))
def test_whatever_room_a_disk_has_each_decision_that_was_taken_is_there_with_its_light(
    tmp_path: Path, size: int, burst: int
) -> None:
    writer = SessionWriter(
        tmp_path / "s",
        "full",
        PACKER.widths,
        reserve_bytes=32 * KIB,
        min_free_bytes=0,
        stall_s=1e6,
        open_file=lambda path: FilledDisk(path, size),
    )
    writer.open()
    fired = number = 0
    while writer.fault is None:  # a loop disarms then
        writer.put_row(*PACKER.pose(pose(number % 7, POINTS)))
        if number % 3 == 0:
            fired += fire(writer, fired)
        number += 1
        if number % burst == 0:
            until(lambda fired=fired: len(read_session(tmp_path / "s").decisions) == fired)
    whole = writer.close()
    faults = {each.what for each in writer.faults}
    assert faults == {"write"} if burst == 10 else faults <= {"write", "lost"}
    assert whole == ("write" not in faults)
    session = read_session(tmp_path / "s")
    assert session.state == "closed"
    assert (tmp_path / "s" / LOG_NAME).stat().st_size <= size
    assert [each.number for each in session.decisions] == list(range(fired))
    assert [each.decision for each in session.of(PulseCommandEntry)] == list(range(fired))
    assert Counter(each.event for each in session.of(GateReplyEntry)) == dict.fromkeys(REPLIES, fired)
    assert any("No space left" in each.text or "no room" in each.text for each in session.of(FaultEntry))


@pytest.mark.parametrize("burst", [10, 10_000])
@pytest.mark.parametrize("size", range(52 * KIB, 84 * KIB, 4_111))
def test_so_it_is_in_a_session_that_is_sealed(tmp_path: Path, size: int, burst: int) -> None:
    """The thirty-second part of the room that is left for what comes of a decision must hold that, about 1 KiB here."""
    writer = SessionWriter(
        tmp_path / "s", "full", PACKER.widths, reserve_bytes=52 * KIB, min_free_bytes=0, stall_s=1e6,
        open_file=lambda path: FilledDisk(path, size), sealed=True,
    )  # fmt: skip
    writer.open()
    fired = number = 0
    while writer.fault is None:
        writer.put_row(*PACKER.pose(pose(number % 7, POINTS)))
        if number % 3 == 0:
            fired += fire_sealed(writer, fired)
        number += 1
        if number % burst == 0:
            until(lambda fired=fired: len(read_session(tmp_path / "s").decisions) == fired)
    whole = writer.close()
    faults = {each.what for each in writer.faults}
    assert faults <= {"write", "lost"}
    assert whole == ("write" not in faults)
    session = read_session(tmp_path / "s", read_key(tmp_path / "s"))
    assert session.state == "closed"
    assert (tmp_path / "s" / LOG_NAME).stat().st_size <= size
    assert [each.action for each in session.decisions] == ["fire"] * fired
    assert [each.decision for each in session.of(PulseCommandEntry)] == list(range(fired))
    assert Counter(each.event for each in session.of(GateReplyEntry)) == dict.fromkeys(REPLIES, fired)
    assert not [
        each
        for each in verify(session)
        if each.check in ("seal", "pulses", "totals") and each.verdict == "wrong"
    ]


def test_rows_leave_room_for_events_and_events_for_the_end(tmp_path: Path) -> None:
    writer = SessionWriter(
        tmp_path / "s", "full", PACKER.widths, reserve_bytes=32 * KIB, min_free_bytes=0, stall_s=1e6,
        open_file=lambda path: FilledDisk(path, 32 * KIB),
    )  # fmt: skip
    writer.open()
    while writer.put_row(*PACKER.pose(pose(0, POINTS))):
        pass
    assert writer.put(DecisionEntry.of(made_decision(), 0))
    number = 1
    while writer.put(DecisionEntry.of(made_decision(), number)):
        number += 1
    assert writer.put(PulseCommandEntry(START_NS, 0, 0, "gate", "fire", {}))
    while writer.put(MarkEntry(START_NS, "me", "what comes of a decision")):
        pass
    writer.close()
    session = read_session(tmp_path / "s")
    assert session.state == "closed", "there is always room for the end"
    assert len(session.decisions) == number


def test_a_disk_without_any_room_is_refused_at_once(tmp_path: Path) -> None:
    writer = SessionWriter(
        tmp_path / "s", "full", PACKER.widths, open_file=lambda path: FilledDisk(path, 10 * KIB)
    )
    with pytest.raises(DataError, match=r"cannot record into .*No space left"):
        writer.open()


def test_the_room_is_extended_as_the_log_grows_and_given_back_in_the_end(tmp_path: Path) -> None:
    writer = SessionWriter(
        tmp_path / "s", "long", PACKER.widths, reserve_bytes=64 * KIB, min_free_bytes=0, stall_s=1e6
    )
    writer.open()
    path, number = tmp_path / "s" / LOG_NAME, 0
    deadline_ns = SYSTEM_CLOCK.now_ns() + int(LONG_S * 1e9)
    while number < 3000 and SYSTEM_CLOCK.now_ns() < deadline_ns:
        number += writer.put_row(*PACKER.pose(pose(number % 7, POINTS)))
    assert writer.fault is None
    assert path.stat().st_size > 192 * KIB
    assert writer.close()
    session = read_session(tmp_path / "s")
    assert (session.state, session.unused, len(session.poses)) == ("closed", 0, 3000)


def without_fallocate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")


def without_support(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(handle: int, begin: int, length: int) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", refuse)


@pytest.mark.parametrize("change", [lambda _: None, without_fallocate, without_support])
def test_what_is_allocated_has_its_blocks_and_what_is_written_stands_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[pytest.MonkeyPatch], None]
) -> None:
    change(monkeypatch)
    file = DiskFile(tmp_path / "log")
    file.write(memoryview(b"first"))
    file.reserve(3 << 20)
    file.write(memoryview(b"second"))
    file.sync()
    found = (tmp_path / "log").stat()
    assert found.st_size == 3 << 20
    assert found.st_blocks * 512 >= 3 << 20, "sparse: its room is not certain"
    file.reserve(1 << 20)
    assert (tmp_path / "log").stat().st_size == 3 << 20
    file.truncate(11)
    file.close()
    assert (tmp_path / "log").read_bytes() == b"firstsecond"


def test_zeros_that_find_no_room_leave_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_fallocate(monkeypatch)
    file, write = DiskFile(tmp_path / "log"), os.write
    file.write(memoryview(b"first"))
    room = [1000, 1000]

    def small(handle: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, data[: room.pop()])

    with monkeypatch.context() as patch:
        patch.setattr(allocation.os, "write", small)
        with pytest.raises(OSError, match="No space left"):
            file.reserve(100_000)
    file.write(memoryview(b"second"))
    file.close()
    assert (tmp_path / "log").read_bytes() == b"firstsecond"


@pytest.mark.parametrize("zeros", [16, 500, 4096])
def test_a_log_whose_host_died_is_whole_up_to_its_zeros_wherever_it_ended(tmp_path: Path, zeros: int) -> None:
    whole = small_log(tmp_path / "session")
    all_records = list(LogReader(tmp_path / "session" / LOG_NAME))
    ends = [each.offset + RECORD_HEAD.size + len(each.payload) + RECORD_TAIL for each in all_records]
    path = tmp_path / LOG_NAME
    for size in range(16, len(whole) + 1):
        data = whole[:size] + bytes(zeros)
        path.write_bytes(data)
        reader = LogReader(path)
        found = list(reader)
        kept = sum(data[:end] == whole[:end] for end in ends)
        assert reader.damage == [], size
        assert found == all_records[:kept], size


def test_a_record_that_ends_in_zeros_is_not_lost_before_zeros(tmp_path: Path) -> None:
    path, number = tmp_path / LOG_NAME, 0
    while True:  # one checksum in 256 ends in a zero
        log = LogWriter(DiskFile(path))
        log.append(1, b"%d" % number)
        log.commit()
        log.close()
        if path.read_bytes()[-1] == 0:
            break
        path.unlink()
        number += 1
    path.write_bytes(path.read_bytes() + bytes(4096))
    reader = LogReader(path)
    assert [each.payload for each in reader] == [b"%d" % number]
    assert (reader.damage, reader.unused) == ([], 4096)


def test_a_changed_byte_before_the_zeros_is_damage_all_the_same(tmp_path: Path) -> None:
    whole = small_log(tmp_path / "session")
    last = list(LogReader(tmp_path / "session" / LOG_NAME))[-1]
    path = tmp_path / LOG_NAME
    for at in range(last.offset, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :] + bytes(4096))
        reader = LogReader(path)
        assert len(list(reader)) == last.number
        assert len(reader.damage) == 1, at


def test_a_session_that_was_closed_and_kept_its_zeros_is_whole(tmp_path: Path) -> None:
    whole = small_log(tmp_path / "session")
    (tmp_path / LOG_NAME).write_bytes(whole + bytes(50_000))
    session = read_session(tmp_path)
    assert (session.state, session.damage, session.cut_off, session.unused) == ("closed", (), 0, 50_000)
    assert session.missing == ()
    assert {each.verdict for each in verify(session) if each.check == "log"} == {"whole"}


def test_a_head_of_a_record_that_lies_in_zeros_is_no_record(tmp_path: Path) -> None:
    head = record_head(0, 0, 1)
    assert zlib.crc32(head[:-4]), "a head is never zeros alone"
    path = tmp_path / LOG_NAME
    whole = small_log(tmp_path / "session")
    path.write_bytes(whole[:16] + head[:10] + bytes(100))
    reader = LogReader(path)
    assert (list(reader), reader.damage, reader.cut_off) == ([], [], 110)
    assert reader.unused >= 100
