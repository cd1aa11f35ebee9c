"""The contract of what acts on poses, in the processing thread, before they are published."""

from __future__ import annotations

from typing import Protocol

from rtface.core.records import CameraInfo, Image, Pose
from rtface.core.status import PipelineStatus


class PoseHandler(Protocol):
    """Acts on every pose.

    The processing thread makes all calls, in the order ``open, (react, keep | idle | tick)..., close``. An error that
    a call raises ends the pipeline; ``close`` is called whatever happened.
    """

    def open(self, camera: CameraInfo) -> None:
        """Take what is needed; the camera is open and the network compiled.

        Raises
        ------
        RtfaceError
            It cannot be had; nothing is left open.
        """

    def react(self, pose: Pose) -> None:
        """Decide and act, at once: nothing that may wait has a place here."""

    def keep(self, image: Image, pose: Pose, published_ns: int) -> None:
        """Record; called after the pose was published.

        Parameters
        ----------
        image : ndarray, shape (H, W), uint8
            The frame; borrowed until this returns.
        pose : Pose
            As in `react`.
        published_ns : int
            When the pose had been handed to the sink.
        """

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


class NoHandler:
    """Does nothing."""

    def open(self, camera: CameraInfo) -> None:
        """See `PoseHandler`."""

    def react(self, pose: Pose) -> None:
        """See `PoseHandler`."""

    def keep(self, image: Image, pose: Pose, published_ns: int) -> None:
        """See `PoseHandler`."""

    def idle(self) -> None:
        """See `PoseHandler`."""

    def tick(self, status: PipelineStatus) -> None:
        """See `PoseHandler`."""

    def close(self, error: BaseException | None) -> None:
        """See `PoseHandler`."""
