"""Settings of the whole process that a real-time loop in Python needs, undone when it ends."""

from __future__ import annotations

import gc
import os
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


def prefer_this_thread() -> str:
    """Ask the system to run the calling thread before ordinary ones; return what it got: ``fifo`` or ``normal``.

    For a thread that sleeps and must wake on time, such as the one that sends the gate's heartbeats. Needs the
    privilege CAP_SYS_NICE or an rtprio limit (`ulimit -r`); without it nothing changes.
    """
    if sys.platform != "linux" or not hasattr(os, "sched_setscheduler"):
        return "normal"
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return "normal"
    return "fifo"
