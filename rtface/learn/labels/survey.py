"""One pass over a recording: evenly spaced frames, each with what the engine finds in it and a thumbnail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.acquire.sampling import played
from rtface.config import BackendSettings, ImagesCameraSettings, VideoCameraSettings
from rtface.core.clock import NS_PER_S
from rtface.core.errors import CameraLostError, DataError
from rtface.core.files import printable
from rtface.core.records import CameraInfo, Crop, FloatArray, FrameMeta, Image
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

THUMBNAIL_SIDE = 32
"""Side in pixels of the thumbnails that frames are compared by."""

_SHARPNESS_SIDE = 256
_GLARE = 250
_DEFAULT_RATE_HZ = 30.0

Recording = VideoCameraSettings | ImagesCameraSettings


@dataclass(frozen=True, slots=True)
class Survey:
    """N frames of one recording.

    Attributes
    ----------
    name : str
        The recording's: its file's or folder's, without the ending.
    recording : VideoCameraSettings or ImagesCameraSettings
        How to read it again.
    crop : Crop
        What the network was shown.
    total : int
        Frames that were read in all.
    damage : str or None
        Why the recording ended early, where it did.
    frame : ndarray, shape (N,), int64
        Numbers of the frames, from 0.
    time_s : ndarray, shape (N,), float64
        Seconds since the recording's first frame.
    xy : ndarray, shape (N, K, 2), float32
        Pixels of the camera frame; NaN for a keypoint that the engine was not trained on.
    score : ndarray, shape (N, K), float32
    jump : ndarray, shape (N, K), float32
        Pixels between the point and the middle between where it is one frame earlier and one later: far more
        than usual for a point that was lost for one frame. 0 for the first and the last frame.
    thumbnail : ndarray, shape (N, THUMBNAIL_SIDE**2), float32
        Gray levels of the crop, small; mean 0 and standard deviation 1 in each frame.
    contrast : ndarray, shape (N,), float32
        Standard deviation of the crop's gray levels.
    sharpness : ndarray, shape (N,), float32
        Variance of the Laplacian over that of the gray levels.
    glare : ndarray, shape (N,), float32
        Share of the crop that is white.
    """

    name: str
    recording: Recording
    crop: Crop
    total: int
    damage: str | None
    frame: NDArray[np.int64]
    time_s: NDArray[np.float64]
    xy: FloatArray
    score: FloatArray
    jump: FloatArray
    thumbnail: FloatArray
    contrast: FloatArray
    sharpness: FloatArray
    glare: FloatArray

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True)
class _FrameSummary:
    time_s: float
    thumbnail: FloatArray
    quality: tuple[float, float, float]


def survey(
    recording: Recording,
    engine: Engine,
    backend: BackendSettings,
    *,
    crop: Crop | None = None,
    limit: int = 600,
    progress: Callable[[int, int | None], None] = lambda frames, total: None,
) -> Survey:
    """Track evenly spaced frames of a recording, and the neighbours of each for sudden jumps.

    Parameters
    ----------
    recording : VideoCameraSettings or ImagesCameraSettings
        What to play; not paced.
    engine : Engine
        A checked engine; one that was never trained on the rig does too.
    backend : BackendSettings
        What runs it.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    limit : int
        Most frames to return.
    progress : callable
        Called after each frame with the frames read and, where it is known, the total.

    Raises
    ------
    RtfaceError
        The recording or the engine cannot be opened.
    DataError
        There is no frame before the recording ends or is damaged.
    """
    poses: dict[int, tuple[FloatArray, FloatArray]] = {}
    seen: dict[int, _FrameSummary] = {}
    total, damage = 0, None
    with PictureTracker(engine, backend, crop) as tracker, played(recording) as (info, frames):
        step = max(1, -(-(info.frames or 0) // limit))
        try:
            for image, meta in frames:
                index = total
                total += 1
                if (index + 1) % step <= min(2, step - 1):
                    pose = tracker.track(image)
                    poses[index] = pose.xy, pose.score
                if index % step == 0:
                    seen[index] = _summarise(image, tracker.seen, _time_s(index, meta, info))
                if len(seen) > limit:
                    step *= 2
                    seen = {each: what for each, what in seen.items() if each % step == 0}
                progress(total, info.frames)
        except CameraLostError as error:
            damage = str(error)
        if not seen:
            raise DataError(damage or f"{recording.path} has no frames")
        return _gather(recording, tracker.seen, total, damage, seen, poses)


def read_frames(recording: Recording, numbers: Sequence[int]) -> dict[int, Image]:
    """Read some frames of a recording; numbers from 0, as in `Survey.frame`.

    Raises
    ------
    RtfaceError
        The recording cannot be opened, or is damaged before the last of them.
    DataError
        It is shorter now.
    """
    wanted = set(numbers)
    kept: dict[int, Image] = {}
    with played(recording) as (_, frames):
        for index, (image, _) in enumerate(frames):
            if index in wanted:
                kept[index] = image.copy()
                if len(kept) == len(wanted):
                    break
    if missing := wanted - set(kept):
        raise DataError(f"{recording.path} no longer has frame {min(missing)}; did it change meanwhile?")
    return kept


def _time_s(index: int, meta: FrameMeta, info: CameraInfo) -> float:
    if meta.camera_ns is not None:
        return meta.camera_ns / NS_PER_S
    return index / (info.rate_hz or _DEFAULT_RATE_HZ)


def _summarise(frame: Image, crop: Crop, time_s: float) -> _FrameSummary:
    face = frame[crop.y : crop.y + crop.height, crop.x : crop.x + crop.width]
    small: NDArray[Any] = cv2.resize(face, (THUMBNAIL_SIDE, THUMBNAIL_SIDE), interpolation=cv2.INTER_AREA)
    levels = small.astype(np.float32)
    thumbnail = (levels - levels.mean()) / max(1.0, float(levels.std()))
    scale = min(1.0, _SHARPNESS_SIDE / max(crop.width, crop.height))
    size = max(1, round(crop.width * scale)), max(1, round(crop.height * scale))
    middle = cv2.resize(face, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    contrast = float(middle.std())
    edges = float(cv2.Laplacian(middle, cv2.CV_32F).var())
    return _FrameSummary(
        time_s, thumbnail.ravel(), (contrast, edges / max(1.0, contrast**2), float((middle >= _GLARE).mean()))
    )


def _gather(
    recording: Recording,
    crop: Crop,
    total: int,
    damage: str | None,
    seen: dict[int, _FrameSummary],
    poses: dict[int, tuple[FloatArray, FloatArray]],
) -> Survey:
    xy = np.stack([poses[index][0] for index in seen])
    jump = np.zeros(xy.shape[:2], np.float32)
    for row, index in enumerate(seen):
        if index - 1 in poses and index + 1 in poses:
            middle = (poses[index - 1][0] + poses[index + 1][0]) / 2
            jump[row] = np.linalg.norm(xy[row] - middle, axis=1)
    path = recording.path
    quality = np.array([each.quality for each in seen.values()], np.float32)
    return Survey(
        name=printable(path.name if path.is_dir() else path.stem),
        recording=recording,
        crop=crop,
        total=total,
        damage=damage,
        frame=np.array(list(seen), np.int64),
        time_s=np.array([each.time_s for each in seen.values()]),
        xy=xy,
        score=np.stack([poses[index][1] for index in seen]),
        jump=jump,
        thumbnail=np.stack([each.thumbnail for each in seen.values()]),
        contrast=quality[:, 0],
        sharpness=quality[:, 1],
        glare=quality[:, 2],
    )
