"""A device's clock mapped to the host's, from the arrival times of what it has stamped."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import NamedTuple

from rtface.core.clock import NS_PER_MS, NS_PER_S

WINDOW_NS = NS_PER_S
WINDOWS = 64
MAX_DRIFT = 2e-4
"""Largest difference in rate between two crystals that is believed: they differ by under 100 ppm."""
JUMP_NS = 50 * NS_PER_MS
"""A frame that seems to arrive this long before it can have been taken means that the device's clock has jumped."""


class ClockLine(NamedTuple):
    """The map itself: host = device + `offset_ns` + `slope` * (device - `anchor_ns`)."""

    anchor_ns: int
    offset_ns: float
    slope: float

    def at(self, device_ns: int) -> int:
        """Return the host's time at a time of the device."""
        return device_ns + round(self.difference_ns(device_ns))

    def difference_ns(self, device_ns: int) -> float:
        """Return the host's time less the device's, at a time of the device."""
        return self.offset_ns + self.slope * (device_ns - self.anchor_ns)


class ClockFit:
    """A running map from a device's clock to the host's.

    A frame arrives after it was stamped, by a delay that varies but is never negative, so arrival minus stamp
    lies above the line ``offset + drift * time`` and touches it when the delay is least. The line is the edge of
    the lower convex hull of the least differences of the last `WINDOWS` windows, taken at their mean time, which of
    all lines below the points has the least sum of distances (Moon, Skelly and Towsley, INFOCOM 1999), with its slope
    held within `max_drift`. The least delay itself cannot be seen in this way: host times are late by it, the same
    for all frames.

    Parameters
    ----------
    window_ns : int
        Length of a window.
    max_drift : float
        Largest difference in rate that is believed.

    Attributes
    ----------
    line : ClockLine or None
        The map as it stands, None before the first stamp; may be read from any thread.
    """

    def __init__(self, window_ns: int = WINDOW_NS, max_drift: float = MAX_DRIFT) -> None:
        self._window_ns = window_ns
        self._max_drift = max_drift
        self._last_host_ns: int | None = None
        self._latest_ns = 0
        self._closed: deque[tuple[int, int]] = deque(maxlen=WINDOWS)
        self._window: tuple[int, int] | None = None
        self._window_began_ns = 0
        self.line: ClockLine | None = None

    def to_host(self, device_ns: int, arrival_ns: int) -> int:
        """Map one frame's time stamp, and learn from it.

        Parameters
        ----------
        device_ns : int
            The stamp in nanoseconds of the device's clock. One that goes back, or leaps ahead by more than
            `JUMP_NS`, begins a new fit.
        arrival_ns : int
            When the frame arrived, in nanoseconds of the host's clock; must not decrease from call to call.

        Returns
        -------
        int
            The stamp in nanoseconds of the host's clock: not after `arrival_ns`, not before the one returned last.
        """
        line = self.line
        if line is not None and (
            device_ns < self._latest_ns or line.difference_ns(device_ns) - (arrival_ns - device_ns) > JUMP_NS
        ):
            self._closed.clear()
            self._window = None
        self._latest_ns = device_ns
        line = self._observe(device_ns, arrival_ns - device_ns)
        host_ns = min(line.at(device_ns), arrival_ns)
        if self._last_host_ns is not None:
            host_ns = min(max(host_ns, self._last_host_ns), arrival_ns)
        self._last_host_ns = host_ns
        return host_ns

    def _observe(self, device_ns: int, difference_ns: int) -> ClockLine:
        """Take a point, and return the line as it is with it."""
        if self._window is None or self.line is None:
            self._window_began_ns = device_ns
        elif device_ns - self._window_began_ns >= self._window_ns:
            self._closed.append(self._window)
            self._window_began_ns = device_ns
        elif difference_ns >= self._window[1]:
            return self.line
        self._window = (device_ns, difference_ns)
        if (
            self.line is None
            or not self._closed
            or device_ns == self._window_began_ns
            or difference_ns < self.line.difference_ns(device_ns)
        ):
            self.line = self._fitted([*self._closed, self._window])
        return self.line

    def _fitted(self, points: list[tuple[int, int]]) -> ClockLine:
        """Fit the line; `points` are (device time, difference) in nanoseconds, by increasing time."""
        origin_ns, base_ns = points[0]
        relative = [(float(time - origin_ns), float(difference - base_ns)) for time, difference in points]
        slope = max(-self._max_drift, min(self._max_drift, _slope_at_mean(relative)))
        return ClockLine(
            origin_ns, base_ns + min(difference - slope * time for time, difference in relative), slope
        )


def _slope_at_mean(points: list[tuple[float, float]]) -> float:
    """Return the slope of the lower convex hull of points, sorted by time, at their mean time."""
    hull: list[tuple[float, float]] = []
    for time, value in points:
        while len(hull) >= 2:
            (x0, y0), (x1, y1) = hull[-2:]
            if (y1 - y0) * (time - x0) < (value - y0) * (x1 - x0):
                break
            hull.pop()
        hull.append((time, value))
    mean = sum(time for time, _ in points) / len(points)
    for (x0, y0), (x1, y1) in pairwise(hull):
        if x0 <= mean <= x1 and x1 > x0:
            return (y1 - y0) / (x1 - x0)
    return 0.0
