"""SIGINT and SIGTERM as an orderly end, for commands that must close what they opened."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code of a command that was interrupted before its work was done."""


@contextmanager
def ending_on_signals() -> Iterator[threading.Event]:
    """Give an event that SIGINT or SIGTERM sets; a second signal ends the process at once.

    The handlers that were there are put back at the end.
    """
    ending = threading.Event()

    def handle(number: int, frame: FrameType | None) -> None:
        if ending.is_set():
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        ending.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
