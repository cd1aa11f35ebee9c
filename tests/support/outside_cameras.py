"""Cameras that misbehave as drivers do, made in the process that runs them; see `scripted`."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Any, ClassVar

import numpy as np

from rtface.acquire.base import EndOfStream
from rtface.acquire.lifecycle import OrderedCamera
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.outside.patience import Patience
from rtface.core import errors
from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK
from rtface.core.clockfit import ClockLine
from rtface.core.records import CameraInfo, FrameMeta, Image
from rtface.core.status import CameraStatus

SOON = Patience(begin_s=60, open_s=1.0, start_s=1.0, fetch_s=1.0, stop_s=1.0, close_s=1.0)
"""As much as a test waits for a driver that hangs."""


def outside(patience: Patience | None = None, slots: int = 6, **arguments: Any) -> OutsideCamera:
    """A `ScriptedCamera` in a process of its own; arguments as of `scripted`."""
    return OutsideCamera(
        "scripted", f"{__name__}:{scripted.__name__}", arguments, slots, patience or Patience()
    )


def scripted(**arguments: Any) -> ScriptedCamera:
    """Make the camera, in the process that will run it."""
    return ScriptedCamera(**arguments)


class ScriptedCamera(OrderedCamera):
    """Frame n is full of n modulo 256, and delivered as soon as it is asked for.

    Parameters
    ----------
    width, height : int
    frames : int or None
        After so many it ends.
    live : bool
    every_ms : float
        From one frame to the next.
    faults : dict of str to list
        By call (``open``, ``start``, ``stop``, ``close``) or by number of a frame, what happens then: ``["hang"]``;
        ``["hold", ms]``, so long inside the driver with the interpreter's lock; ``["die", signal]``; ``["exit", status]``;
        ``["raise", name, text]``, an error of rtface's, or a ZeroDivisionError.
    talks : bool
        What it says of itself changes with each frame.
    """

    def __init__(
        self,
        *,
        width: int = 96,
        height: int = 64,
        frames: int | None = None,
        live: bool = True,
        every_ms: float = 0.0,
        faults: dict[str, list[Any]] | None = None,
        talks: bool = False,
    ) -> None:
        super().__init__("scripted", SYSTEM_CLOCK)
        self._size, self._frames, self._live = (width, height), frames, live
        self._every_ns = round(every_ms * NS_PER_MS)
        self._faults, self._talks = faults or {}, talks
        self._next = 0
        self._line: ClockLine | None = None

    @property
    def clock_line(self) -> ClockLine | None:
        return self._line

    @property
    def status(self) -> CameraStatus:
        return CameraStatus(clock=f"frame {self._next}") if self._talks else CameraStatus()

    def _open(self) -> CameraInfo:
        self._fault("open")
        width, height = self._size
        return CameraInfo(
            "scripted",
            "scripted 1",
            width,
            height,
            50.0,
            self._frames,
            self._live,
            "camera",
            {"gain": 1.5, "auto": [1, None]},
        )

    def _start(self) -> None:
        self._fault("start")

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        number = self._next
        if number == self._frames:
            raise EndOfStream
        self._fault(str(number))
        if self._every_ns:
            SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.now_ns() + self._every_ns)
        out.fill(number % 256)
        self._next += 1
        now_ns = SYSTEM_CLOCK.now_ns()
        self._line = ClockLine(number, now_ns + 0.5, 1e-5)
        self.lost_at_camera, self.lost_in_transport, self.transport_known = (
            2 * number,
            3 * number,
            number % 2 == 0,
        )
        return FrameMeta(number, now_ns - 1000, now_ns, number * 10)

    def _stop(self) -> None:
        self._fault("stop")

    def _close(self) -> None:
        self._fault("close")

    def _fault(self, call: str) -> None:
        what, *details = self._faults.get(call, ["nothing"])
        if what == "hang":
            threading.Event().wait()
        elif what == "hold":
            ctypes.PyDLL(None).usleep(round(details[0] * 1000))
        elif what == "die":
            os.kill(os.getpid(), getattr(signal, details[0]))
        elif what == "exit":
            os._exit(details[0])
        elif what == "raise":
            name, text = details
            raise getattr(errors, name, ZeroDivisionError)(text)


class BesideScripted(ScriptedCamera):
    """Puts the number of each frame beside it, and can be asked for a sum; see `rtface.acquire.outside.beside`."""

    CALLS: ClassVar[frozenset[str]] = frozenset({"added", "refused"})

    def put_beside(self, out: Image) -> None:
        out[:] = np.frombuffer(np.array([self._next - 1] * (len(out) // 8)).tobytes(), np.uint8)

    def added(self, one: int, other: int) -> dict[str, int]:
        return {"sum": one + other, "pid": os.getpid()}

    def refused(self) -> None:
        raise errors.UsageError("it will not")


def beside_scripted(**arguments: Any) -> BesideScripted:
    """Make the camera, in the process that will run it."""
    return BesideScripted(**arguments)


def outside_beside(beside: int, **arguments: Any) -> OutsideCamera:
    """A `BesideScripted` in a process of its own, with so many bytes beside each frame."""
    return OutsideCamera(
        "scripted", f"{__name__}:{beside_scripted.__name__}", arguments, 6, Patience(), beside
    )
