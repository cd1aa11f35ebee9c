"""Whether other programs were using the processor when frames were lost."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

BUSY = 0.5
"""Part of all cores' time in other programs from which on a machine is called busy."""

_STAT = Path("/proc/stat")
_IDLE = (3, 4)
_PARTS = 8
"""Kinds of time in the first line; those behind are counted in them already."""
_LEAST_S = 0.25
"""Of all cores together, below which nothing can be told."""

Times = Callable[[], tuple[float, float, float] | None]
"""Gives seconds since some time: all cores' together, those of them in use, and this process's own."""


def processor_times() -> tuple[float, float, float] | None:
    """Return seconds of all cores together, those of them in use, and those of this process and its ended children.

    None where the system does not tell (it does on Linux).
    """
    if sys.platform != "linux":
        return None
    try:
        parts = [int(each) for each in _STAT.read_text(encoding="ascii").partition("\n")[0].split()[1:]]
    except (OSError, ValueError):
        return None
    tick = os.sysconf("SC_CLK_TCK")
    total = sum(parts[:_PARTS])
    own = os.times()
    return (
        total / tick,
        (total - sum(parts[at] for at in _IDLE)) / tick,
        own.user + own.system + own.children_user + own.children_system,
    )


class BusyMachine:
    """Tells, from look to look, whether frames were lost while other programs used the processor.

    Parameters
    ----------
    times : callable
        See `Times`.
    """

    def __init__(self, times: Times = processor_times) -> None:
        self._times = times
        self._before = times()
        self._lost = 0
        self._worst = 0.0

    def look(self, lost: int) -> None:
        """Look at what was since the last look.

        Parameters
        ----------
        lost : int
            Frames lost so far.
        """
        now, before = self._times(), self._before
        if now is None or before is None or now[0] - before[0] < _LEAST_S:
            return
        share = ((now[1] - before[1]) - (now[2] - before[2])) / (now[0] - before[0])
        if lost > self._lost and share >= BUSY:
            self._worst = max(self._worst, share)
        self._before, self._lost = now, lost

    @property
    def in_words(self) -> str:
        """What is to be said of it; empty where no frame was lost, or not for that reason."""
        if not self._worst:
            return ""
        return f"the machine is busy: other programs used {self._worst:.0%} of its processor while frames were lost"
