"""One at a time: what threads of this process must not do on a GPU at once, whichever back ends they run.

A recording is broken by what another thread does meanwhile: waiting for the whole device, freeing memory, collecting
garbage that holds either. torch's settings of its convolutions are the whole process's. So preparing, recording, itemising
and launching step by step take turns; launching a graph, which is what a running pipeline does, waits for nobody.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rtface.core.errors import BackendError
from rtface.track.gpu.driver.lost import why_lost

_log = logging.getLogger(__name__)
_turn = threading.RLock()

_Recorded = TypeVar("_Recorded")


class UnusableError(BackendError):
    """A GPU that this process can use no more: neither a second attempt nor another way helps."""


@contextmanager
def alone() -> Iterator[None]:
    """Keep every other thread of the process from what is done within; may be nested in one thread."""
    with _turn:
        yield


def recorded(record: Callable[[], _Recorded]) -> _Recorded:
    """Record a graph alone and with the garbage collector off; try a second time if that fails.

    Parameters
    ----------
    record : callable
        Records and returns the graph; where it fails it leaves stream and memory as they were.

    Raises
    ------
    BackendError, RuntimeError
        What `record` raised at its second attempt, or at its first if that is an `UnusableError`.
    """
    with alone(), _uncollected():
        try:
            return record()
        except UnusableError:
            raise
        except (BackendError, RuntimeError) as error:
            if why_lost():
                raise
            _log.warning("a CUDA graph could not be recorded and is tried again: %s", error)
        return record()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Collect no garbage within: what is freed by it may wait for the device."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
