"""A camera's time stamps as times of exposure on the host's clock, for as long as they can be believed."""

from __future__ import annotations

from collections import deque
from statistics import median

from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.clockfit import JUMP_NS, MAX_DRIFT, ClockFit, ClockLine

END_OF_TIME_NS = 2**63
"""No clock has run for these 292 years: a stamp beyond them is a device's error."""
SLACK_NS = 5 * NS_PER_MS
"""How far the least delays of two stretches of time may lie apart on a busy host, with a clock that is right."""
BUCKETS = ((NS_PER_S // 4, 32), (2 * NS_PER_S, 64))
"""Lengths of the stretches that the rate is judged by, and how many: wrong by a percent shows at once, by little later."""
LEAST_BUCKETS = 6
STILL = 3
"""So many frames in a row with one and the same stamp: the clock stands still."""
STEPS, STEPS_WITHIN_NS = 3, 10 * NS_PER_S
"""A clock that steps so often within so long is none."""
LATE_FRAMES, LATE_NS = 5, NS_PER_S // 2
"""So many frames, over so long, that all seem to come late by `JUMP_NS`: the clock was set back while no frames came."""
TRUST_NS = 5 * NS_PER_S
"""How long stamps must be right before they are believed again."""


class _Rate:
    """The difference of two clocks' rates, from the least delays of stretches of time; robust against late frames."""

    def __init__(self, length_ns: int, most: int) -> None:
        self._length_ns = length_ns
        self._closed: deque[tuple[int, int]] = deque(maxlen=most)
        self._least: tuple[int, int] | None = None

    def restart(self) -> None:
        self._closed.clear()
        self._least = None

    def excess(self, arrival_ns: int, difference_ns: int) -> float:
        """Take a frame; return the difference of the rates where it is surely beyond `MAX_DRIFT`, else 0."""
        least = self._least
        if least is not None and arrival_ns // self._length_ns == least[0] // self._length_ns:
            if difference_ns < least[1]:
                self._least = arrival_ns, difference_ns
            return 0.0
        self._least = arrival_ns, difference_ns
        if least is None:
            return 0.0
        self._closed.append(least)
        points, half = list(self._closed), len(self._closed) // 2
        if len(points) < LEAST_BUCKETS:
            return 0.0
        slope = median(
            (after[1] - before[1]) / (after[0] - before[0])
            for before, after in zip(points, points[half:], strict=False)
        )
        sure = MAX_DRIFT + SLACK_NS / (points[-1][0] - points[0][0])
        return slope if abs(slope) > sure else 0.0


class CameraClock:
    """Maps the stamps of one camera to the host's clock (`ClockFit`), and says when they do not fit.

    Attributes
    ----------
    doubt : str
        Why exposures are arrivals though the frames have stamps, or should; empty while the stamps are believed.
    steps : int
        How often the clock was set to another time. One step begins a new fit.
    """

    def __init__(self) -> None:
        self._fit = ClockFit()
        self._rates = [_Rate(*each) for each in BUCKETS]
        self._stamp_ns: int | None = None
        self._still = 1
        self._stepped_ns: deque[int] = deque(maxlen=STEPS)
        self._late: tuple[int, int] | None = None
        self._believed_ns = 0
        self._last_ns = 0
        self.doubt = ""
        self.steps = 0

    @property
    def line(self) -> ClockLine | None:
        """The map that exposures come from; None before the first stamp, and while stamps are not believed."""
        return None if self.doubt else self._fit.line

    def take(self, stamp_ns: int | None, arrival_ns: int) -> tuple[int | None, int]:
        """Take a frame.

        Parameters
        ----------
        stamp_ns : int or None
            Its stamp in nanoseconds of the camera's clock; None where it has none, which 0 means, too.
        arrival_ns : int
            When it arrived, on the host's clock; must not decrease.

        Returns
        -------
        camera_ns : int or None
            The stamp, where a clock can have it.
        exposure_ns : int
            On the host's clock: not after `arrival_ns`, not before the one of the frame before.
        """
        if not stamp_ns or not 0 < stamp_ns < END_OF_TIME_NS:
            self._disbelieve(
                f"a stamp of {stamp_ns} ns is none that a clock has"
                if stamp_ns
                else "frames without a time stamp",
                arrival_ns,
            )
            self._last_ns = arrival_ns
            return None, arrival_ns
        if why := self._why_not(stamp_ns, arrival_ns):
            self._disbelieve(why, arrival_ns)
        elif self.doubt and arrival_ns >= self._believed_ns:
            self.doubt = ""
        mapped_ns = self._fit.to_host(stamp_ns, arrival_ns)
        self._stamp_ns = stamp_ns
        if self.doubt:
            mapped_ns = arrival_ns
        self._last_ns = min(max(mapped_ns, self._last_ns), arrival_ns)
        return stamp_ns, self._last_ns

    def _why_not(self, stamp_ns: int, arrival_ns: int) -> str:
        self._still = self._still + 1 if stamp_ns == self._stamp_ns else 1
        if self._still >= STILL:
            return f"{self._still} frames in a row have the stamp {stamp_ns} ns"
        difference_ns = arrival_ns - stamp_ns
        if self._steps(stamp_ns, difference_ns, arrival_ns):
            self.steps += 1
            self._stepped_ns.append(arrival_ns)
            self._fit, self._late = ClockFit(), None
            for rate in self._rates:
                rate.restart()
            if len(self._stepped_ns) == STEPS and arrival_ns - self._stepped_ns[0] <= STEPS_WITHIN_NS:
                return f"the clock was set {STEPS} times within {STEPS_WITHIN_NS // NS_PER_S} s"
        excess = [rate.excess(arrival_ns, difference_ns) for rate in self._rates]
        if any(excess):
            return f"the clock goes {-max(excess, key=abs):+.2%} beside this computer's, and no crystal is so wrong"
        return ""

    def _steps(self, stamp_ns: int, difference_ns: int, arrival_ns: int) -> bool:
        """Whether the clock was set to another time since the frame before, or in the last pause."""
        line = self._fit.line
        if line is None or self._stamp_ns is None:
            return False
        delay_ns = difference_ns - line.difference_ns(stamp_ns)
        if stamp_ns < self._stamp_ns or delay_ns < -JUMP_NS:
            return True
        if delay_ns <= JUMP_NS:
            self._late = None
            return False
        since_ns, frames = self._late or (arrival_ns, 0)
        self._late = since_ns, frames + 1
        return frames + 1 >= LATE_FRAMES and arrival_ns - since_ns >= LATE_NS

    def _disbelieve(self, why: str, arrival_ns: int) -> None:
        self.doubt, self._believed_ns = why, arrival_ns + TRUST_NS
        self._fit = ClockFit()
