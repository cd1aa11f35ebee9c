"""A camera that was lost is closed and opened anew, in a thread of its own, until it is back or told to give up."""

from __future__ import annotations

import logging
import threading

from rtface.acquire.base import Camera
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.stream import Frames
from rtface.core.errors import CameraError, RtfaceError
from rtface.core.records import CameraInfo

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 2.0
"""Between two tries; doubled from one to the next."""
GIVE_UP_S = 5.0
"""How long a try that was given up may take to return."""

_log = logging.getLogger(__name__)


class Reopening:
    """Tries to open and start a camera; while it does, nobody else touches it.

    Parameters
    ----------
    camera : Camera
    frames : Frames
        Of that camera.
    before : CameraInfo
        What it was. Another camera, or frames of another size, are not taken: that one may still come.
    pause_s : float
        Before the first try.

    Attributes
    ----------
    tries : int
        So far.
    why_not : str
        What the last try said.
    """

    def __init__(self, camera: Camera, frames: Frames, before: CameraInfo, pause_s: float = 0.0) -> None:
        self._camera, self._frames, self._before, self._pause_s = camera, frames, before, pause_s
        self.tries = 0
        self.why_not = ""
        self._given_up = threading.Event()
        self._back = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rtface-reopen", daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> bool:
        """Wait; True when the camera is open and started."""
        return self._back.wait(timeout_s)

    def give_up(self) -> bool:
        """End it, with the camera's process where it has one; True when it has ended, and the camera may be touched."""
        self._given_up.set()
        pause_s, waited_s = 0.05, 0.0
        while self._thread.is_alive() and waited_s < GIVE_UP_S:
            if isinstance(self._camera, OutsideCamera) and not self._back.is_set():
                self._camera.kill()
            self._thread.join(pause_s)
            waited_s += pause_s
        return not self._thread.is_alive()

    def _run(self) -> None:
        self._let_go()
        self._given_up.wait(self._pause_s)
        pause_s = FIRST_PAUSE_S
        while not self._given_up.is_set():
            self.tries += 1
            try:
                self._require_the_same(self._frames.open())
                self._camera.start()
            except Exception as error:
                self.why_not = (
                    str(error) if isinstance(error, RtfaceError) else f"{type(error).__name__}: {error}"
                )
                _log.info("the camera is not back: %s", self.why_not)
                self._let_go()
            else:
                self._back.set()
                return
            self._given_up.wait(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _require_the_same(self, now: CameraInfo) -> None:
        before = self._before
        if (now.label, now.width, now.height) != (before.label, before.width, before.height):
            raise CameraError(
                f"what came back is another camera or has other frames: {now.label}, {now.width}x{now.height}, "
                f"before {before.label}, {before.width}x{before.height}"
            )

    def _let_go(self) -> None:
        for end in (self._frames.stop, self._frames.close):
            try:
                end()
            except CameraError as error:
                _log.info("%s", error)
