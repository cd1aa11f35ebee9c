"""An engine on single pictures of any size, run as the service runs it on a camera's frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from rtface.config import BackendSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.errors import DataError
from rtface.core.records import Crop, FloatArray, FrameMeta, Image, Pose
from rtface.track.backends.base import BackendInfo
from rtface.track.backends.factory import make_backend
from rtface.track.store import Engine
from rtface.track.tracker import Tracker


class PartProgress(Protocol):
    """Follows work that has parts, one after another."""

    def __call__(self, what: str, done: int, total: int, *, unit: str = "frames") -> None:
        """Take note of how much of a part is done, of how many units; 0 of 0 where the part counts nothing."""


def no_part_progress(what: str, done: int, total: int, *, unit: str = "frames") -> None:
    """Follow nothing."""


class PictureTracker:
    """Finds the keypoints of pictures, one after another; open from the start.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    settings : BackendSettings or None
        What runs it; the first back end that is there when None.
    crop : Crop or None
        The face in every picture; the whole picture when None.

    Attributes
    ----------
    engine, crop
        As given.

    Raises
    ------
    BackendError, EngineError
        The engine cannot be run as asked.
    """

    def __init__(
        self, engine: Engine, settings: BackendSettings | None = None, crop: Crop | None = None
    ) -> None:
        self.engine = engine
        self.crop = crop
        self._shape = (0, 0)
        self._tracker = Tracker(engine, make_backend(engine, settings or BackendSettings()), SYSTEM_CLOCK)
        try:
            self._tracker.open()
        except BaseException:
            self._tracker.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def backend(self) -> BackendInfo:
        """What runs the network, with its plan once there was a picture."""
        return self._tracker.backend

    @property
    def seen(self) -> Crop:
        """The part of the last picture that the network was shown."""
        return self._tracker.crop

    @property
    def scale(self) -> float:
        """Pixels of the last picture to a pixel of the network's input."""
        return self._tracker.scale

    def prepare(self, shape: tuple[int, int]) -> None:
        """Fit the network to pictures of a shape (rows, columns); where it is another than the last, this takes long.

        Raises
        ------
        UsageError
            The crop reaches beyond such a picture.
        """
        if shape != self._shape:
            self._tracker.prepare(shape, self.crop)
            self._shape = shape

    def track(self, image: Image) -> Pose:
        """Find the keypoints of a picture.

        Parameters
        ----------
        image : ndarray, shape (height, width), uint8
            The whole picture.

        Returns
        -------
        Pose
            In pixels of the picture; its stamps tell how long it took from memory (taken) to keypoints (decided).

        Raises
        ------
        UsageError
            The crop reaches beyond the picture.
        """
        self.prepare(image.shape)
        now_ns = SYSTEM_CLOCK.now_ns()
        return self._tracker.track(np.ascontiguousarray(image), FrameMeta(0, now_ns, now_ns), now_ns)

    def close(self) -> None:
        """Free the network; may be called any number of times."""
        self._tracker.close()


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """What an engine found on N frames, what ran it, and what it was shown of them.

    Attributes
    ----------
    xy : ndarray, shape (N, K, 2), float32
        Camera pixels.
    score : ndarray, shape (N, K), float32
    backend : BackendInfo
    crop : Crop
    """

    xy: FloatArray
    score: FloatArray
    backend: BackendInfo
    crop: Crop


def track_pictures(
    engine: Engine,
    frames: Mapping[int, Image],
    settings: BackendSettings,
    crop: Crop | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> EngineOutput:
    """Run an engine on frames of one size.

    Parameters
    ----------
    engine : Engine
        A checked engine.
    frames : mapping of int to ndarray, shape (height, width), uint8
        Whole camera frames of one size, by number.
    settings : BackendSettings
        What runs it.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    progress : callable
        Called with the frames that are done, and their number.

    Raises
    ------
    BackendError
        The engine cannot be run as asked.
    DataError
        The frames differ in size, or there are none.
    UsageError
        The crop reaches beyond the frames.
    """
    shapes = {image.shape for image in frames.values()}
    if len(shapes) != 1:
        raise DataError(f"frames of one size are needed, not of {len(shapes)} sizes")
    with PictureTracker(engine, settings, crop) as tracker:
        progress(0, len(frames))
        poses = []
        for image in frames.values():
            poses.append(tracker.track(image))
            progress(len(poses), len(frames))
        xy, score = (np.stack([getattr(pose, part) for pose in poses]) for part in ("xy", "score"))
        return EngineOutput(xy, score, tracker.backend, tracker.seen)
