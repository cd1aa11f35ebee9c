"""Where the rows of a session lie in its log, so that those of a moment are read without the others."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from rtface.core.errors import DataError
from rtface.record.session.logreader import record_at
from rtface.record.session.rows import ROW_NAMES, Rows, decode_rows


class RowIndex:
    """The records that hold the rows of one kind: 32 bytes each, of up to 512 rows.

    Parameters
    ----------
    name : str
        Of `rtface.record.session.rows.ROW_NAMES`.
    time : str
        The field that says when a row belongs to, in nanoseconds of the host's clock.

    Attributes
    ----------
    count : int
        Rows that are indexed.
    ends : structured ndarray, shape (0,) or (2,)
        The first and the last row.
    """

    def __init__(self, name: str, time: str) -> None:
        self.name, self._time = name, time
        self.count = 0
        self.ends: Rows | None = None
        self._offsets, self._sizes = array("q"), array("q")
        self._first_ns, self._first_ids = array("q"), array("q")

    def add(self, offset: int, rows: Rows) -> None:
        """Note the rows of the record at byte `offset`."""
        if not len(rows):
            return
        self._offsets.append(offset)
        self._sizes.append(len(rows))
        self._first_ns.append(int(rows[self._time][0]))
        self._first_ids.append(int(rows["frame_id"].min()))
        first = rows[:1] if self.ends is None else self.ends[:1]
        if first.dtype == rows.dtype:
            self.ends = np.concatenate([first, rows[-1:]])
        self.count += len(rows)

    def between(self, begin_ns: int, end_ns: int) -> tuple[int, int]:
        """Return the number of the first record with rows of this time, and the one after the last."""
        first = max(0, bisect_right(self._first_ns, begin_ns) - 1)
        return first, bisect_right(self._first_ns, end_ns)

    def rows_in(self, first: int, last: int) -> int:
        """Return how many rows the records `first` to before `last` hold."""
        return sum(self._sizes[first:last])

    def count_between(self, log: Path, begin_ns: int, end_ns: int) -> int:
        """Return how many rows are of this time, both ends included; `DataError` where the log was changed."""
        count = 0
        for rows in self.read(log, *self.between(begin_ns, end_ns)):
            times = rows[self._time]
            count += int(((times >= begin_ns) & (times <= end_ns)).sum())
        return count

    def read(self, log: Path, first: int, last: int) -> Iterator[Rows]:
        """Yield the rows of the records `first` to before `last`, a record at a time.

        Raises
        ------
        DataError
            The log is not what was indexed.
        """
        for number in range(first, last):
            record = record_at(log, self._offsets[number])
            if ROW_NAMES.get(record.kind) != self.name:
                raise DataError(f"{log} was changed after it was read")
            yield decode_rows(record.kind, record.payload)

    def row_at(self, log: Path, t_ns: int) -> Rows | None:
        """Return the last row at or before a time, or the first; None where there are no rows.

        The shape is (1,).

        Raises
        ------
        DataError
            The log is not what was indexed.
        """
        first, _ = self.between(t_ns, t_ns)
        for rows in self.read(log, first, min(first + 1, len(self._offsets))):
            at = max(0, int(np.searchsorted(rows[self._time], t_ns, side="right")) - 1)
            return rows[at : at + 1]
        return None

    def row_of(self, log: Path, frame_id: int) -> Rows | None:
        """Return the row of a frame, or the last one before it; None where there is none before.

        The shape is (1,).

        Raises
        ------
        DataError
            The log is not what was indexed.
        """
        found = self.find(log, frame_id)
        return None if found is None else found[1]

    def find(self, log: Path, frame_id: int) -> tuple[int, Rows] | None:
        """Return the number of its record with the row that `row_of` returns."""
        for number in range(bisect_right(self._first_ids, frame_id) - 1, -1, -1):
            for rows in self.read(log, number, number + 1):
                before = np.flatnonzero(rows["frame_id"] <= frame_id)
                if len(before):
                    return number, rows[before[-1] : before[-1] + 1]
        return None

    def step(self, log: Path, frame_id: int, by: int) -> Rows | None:
        """Return the row that is `by` rows after that of a frame (before it where `by` is below 0), at most the last or first.

        Raises
        ------
        DataError
            The log is not what was indexed.
        """
        number = max(0, bisect_right(self._first_ids, frame_id) - 1)
        if not len(self._offsets):
            return None
        (rows,) = self.read(log, number, number + 1)
        at = int(np.searchsorted(rows["frame_id"], frame_id, side="right")) - 1 + by
        while at < 0 and number > 0:
            number -= 1
            at += self._sizes[number]
        while at >= self._sizes[number] and number + 1 < len(self._offsets):
            at -= self._sizes[number]
            number += 1
        (rows,) = self.read(log, number, number + 1)
        at = min(max(at, 0), len(rows) - 1)
        return rows[at : at + 1]
