"""The thread that moves frames from a camera into the ring."""

from __future__ import annotations

import os
import threading

from rtface.acquire.base import Camera, EndOfStream
from rtface.acquire.ring import FrameRing

POLL_S = 0.1
"""Longest wait inside one call of the camera, in seconds: bounds how long a stop can take."""

# The scheduler tends to wake the reader on this thread's core, where it would wait until a camera that computes (the
# simulated one renders, a video is decoded) has made the next frame: 0.9 ms in place of 0.2 at 640x480.
let_the_reader_run = getattr(os, "sched_yield", lambda: None)


class AcquisitionThread:
    """Fills the slots of a ring from a started camera until it is stopped, the source ends or it fails.

    Parameters
    ----------
    camera : Camera
        Opened and started by the caller, who also stops it once this thread has been joined.
    ring : FrameRing
        Closed by this thread when it ends, for whatever reason, so that the reader wakes.
    """

    def __init__(self, camera: Camera, ring: FrameRing) -> None:
        self._camera = camera
        self._ring = ring
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rtface-acquire", daemon=True)
        self.error: BaseException | None = None
        """What ended the thread, if it was an error; read it once `alive` is false."""
        self.ended = False
        """The source delivered its last frame."""

    @property
    def alive(self) -> bool:
        """Whether frames may still come."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to fill the ring."""
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Ask the thread to end and wait for it; True when it has ended."""
        self._stopping.set()
        self._ring.close()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._fill_until_stopped()
        except EndOfStream:
            self.ended = True
        except BaseException as error:  # handed to the owner, who raises it in its own thread
            self.error = error
        finally:
            self._ring.close()

    def _fill_until_stopped(self) -> None:
        while not self._stopping.is_set():
            slot = self._ring.acquire(POLL_S)
            if slot is None:
                continue
            try:
                meta = None
                while meta is None and not self._stopping.is_set():
                    meta = self._camera.fill(slot.pixels, POLL_S)
            except BaseException:
                self._ring.discard(slot)
                raise
            if meta is None:
                self._ring.discard(slot)
            else:
                self._ring.commit(slot, meta)
                let_the_reader_run()
