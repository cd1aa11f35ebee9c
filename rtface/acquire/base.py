"""The contract of a camera."""

from __future__ import annotations

from typing import Protocol

from rtface.core.clockfit import ClockLine
from rtface.core.records import CameraInfo, FrameMeta, Image
from rtface.core.status import CameraStatus


class EndOfStream(Exception):  # noqa: N818  (not an error: the source has simply ended)
    """A source with an end has delivered its last frame."""


class Camera(Protocol):
    """A source of 8-bit gray frames.

    The order of calls is ``open, start, fill..., stop, close``; ``start`` and ``stop`` may be repeated. One
    thread calls ``fill``; ``stop`` and ``close`` come after it has returned. ``stop`` and ``close`` may be called
    at any time, any number of times.
    """

    @property
    def lost_at_camera(self) -> int:
        """Frames since ``open`` that the camera reported as not delivered or damaged."""

    @property
    def lost_in_transport(self) -> int:
        """Frames since ``open`` that the camera made and that never arrived.

        A device shows them only as gaps between two frame numbers that arrived; a source that makes or plays the
        frames itself also counts those before the first and after the last, so that what arrived and what was lost
        add up to all.
        """

    @property
    def transport_known(self) -> bool:
        """Whether `lost_in_transport` counts every frame lost since ``open``.

        False for a source whose frames have no numbers of its own, or numbers that stand still or go back: then nobody
        knows what was lost. May be read from any thread.
        """

    @property
    def clock_line(self) -> ClockLine | None:
        """How the device's clock, in which ``FrameMeta.camera_ns`` is, maps to the host's now.

        None where no clock is mapped, and before the first frame since ``open``. May be read from any thread.
        """

    @property
    def status(self) -> CameraStatus:
        """How the camera does beside its frames: what does not hold of its settings, its clock, missed triggers.

        May be read from any thread.
        """

    def open(self) -> CameraInfo:
        """Open the device, apply every setting and read it back.

        Raises
        ------
        CameraError
            The device is not there or cannot be opened.
        CameraSettingError
            A setting that was asked for differs from what the device reads back.
        """

    def start(self) -> None:
        """Begin to deliver frames.

        Raises
        ------
        CameraLostError
            The device disappeared.
        CameraSettingError
            A setting that was read back after `open` does not hold once frames flow.
        """

    def fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        """Copy the next frame into `out`; never block for longer than about `timeout_s`.

        Parameters
        ----------
        out : ndarray, shape (height, width), uint8, C-contiguous
            The caller's memory; its content is undefined unless a `FrameMeta` is returned.
        timeout_s : float
            Seconds to wait for a frame.

        Returns
        -------
        FrameMeta or None
            None when no frame came in time.

        Raises
        ------
        EndOfStream
            A source that ends has ended.
        CameraLostError
            The device disappeared or the source is damaged.
        """

    def stop(self) -> None:
        """Stop delivering frames; `start` may follow, and what waited unread at the stop is not delivered then."""

    def close(self) -> None:
        """Give the device back."""
