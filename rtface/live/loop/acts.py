"""Who asked for the light to be off, in the order in which they did, until the loop has recorded it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from rtface.core.clock import Clock


@dataclass(frozen=True, slots=True)
class Act:
    """Somebody disarmed, or stopped in an emergency: when, who and why."""

    t_ns: int
    stop: bool
    who: str
    why: str


class Acts:
    """Acts of any thread, for the one that records them.

    An act is noted before the output is given it: what the output then reports is known to come of it.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._noting = threading.Lock()
        self._noted: deque[Act] = deque()

    def note(self, who: str, why: str, *, stop: bool) -> None:
        """Note an act that is about to be done; from any thread."""
        with self._noting:
            self._noted.append(Act(self._clock.now_ns(), stop, who, why))

    def take(self, until_ns: int | None = None) -> Act | None:
        """Return the oldest act that is not recorded yet, of those noted up to `until_ns`; None without one."""
        if not self._noted or (until_ns is not None and self._noted[0].t_ns > until_ns):
            return None
        return self._noted.popleft()
