"""Which frames of a camera stand for the rows of an encoder, which come at the encoder's own rate.

A row comes each ``1 / rate_hz`` seconds, counted from the first frame. It is shown by one frame, the first that is
not earlier than half a camera period before the row's time; the other frames are passed over. Rows for which no
frame came in time were not seen. The rows' clock follows the frames' by a sixteenth of each difference, so that a
camera that is a little fast or slow does not slip by a row now and then.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtface.core.clock import NS_PER_S
from rtface.core.errors import UsageError
from rtface.core.records import FloatArray

LARGEST_GAP_S = 1.0
"""Frames that were missing for longer begin a new stream."""

TOO_SLOW = 0.02
"""Share by which a camera may be slower than an encoder, or a recording than it claims."""

_FOLLOW = 1 / 16


class Placed(NamedTuple):
    """Where a frame stands among the rows.

    Attributes
    ----------
    missing : int
        Rows that were not seen between the last frame's row and this one's.
    restarted : bool
        The frame begins a new stream: it is the first, or the gap before it is too large, or time went back.
    """

    missing: int
    restarted: bool


class RowGrid:
    """Gives each frame its row, from the times of exposure alone.

    Parameters
    ----------
    rate_hz : float
        Rows a second: the encoder's rate.
    camera_hz : float
        Frames a second; as many as rows, or more.

    Raises
    ------
    UsageError
        The camera is slower than the encoder.
    """

    def __init__(self, rate_hz: float, camera_hz: float) -> None:
        if not camera_hz >= (1 - TOO_SLOW) * rate_hz:
            raise UsageError(f"{camera_hz:g} frames a second are too few for {rate_hz:g} rows a second")
        self._period = NS_PER_S / rate_hz
        self._slack = min(self._period, NS_PER_S / camera_hz) / 2
        self._most = math.floor(LARGEST_GAP_S * rate_hz)
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._first_ns: int | None = None
        self._newest_ns = 0
        self._row_ns = 0.0  # of the newest row, since the first frame

    def row_time_ns(self, back: int) -> int:
        """Return the time of the row that is `back` rows before the newest."""
        assert self._first_ns is not None
        return self._first_ns + round(self._row_ns - back * self._period)

    def place(self, exposure_ns: int) -> Placed | None:
        """Return where a frame stands; None where it shows no row of its own.

        A frame that is not newer than the one before shows none, unless it is older by more than `LARGEST_GAP_S`.
        """
        if self._first_ns is None:
            return self._restart(exposure_ns)
        if exposure_ns <= self._newest_ns:
            if exposure_ns > self._newest_ns - round(LARGEST_GAP_S * NS_PER_S):
                return None
            return self._restart(exposure_ns)
        since = exposure_ns - self._first_ns
        rows = math.floor((since - self._row_ns + self._slack) / self._period)
        if rows - 1 > self._most:
            return self._restart(exposure_ns)
        self._newest_ns = exposure_ns
        if rows < 1:
            return None
        self._row_ns += rows * self._period
        self._row_ns += (since - self._row_ns) * _FOLLOW
        return Placed(rows - 1, restarted=False)

    def _restart(self, exposure_ns: int) -> Placed:
        self._first_ns = self._newest_ns = exposure_ns
        self._row_ns = 0.0
        return Placed(0, restarted=True)


def rows_of(
    values: FloatArray, exposure_ns: NDArray[np.int64], rate_hz: float, camera_hz: float
) -> list[tuple[FloatArray, NDArray[np.int64]]]:
    """Return a recording as the rows that an encoder gets of it live: one part for each stretch between restarts.

    Parameters
    ----------
    values : ndarray, shape (T, D), float32
        Of each frame.
    exposure_ns : ndarray, shape (T,), int64
    rate_hz, camera_hz : float
        As of `RowGrid`.

    Returns
    -------
    list of (rows, frames)
        Shapes (R, D) and (R,): a row that was not seen is NaN, and its frame is -1.
    """
    grid = RowGrid(rate_hz, camera_hz)
    parts: list[list[int]] = []
    for frame, time_ns in enumerate(exposure_ns.tolist()):
        placed = grid.place(time_ns)
        if placed is None:
            continue
        if placed.restarted:
            parts.append([])
        parts[-1] += [-1] * placed.missing + [frame]
    made = []
    for part in parts:
        frames = np.array(part, np.int64)
        rows = np.full((len(frames), values.shape[1]), np.nan, np.float32)
        rows[frames >= 0] = values[frames[frames >= 0]]
        made.append((rows, frames))
    return made
