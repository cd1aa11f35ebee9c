"""When triggers come that rtface itself gives, or simulates: at a steady rate, in trials with pauses where these are wanted."""

from __future__ import annotations

from rtface.config import TrialSettings
from rtface.core.clock import NS_PER_S


class TriggerTimes:
    """The time of each trigger since the first; a pure function of its number.

    Parameters
    ----------
    rate_hz : float
        Triggers per second within a trial.
    trials : TrialSettings or None
        How many make a trial, and the pause between; no pause when None.
    """

    def __init__(self, rate_hz: float, trials: TrialSettings | None = None) -> None:
        self._rate_hz = rate_hz
        self._frames = None if trials is None else trials.frames
        self._trial_ns = 0
        if trials is not None:
            self._trial_ns = self.periods_ns(trials.frames - 1) + round(trials.pause_s * NS_PER_S)

    def periods_ns(self, count: int) -> int:
        """Return how long so many periods of the rate are."""
        return round(count * NS_PER_S / self._rate_hz)

    def at_ns(self, number: int) -> int:
        """Return the time of a trigger, from 0, in nanoseconds since the first."""
        if self._frames is None:
            return self.periods_ns(number)
        trial, within = divmod(number, self._frames)
        return trial * self._trial_ns + self.periods_ns(within)

    def newest(self, elapsed_ns: int) -> int:
        """Return the number of the last trigger that came so long after the first, or before."""
        if self._frames is None:
            return int(elapsed_ns * self._rate_hz / NS_PER_S)
        trial, within_ns = divmod(elapsed_ns, self._trial_ns)
        within = min(int(within_ns * self._rate_hz / NS_PER_S), self._frames - 1)
        return int(trial) * self._frames + within
