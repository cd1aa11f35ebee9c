"""Waits for other threads and processes that fail rather than hang."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

LONG_S = 20.0
"""Far longer than anything here takes: a wait of this length that runs out is a failure, not a delay."""

_Result = TypeVar("_Result")


def finishes(work: Callable[[], _Result]) -> _Result:
    """Return what `work` returns; fail, rather than hang, if it does not return."""
    results: list[_Result] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(LONG_S)
    assert not thread.is_alive(), f"{work} does not return"
    if errors:
        raise errors[0]
    return results[0]


def wait_until(condition: Callable[[], bool], every_s: float = 0.01) -> None:
    """Wait for what another thread or process is about to do; fail, rather than hang, if it never does."""
    never = threading.Event()
    for _ in range(round(LONG_S / every_s)):
        if condition():
            return
        never.wait(every_s)
    raise AssertionError(f"{condition} never came true")
