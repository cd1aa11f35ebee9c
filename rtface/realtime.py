"""Settings of the whole process that a real-time loop in Python needs, undone when it ends."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

SWITCH_INTERVAL_S = 0.0005


@contextmanager
def realtime_process() -> Iterator[None]:
    """Let threads change over quickly and keep the garbage collector off what lives for ever.

    Python by default lets one thread compute for 5 ms before another may run: more than the whole latency of a
    frame. All objects alive now are frozen, so that a collection, which stops every thread, stays short. OpenCV
    by default splits even a histogram of 0.1 ms over its pool, and then waits for a core that the network holds.
    """
    before, before_opencv = sys.getswitchinterval(), cv2.getNumThreads()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    cv2.setNumThreads(1)
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        sys.setswitchinterval(before)
        cv2.setNumThreads(before_opencv)
