"""Errors of a driver that pass: a short trouble of the transport is no loss."""

from __future__ import annotations

from rtface.core.clock import NS_PER_S

PASSING_NS = NS_PER_S // 2
"""Errors that go on for longer are a lost camera."""


class PassingTrouble:
    """Remembers since when a driver has failed."""

    def __init__(self) -> None:
        self._since_ns: int | None = None

    def lasts(self, now_ns: int) -> bool:
        """Take it that the driver failed now; return whether it has for too long."""
        if self._since_ns is None:
            self._since_ns = now_ns
        return now_ns - self._since_ns > PASSING_NS

    def passed(self) -> None:
        """Take it that the driver answers."""
        self._since_ns = None
