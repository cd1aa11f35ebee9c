"""How far an engine's keypoints lie from those of another engine of the same network, on real frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.config import BackendSettings
from rtface.core.errors import DataError, EngineError
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo
from rtface.track.parity import LIMITS, agree
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine, load_engine

FEWEST_FRAMES = 8
SURE = 0.5
"""A score from which a point counts as found."""

_WORST_FRAMES = 5
_NOWHERE = 2.0
"""Lengths of the network's input that a point which is no number counts as being away; its score as off by 1."""

FloatValues = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spread:
    """Of n values: the median, the 99th percentile (linear between ranks) and the largest."""

    n: int
    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """A frame whose keypoints moved farthest: its number, the keypoint, its shift, and its score before."""

    frame: int
    keypoint: str
    shift_px: float
    score: float


@dataclass(frozen=True, slots=True)
class Parity:
    """The agreement of two engines.

    Attributes
    ----------
    reference, engine : str
        Names of the engine that is the truth here, and of the other.
    reference_backend, backend : dict
        What ran them, as `BackendInfo.as_dict`.
    frames : int
        Frames that both saw.
    crop : tuple of int
        x, y, width, height of what they saw of them.
    scale : float
        Camera pixels to a pixel of the network's input.
    sure : float
        Share of the points that the reference gave a score of `SURE` or more.
    shift_px : Spread
        Distance between the two answers, in pixels of the network's input, over all frames and trained keypoints.
    score_shift : Spread
        Absolute difference of the scores.
    by_keypoint : dict of str to Spread
        The shift of each trained keypoint.
    worst : tuple of WorstFrame
        The frames where it is largest, the worst first. A shift of many pixels at a low score is a point that has
        two places equally likely.
    """

    reference: str
    engine: str
    reference_backend: Mapping[str, str | int | None]
    backend: Mapping[str, str | int | None]
    frames: int
    crop: tuple[int, int, int, int]
    scale: float
    sure: float
    shift_px: Spread
    score_shift: Spread
    by_keypoint: Mapping[str, Spread]
    worst: tuple[WorstFrame, ...]

    @property
    def agrees(self) -> bool:
        """Whether the shifts stay below the limits of `rtface.track.parity.LIMITS`."""
        return agree(self.shift_px, self.score_shift, LIMITS)

    def in_words(self) -> str:
        """Return the figures as one line."""
        shift, score = self.shift_px, self.score_shift
        return (
            f"shift of {shift.n} keypoints on {self.frames} frames: median {shift.p50:.3f}, p99 {shift.p99:.3f}, "
            f"largest {shift.max:.2f} px of the network's input; score: median {score.p50:.4f}, "
            f"p99 {score.p99:.3f}, largest {score.max:.3f}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return a plain map, for files."""
        return asdict(self) | {
            "agrees": self.agrees,
            "limits_px": {"p50": LIMITS.p50_px, "p99": LIMITS.p99_px},
            "limit_score_p99": LIMITS.score_p99,
            "unit": "pixels of the network's input",
        }


@dataclass(frozen=True, slots=True)
class EngineOutput:
    """What an engine found on N frames: xy in camera pixels, shape (N, K, 2); score, shape (N, K); and what ran it."""

    xy: FloatArray
    score: FloatArray
    backend: BackendInfo
    crop: Crop


def find(
    engine: Engine, frames: Mapping[int, Image], settings: BackendSettings, crop: Crop | None
) -> EngineOutput:
    """Track frames as the service does.

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
        poses = [tracker.track(image) for image in frames.values()]
        xy, score = (np.stack([getattr(pose, part) for pose in poses]) for part in ("xy", "score"))
        return EngineOutput(xy, score, tracker.backend, tracker.seen)


def compare(
    reference: Engine,
    engine: Engine,
    frames: Mapping[int, Image],
    *,
    crop: Crop | None = None,
    settings: BackendSettings | None = None,
    reference_settings: BackendSettings | None = None,
) -> Parity:
    """Hold an engine against another on frames, each run in the arithmetic that its manifest asks for.

    Parameters
    ----------
    reference, engine : Engine
        Checked engines of the same keypoints and the same preprocessing.
    frames : mapping of int to ndarray, shape (height, width), uint8
        Whole camera frames of one size, by number.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    settings : BackendSettings or None
        What runs the engine, and the reference as well unless that has settings of its own; the first back end that
        is there when None.
    reference_settings : BackendSettings or None
        What runs the reference.

    Raises
    ------
    EngineError
        The engines differ in more than their arithmetic: they are not of one network.
    BackendError, DataError, UsageError
        As of `find`.
    """
    ours, theirs = engine.manifest, reference.manifest
    if (ours.keypoints, ours.preprocessing_sha256) != (theirs.keypoints, theirs.preprocessing_sha256):
        raise EngineError(
            f"{ours.name} and {theirs.name} have other keypoints or another preprocessing: not of one network"
        )
    chosen = settings or BackendSettings()
    before = find(reference, frames, reference_settings or chosen, crop)
    after = find(engine, frames, chosen, crop)
    scale = ours.network_frame(before.crop).scale
    trained = [index for index, entry in enumerate(ours.keypoints) if entry.trained]
    names = [ours.keypoints[index].name for index in trained]
    apart = np.linalg.norm((after.xy - before.xy)[:, trained].astype(np.float64), axis=2) / scale
    score = np.abs(after.score[:, trained].astype(np.float64) - before.score[:, trained])
    shift = np.where(np.isfinite(apart), apart, _NOWHERE * ours.input.size)
    score = np.where(np.isfinite(score), score, 1.0)
    box = before.crop
    return Parity(
        reference=theirs.name,
        engine=ours.name,
        reference_backend=before.backend.as_dict(),
        backend=after.backend.as_dict(),
        frames=len(frames),
        crop=(box.x, box.y, box.width, box.height),
        scale=scale,
        sure=round(float((before.score[:, trained] >= SURE).mean()), 4),
        shift_px=spread(shift),
        score_shift=spread(score),
        by_keypoint={name: spread(shift[:, column]) for column, name in enumerate(names)},
        worst=_worst(shift, before.score[:, trained], list(frames), names),
    )


def reference_of(engine: Engine) -> Engine:
    """Return the engine that this one was exported from, which must still be installed and unchanged.

    Raises
    ------
    EngineError
        The engine was not exported from another, or that one is gone or was changed.
    """
    training = engine.manifest.training
    name = training.get("exported_from")
    if not isinstance(name, str):
        raise EngineError(
            f"{engine.manifest.name} was not exported from another engine: there is no parity to check"
        )
    reference = load_engine(name)
    if reference.sha256 != training.get("exported_from_sha256"):
        raise EngineError(f"{name} is not the engine that {engine.manifest.name} was exported from any more")
    return reference


def spread(values: FloatValues) -> Spread:
    """Return n, median, 99th percentile and maximum of all values; NaN stays NaN."""
    p50, p99 = np.percentile(values, [50, 99])
    return Spread(values.size, *(round(float(value), 5) for value in (p50, p99, values.max())))


def _worst(
    shift: FloatValues, score: FloatArray, numbers: list[int], names: list[str]
) -> tuple[WorstFrame, ...]:
    column = shift.argmax(axis=1)
    order = np.argsort(-shift.max(axis=1), kind="stable")[:_WORST_FRAMES]
    return tuple(
        WorstFrame(
            numbers[row],
            names[column[row]],
            round(float(shift[row, column[row]]), 3),
            round(float(score[row, column[row]]), 3),
        )
        for row in order
    )
