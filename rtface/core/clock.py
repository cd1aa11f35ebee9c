"""The only reader of the clock.

Times are integers in nanoseconds of the host's monotonic clock, which all processes of one machine share. Nothing else
in rtface imports `time`; whatever waits or stamps takes a `Clock`, so tests need not wait.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000


def host_clock(platform: str) -> Callable[[], int]:
    """Return the fine monotonic clock of a system that all its processes share.

    On Windows that is the performance counter: `time.monotonic_ns` there has steps of 15 ms before Python 3.13. On Linux
    it is ``CLOCK_MONOTONIC``, on macOS ``mach_absolute_time``.

    Parameters
    ----------
    platform : str
        As `sys.platform`.
    """
    return time.perf_counter_ns if platform == "win32" else time.monotonic_ns


monotonic_ns = host_clock(sys.platform)
"""Nanoseconds of the host's monotonic clock (int)."""

wall_ns = time.time_ns
"""Nanoseconds since the Unix epoch (int): for labels and file names, never for intervals."""


def utc(since_epoch_ns: int | None = None) -> datetime:
    """Return a time since the Unix epoch, or now, as a date and time in UTC: for labels, never for intervals."""
    return datetime.fromtimestamp((wall_ns() if since_epoch_ns is None else since_epoch_ns) / NS_PER_S, UTC)


_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@cache
def clock_domain() -> str:
    """Name the monotonic clock of this host: the same text for all processes that share it.

    On Linux the kernel's identity of this boot. Empty where there is no such thing (Windows, macOS), which equals no other
    host's: there a client measures the offset of the service's clock, also on the same host.
    """
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Clock(Protocol):
    """A source of time that can also wait."""

    def now_ns(self) -> int:
        """Return the present time in nanoseconds."""

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return at `deadline_ns` or as soon after it as possible; at once if it has passed."""


class SystemClock:
    """The host's monotonic clock."""

    def now_ns(self) -> int:
        """Return nanoseconds of the host's monotonic clock."""
        return monotonic_ns()

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Sleep until an absolute deadline, so that a late wake-up never shifts the next one."""
        while (left := deadline_ns - monotonic_ns()) > 0:
            time.sleep(left / NS_PER_S)


class ManualClock:
    """A clock that moves only when told to, for tests and replay."""

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """Return the time that was last set."""
        return self._now_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Jump to the deadline if it lies ahead."""
        self._now_ns = max(self._now_ns, deadline_ns)


SYSTEM_CLOCK = SystemClock()
