"""Tracking frames in memory one by one, as the service does, and how long each takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rtface.config import BackendSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.records import Crop, Image, Pose
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine


@dataclass(frozen=True, slots=True)
class Tracked:
    """What was found, in what time, and what ran the network.

    Attributes
    ----------
    backend : str
    poses : list of Pose
    took_ns : list of int
        From a frame in memory to its pose.
    """

    backend: str
    poses: list[Pose]
    took_ns: list[int]


def track(engine: Engine, precision: str, frames: Sequence[Image], crop: Crop | None = None) -> Tracked:
    """Track frames of one size with OpenVINO at a precision."""
    settings = BackendSettings.model_validate({"name": "openvino", "precision": precision})
    poses, took_ns = [], []
    with PictureTracker(engine, settings, crop) as tracker:
        info = tracker.backend
        tracker.prepare(frames[0].shape)
        for frame in frames:
            began_ns = SYSTEM_CLOCK.now_ns()
            poses.append(tracker.track(frame))
            took_ns.append(SYSTEM_CLOCK.now_ns() - began_ns)
    return Tracked(f"{info.name} {info.precision}, {info.threads} threads", poses, took_ns)
