"""The contract of what handles the poses of several cameras in the processing thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from rtface.core.records import CameraInfo, Image, Pose
from rtface.core.status import Gap, PipelineStatus
from rtface.live.handler import NetworkInUse

OpenCamera = tuple[CameraInfo, NetworkInUse]
"""A camera that is open, and what finds its keypoints."""


class MultiHandler(Protocol):
    """Handles every pose; calls and their order as of `rtface.live.handler.PoseHandler`, with the camera's name."""

    def open(self, cameras: Mapping[str, OpenCamera]) -> None:
        """Take what is needed; all cameras are open, and their networks compiled."""

    def handle(self, pose: Pose) -> None:
        """Decide and act, at once; `FrameMeta.camera` says whose pose it is."""

    def published(self, image: Image, pose: Pose, published_ns: int) -> None:
        """Record; the image is what it says only where frames are recorded."""

    def network_changed(self, camera: str, network: NetworkInUse) -> None:
        """Poses of a camera are found by this from now on."""

    def gap(self, camera: str, gap: Gap) -> None:
        """Take note that a camera was lost, or is back."""

    def look(self) -> None:
        """Look which cameras are silent; called after each frame, and at least every 100 ms."""

    def idle(self) -> None:
        """No frame has come for a while; called at least every 100 ms then."""

    def tick(self, statuses: Mapping[str, PipelineStatus]) -> None:
        """Look after what changes slowly; comes about once a second."""

    def close(self, error: BaseException | None) -> None:
        """End all that may act, and give everything back."""
