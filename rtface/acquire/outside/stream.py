"""The frames of a camera in a process of its own, read where that process has put them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rtface.acquire.base import EndOfStream
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.ring import Slot
from rtface.core.errors import CameraLostError, UsageError
from rtface.core.records import CameraInfo, Image


class OutsideStream:
    """What `rtface.acquire.stream.FrameStream` is to a camera in this process; here no thread and no copy is between.

    Parameters
    ----------
    camera : OutsideCamera
    slots : int
        Frames that can wait, or be held, at once.
    """

    def __init__(self, camera: OutsideCamera, slots: int) -> None:
        self._camera = camera
        camera.use_slots(slots)
        self._info: CameraInfo | None = None
        self._running = False
        self.ended = False

    @property
    def info(self) -> CameraInfo:
        """The camera as it was opened; `UsageError` before that."""
        if self._info is None:
            raise UsageError("the camera has not been opened")
        return self._info

    @property
    def running(self) -> bool:
        """Whether the camera has been started and not stopped."""
        return self._running

    @property
    def dropped(self) -> int:
        """Frames that a newer one displaced before they were taken; may be read from any thread."""
        return self._camera.dropped

    def open(self) -> CameraInfo:
        """Open the camera; errors as of `Camera.open`."""
        self._info = self._camera.open()
        return self._info

    def start(self, allocate: Callable[[tuple[int, int]], Image]) -> None:
        """Start the camera; its frames lie in memory that both processes have, whatever `allocate` would give."""
        self._camera.start()
        self._running = True

    def take(self, timeout_s: float) -> Slot | None:
        """Return the newest frame of a live camera, the next one of a file; as `FrameStream.take`."""
        if not self._running:
            return None
        try:
            return self._camera.take(timeout_s)
        except EndOfStream:
            self.stop()
            self.ended = True
            return None

    def release(self, slot: Slot) -> None:
        """Give a frame's memory back."""
        self._camera.release(slot)

    def drain(self) -> Iterator[Slot]:
        """Stop the camera, and return the frames that still wait; errors as of `take`."""
        if not self._running:
            return
        failure: Exception | None = None
        try:
            self._camera.stop()
        except CameraLostError as error:
            failure = error
        while (slot := self._camera.waiting()) is not None:
            yield slot
        failure = failure or self._camera.failure
        if failure is not None and not isinstance(failure, EndOfStream):
            raise failure

    def stop(self) -> None:
        """Stop the camera, if it runs; `CameraLostError` where its driver did not return, and was killed."""
        self._running = False
        self._camera.stop()

    def close(self) -> None:
        """Close the camera."""
        self._camera.close()
