"""What a tracking process does: one camera's frames, and beside each its pose.

To the process that decides it is a camera in a process of its own (`rtface.acquire.outside.camera`): what hangs or dies here
is a lost camera, and is opened anew with its network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np
from pydantic import TypeAdapter

from rtface.acquire.base import Camera, EndOfStream
from rtface.acquire.factory import make_camera
from rtface.acquire.lasting import frames_of
from rtface.config import BackendSettings, CameraSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.clockfit import ClockLine
from rtface.core.errors import CameraLostError, RtfaceError, UsageError
from rtface.core.records import CameraInfo, Crop, FrameMeta, Image, Pose
from rtface.core.status import CameraStatus
from rtface.live.multi.cores import stay_on
from rtface.live.multi.posebytes import put_pose
from rtface.track.backends.factory import engine_for, make_backend
from rtface.track.tracker import Tracker


def make_tracking(
    camera: Mapping[str, Any],
    engine: str,
    backend: Mapping[str, Any],
    crop: Mapping[str, Any] | None,
    slots: int,
    cores: Sequence[int],
    *,
    pixels: bool,
) -> TrackingCamera:
    """Make a camera and what tracks it, in the process that will run both, from plain values.

    Parameters
    ----------
    camera, backend : mapping
        Of `CameraSettings` and of `BackendSettings`.
    engine : str
        Name or folder.
    crop : mapping or None
        Of `Crop`.
    slots : int
        Frames that may wait for the network.
    cores : sequence of int
        The process' own; empty for any.
    pixels : bool
        Whether the frames themselves are wanted on the other side.
    """
    stay_on(tuple(cores))
    settings: CameraSettings = TypeAdapter(CameraSettings).validate_python(camera)
    asked = BackendSettings.model_validate(backend)
    found = engine_for(engine, asked)
    tracker = Tracker(found, make_backend(found, asked), SYSTEM_CLOCK)
    return TrackingCamera(make_camera(settings), tracker, _crop_of(crop), slots, pixels=pixels)


class TrackingCamera:
    """A camera with its tracker; a `rtface.acquire.outside.beside.BesideCamera`.

    Parameters
    ----------
    camera : Camera
    tracker : Tracker
    crop : Crop or None
        The face in the frame; the whole frame when None.
    slots : int
        Frames that may wait for the network; of a live camera the newest wins.
    pixels : bool
        Copy each frame for the other side; else only its pose is handed over.
    """

    CALLS: ClassVar[frozenset[str]] = frozenset({"network", "use_crop"})

    def __init__(
        self, camera: Camera, tracker: Tracker, crop: Crop | None, slots: int, *, pixels: bool
    ) -> None:
        self._camera, self._tracker, self._crop = camera, tracker, crop
        self._frames = frames_of(camera, slots)
        self._pixels = pixels
        self._pose: Pose | None = None
        self._running = False

    @property
    def lost_at_camera(self) -> int:
        """As of the camera."""
        return self._camera.lost_at_camera

    @property
    def lost_in_transport(self) -> int:
        """As of the camera."""
        return self._camera.lost_in_transport

    @property
    def transport_known(self) -> bool:
        """As of the camera."""
        return self._camera.transport_known

    @property
    def clock_line(self) -> ClockLine | None:
        """As of the camera."""
        return self._camera.clock_line

    @property
    def status(self) -> CameraStatus:
        """As of the camera."""
        return self._camera.status

    def open(self) -> CameraInfo:
        """Open the camera, and fit the network to its frames; errors as of both."""
        try:
            info = self._frames.open()
            self._tracker.open()
            self._tracker.prepare((info.height, info.width), self._crop)
        except BaseException:
            self.close()
            raise
        return info

    def start(self) -> None:
        """Begin to track."""
        if not self._running:
            self._frames.start(self._tracker.host_memory)
            self._running = True

    def fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        """Track the next frame; the newest of a live camera.

        Raises
        ------
        EndOfStream
            The source has ended.
        CameraLostError
            The camera is lost, or nothing can be tracked any more.
        """
        try:
            slot = self._frames.take(timeout_s)
            if slot is None or slot.meta is None:
                if self._frames.ended:
                    raise EndOfStream
                return None
            taken_ns = SYSTEM_CLOCK.now_ns()
            self._pose = self._tracker.track(slot.pixels, slot.meta, taken_ns)
            if self._pixels:
                np.copyto(out, slot.pixels)
            self._frames.release(slot)
        except CameraLostError:
            raise
        except RtfaceError as error:
            raise CameraLostError(f"its frames can no longer be tracked: {error}") from error
        return self._pose.frame

    def put_beside(self, out: Image) -> None:
        """Put the pose of the frame that `fill` returned, as `rtface.live.multi.posebytes.put_pose` does."""
        if self._pose is None:
            raise UsageError("no frame was tracked yet")
        put_pose(out, self._pose, self._frames.dropped)

    def network(self) -> dict[str, Any]:
        """Say what finds the keypoints, as `rtface.live.multi.seat.CameraSeat` reads it."""
        tracker = self._tracker
        return {
            "backend": asdict(tracker.backend),
            "recheck": asdict(tracker.recheck),
            "keeps_view": tracker.keeps_view,
            "crop": asdict(tracker.crop),
        }

    def use_crop(self, crop: Mapping[str, Any] | None) -> dict[str, Any]:
        """Look at another part of the frame, and say the same; `UsageError` where it reaches beyond the frame."""
        info, wanted = self._frames.info, _crop_of(crop)
        self._tracker.prepare((info.height, info.width), wanted)
        self._crop = wanted
        return self.network()

    def stop(self) -> None:
        """Stop the camera."""
        self._running = False
        self._frames.stop()

    def close(self) -> None:
        """Give camera and network back."""
        self._frames.stop()
        self._frames.close()
        self._tracker.close()


def _crop_of(crop: Mapping[str, Any] | None) -> Crop | None:
    return None if crop is None else Crop(**crop)
