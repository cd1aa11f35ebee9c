"""Least and largest value of each stretch of a long recording: what a screen of a thousand pixels can show of an hour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Times = NDArray[np.int64]

FINEST = 16
"""Rows of the shortest stretch that is kept."""
MOST_CELLS = 4_000_000
"""Stretches times values that are kept; beyond it two neighbours become one, however long the recording is."""


class EnvelopeBuilder:
    """Takes rows as they come and keeps no more than `MOST_CELLS` pairs of numbers.

    Parameters
    ----------
    width : int
        Values of a row.
    finest : int
        Rows of the shortest stretch.
    most_cells : int
        See `MOST_CELLS`.
    """

    def __init__(self, width: int, finest: int = FINEST, most_cells: int = MOST_CELLS) -> None:
        self._size = finest
        self._most = max(2, most_cells // max(width, 1) // 2 * 2)
        self._starts: list[Times] = []
        self._low: list[Floats] = []
        self._high: list[Floats] = []
        self._count = 0
        self._times = np.empty(0, np.int64)
        self._values = np.empty((0, width), np.float32)

    def add(self, times: Times, values: NDArray[np.floating]) -> None:
        """Take rows.

        Parameters
        ----------
        times : ndarray, shape (N,)
            Nanoseconds, not falling.
        values : ndarray, shape (N, width)
            NaN where they are not known.
        """
        self._times = np.concatenate([self._times, times])
        self._values = np.concatenate([self._values, values.astype(np.float32)])
        whole = len(self._times) // self._size
        if whole:
            self._take(whole)
        while self._count >= self._most:
            self._halve()

    def envelope(self) -> Envelope:
        """Return what there is so far."""
        if len(self._times):
            self._keep(*_grouped(self._times, self._values, self._values, np.zeros(1, np.intp)))
            self._times, self._values = self._times[:0], self._values[:0]
        self._join()
        return Envelope(self._starts[0], self._low[0], self._high[0])

    def _take(self, whole: int) -> None:
        rows = whole * self._size
        times, values = self._times[:rows], self._values[:rows]
        self._keep(*_grouped(times, values, values, np.arange(0, rows, self._size)))
        self._times, self._values = self._times[rows:].copy(), self._values[rows:].copy()

    def _keep(self, starts: Times, low: Floats, high: Floats) -> None:
        self._starts.append(starts)
        self._low.append(low)
        self._high.append(high)
        self._count += len(starts)

    def _join(self) -> None:
        width = self._values.shape[1]
        none = np.empty((0, width), np.float32)
        self._starts = [np.concatenate([np.empty(0, np.int64), *self._starts])]
        self._low = [np.concatenate([none, *self._low])]
        self._high = [np.concatenate([none, *self._high])]

    def _halve(self) -> None:
        """Make one of each two neighbours; the count is even since whole stretches came until now, or one is left over."""
        self._join()
        starts, low, high = self._starts[0], self._low[0], self._high[0]
        found = _grouped(starts, low, high, np.arange(0, len(starts), 2))
        self._starts, self._low, self._high = [], [], []
        self._count = 0
        self._keep(*found)
        self._size *= 2


class Envelope:
    """The stretches of a recording.

    Parameters
    ----------
    starts : ndarray, shape (N,)
        When each begins, in nanoseconds.
    low, high : ndarray, shape (N, width)
        Least and largest value in each; NaN where none is known.
    """

    def __init__(self, starts: Times, low: Floats, high: Floats) -> None:
        self.starts, self._low, self._high = starts, low, high

    @classmethod
    def of(cls, times: Times, values: NDArray[np.floating]) -> Envelope:
        """Return the one in which each row is a stretch."""
        plain = values.astype(np.float32)
        return cls(times, plain, plain)

    def part(
        self, begin_ns: int, end_ns: int, points: int, columns: NDArray[np.intp]
    ) -> tuple[Times, Floats, Floats]:
        """Return a part of it in at most `points` stretches, with one before and one after where there are any.

        Returns
        -------
        starts, low, high : ndarray, shapes (P,), (P, C) and (P, C)
        """
        first = max(0, int(np.searchsorted(self.starts, begin_ns, side="right")) - 1)
        last = min(len(self.starts), int(np.searchsorted(self.starts, end_ns, side="right")) + 1)
        starts = self.starts[first:last]
        low, high = self._low[first:last][:, columns], self._high[first:last][:, columns]
        size = -(-len(starts) // max(points, 1))
        if size < 2:
            return starts, low, high
        return _grouped(starts, low, high, np.arange(0, len(starts), size))


def _grouped(
    times: Times, low: Floats, high: Floats, begins: NDArray[np.intp]
) -> tuple[Times, Floats, Floats]:
    """Return stretches that begin at these rows."""
    return times[begins], np.fmin.reduceat(low, begins, axis=0), np.fmax.reduceat(high, begins, axis=0)
