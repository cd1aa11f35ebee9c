"""Settings of the whole process that a real-time loop in Python needs, undone when it ends."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SWITCH_INTERVAL_S = 0.0005


@contextmanager
def realtime_process() -> Iterator[None]:
    """Let threads change over quickly and keep the garbage collector off what lives for ever.

    Python by default lets one thread compute for 5 ms before another may run: more than the whole latency of a
    frame. All objects alive now are frozen, so that a collection, which stops every thread, stays short.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
