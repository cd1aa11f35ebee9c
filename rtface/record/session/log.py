"""The append-only log of a session: framed records, each with checksums, chained by a hash. No thread, no clock.

A file is a head of 16 bytes and then records, little-endian throughout::

    head     8s magic "rtfacelg", u32 schema version, u32 CRC-32 of the 12 bytes before
    record   4s mark A5 "rec", u32 length n of the payload, u32 number from 0, u16 kind, u16 zero,
             u32 CRC-32 of the 16 bytes before, n bytes payload,
             32s chain = SHA-256(chain of the record before, the 20 bytes of this head, payload),
             u32 CRC-32 of payload and chain

The chain before the first record is the SHA-256 of the file's head. A head has a checksum of its own, so that a
record which reaches beyond the end of the file is known to be cut off and not damaged; the chain shows records
that were taken out, put in or exchanged with their checksums made right again. Zeros may stand behind the last record:
room that was allocated ahead of it, and that `LogWriter.close` gives back.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import struct
import sys
import zlib
from collections import Counter
from pathlib import Path
from typing import BinaryIO, Protocol

from rtface.record.session.allocation import allocate
from rtface.record.session.identity import FileIdentity

try:
    import fcntl
except ImportError:  # Windows: there a session that is being written is taken for one that was cut off
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

SCHEMA_VERSION = 1
MAGIC = b"rtfacelg"
MARK = b"\xa5rec"
MAX_PAYLOAD = 64 * 1024 * 1024

FILE_HEAD = struct.Struct("<8sII")
RECORD_HEAD = struct.Struct("<4sIIHHI")
RECORD_TAIL = 36


def first_chain(file_head: bytes) -> bytes:
    """Return the chain before the first record."""
    return hashlib.sha256(file_head).digest()


def link(chain: bytes, head: bytes, payload: bytes) -> bytes:
    """Return the chain after a record, from the chain before it."""
    return hashlib.sha256(b"".join((chain, head, payload))).digest()


def record_head(length: int, number: int, kind: int) -> bytes:
    """Return the head of a record with its checksum."""
    start = RECORD_HEAD.pack(MARK, length, number, kind, 0, 0)[:-4]
    return start + struct.pack("<I", zlib.crc32(start))


class LogFile(Protocol):
    """What a log is written to; every method may raise OSError."""

    def write(self, data: memoryview) -> int:
        """Write some or all of `data` behind what was written; return how many bytes."""

    def reserve(self, size: int) -> None:
        """Make the file `size` bytes long, so that writing up to there needs no more room; else leave it as it is."""

    def problem(self, size: int) -> str:
        """Return why this is no longer the file of `size` bytes at its path, in words; empty while it is."""

    def sync(self) -> None:
        """Put on the disk what was written."""

    def truncate(self, size: int) -> None:
        """Cut the file to `size` bytes, and write on from there."""

    def close(self) -> None:
        """Let the file go."""


class DiskFile:
    """A new file, locked as long as its writer lives, so that a reader finds whether it still grows."""

    def __init__(self, path: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        self._handle = os.open(path, flags | getattr(os, "O_BINARY", 0), 0o644)
        lock(self._handle)
        self._identity = FileIdentity(path, self._handle)

    def write(self, data: memoryview) -> int:
        """Write; see `LogFile`."""
        return os.write(self._handle, data)

    def reserve(self, size: int) -> None:
        """Allocate; see `LogFile`."""
        allocate(self._handle, size)

    def problem(self, size: int) -> str:
        """Compare with what is at the path; see `LogFile`."""
        return self._identity.problem(size)

    def sync(self) -> None:
        """Put on the disk; see `LogFile`."""
        os.fsync(self._handle)

    def truncate(self, size: int) -> None:
        """Cut; see `LogFile`."""
        os.ftruncate(self._handle, size)
        os.lseek(self._handle, size, os.SEEK_SET)

    def close(self) -> None:
        """Let go; see `LogFile`."""
        os.close(self._handle)


def lock(handle: int) -> None:
    """Wait until nobody else has a file locked, and lock it until it is closed; nothing where the system has no such locks."""
    if sys.platform == "win32":
        return
    if _HAS_LOCKS:
        with contextlib.suppress(OSError):  # some network file systems have none
            fcntl.flock(handle, fcntl.LOCK_EX)


def has_writer(file: BinaryIO) -> bool:
    """Return whether a process still holds the log open to write; False where the system has no such locks."""
    if sys.platform == "win32" or not _HAS_LOCKS:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.flock(file, fcntl.LOCK_UN)
    return False


class LogWriter:
    """Frames records and appends them; one thread.

    Parameters
    ----------
    file : LogFile
        Empty.

    Attributes
    ----------
    records, rows : Counter of int
        Records that were written whole, and the rows in them, by kind.
    forgotten : Counter of int
        Rows, and events as one row each, that were to be written when the disk failed, by kind.
    chain : bytes
        The chain after the last record that was written whole: with it the log's content is fixed.
    size, reserved : int
        Bytes that were written whole, and bytes up to which the file has room for certain.
    """

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self._whole = True
        start = FILE_HEAD.pack(MAGIC, SCHEMA_VERSION, 0)[:-4]
        self._head = start + struct.pack("<I", zlib.crc32(start))
        self._pending = bytearray(self._head)
        self._waiting: list[tuple[int, bytes, int, int]] = []
        self._next_chain = self.chain = first_chain(self._head)
        self._number = 0
        self.size = self.reserved = 0
        self.records: Counter[int] = Counter()
        self.rows: Counter[int] = Counter()
        self.forgotten: Counter[int] = Counter()

    def append(self, kind: int, payload: bytes, rows: int = 1) -> None:
        """Make the next record; it is in the file after `commit`."""
        head = record_head(len(payload), self._number, kind)
        self._next_chain = link(self._next_chain, head, payload)
        body = payload + self._next_chain
        self._pending += b"".join((head, body, struct.pack("<I", zlib.crc32(body))))
        self._waiting.append((len(self._pending), self._next_chain, kind, rows))
        self._number += 1

    def reserve(self, size: int) -> None:
        """Allocate the file up to `size` bytes; `OSError` where that much room is not to be had."""
        if size > self.reserved:
            self._file.reserve(size)
            self.reserved = size

    def problem(self) -> str:
        """Return why what is written is no longer found at the log's path, in words; empty while it is."""
        return self._file.problem(max(self.size, self.reserved))

    def commit(self) -> None:
        """Hand all records made so far to the system: from then on they outlive this process.

        Raises
        ------
        OSError
            The disk is full or gone. The file is cut back to its last whole record and the records after it are
            forgotten, so `append` and `commit` may be tried again; if it cannot be cut, nothing more is written.
        """
        data, waiting, done = self._pending, self._waiting, 0
        self._pending, self._waiting = bytearray(), []
        try:
            if not self._whole:
                raise OSError("the end of the log could not be cut off")
            with memoryview(data) as view:
                while done < len(data):
                    done += self._file.write(view[done:])
        except OSError:
            self._count(waiting, done)
            self._next_chain, self._number = self.chain, self.records.total()
            if not self.size:
                self._pending += self._head
            try:
                self._file.truncate(self.size)
                self.reserved = self.size
            except OSError:
                self._whole = False
            raise
        self._count(waiting, done)

    def sync(self) -> None:
        """Put on the disk what was committed: from then on it outlives a power failure."""
        self._file.sync()

    def close(self) -> None:
        """Give back the room that was not used, and let the file go; what was not committed is forgotten."""
        try:
            if self._whole and self.reserved > self.size:
                self._file.truncate(self.size)
        except OSError:  # zeros stay behind the last record, and every reader takes them for what they are
            return
        finally:
            self._file.close()

    def _count(self, waiting: list[tuple[int, bytes, int, int]], done: int) -> None:
        """Count the records that lie whole within the first `done` bytes of what was to be written."""
        end = len(self._head) if not self.size and done >= len(self._head) else 0
        for stop, chain, kind, rows in waiting:
            if stop > done:
                self.forgotten[kind] += rows
                continue
            end, self.chain = stop, chain
            self.records[kind] += 1
            self.rows[kind] += rows
        self.size += end
