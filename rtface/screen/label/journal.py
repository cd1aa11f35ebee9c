"""The journal of a label set: JSON lines that are only ever appended, each on the disk before its act counts as done.

A line is one entry, whole, with its own checksum. A crash can leave the last line torn. The next writer ends it, and
appends an entry ``recovered`` that says how many bytes of it are void; what was there before stays as it is. Several
processes may write one journal: each takes the file's lock, reads what others have appended, and appends behind it.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from rtface.core.errors import DataError
from rtface.core.files import printable, temporary_name
from rtface.record.session.log import lock

RECOVERED = "recovered"
"""What an entry did that ends torn lines: no act of a person."""

MAX_LINE = 1 << 20
"""Bytes of the longest line."""

_CHECKSUM = re.compile(rb', "crc": "([0-9a-f]{8})"\}\Z')


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """One act.

    Attributes
    ----------
    n : int
        Its place in the journal, from 1; not in the file, 0 before it is appended.
    at : str
        When, in UTC, as ``2026-11-30T12:00:00.123Z``.
    who : str
        Who did it.
    do : str
        What, in a word: ``place``, ``hide``, ``undo``, ...
    id : str
        Its own name, given by its sender: an act that is sent twice has one name, and counts once.
    changes : tuple of (tuple of str, JSON value)
        What has which value from here on: keys of `rtface.screen.label.values`.
    of : str or None
        `id` of the entry that is undone or redone.
    about : dict or None
        What else is to be known of it.
    """

    n: int
    at: str
    who: str
    do: str
    id: str
    changes: tuple[tuple[tuple[str, ...], Any], ...] = ()
    of: str | None = None
    about: dict[str, Any] | None = None


def as_line(entry: JournalEntry) -> bytes:
    """Return an entry as its line, with the line's end."""
    fields: dict[str, Any] = {"at": entry.at, "who": entry.who, "do": entry.do, "id": entry.id}
    if entry.changes:
        fields["changes"] = [[list(key), value] for key, value in entry.changes]
    if entry.of is not None:
        fields["of"] = entry.of
    if entry.about is not None:
        fields["about"] = entry.about
    body = printable(json.dumps(fields, ensure_ascii=False, allow_nan=False)).encode()[:-1]
    line = body + b', "crc": "%08x"}\n' % zlib.crc32(body)
    if len(line) > MAX_LINE:
        raise DataError(f"an act of {len(line)} bytes is too large for the journal: at most {MAX_LINE}")
    return line


def entry_of(line: bytes, n: int = 0) -> JournalEntry | None:
    """Return the entry of the `n`-th line, without its end; None where the line is not whole."""
    found = _CHECKSUM.search(line)
    if found is None or zlib.crc32(line[: found.start()]) != int(found[1], 16):
        return None
    try:
        fields = json.loads(line)
        return JournalEntry(
            n,
            str(fields["at"]),
            str(fields["who"]),
            str(fields["do"]),
            str(fields["id"]),
            tuple((tuple(map(str, key)), value) for key, value in fields.get("changes", ())),
            fields.get("of"),
            fields.get("about"),
        )
    except (ValueError, KeyError, TypeError):
        return None


class Journal:
    """A journal on the disk, from which new entries are read and to which entries are appended.

    Not for several threads at once: who shares it holds a lock of its own.

    Parameters
    ----------
    path : Path
        An existing journal; `create_journal` makes one.

    Attributes
    ----------
    notes : list of str
        What crashes have left in the file, in words.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        self._read_to = 0
        self._lines = 0
        self._entries = 0
        self._void: list[int] = []

    def read_new(self) -> list[JournalEntry]:
        """Return the whole entries behind those that were returned before.

        A last line without an end is left for later: another process may be in the middle of writing it.

        Raises
        ------
        DataError
            The journal cannot be read, is shorter than it was, or is damaged before its end.
        """
        try:
            with self.path.open("rb") as file:
                return self._read(file)[0]
        except OSError as error:
            raise self._unreadable(error) from error

    def append(
        self, write: Callable[[Sequence[JournalEntry]], Iterable[JournalEntry]], at: str
    ) -> list[JournalEntry]:
        """Append entries, and have them on the disk before this returns.

        Parameters
        ----------
        write : callable
            Called, while no other process can append, with the entries that are new to this `Journal` since `read_new`;
            returns those to append. Where it raises an error nothing is appended.
        at : str
            The time, for the entry that ends torn lines where there are some.

        Returns
        -------
        list of JournalEntry
            What was appended, with `n`.

        Raises
        ------
        DataError
            As `read_new`; or the disk is full or was lost. Some of the entries may be in the journal then: `read_new`
            returns them, and their `id` shows that an act which is sent again is there.
        """
        try:
            with _locked(self.path) as file:
                found, tail = self._read(file)
                if tail:
                    self._end_line(file, tail, found)
                if self._void:
                    self._recover(file, at, found)
                new = [replace(each, n=self._entries + place) for place, each in enumerate(write(found), 1)]
                self._write(file, b"".join(map(as_line, new)))
                self._entries += len(new)
                self._lines += len(new)
                return new
        except OSError as error:
            raise DataError(
                f"{self.path} cannot be written: {error.strerror or error}; nothing before it is lost"
            ) from error

    def _read(self, file: BinaryIO) -> tuple[list[JournalEntry], bytes]:
        """Return new whole entries, and what stands behind the last line's end."""
        if os.fstat(file.fileno()).st_size < self._read_to:
            raise DataError(
                f"{self.path} is shorter than it was: it was replaced or cut; open the label set again"
            )
        file.seek(self._read_to)
        data = file.read()
        whole, _, tail = data.rpartition(b"\n")
        entries: list[JournalEntry] = []
        for line in whole.split(b"\n") if whole or len(data) > len(tail) else ():
            self._lines += 1
            self._take(line, entries)
        self._read_to += len(data) - len(tail)
        return entries, tail

    def _take(self, line: bytes, entries: list[JournalEntry]) -> None:
        entry = entry_of(line, self._entries + 1)
        if entry is None:
            self._void.append(len(line))
            return
        if entry.do == RECOVERED and (entry.about or {}).get("void") == self._void:
            self.notes.append(
                f"line {self._lines - 1}: {sum(self._void)} bytes of an act that was cut off on its way to the disk, "
                f"found {entry.at}; all before and after it is whole"
            )
        elif self._void:
            raise DataError(
                f"{self.path}: line {self._lines - len(self._void)} is damaged, and is not the last one. Take the file "
                "from a backup, or take this line out: each line stands for itself"
            )
        self._void = []
        self._entries += 1
        entries.append(entry)

    def _end_line(self, file: BinaryIO, tail: bytes, found: list[JournalEntry]) -> None:
        """End a line that was cut off; where only its end is missing, it counts."""
        self._write(file, b"\n")
        self._read_to += len(tail)
        self._lines += 1
        self._take(tail, found)

    def _recover(self, file: BinaryIO, at: str, found: list[JournalEntry]) -> None:
        """Write down how many bytes are void."""
        line = as_line(JournalEntry(0, at, "", RECOVERED, "", about={"void": list(self._void)}))
        self._write(file, line)
        self._lines += 1
        self._take(line[:-1], found)

    def _write(self, file: BinaryIO, data: bytes) -> None:
        if data:
            written = os.write(file.fileno(), data)
            while written < len(data):
                written += os.write(file.fileno(), data[written:])
            os.fsync(file.fileno())
            self._read_to += len(data)

    def _unreadable(self, error: OSError) -> DataError:
        return DataError(f"{self.path} cannot be read: {error.strerror or error}")


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(path, flags), "r+b", buffering=0) as file:
        lock(file.fileno())
        yield file


def create_journal(path: Path, entries: Sequence[JournalEntry]) -> bool:
    """Make a journal with its first entries, all of it or nothing; return False where there is one already.

    Raises
    ------
    DataError
        It cannot be written.
    """
    fresh = temporary_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("xb") as file:
            file.write(b"".join(map(as_line, entries)))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(fresh, path)
        except FileExistsError:
            return False
        except OSError:  # a disk without links
            if path.exists():
                return False
            fresh.rename(path)
        with suppress(OSError):  # Windows and some network disks cannot
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        fresh.unlink(missing_ok=True)
    return True
