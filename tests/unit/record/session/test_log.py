"""The log as bytes: whatever is changed is found and named, wherever it is cut off the rest is read."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest
from support.session_parts import SmallDisk, small_log

from rtface.core.errors import DataError
from rtface.record.session import LOG_NAME
from rtface.record.session.log import (
    FILE_HEAD,
    MAGIC,
    RECORD_HEAD,
    RECORD_TAIL,
    DiskFile,
    LogWriter,
    first_chain,
    link,
    record_head,
)
from rtface.record.session.logreader import LogReader, LogRecord
from rtface.record.session.reader import read_session


def write(path: Path, *payloads: bytes) -> list[bytes]:
    """Write a log with a record a payload, and return head and records as bytes."""
    log = LogWriter(DiskFile(path))
    for number, payload in enumerate(payloads):
        log.append(number + 1, payload)
    log.commit()
    log.close()
    return pieces(path)


def pieces(path: Path) -> list[bytes]:
    data, found = path.read_bytes(), []
    reader = LogReader(path)
    for record in reader:
        end = record.offset + RECORD_HEAD.size + len(record.payload) + RECORD_TAIL
        found.append(data[record.offset : end])
    assert not reader.damage
    assert b"".join(found) == data[FILE_HEAD.size :]
    return [data[: FILE_HEAD.size], *found]


def read(path: Path) -> tuple[list[LogRecord], LogReader]:
    reader = LogReader(path)
    return list(reader), reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / LOG_NAME


def test_records_come_back_in_order_with_their_chain(path: Path) -> None:
    payloads = [b"", b"a", bytes(1000), b"\xa5rec"]
    whole = write(path, *payloads)
    found, reader = read(path)
    assert [(each.number, each.kind, each.payload) for each in found] == [
        (number, number + 1, payload) for number, payload in enumerate(payloads)
    ]
    assert (reader.damage, reader.cut_off, reader.growing) == ([], 0, False)
    chain = first_chain(whole[0])
    for piece, payload in zip(whole[1:], payloads, strict=True):
        chain = link(chain, piece[: RECORD_HEAD.size], payload)
    assert reader.chain == chain


def test_every_changed_byte_is_found_and_all_records_but_its_own_are_read(path: Path) -> None:
    write(path, b"first", b"second", b"third")
    whole = path.read_bytes()
    before, _ = read(path)
    ends = [each.offset for each in before[1:]] + [len(whole)]
    for at in range(FILE_HEAD.size, len(whole)):
        for mask in (0x01, 0x80, 0xFF):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
            found, reader = read(path)
            hit = next(number for number, end in enumerate(ends) if at < end)
            assert [each for each in found if each.number == hit] == [], at
            assert [each.number for each in found] == [n for n in range(3) if n != hit], at
            assert [(each.offset, each.end) for each in reader.damage] == [(before[hit].offset, ends[hit])], (
                at
            )


def test_a_changed_head_of_the_file_is_found(path: Path) -> None:
    write(path, b"first", b"second")
    whole = path.read_bytes()
    for at in range(FILE_HEAD.size):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        found, reader = read(path)
        assert [each.payload for each in found] == [b"first", b"second"]
        assert [each.text for each in reader.damage] == ["the head of the file has a wrong checksum"]


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([1, 2, 4], "record 3 follows record 1"),
        ([2, 3, 4], "record 1 follows record -1"),
        ([1, 3, 2, 4], "record 2 follows record 0"),
        ([1, 2, 2, 3, 4], "record 1 follows record 1"),
    ],
)
def test_records_taken_out_put_in_or_exchanged_are_found(path: Path, order: list[int], said: str) -> None:
    parts = write(path, b"a", b"b", b"c", b"d")
    path.write_bytes(parts[0] + b"".join(parts[each] for each in order))
    found, reader = read(path)
    assert len(found) == len(order)
    assert reader.damage[0].text == said


def forged(number: int, kind: int, payload: bytes, chain: bytes) -> bytes:
    """A record with numbers and checksums made right again, but with a chain of the forger's choice."""
    head = record_head(len(payload), number, kind)
    body = payload + chain
    return head + body + struct.pack("<I", zlib.crc32(body))


def test_a_record_exchanged_for_another_with_right_checksums_breaks_the_chain(path: Path) -> None:
    parts = write(path, b"a", b"b", b"c")
    own_chain = parts[2][-36:-4]
    path.write_bytes(parts[0] + parts[1] + forged(1, 2, b"B", own_chain) + parts[3])
    found, reader = read(path)
    assert [each.payload for each in found] == [b"a", b"B", b"c"]
    assert [each.text for each in reader.damage] == ["record 1 breaks the chain: changed, or before it"]


def test_a_record_forged_with_a_chain_of_its_own_breaks_that_of_the_next(path: Path) -> None:
    parts = write(path, b"a", b"b", b"c")
    before = parts[1][-36:-4]
    chain = link(before, record_head(1, 1, 2), b"B")
    path.write_bytes(parts[0] + parts[1] + forged(1, 2, b"B", chain) + parts[3])
    assert [each.text for each in read(path)[1].damage] == [
        "record 2 breaks the chain: changed, or before it"
    ]


def test_a_log_of_another_session_put_behind_is_found(path: Path, tmp_path: Path) -> None:
    first, second = write(path, b"a"), write(tmp_path / "other", b"x", b"b")
    path.write_bytes(b"".join(first) + second[2])
    assert [each.text for each in read(path)[1].damage] == [
        "record 1 breaks the chain: changed, or before it"
    ]


def test_wherever_it_is_cut_off_the_whole_prefix_is_read(tmp_path: Path) -> None:
    whole = small_log(tmp_path / "session")
    all_records, _ = read(tmp_path / "session" / LOG_NAME)
    folder = tmp_path / "cut"
    folder.mkdir()
    for size in range(len(whole)):
        (folder / LOG_NAME).write_bytes(whole[:size])
        found, reader = read(folder / LOG_NAME)
        ends = [each.offset + RECORD_HEAD.size + len(each.payload) + RECORD_TAIL for each in all_records]
        kept = sum(end <= size for end in ends)
        assert found == all_records[:kept], size
        assert reader.damage == [], size
        assert reader.cut_off == size - max([FILE_HEAD.size * (size >= FILE_HEAD.size), *ends[:kept]]), size
    for size in range(FILE_HEAD.size, len(whole), 97):
        (folder / LOG_NAME).write_bytes(whole[:size])
        session = read_session(folder)
        assert session.state == "truncated"
        assert any("not closed" in each for each in session.missing)


def test_zeros_that_a_power_failure_leaves_are_cut_off_and_not_damage(path: Path) -> None:
    write(path, b"a", b"b")
    whole = path.read_bytes()
    path.write_bytes(bytes(40))
    found, reader = read(path)
    assert (found, reader.damage, reader.cut_off) == ([], [], 40)
    for zeros in (16, 4096):
        path.write_bytes(whole + bytes(zeros))
        found, reader = read(path)
        assert ([each.payload for each in found], reader.damage) == ([b"a", b"b"], [])
        assert reader.cut_off == zeros


def test_rubbish_between_records_is_stepped_over_and_named(path: Path) -> None:
    parts = write(path, b"a", b"b")
    path.write_bytes(parts[0] + parts[1] + b"rubbish\xa5rec" + parts[2])
    found, reader = read(path)
    assert [each.payload for each in found] == [b"a", b"b"]
    start = FILE_HEAD.size + len(parts[1])
    assert [(each.offset, each.end, each.text) for each in reader.damage] == [
        (start, start + 11, "the head of a record has a wrong checksum")
    ]


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(100), b"short", b"rtfacelX" + bytes(30)])
def test_another_file_is_no_log(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not the log of a session"):
        read(path)


def test_a_newer_schema_is_refused_by_its_number(path: Path) -> None:
    start = MAGIC + struct.pack("<I", 2)
    path.write_bytes(start + struct.pack("<I", zlib.crc32(start)))
    with pytest.raises(DataError, match="schema version 2, this rtface reads 1"):
        read(path)


def test_a_log_that_is_there_is_never_written_over(path: Path) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        DiskFile(path)
    assert path.read_bytes() == b"precious"


@pytest.mark.parametrize("whole_writes", [False, True])
def test_a_disk_that_is_full_at_any_byte_leaves_a_valid_log_that_goes_on_when_there_is_room(
    tmp_path: Path, whole_writes: bool
) -> None:
    payloads = [b"first", b"second", b"third"]
    total = len(b"".join(write(tmp_path / "all", *payloads)))
    for room in range(total):
        path = tmp_path / f"{room}"
        disk = SmallDisk(path, room, whole_writes=whole_writes)
        log = LogWriter(disk)
        for number, payload in enumerate(payloads):
            log.append(number + 1, payload)
        with pytest.raises(OSError, match="No space left"):
            log.commit()
        if room or path.stat().st_size:
            found, reader = read(path)
            assert (reader.damage, reader.cut_off) == ([], 0), room
            assert [each.payload for each in found] == payloads[: len(found)], room
            assert log.records.total() == len(found)
            assert log.forgotten.total() == 3 - len(found)
            if found:
                assert log.chain == reader.chain
        disk.room = 1000
        log.append(9, b"again")
        log.commit()
        log.close()
        again, reader = read(path)
        assert reader.damage == []
        assert [each.payload for each in again] == [*payloads[: len(again) - 1], b"again"]
        assert reader.chain == log.chain


def test_a_log_that_cannot_be_cut_back_takes_nothing_more(path: Path) -> None:
    class Broken(SmallDisk):
        def truncate(self, size: int) -> None:
            raise OSError("no way")

    disk = Broken(path, 30)
    log = LogWriter(disk)
    log.append(1, b"first")
    with pytest.raises(OSError, match="No space"):
        log.commit()
    disk.room = 1000
    log.append(1, b"first")
    with pytest.raises(OSError, match="could not be cut off"):
        log.commit()
    log.close()
    found, reader = read(path)
    assert (found, reader.damage, reader.cut_off) == ([], [], 14)
