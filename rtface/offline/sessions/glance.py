"""The beginning and the end of a session's log: what a list of hundreds shows, without reading between."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from rtface.core.clock import NS_PER_S, utc
from rtface.core.errors import DataError
from rtface.record.session.coding import decode
from rtface.record.session.entries import (
    ClosedEntry,
    Entry,
    LossesEntry,
    NetworkEntry,
    OpenedEntry,
    SealEntry,
    VideoEntry,
)
from rtface.record.session.log import FILE_HEAD
from rtface.record.session.logreader import LogReader, LogRecord, records_within
from rtface.record.session.reader import State
from rtface.record.session.reading import existing_log

_Kind = TypeVar("_Kind", bound=Entry)

_BEGINNING = 64
"""Records at the beginning in which a session says what it is."""
_BEGINNING_BYTES = 4 * 1024 * 1024
_END_BYTES = 192 * 1024
"""Bytes at the end in which the last counts are sought; the last record but one may be 140 kB of poses."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What beginning and end of a log say; what lies between was not read.

    Attributes
    ----------
    state : str
        As of `rtface.record.session.reader.Session`; ``damaged`` only where beginning or end are.
    began : str or None
        Universal time, ISO 8601.
    seconds : float or None
        From the beginning to the end of a session that was closed.
    session, engine, ended : str
        Its id; the engine; why it ended. Empty where that is not there.
    poses, decisions, frames, lost : int or None
        As counted when it was closed; frames lost since the start.
    sealed : bool
        Light and sham are in a seal.
    size : int
        Bytes of the log.
    wrong : str
        What is wrong, in words; empty where nothing was seen.
    """

    state: State
    began: str | None
    seconds: float | None
    session: str
    engine: str
    ended: str
    poses: int | None
    decisions: int | None
    frames: int | None
    lost: int | None
    sealed: bool
    size: int
    wrong: str


def glance(path: Path) -> Glance:
    """Read beginning and end of a session's log.

    Parameters
    ----------
    path : Path
        Its folder, or its log.

    Raises
    ------
    DataError
        There is no log, or it is none of a session.
    """
    log = existing_log(path)
    reader = LogReader(log)
    first: list[Entry] = []
    for number, record in enumerate(reader):
        first += _entries(record)
        if number >= _BEGINNING or record.offset > _BEGINNING_BYTES:
            break
    opened = _last(first, OpenedEntry)
    last, closed_at_end = _end(log)
    closed = _last(last, ClosedEntry) if closed_at_end else None
    network, losses = _last(first, NetworkEntry), _last(last, LossesEntry)
    video, seal = _last(last, VideoEntry), _last(first, SealEntry)
    wrong = [each.in_words() for each in reader.damage]
    state: State = "damaged" if wrong else "closed" if closed is not None else "truncated"
    if state == "truncated" and reader.growing:
        state = "open"
    if state == "truncated":
        wrong.append("it was not closed: its process was killed, or the disk was full")
    if opened is None:
        wrong.append("how it began is not in the log")
    totals = {} if closed is None else closed.totals
    return Glance(
        state=state,
        began=None if opened is None else utc(opened.wall_ns).isoformat(timespec="seconds"),
        seconds=None if closed is None or opened is None else (closed.t_ns - opened.t_ns) / NS_PER_S,
        session="" if opened is None else opened.session,
        engine="" if network is None else network.engine,
        ended="" if closed is None else closed.reason,
        poses=totals.get("poses"),
        decisions=None if closed is None else totals.get("decision", 0),
        frames=None if video is None else video.encoded,
        lost=None if losses is None else losses.camera + losses.transport + losses.ring + losses.publish,
        sealed=seal is not None,
        size=reader.size,
        wrong="; ".join(wrong),
    )


def _end(log: Path) -> tuple[list[Entry], bool]:
    """Return the events at the end of a log, and whether the last record that is there is whole and ends it."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            begin = max(FILE_HEAD.size, size - _END_BYTES)
            file.seek(begin)
            data = file.read(_END_BYTES)
    except OSError as error:
        raise DataError(f"cannot read {log}: {error.strerror or error}") from error
    entries: list[Entry] = []
    end = 0
    last: LogRecord | None = None
    for record, end in records_within(data):  # noqa: B007
        entries += _entries(record)
        last = record
    return entries, last is not None and last.kind == ClosedEntry.kind and not any(data[end:])


def _entries(record: LogRecord) -> Iterator[Entry]:
    try:
        entry = decode(record.kind, record.payload)
    except DataError:
        return
    if entry is not None:
        yield entry


def _last(entries: list[Entry], kind: type[_Kind]) -> _Kind | None:
    return next((each for each in reversed(entries) if isinstance(each, kind)), None)
