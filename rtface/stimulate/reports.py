"""Where an output's reports wait for their reader, and where its commands get their numbers."""

from __future__ import annotations

import itertools
from collections import deque

from rtface.core.outputs import Report

_MOST_REPORTS = 10_000


class Reports:
    """A bounded queue of reports, the oldest of which goes; any thread writes and drains it, and none waits."""

    def __init__(self) -> None:
        self._waiting: deque[Report] = deque(maxlen=_MOST_REPORTS)
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Return the number of the next command, from 1."""
        return next(self._numbers)

    def add(self, report: Report) -> None:
        """Keep a report for the reader."""
        self._waiting.append(report)

    def drain(self) -> list[Report]:
        """Return what has come since the last call, in order."""
        drained = []
        while True:
            try:
                drained.append(self._waiting.popleft())
            except IndexError:
                return drained
