"""The contract of what handles poses in the processing thread: it acts before they are published, and records after."""

from __future__ import annotations

from dataclasses import dataclass

from rtface.core.records import CameraInfo, Crop, Image, Pose
from rtface.core.status import Gap, PipelineStatus
from rtface.track.backends.base import BackendInfo


@dataclass(frozen=True, slots=True)
class NetworkInUse:
    """What finds the keypoints: the engine's name, what runs it, and the part of the frame that it gets."""

    engine: str
    backend: BackendInfo
    crop: Crop


class PoseHandler:
    """Handles every pose; this one does nothing, others override what they need.

    The processing thread makes all calls, in the order
    ``open, (handle, published | idle | tick | gap | network_changed)..., close``. An error that
    a call raises ends the pipeline; ``close`` is called whatever happened.
    """

    def open(self, camera: CameraInfo, network: NetworkInUse) -> None:
        """Take what is needed; the camera is open and the network compiled.

        Raises
        ------
        RtfaceError
            It cannot be had; nothing is left open.
        """

    def handle(self, pose: Pose) -> None:
        """Decide and act, at once: nothing that may wait has a place here."""

    def published(self, image: Image, pose: Pose, published_ns: int) -> None:
        """Record; called after the pose was published.

        Parameters
        ----------
        image : ndarray, shape (H, W), uint8
            The frame; borrowed until this returns.
        pose : Pose
            As in `handle`.
        published_ns : int
            When the pose had been handed to the sink.
        """

    def network_changed(self, network: NetworkInUse) -> None:
        """Poses are found by this from now on: another crop was asked for."""

    def gap(self, gap: Gap) -> None:
        """Take note that the camera was lost and is being opened anew, or is back; while it is gone nothing may be allowed."""

    def idle(self) -> None:
        """No frame has come for a while; called at least every 100 ms."""

    def tick(self, status: PipelineStatus) -> None:
        """Look after what changes slowly; comes about once a second."""

    def close(self, error: BaseException | None) -> None:
        """End all that may act, and give everything back.

        Parameters
        ----------
        error : BaseException or None
            What ended the pipeline, if it was an error.
        """
