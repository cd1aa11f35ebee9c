"""Pseudo-labels: what an engine finds in frames, averaged over small shifts, with what each is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.config import BackendSettings
from rtface.core.records import Crop, FloatArray, Image
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.calibration import RADIUS_PX
from rtface.learn.tracker.samples import Picture
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

UNSURE = 0.2
"""A label of a smaller weight is not trained on, and not counted in the distance between the networks."""

PLAIN = ((0, 0),)
SHIFTS = ((0, 0), (2, 1), (-1, 2), (-2, -1), (1, -2))
"""Shifts of the frame, x and y in pixels of the network's input, that labels are averaged over.

They are fractions of the networks' strides, so that errors that come from a point's place on the grid average out.
Zooming and mirroring, tried as well, made the labels of a teacher on a rig that was new to it worse."""

_TYPICAL_PERCENTILE = 95
_UNTOUCHED_PX = 0.01


@dataclass(frozen=True, slots=True)
class PseudoLabels:
    """What a teacher found in N frames, as labels.

    Attributes
    ----------
    xy : ndarray, shape (N, K, 2), float32
        Camera pixels, the mean over the shifts; NaN for a keypoint that the teacher was never trained on, or that it
        finds outside the crop.
    score : ndarray, shape (N, K), float32
        As the teacher's manifest defines it, the mean over the shifts; 0 where `xy` is NaN.
    spread : ndarray, shape (N, K), float32
        Root mean square distance from `xy` over the shifts, in pixels of the teacher's input; 0 where `xy` is NaN.
    plain : ndarray, shape (N, K, 2), float32
        Camera pixels, as found with the first of the shifts, none; NaN as in `xy`.
    """

    xy: FloatArray
    score: FloatArray
    spread: FloatArray
    plain: FloatArray


def pseudo_label(
    teacher: Engine,
    frames: Mapping[int, Image],
    settings: BackendSettings,
    crop: Crop | None,
    *,
    shifts: Sequence[tuple[int, int]] = SHIFTS,
    progress: Callable[[int], None] = lambda frames: None,
) -> PseudoLabels:
    """Label frames with a teacher.

    Parameters
    ----------
    teacher : Engine
        A checked engine of any family, input size and columns.
    frames : mapping of int to ndarray, shape (height, width), uint8
        Whole camera frames, by number; at least one.
    settings : BackendSettings
        What runs the teacher.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    shifts : sequence of tuple of int
        x and y in pixels of the teacher's input; `PLAIN` for the teacher's own points.
    progress : callable
        Called after each frame with the frames done.

    Raises
    ------
    BackendError
        The teacher cannot be run.
    UsageError
        The crop reaches beyond the frames.
    """
    found: dict[int, tuple[NDArray[np.float64], ...]] = {}
    with PictureTracker(teacher, settings, crop) as tracker:
        # Size by size: to fit the network to another takes longer than many frames.
        for number, image in sorted(frames.items(), key=lambda each: each[1].shape):
            tracker.prepare(image.shape)
            moves = [(round(x * tracker.scale), round(y * tracker.scale)) for x, y in shifts]
            found[number] = _average(*_views(tracker, image, moves), tracker.seen, tracker.scale)
            progress(len(found))
    parts = zip(*(found[number] for number in frames), strict=True)
    return PseudoLabels(*(np.stack(part).astype(np.float32) for part in parts))


def full_score(teacher: Engine, score: FloatArray) -> float:
    """Return the score that counts as certain: 1 where it is a probability, else the teacher's 95th percentile.

    Facemap's share of mass, for one, is 0.39 for the best of maps.

    Parameters
    ----------
    teacher : Engine
    score : ndarray, shape (N, K), float32
        On frames of the rig; zeros, of keypoints without a label, are left out.
    """
    given = score[score > 0]
    if teacher.manifest.score.calibrated or given.size == 0:
        return 1.0
    return float(np.percentile(given, _TYPICAL_PERCENTILE))


def weights(labels: PseudoLabels, full: float) -> FloatArray:
    """Return how much each label counts, shape (N, K), 0 to 1: its score over the full one.

    Labels below `UNSURE` count nothing, nor do those whose shifts contradict each other by more than `RADIUS_PX`.
    """
    share = np.clip(labels.score / full, 0, 1)
    share[(share < UNSURE) | (labels.spread > RADIUS_PX) | np.isnan(labels.xy).any(axis=2)] = 0
    return np.asarray(share, np.float32)


def untouched_guesses(
    engine: Engine, crop: Crop | None, labels: LabelSet, columns: Mapping[str, int]
) -> list[str]:
    """Return the keypoints most of whose labels are what the engine finds, to a hundredth of a pixel, and nobody confirmed."""
    own = [name for name in labels.labelled if name in columns]
    if not own:
        return []
    found = _pseudo_label(engine, crop, labels, PLAIN).xy[:, [columns[name] for name in own]]
    ours = labels.arranged(own)
    xy = np.stack([frame.xy for frame in ours.frames])
    same = ((np.abs(xy - found).max(axis=2) <= _UNTOUCHED_PX) & ~ours.confirmed).sum(axis=0)
    known = (~np.isnan(xy).any(axis=2)).sum(axis=0)
    return [name for name, equal, all_ in zip(own, same, known, strict=True) if equal > all_ / 2]


def with_pseudo_labels(
    engine: Engine,
    crop: Crop | None,
    labels: LabelSet,
    manual: Sequence[Picture],
    places: Sequence[tuple[int, int]],
) -> list[Picture]:
    """Return the pictures with the parent's pseudo-labels for some keypoints, as pairs of their place and the parent's."""
    if not places:
        return list(manual)
    ours, theirs = (list(each) for each in zip(*places, strict=True))
    found = _pseudo_label(engine, crop, labels, SHIFTS)
    worth = weights(found, full_score(engine, found.score))
    pictures = []
    for picture, points, counts in zip(manual, found.xy, worth, strict=True):
        xy, weight = picture.xy.copy(), picture.weight.copy()
        xy[ours], weight[ours] = points[theirs], counts[theirs]
        pictures.append(replace(picture, xy=xy, weight=weight))
    return pictures


def _pseudo_label(
    engine: Engine, crop: Crop | None, labels: LabelSet, shifts: Sequence[tuple[int, int]]
) -> PseudoLabels:
    frames = {place: frame.image for place, frame in enumerate(labels.frames)}
    return pseudo_label(engine, frames, BackendSettings(), crop, shifts=shifts)


def within(xy: FloatArray, crop: Crop) -> NDArray[np.bool_]:
    """Return which points, shape (..., 2), lie in a crop; NaN does not."""
    x, y = xy[..., 0] - crop.x + 0.5, xy[..., 1] - crop.y + 0.5
    inside: NDArray[np.bool_] = (x >= 0) & (y >= 0) & (x <= crop.width) & (y <= crop.height)
    return inside


def _views(
    tracker: PictureTracker, image: Image, moves: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of the unmoved frame, shape (V, K, 2), and scores, shape (V, K)."""
    height, width = image.shape
    points, scores = [], []
    for move in moves:
        warp = np.array([[1, 0, move[0]], [0, 1, move[1]]], np.float32)
        shown = image
        if any(move):
            moved = cv2.warpAffine(
                image, warp, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
            )
            shown = np.asarray(moved, np.uint8)
        pose = tracker.track(shown)
        points.append(pose.xy - np.array(move, np.float32))
        scores.append(pose.score)
    return np.array(points, np.float64), np.array(scores, np.float64)


def _average(
    points: NDArray[np.float64], scores: NDArray[np.float64], crop: Crop, scale: float
) -> tuple[NDArray[np.float64], ...]:
    """Return mean points, weighted by score, mean scores, spreads, and the first points."""
    share = (scores + 1e-6) / (scores + 1e-6).sum(axis=0)
    xy = (share[..., None] * points).sum(axis=0)
    spread = np.sqrt((share * ((points - xy) ** 2).sum(axis=2)).sum(axis=0)) / scale
    score = scores.mean(axis=0)
    beyond = ~within(xy.astype(np.float32), crop)
    plain = points[0].copy()
    plain[~within(points[0].astype(np.float32), crop)] = np.nan
    xy[beyond], score[beyond], spread[beyond] = np.nan, 0.0, 0.0
    return xy, score, spread, plain
