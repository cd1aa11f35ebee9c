"""Keypoints of a whole session, simulated or tracked, as what drives a simulated population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FACEMAP_KEYPOINTS, FloatArray
from rtface.record.table import NO_TIME, PoseTable
from rtface.simulate.face import MouseFace
from rtface.simulate.moods import MoodyMotion
from rtface.simulate.parameters import FaceParameters

WIDTH, HEIGHT = 640, 480
"""Camera frame in pixels that the keypoints of a simulated mouse refer to."""

_LEFT_OUT = "paw"
_MOST_MISSING = 0.5
_BLINKS = 0.04
_NOTHING: Callable[[int, int], None] = lambda done, total: None  # noqa: E731


@dataclass(frozen=True, eq=False)
class Behaviour:
    """True keypoints of T frames at a steady rate.

    Attributes
    ----------
    names : tuple of str, length K
        The keypoints; the paw is left out, as Facemap leaves it out for neural prediction.
    xy : ndarray, shape (T, K, 2), float32
        x and y in pixels of the camera frame; no NaN.
    rate_hz : float
        Frames per second.
    mood : ndarray, shape (T,), int8
        The discrete state behind it; all 0 where there is none or it is not known.
    simulated : bool
        Whether a simulated mouse moved, or a tracked real one.
    """

    names: tuple[str, ...]
    xy: FloatArray
    rate_hz: float
    mood: NDArray[np.int8]
    simulated: bool

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.xy)


def moody_face(
    moods: NDArray[np.int8], rate_hz: float, seed: int, width: int = WIDTH, height: int = HEIGHT
) -> MouseFace:
    """Return the simulated mouse that goes through `moods`, one a frame, before a camera.

    Its keypoints scale with the frame, so that the same behaviour can be filmed smaller than it is tracked.
    """
    parameters = replace(FaceParameters.typical(seed), blink_probability=_BLINKS)
    return MouseFace(width, height, rate_hz, seed, parameters, MoodyMotion(seed, parameters, moods, rate_hz))


def simulated_behaviour(
    moods: NDArray[np.int8],
    rate_hz: float,
    seed: int,
    progress: Callable[[int, int], None] = _NOTHING,
) -> Behaviour:
    """Return the true keypoints of a simulated mouse.

    Parameters
    ----------
    moods : ndarray, shape (T,), int8
        The mood of each frame (`rtface.simulate.moods`).
    rate_hz : float
        Frames per second.
    seed : int
        Which mouse.
    progress : callable
        Called with the frames done and to do, now and then.
    """
    face, frames = moody_face(moods, rate_hz, seed), len(moods)
    keep = [index for index, name in enumerate(FACEMAP_KEYPOINTS) if name != _LEFT_OUT]
    xy = np.empty((frames, len(keep), 2), np.float32)
    for index in range(frames):
        xy[index] = face.truth(index)[keep]
        if index % 1000 == 0:
            progress(index, frames)
    progress(frames, frames)
    return Behaviour(tuple(FACEMAP_KEYPOINTS[index] for index in keep), xy, rate_hz, moods, simulated=True)


def tracked_behaviour(table: PoseTable, rate_hz: float | None = None, min_score: float = 0.3) -> Behaviour:
    """Return the keypoints of a tracked recording.

    A keypoint that was not seen stays where it was last seen (before the first time, where it was seen first).

    Parameters
    ----------
    table : PoseTable
        As read by `rtface.record.formats.read`.
    rate_hz : float, optional
        Frames per second; from the table's camera times when absent.
    min_score : float
        A keypoint of a lower score is not seen.

    Raises
    ------
    DataError
        The table has fewer than two frames or no times where no rate is given, or no keypoint is seen in half of
        the frames.
    """
    if len(table) < 2:
        raise DataError(f"{table.source or 'the table'}: {len(table)} frames are no behaviour")
    if rate_hz is None:
        first, last = int(table.camera_ns[0]), int(table.camera_ns[-1])
        if NO_TIME in (first, last) or last <= first:
            raise DataError(f"{table.source or 'the table'}: no camera times; give the rate")
        rate_hz = (len(table) - 1) * 1e9 / (last - first)
    seen = (table.score >= min_score) & np.isfinite(table.xy).all(axis=2)
    keep = [
        index
        for index, name in enumerate(table.names)
        if name != _LEFT_OUT and table.trained[index] and seen[:, index].mean() >= _MOST_MISSING
    ]
    if not keep:
        raise DataError(
            f"{table.source or 'the table'}: no keypoint has a score of {min_score} or more in half of the frames"
        )
    held = np.where(seen[:, keep], np.arange(len(table))[:, None], -1)
    held = np.maximum.accumulate(held, axis=0)
    held = np.where(held < 0, seen[:, keep].argmax(axis=0), held)
    xy = table.xy[held, np.array(keep)].astype(np.float32)
    names = tuple(table.names[index] for index in keep)
    return Behaviour(names, xy, rate_hz, np.zeros(len(table), np.int8), simulated=False)
