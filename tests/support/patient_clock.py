"""A clock for a thread that times what it does, on a machine that may not run it for a while."""

from __future__ import annotations

import threading
import time

from rtface.core.clock import NS_PER_MS

_MOST_NS = 10 * NS_PER_MS
_NAP_S = 0.0005


class PatientClock:
    """The host's time as one thread lives it: what passes between two of its readings counts for 10 ms at most.

    So a thread that the machine did not run is not late. Other threads read the time that it has come to.

    Parameters
    ----------
    thread : str
        The name of the thread whose readings move the time.
    """

    def __init__(self, thread: str = "rtface-output") -> None:
        self._thread = thread
        self._read_ns = self._now_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Return the time that the thread has come to."""
        if threading.current_thread().name == self._thread:
            read_ns = time.monotonic_ns()
            self._now_ns += min(read_ns - self._read_ns, _MOST_NS)
            self._read_ns = read_ns
        return self._now_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Sleep until the thread has come to a time."""
        while self.now_ns() < deadline_ns:
            time.sleep(_NAP_S)
