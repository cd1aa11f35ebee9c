"""The gate's clock mapped to the host's, from round trips. No I/O."""

from __future__ import annotations

from rtface.core.clock import NS_PER_MS, NS_PER_US
from rtface.core.clockfit import ClockFit, ClockLine
from rtface.core.latency import Histogram, StageSummary

_WINDOW_NS = 100 * NS_PER_MS
_IMPOSSIBLE_NS = 2 * NS_PER_MS
"""A map that puts an answer this far before its question, or after its arrival, is of a clock that has jumped since."""
_MAX_DRIFT = 1e-2
"""An Uno's processor runs by a ceramic resonator, good to 0.5 percent, not by a crystal."""


class GateClock:
    """A running map, corrected by half of the least round trip: the two ways are taken to be equally quick at best.

    Attributes
    ----------
    least_ns : int or None
        The least round trip so far; no time that `to_host` returns is wrong by more than half of it, but for drift.
    jumps : int
        How often the gate's clock stood still or leapt, as an emulated one does on a busy machine.
    """

    def __init__(self) -> None:
        self.least_ns: int | None = None
        self.jumps = 0
        self._fit = ClockFit(_WINDOW_NS, _MAX_DRIFT)
        self._round_trips = Histogram()

    def add(self, device_us: int, sent_ns: int, received_ns: int) -> None:
        """Take a question sent at `sent_ns`, answered at `device_us` of the gate, received at `received_ns`."""
        round_trip_ns = received_ns - sent_ns
        self._round_trips.add(round_trip_ns)
        mapped_ns = self.to_host(device_us, received_ns + 2 * _IMPOSSIBLE_NS)
        if mapped_ns is not None and not (
            sent_ns - _IMPOSSIBLE_NS <= mapped_ns <= received_ns + _IMPOSSIBLE_NS
        ):
            self.jumps += 1
            self._fit = ClockFit(_WINDOW_NS, _MAX_DRIFT)
        if self.least_ns is None or round_trip_ns < self.least_ns:
            self.least_ns = round_trip_ns
        self._fit.to_host(device_us * NS_PER_US, received_ns)

    def to_host(self, device_us: int, received_ns: int) -> int | None:
        """Return host nanoseconds of something that the gate stamped and the host received at `received_ns`."""
        line = self._fit.line
        if self.least_ns is None or line is None:
            return None
        return min(line.at(device_us * NS_PER_US) - self.least_ns // 2, received_ns)

    def line(self) -> ClockLine:
        """Return the map, in nanoseconds, the correction included."""
        line = self._fit.line or ClockLine(0, 0.0, 0.0)
        return line._replace(offset_ns=line.offset_ns - (self.least_ns or 0) // 2)

    def round_trips(self) -> StageSummary:
        """Return percentiles of all round trips."""
        return self._round_trips.summary()
