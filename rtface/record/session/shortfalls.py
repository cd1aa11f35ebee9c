"""What a session's record lacks: counts of what found no room, and the first fault of each kind."""

from __future__ import annotations

import threading
from collections import Counter

from rtface.record.session.entries import FaultEntry
from rtface.record.session.rows import ROW_NAMES

EVENTS = "events"
"""What events are counted as; rows as their kind is named (`ROW_NAMES`)."""


class Shortfalls:
    """Counts and faults of a record that is being written; for any thread, but for `changed`."""

    def __init__(self) -> None:
        self._counting = threading.Lock()
        self._lost: Counter[str] = Counter()
        self._returned = 0
        self._faults: list[FaultEntry] = []

    @property
    def faults(self) -> tuple[FaultEntry, ...]:
        """The first fault of each kind, in order."""
        return tuple(self._faults)

    @property
    def fault(self) -> FaultEntry | None:
        """The first fault; None while all is well. Cheap enough for every frame."""
        return self._faults[0] if self._faults else None

    def count(self, name: str, lost: int = 1) -> None:
        """Count what was not recorded, by its name."""
        with self._counting:
            self._lost[name] += lost

    def note(self, what: str, text: str, now_ns: int) -> FaultEntry | None:
        """Keep a fault and return it; None, and it is left out, where one of its kind was noted before."""
        with self._counting:
            if any(each.what == what for each in self._faults):
                return None
            fault = FaultEntry(now_ns, what, text)
            self._faults.append(fault)
        return fault

    def changed(self) -> dict[str, int] | None:
        """Return all counts by name, as fields of an `UnrecordedEntry`; None where they are those of the last time.

        Belongs to the thread that writes.
        """
        with self._counting:
            lost = self._lost.copy()
        if lost.total() == self._returned:
            return None
        self._returned = lost.total()
        return {name: lost[name] for name in (EVENTS, *ROW_NAMES.values())}
