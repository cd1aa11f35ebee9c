"""Which frames are worth a label: frames unlike each other, and frames that the engine is unsure of.

Two aims take turns, two frames for the one and then one for the other, so that any first few of the list serve both.
*Coverage* takes the frame that brings all
frames closest to one that is chosen: greedy facility location, within 1 - 1/e of the best set (Nemhauser, Wolsey
and Fisher 1978; for active learning Wei, Iyer and Bilmes 2015). It does not depend on the engine's scores, so an
engine that is wrong at high scores wastes no more than a third. *Doubt* takes the frame with the largest product
of the engine's uncertainty and the distance to all chosen ones: k-centre greedy (Sener and Savarese 2018) weighted
as in CLUE (Prabhu et al. 2021). Nothing is drawn at random: the same recordings give the same frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.labels.survey import Survey

Why = Literal["coverage", "doubt", "spread"]

SAME_POSE = 0.01
"""Two frames are near-duplicates when the mean shift of their keypoints is less than this share of the face's size..."""
SAME_THUMBNAIL = 0.05
"""...and the thumbnails differ by less than this, in standard deviations of a thumbnail's gray levels."""

_COMPONENTS = 16
_POSE_SHARE = 0.8
_TURNS = 3
_BASE_DOUBT = 0.05
_USUAL_JUMP, _JUMP_WIDTH = 4.0, 4.0
_JUMP_FLOOR = 0.002
_DIM, _BLURRED, _WHITE = 0.4, 0.3, 0.25
_FLAT = 3.0


@dataclass(frozen=True, slots=True)
class FrameFeatures:
    """What frames are chosen by; N frames of all recordings, one after the other.

    Attributes
    ----------
    pose : ndarray, shape (N, P), float32
        Euclidean distances are the mean shift of a keypoint in sizes of the face, each keypoint counted as far as
        it is trusted.
    thumbnail : ndarray, shape (N, L), float32
        Euclidean distances are root mean squares of differences between thumbnails.
    trust : float
        Mean calibrated score: how far poses count against thumbnails.
    doubt : ndarray, shape (N,), float32
        Mean over the trained keypoints of the probability that the point is wrong, in [0, 1].
    usable : ndarray, shape (N,), bool
        Not black, white or blurred.
    video : ndarray, shape (N,), int64
        Which recording.
    time_s : ndarray, shape (N,), float64
    """

    pose: FloatArray
    thumbnail: FloatArray
    trust: float
    doubt: FloatArray
    usable: NDArray[np.bool_]
    video: NDArray[np.int64]
    time_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ChosenFrame:
    """One frame that is suggested.

    Attributes
    ----------
    index : int
        Row of the features.
    why : str
        ``coverage`` or ``doubt``; ``spread``: like one chosen before, and taken to fill up the number asked for.
    doubt : float
        As in `FrameFeatures`.
    distance : float
        To the nearest frame chosen before it, 1 being typical of two frames of one recording; infinite for the first.
    stands_for : int
        Frames whose nearest chosen frame it is, itself included.
    """

    index: int
    why: Why
    doubt: float
    distance: float
    stands_for: int


def frame_features(surveys: Sequence[Survey], trained: NDArray[np.bool_]) -> FrameFeatures:
    """Turn surveys of recordings into what frames are chosen by.

    Parameters
    ----------
    surveys : sequence of Survey
        One or more, all with one engine.
    trained : ndarray, shape (K,), bool
        Which keypoints the engine was trained on; the others do not count.
    """
    score = np.concatenate([each.score for each in surveys])[:, trained]
    xy = np.concatenate([_in_crop(each) for each in surveys])[:, trained]
    middle = np.median(xy, axis=0)
    size = max(1e-6, float(np.sqrt(((middle - middle.mean(axis=0)) ** 2).sum(axis=1).mean())))
    trust = np.median(score, axis=0)
    weight = np.sqrt(trust / max(1, trust.size))[:, None]
    pose = (xy - middle) / size * weight
    thumbnails = np.concatenate([each.thumbnail for each in surveys])
    return FrameFeatures(
        pose=pose.reshape(len(xy), -1).astype(np.float32),
        thumbnail=_principal(thumbnails - thumbnails.mean(axis=0)) / np.float32(np.sqrt(thumbnails.shape[1])),
        trust=float(score.mean()) if score.size else 0.0,
        doubt=np.concatenate([_doubt(each, trained) for each in surveys]),
        usable=np.concatenate([usable(each) for each in surveys]),
        video=np.repeat(np.arange(len(surveys)), [len(each) for each in surveys]),
        time_s=np.concatenate([each.time_s for each in surveys]),
    )


def usable(seen: Survey) -> NDArray[np.bool_]:
    """Return which frames are neither black nor white nor blurred, by the recording's own better frames."""
    bright = seen.contrast >= max(_FLAT, _DIM * float(np.quantile(seen.contrast, 0.8)))
    sharp = seen.sharpness >= _BLURRED * np.quantile(seen.sharpness[bright], 0.8) if bright.any() else bright
    fine: NDArray[np.bool_] = bright & sharp & (seen.glare <= np.quantile(seen.glare, 0.2) + _WHITE)
    return fine


def choose(
    features: FrameFeatures,
    count: int,
    *,
    min_gap_s: float = 0.0,
    fill: bool = False,
    before: Sequence[int] = (),
) -> list[ChosenFrame]:
    """Choose the frames to label, the most useful first.

    Each recording gets an equal share, as far as it has frames that differ.

    Parameters
    ----------
    features : FrameFeatures
    count : int
        How many; fewer come when there are not as many frames that differ from each other, or, with `fill`, that are usable.
    min_gap_s : float
        Seconds between two frames of one recording, at least.
    fill : bool
        Whether to fill up to `count` with frames that are like those chosen, spread in time whatever their gap.
    before : sequence of int
        Frames that were chosen before: these are others, and differ from them too.

    Raises
    ------
    DataError
        No frame is usable, or none that was not chosen before.
    """
    if not features.usable.any():
        raise DataError("every frame is black, white or blurred: check the crop and the lamp")
    far = _distances(features)
    near = np.full(len(far), far.max() + 1, np.float32)
    free = features.usable.copy()
    videos = int(features.video.max()) + 1
    share = -(-count // videos)
    chosen: list[tuple[int, Why, float]] = []
    for index in before:
        near = np.minimum(near, far[index])
        free &= ~_too_close(features, index, min_gap_s)
    while len(chosen) < count and free.any():
        taken = np.bincount(features.video[[index for index, _, _ in chosen]], minlength=videos)
        allowed = free & (taken[features.video] < share)
        if not allowed.any():
            share += 1
            continue
        why: Why = "doubt" if len(chosen) % _TURNS == _TURNS - 1 else "coverage"
        index = _next(why, features, far, near, allowed)
        chosen.append((index, why, float(near[index]) if chosen or before else float("inf")))
        near = np.minimum(near, far[index])
        free &= ~_too_close(features, index, min_gap_s)
    if fill:
        _spread(features, count, share, far, chosen, before)
    if not chosen:
        raise DataError("no frame is left that is usable and was not chosen before")
    # Of two that are as near, the one that was chosen first.
    nearest = far[:, [*before, *(index for index, _, _ in chosen)]].argmin(axis=1)
    crowd = np.bincount(nearest[features.usable], minlength=len(before) + len(chosen))[len(before) :]
    return [
        ChosenFrame(index, why, float(features.doubt[index]), distance, int(frames))
        for (index, why, distance), frames in zip(chosen, crowd, strict=True)
    ]


def _spread(
    features: FrameFeatures,
    count: int,
    share: int,
    far: FloatArray,
    chosen: list[tuple[int, Why, float]],
    before: Sequence[int],
) -> None:
    """Fill up with usable frames, each as far in time from those of its recording as can be; the share as of `choose`."""
    free = features.usable.copy()
    wait = np.full(len(free), np.inf)
    taken = np.zeros(int(features.video.max()) + 1, np.int64)

    def take(index: int) -> None:
        video = int(features.video[index])
        same = features.video == video
        wait[same] = np.minimum(wait[same], np.abs(features.time_s[same] - features.time_s[index]))
        free[index] = False
        taken[video] += 1

    for index in before:
        take(index)
    taken[:] = 0
    for index, _, _ in chosen:
        take(index)
    while len(chosen) < count and free.any():
        allowed = free & (taken[features.video] < share)
        if not allowed.any():
            share += 1
            continue
        index = int(np.where(allowed, wait, -1.0).argmax())
        chosen.append((index, "spread", float(far[index, [*before, *(each for each, _, _ in chosen)]].min())))
        take(index)


def _next(
    why: Why, features: FrameFeatures, far: FloatArray, near: FloatArray, allowed: NDArray[np.bool_]
) -> int:
    places = np.flatnonzero(allowed)
    if why == "doubt":
        gain = (_BASE_DOUBT + features.doubt[places]) * near[places]
    else:
        covered = np.flatnonzero(features.usable)
        before = near[covered][:, None]
        gain = np.maximum(before - far[np.ix_(covered, places)], 0).sum(axis=0)
    return int(places[int(gain.argmax())])


def _too_close(features: FrameFeatures, index: int, min_gap_s: float) -> NDArray[np.bool_]:
    shift = np.linalg.norm(features.pose - features.pose[index], axis=1)
    change = np.linalg.norm(features.thumbnail - features.thumbnail[index], axis=1)
    soon = (features.video == features.video[index]) & (
        np.abs(features.time_s - features.time_s[index]) < min_gap_s
    )
    close: NDArray[np.bool_] = soon | ((shift < SAME_POSE) & (change < SAME_THUMBNAIL))
    close[index] = True
    return close


def _distances(features: FrameFeatures) -> FloatArray:
    """Return distances of all pairs in poses and thumbnails together, shape (N, N); 1 is typical within a recording."""
    share = _POSE_SHARE * features.trust
    squares = np.zeros((len(features.pose),) * 2, np.float32)
    for values, part, least in (
        (features.pose, share, SAME_POSE),
        (features.thumbnail, 1 - share, SAME_THUMBNAIL),
    ):
        # Within recordings, for those of two rigs differ far more than the frames of either. What varies less than
        # near-duplicates do is noise: it is not blown up to the size of the rest.
        within = [
            float(values[features.video == video].var(axis=0).sum()) for video in np.unique(features.video)
        ]
        typical = max(least**2, 2 * float(np.mean(within)))
        norms = (values**2).sum(axis=1)
        squares += np.float32(part / typical) * np.maximum(
            norms[:, None] + norms[None] - 2 * values @ values.T, 0
        )
    distances: FloatArray = np.sqrt(squares)
    return distances


def _in_crop(seen: Survey) -> FloatArray:
    """Return keypoints in sides of the crop, so that recordings of different sizes compare."""
    corner = np.array([seen.crop.x, seen.crop.y], np.float32)
    return (seen.xy - corner) / np.float32(max(seen.crop.width, seen.crop.height))


def _doubt(seen: Survey, trained: NDArray[np.bool_]) -> FloatArray:
    if not trained.any():
        return np.ones(len(seen), np.float32)
    xy, jump, score = seen.xy[:, trained], seen.jump[:, trained], seen.score[:, trained]
    middle = np.median(xy, axis=0)
    size = float(np.sqrt(((middle - middle.mean(axis=0)) ** 2).sum(axis=1).mean()))
    usual = np.median(jump, axis=0) + _JUMP_FLOOR * max(1.0, size)
    steady = np.exp(-np.maximum(0, jump / usual - _USUAL_JUMP) / _JUMP_WIDTH)
    doubt: FloatArray = (1 - score * steady).mean(axis=1).astype(np.float32)
    return doubt


def _principal(centred: FloatArray) -> FloatArray:
    """Return the first principal components, shape (N, L)."""
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    components: FloatArray = (left[:, :_COMPONENTS] * values[:_COMPONENTS]).astype(np.float32)
    return components
