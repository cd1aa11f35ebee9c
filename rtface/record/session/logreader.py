"""Reading the log of a session: record by record, as far as it is whole, and the places where it is not."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rtface.core.errors import DataError
from rtface.record.session.log import (
    FILE_HEAD,
    MAGIC,
    MARK,
    MAX_PAYLOAD,
    RECORD_HEAD,
    RECORD_TAIL,
    SCHEMA_VERSION,
    first_chain,
    has_writer,
    link,
)

_ZEROS = 16
"""So many zero bytes at a file's end are no record's: they were allocated ahead of it, or left where power failed."""
_STEP = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogRecord:
    """A whole record: its place in the file in bytes, its number, its kind and what it holds."""

    offset: int
    number: int
    kind: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """A place that is not as it was written: from byte `offset` up to and without byte `end`."""

    offset: int
    end: int
    text: str

    def in_words(self) -> str:
        """Return the place and what is wrong, for a person."""
        return f"bytes {self.offset} to {self.end}: {self.text}"


class LogReader:
    """Reads the records of a log as far as it goes; damage is stepped over and noted.

    Parameters
    ----------
    path : Path
        The log.

    Attributes
    ----------
    damage : list of Damage
        What has been found wrong so far.
    cut_off : int
        Bytes at the end that are the beginning of a record, or zeros; known after the last record.
    unused : int
        Those of them that are zeros behind all that was written; known after the last record.
    chain : bytes
        The chain of the last record read.
    growing : bool
        A process still writes; known after the last record.
    size : int
        Bytes of the file when it was opened.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.damage: list[Damage] = []
        self.cut_off = self.unused = 0
        self.chain = b""
        self.growing = False
        self.size = 0

    def __iter__(self) -> Iterator[LogRecord]:
        """Yield the whole records in order.

        Raises
        ------
        DataError
            The file cannot be read, is no session's log, or is of another schema version.
        """
        try:
            with self._path.open("rb") as file:
                self.growing = has_writer(
                    file
                )  # checked first: what is cut off then may be whole a moment later
                self.size = file.seek(0, os.SEEK_END)
                yield from self._records(file, self.size - _zeros_at_end(file, self.size))
        except OSError as error:
            raise DataError(f"cannot read {self._path}: {error.strerror or error}") from error

    def _records(self, file: BinaryIO, end: int) -> Iterator[LogRecord]:
        """Yield the records before byte `end`, where the zeros at the file's end begin.

        The last record may end in zeros of its own, and one that was not written whole goes on in them.
        """
        chain: bytes | None = self._check_head(file, end)
        offset, number = (FILE_HEAD.size if end >= FILE_HEAD.size else 0), 0
        while 0 < offset < end:
            found = self._record_at(file, offset, end)
            if isinstance(found, str):
                after = _next_record(file, offset + 1, end)
                self.damage.append(Damage(offset, after, found))
                offset, chain = after, None
                continue
            if found is None:
                break
            record, head, own_chain = found
            stop = offset + RECORD_HEAD.size + len(record.payload) + RECORD_TAIL
            if record.number != number and chain is not None:
                self.damage.append(
                    Damage(offset, stop, f"record {record.number} follows record {number - 1}")
                )
            elif chain is not None and own_chain != link(chain, head, record.payload):
                self.damage.append(
                    Damage(offset, stop, f"record {record.number} breaks the chain: changed, or before it")
                )
            chain = self.chain = own_chain
            offset, number = stop, record.number + 1
            yield record
        self.cut_off = self.size - offset
        self.unused = self.size - max(offset, end)

    def _check_head(self, file: BinaryIO, end: int) -> bytes | None:
        file.seek(0)
        start = file.read(min(FILE_HEAD.size, end))
        if len(start) < FILE_HEAD.size:
            if not MAGIC.startswith(start[: len(MAGIC)]):
                raise DataError(f"{self._path} is not the log of a session")
            return None
        magic, version, checksum = FILE_HEAD.unpack(start)
        whole = zlib.crc32(start[:-4]) == checksum
        if whole and magic == MAGIC and version == SCHEMA_VERSION:
            self.chain = first_chain(start)
            return self.chain
        if whole and magic == MAGIC:
            raise DataError(
                f"{self._path}: schema version {version}, this rtface reads {SCHEMA_VERSION}; a newer rtface may read it"
            )
        if magic != MAGIC and _next_record(file, FILE_HEAD.size, end) == end:
            raise DataError(f"{self._path} is not the log of a session")
        self.damage.append(Damage(0, FILE_HEAD.size, "the head of the file has a wrong checksum"))
        return None

    def _record_at(
        self, file: BinaryIO, offset: int, end: int
    ) -> tuple[LogRecord, bytes, bytes] | str | None:
        """Return the record, its head and chain; a text for damage; None where what was written ends within it."""
        file.seek(offset)
        head = file.read(RECORD_HEAD.size)
        if offset + RECORD_HEAD.size > end:
            return None if _begins(head[: end - offset]) else "not the beginning of a record"
        length, number, kind = _read_head(head) or (-1, 0, 0)
        if length < 0:
            return "the head of a record has a wrong checksum"
        rest = file.read(length + RECORD_TAIL)
        if len(rest) < length + RECORD_TAIL:
            return None
        payload, chain = rest[:length], rest[length:-4]
        checksum = struct.pack("<I", zlib.crc32(rest[:-4]))
        if checksum != rest[-4:]:
            there = max(
                0, end - offset - RECORD_HEAD.size - len(rest) + 4
            )  # of the four bytes of the checksum
            cut = there < 4 and checksum[:there] == rest[-4:][:there]
            return None if cut else f"record {number} has a wrong checksum"
        return LogRecord(offset, number, kind, payload), head, chain


def record_at(path: Path, offset: int) -> LogRecord:
    """Return the record that begins at a byte of a log, its checksums proved.

    Raises
    ------
    DataError
        The log cannot be read, or there is no whole record.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            head = file.read(RECORD_HEAD.size)
            found = _read_head(head) if len(head) == RECORD_HEAD.size else None
            if found is not None:
                length, number, kind = found
                rest = file.read(length + RECORD_TAIL)
                if (
                    rest[-4:] == struct.pack("<I", zlib.crc32(rest[:-4]))
                    and len(rest) == length + RECORD_TAIL
                ):
                    return LogRecord(offset, number, kind, rest[:length])
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    raise DataError(f"{path}: no whole record at byte {offset}; the file was changed after it was read")


def records_within(data: bytes) -> Iterator[tuple[LogRecord, int]]:
    """Yield the whole records in a part of a log, and the byte behind each; their offsets are in that part.

    What stands before the first whole record is passed over, and so is what is damaged.
    """
    at = data.find(MARK)
    while at >= 0:
        head = _read_head(data[at : at + RECORD_HEAD.size]) if at + RECORD_HEAD.size <= len(data) else None
        end = at + RECORD_HEAD.size + (0 if head is None else head[0]) + RECORD_TAIL
        if head is not None and end <= len(data):
            rest = data[at + RECORD_HEAD.size : end]
            if rest[-4:] == struct.pack("<I", zlib.crc32(rest[:-4])):
                yield LogRecord(at, head[1], head[2], rest[: head[0]]), end
                at = data.find(MARK, end)
                continue
        at = data.find(MARK, at + 1)


def _begins(part: bytes) -> bool:
    """Return whether this can be the beginning of the head of a record."""
    return part[: len(MARK)] == MARK[: len(part)]


def _read_head(head: bytes) -> tuple[int, int, int] | None:
    """Return payload length, number and kind, or None for what is no head."""
    mark, length, number, kind, zero, checksum = RECORD_HEAD.unpack(head)
    if mark != MARK or zero or length > MAX_PAYLOAD or zlib.crc32(head[:-4]) != checksum:
        return None
    return length, number, kind


def _zeros_at_end(file: BinaryIO, size: int) -> int:
    """Return the length of the run of zeros at the end, 0 for a short one."""
    zeros = 0
    while zeros < size:
        step = min(_STEP if zeros else _ZEROS, size - zeros)
        file.seek(size - zeros - step)
        left = len(file.read(step).rstrip(b"\0"))
        zeros += step - left
        if left:
            break
    return zeros if zeros >= _ZEROS else 0


def _next_record(file: BinaryIO, offset: int, end: int) -> int:
    """Return where the next head of a record lies at or after `offset`, `end` if there is none."""
    while offset < end:
        file.seek(offset)
        chunk = file.read(min(_STEP, end - offset))
        at = chunk.find(MARK)
        while at >= 0:
            file.seek(offset + at)
            head = file.read(min(RECORD_HEAD.size, end - offset - at))
            if len(head) == RECORD_HEAD.size and _read_head(head) is not None:
                return offset + at
            at = chunk.find(MARK, at + 1)
        if len(chunk) < _STEP:
            break
        offset += len(chunk) - len(MARK) + 1
    return end
