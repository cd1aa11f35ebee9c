"""Room that a log has for certain: allocated ahead of what is written, and shared out to what waits to be written."""

from __future__ import annotations

import errno

from rtface.record.session.entries import DecisionEntry
from rtface.record.session.log import RECORD_HEAD, RECORD_TAIL, LogWriter
from rtface.record.session.rows import ROW_NAMES

AHEAD = 16 * 1024 * 1024
"""Bytes that are allocated ahead of a log."""

_LEAST = 16 * 1024
_OVERHEAD = RECORD_HEAD.size + RECORD_TAIL + 16
"""Most bytes of a record beside its payload, or the payload beside its rows."""


def cost(data: bytes) -> int:
    """Return the most bytes of the log that a packed event or row can take."""
    return len(data) + _OVERHEAD


class Reserve:
    """The room ahead of a log; the writer's lock is held around `take` and `settle`, the rest is the writer's thread's.

    A row may not take the last eighth, so that events find room when the disk is full; a decision not the last
    sixteenth, so that there is room for all that comes of it; and no event the last thirty-second, which is for the end.

    Parameters
    ----------
    log : LogWriter
        Of which nothing is written yet.
    ahead : int
        Bytes; less where the disk has no room for so many.

    Raises
    ------
    OSError
        There is almost no room at all.
    """

    def __init__(self, log: LogWriter, ahead: int = AHEAD) -> None:
        self._log = log
        self._ahead = ahead
        self._waiting = 0
        self.extend()
        if not log.reserved:
            raise OSError(errno.ENOSPC, "No space left on device")
        self._full = log.reserved
        rows, decision, event = (self._full // part for part in (8, 16, 32))
        self._kept: dict[int, int] = dict.fromkeys(ROW_NAMES, rows) | {DecisionEntry.kind: decision}
        self._kept_of_others = event
        self._free = log.reserved

    @property
    def low(self) -> bool:
        """Whether less than half is left ahead of what is written."""
        return self._log.reserved - self._log.size < self._full // 2

    @property
    def left(self) -> int:
        """Bytes ahead of what is written."""
        return self._log.reserved - self._log.size

    def extend(self) -> bool:
        """Allocate ahead as much as there is room for; False when there is next to none."""
        log = self._log
        more = log.size + self._ahead - log.reserved
        while more >= _LEAST:
            try:
                log.reserve(log.reserved + more)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise
                more //= 2
            else:
                return True
        return False

    def take(self, kind: int, data: bytes, more: int = 0) -> bool:
        """Set room aside for an event or a row that begins to wait, and `more` bytes; False where there is none for its kind."""
        size = cost(data) + more
        left = self._free - self._waiting - size
        if left < self._kept.get(kind, self._kept_of_others):
            return False
        self._waiting += size
        return True

    def spares(self, size: int) -> bool:
        """Return whether so many bytes can be written that nobody waits for, as padding is."""
        return self._free - self._waiting - size >= self._full // 8

    def settle(self, written: int) -> None:
        """Take it that of what waits so many bytes, by `cost`, have been written."""
        self._waiting -= written
        self._free = self._log.reserved - self._log.size
