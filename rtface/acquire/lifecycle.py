"""The order of calls that every camera keeps, and the check of the caller's memory."""

from __future__ import annotations

from enum import Enum

import numpy as np

from rtface.core.clock import Clock
from rtface.core.clockfit import ClockLine
from rtface.core.errors import UsageError
from rtface.core.records import CameraInfo, FrameMeta, Image
from rtface.core.status import CameraStatus

DRIVER_BUFFERS = 4
"""Frames that a source which makes or plays them itself holds for a slow reader, as a driver does; then the oldest is lost."""


class CameraState(Enum):
    """How far a camera has been taken."""

    CLOSED = "closed"
    OPEN = "open"
    RUNNING = "running"


class OrderedCamera:
    """A camera (see `rtface.acquire.base.Camera`) whose calls come in order; each kind adds what they do.

    Parameters
    ----------
    kind : str
        What messages call the camera.
    clock : Clock
        What paces and stamps.

    Attributes
    ----------
    lost_at_camera, lost_in_transport : int
        As in `Camera`; 0 for what a kind cannot count.
    transport_known : bool
        As in `Camera`.
    """

    def __init__(self, kind: str, clock: Clock) -> None:
        self._kind, self._clock = kind, clock
        self._state = CameraState.CLOSED
        self._shape = (0, 0)
        self.lost_at_camera = self.lost_in_transport = 0
        self.transport_known = True

    @property
    def clock_line(self) -> ClockLine | None:
        """The map of the device's clock; None for a kind that has none."""
        return None

    @property
    def status(self) -> CameraStatus:
        """How it does beside its frames; nothing from a kind that does not know."""
        return CameraStatus()

    def open(self) -> CameraInfo:
        """Open the device, apply every setting and read it back; see `Camera.open`."""
        self._expect(CameraState.CLOSED, "open")
        self.lost_at_camera = self.lost_in_transport = 0
        self.transport_known = True
        try:
            info = self._open()
        except BaseException:
            self.close()
            raise
        self._shape = info.height, info.width
        self._state = CameraState.OPEN
        return info

    def start(self) -> None:
        """Begin to deliver frames."""
        if self._state is CameraState.RUNNING:
            return
        self._expect(CameraState.OPEN, "start")
        self._start()
        self._state = CameraState.RUNNING

    def fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        """Copy the next frame into `out`; see `Camera.fill`."""
        self._expect(CameraState.RUNNING, "fill")
        if out.shape != self._shape or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise UsageError(
                f"a frame needs contiguous uint8 memory of shape {self._shape}, got {out.dtype} {out.shape}"
            )
        return self._fill(out, timeout_s)

    def stop(self) -> None:
        """Stop delivering frames."""
        if self._state is CameraState.RUNNING:
            self._state = CameraState.OPEN
            self._stop()

    def close(self) -> None:
        """Give the device back."""
        self.stop()
        self._state = CameraState.CLOSED
        self._close()

    def _open(self) -> CameraInfo:
        """Open the device; where it fails, `_close` follows."""
        raise NotImplementedError

    def _start(self) -> None:
        """Begin."""

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        """Copy the next frame into memory that is as it should be."""
        raise NotImplementedError

    def _stop(self) -> None:
        """Stop, also a device that was lost."""

    def _close(self) -> None:
        """Give back what was opened, in any state."""

    def _expect(self, state: CameraState, call: str) -> None:
        if self._state is not state:
            raise UsageError(
                f"{call}() of the {self._kind} camera needs it {state.value}, but it is {self._state.value}"
            )
