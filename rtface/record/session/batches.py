"""From the queue of a session's writer to records: rows of a kind together, in the order of the events."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from rtface.record.session.entries import ENTRIES, SyncedEntry
from rtface.record.session.log import LogWriter
from rtface.record.session.reserve import cost
from rtface.record.session.rows import ROW_NAMES, camera_of, encode_rows

ROWS_AT_ONCE = 512
"""Most rows of a record."""


def write_queue(
    log: LogWriter, queue: deque[tuple[int, bytes]], widths: Mapping[int, int], count: int
) -> int:
    """Take the first `count` in the queue and append them to the log; return what that was, in bytes by `reserve.cost`.

    All rows stand before an event that came after them, and poses before features that came after them.

    Parameters
    ----------
    log : LogWriter
        Where to; nothing is committed.
    queue : deque of (int, bytes)
        Kinds of records with the packed event or the packed row.
    widths : mapping of int to int
        Width of the rows of a kind.
    count : int
        How many of the queue; it has as many.
    """
    waiting: dict[int, list[bytes]] = {}
    taken = 0
    for _ in range(count):
        kind, data = queue.popleft()
        taken += cost(data)
        if kind in ENTRIES:
            _write_rows(log, waiting, widths)
            log.append(kind, data)
            continue
        if kind not in waiting and any(_keep_order(each, kind) for each in waiting):
            _write_rows(log, waiting, widths)
        rows = waiting.setdefault(kind, [])
        rows.append(data)
        if len(rows) == ROWS_AT_ONCE:
            _write_rows(log, waiting, widths)
    _write_rows(log, waiting, widths)
    return taken


def _keep_order(before: int, kind: int) -> bool:
    """Return whether rows of one kind must stand before those of another that came after.

    Poses with and without likelihood keep their order, and so do the cameras: a replay decides in the order of the log.
    """
    return ROW_NAMES[before] == ROW_NAMES[kind] or camera_of(before) != camera_of(kind)


def totals(log: LogWriter) -> dict[str, int]:
    """Return how many of everything that happened the log holds, by name."""
    found = {
        entry.name: log.records[kind]
        for kind, entry in ENTRIES.items()
        if log.records[kind] and entry is not SyncedEntry
    }
    for kind, name in ROW_NAMES.items():
        found[name] = found.get(name, 0) + log.rows[kind]
    return found


def _write_rows(log: LogWriter, waiting: dict[int, list[bytes]], widths: Mapping[int, int]) -> None:
    for kind, rows in sorted(waiting.items()):  # poses before the features that were made of them
        log.append(kind, encode_rows(widths[kind], rows), len(rows))
    waiting.clear()
