"""How two networks agree on a recording that neither was trained on: distances, traces, jitter and speed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.acquire.sampling import played
from rtface.config import BackendSettings, CameraSettings
from rtface.core.clock import NS_PER_MS
from rtface.core.errors import DataError
from rtface.core.records import Crop, FloatArray, Pose
from rtface.learn.tracker.pseudo_labels import UNSURE, within
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

BLOCK = 60
"""Neighbouring frames that are compared together; where all are too many, blocks are evenly spaced."""

STILL_SHARE = 0.25
"""Share of neighbouring triplets of frames, those in which the picture changes least, that give the jitter."""

_LEAST_FOR_CORRELATION = 10


@dataclass(frozen=True, slots=True)
class ComparedFrames:
    """What teacher and student found on the same N frames of a recording.

    Attributes
    ----------
    name : str
        The recording's.
    number : ndarray, shape (N,), int64
        Numbers of the frames.
    teacher, student : ndarray, shape (N, K, 2), float32
        Camera pixels; NaN for a keypoint that the network was never trained on.
    weight : ndarray, shape (N, K), float32
        How sure the teacher was, 0 to 1; 0 where it found the point outside the crop.
    change : ndarray, shape (N,), float32
        Mean absolute difference of the crop's gray levels from the frame before; NaN where that was not compared.
    teacher_ms, student_ms : ndarray, shape (N,), float32
        Time from a frame in memory to its keypoints in camera pixels.
    scale : float
        Camera pixels to a pixel of the student's input.
    """

    name: str
    number: NDArray[np.int64]
    teacher: FloatArray
    student: FloatArray
    weight: FloatArray
    change: FloatArray
    teacher_ms: FloatArray
    student_ms: FloatArray
    scale: float

    @property
    def distance(self) -> FloatArray:
        """Between the two, shape (N, K), camera pixels; NaN where either has no point or the teacher was unsure."""
        apart = np.asarray(np.linalg.norm(self.student - self.teacher, axis=2), np.float32)
        apart[self.weight < UNSURE] = np.nan
        return apart


def compare_networks(
    teacher: Engine,
    student: Engine,
    recording: CameraSettings,
    name: str,
    *,
    first: int,
    limit: int,
    crop: Crop | None,
    full: float,
    settings: BackendSettings,
) -> ComparedFrames:
    """Run two engines side by side on a recording, from one frame to its end.

    Parameters
    ----------
    teacher, student : Engine
        Checked engines; the student's keypoints are the teacher's.
    recording : VideoCameraSettings or ImagesCameraSettings
        What to play; not paced.
    name : str
        For the report.
    first : int
        Number of the first frame.
    limit : int
        Most frames, about; of more, blocks of neighbours at equal distances are compared.
    crop : Crop or None
        The face in the frame; the whole frame when None.
    full : float
        The teacher's score that counts as certain.
    settings : BackendSettings
        What runs both.

    Raises
    ------
    RtfaceError
        The recording or an engine cannot be opened.
    DataError
        The recording ends before `first`.
    """
    numbers: list[int] = []
    poses: tuple[list[Pose], list[Pose]] = [], []
    changes: list[float] = []
    with (
        played(recording) as (info, frames),
        PictureTracker(teacher, settings, crop) as teachers,
        PictureTracker(student, settings, crop) as students,
    ):
        trackers = teachers, students
        for tracker in trackers:
            tracker.prepare((info.height, info.width))
        seen = teachers.seen
        period = BLOCK * max(1, -(-((info.frames or 0) - first) // max(limit, BLOCK)))
        before: tuple[int, NDArray[np.int16]] = (-2, np.zeros((0, 0), np.int16))
        for number, (image, _) in enumerate(frames):
            if number < first or (number - first) % period >= BLOCK:
                continue
            face = image[seen.y : seen.y + seen.height, seen.x : seen.x + seen.width].astype(np.int16)
            changes.append(
                float(np.abs(face - before[1]).mean()) if before[0] == number - 1 else float("nan")
            )
            before = number, face
            numbers.append(number)
            # In turns, so that neither always finds the frame in the processor's cache.
            for which in (0, 1) if number % 2 else (1, 0):
                poses[which].append(trackers[which].track(image))
        scale = students.scale
    if not numbers:
        raise DataError(f"{name} has no frame {first}; did it change meanwhile?")
    theirs, ours = (np.stack([pose.xy for pose in each]) for each in poses)
    weight = np.clip(np.stack([pose.score for pose in poses[0]]) / full, 0, 1)
    weight[~within(theirs, seen)] = 0
    times = [
        np.array([each.stamps.decided_ns - each.stamps.taken_ns for each in found]) / NS_PER_MS
        for found in poses
    ]
    return ComparedFrames(
        name=name,
        number=np.array(numbers, np.int64),
        teacher=theirs,
        student=ours,
        weight=weight.astype(np.float32),
        change=np.array(changes, np.float32),
        teacher_ms=times[0].astype(np.float32),
        student_ms=times[1].astype(np.float32),
        scale=scale,
    )


def agreement(recordings: Sequence[ComparedFrames], keypoints: Sequence[str]) -> dict[str, Any]:
    """Return the figures of all recordings together, of JSON's types.

    Parameters
    ----------
    recordings : sequence of ComparedFrames
        One a recording.
    keypoints : sequence of str
        Names, K of them; one that the teacher was never trained on is left out.

    Returns
    -------
    dict
        ``camera_px`` and ``input_px``, with n, mean, median, p90 and p99 of the distances where the teacher was
        sure; ``unsure``, the share of points where it was not; ``by_keypoint``, the same for each, with the
        correlation of the two traces (x, y, each about its mean in its recording) and how far the teacher's point
        moves (standard deviation, ``moves_px`` of the student's input), without which a correlation cannot be read;
        ``jitter``, the second difference over neighbouring frames of the stillest stretches; ``speed``.
    """
    distance = np.concatenate([each.distance for each in recordings])
    scale = np.concatenate([np.full(len(each.number), each.scale) for each in recordings])[:, None]
    weight = np.concatenate([each.weight for each in recordings])
    known = [
        index
        for index in range(len(keypoints))
        if any(not np.isnan(each.teacher[:, index]).all() for each in recordings)
    ]
    return {
        "frames": len(distance),
        "recordings": {each.name: len(each.number) for each in recordings},
        "camera_px": _summary(distance[:, known]),
        "input_px": _summary((distance / scale)[:, known]),
        "unsure": _round((weight[:, known] < UNSURE).mean()),
        "by_keypoint": {
            keypoints[index]: {
                "camera_px": _summary(distance[:, index]),
                "input_px": _summary((distance / scale)[:, index]),
                "unsure": _round((weight[:, index] < UNSURE).mean()),
                **_together(recordings, index),
            }
            for index in known
        },
        "jitter": {
            "unit": "pixels of the student's input",
            "still_share": STILL_SHARE,
            "teacher": _jitter(recordings, "teacher", known),
            "student": _jitter(recordings, "student", known),
        },
        "speed": {
            name: _times(np.concatenate([getattr(each, f"{name}_ms") for each in recordings]))
            for name in ("teacher", "student")
        },
    }


def against_average(
    plain: FloatArray,
    average: FloatArray,
    student: FloatArray,
    sure: NDArray[np.bool_],
    keypoints: Sequence[str],
) -> dict[str, Any]:
    """Return, by keypoint, how far teacher and student lie from the teacher's average over small shifts.

    The first is how much of the distance between the two is the teacher's own noise, which no student can follow
    and none should.

    Parameters
    ----------
    plain : ndarray, shape (N, K, 2), float32
        The teacher's points, in pixels of the student's input.
    average : ndarray, shape (N, K, 2), float32
        Their average over shifts.
    student : ndarray, shape (N, K), float32
        The student's distance from that average.
    sure : ndarray, shape (N, K), bool
        Whether the teacher was.
    keypoints : sequence of str
        Names, K of them.
    """
    teacher = np.where(sure, np.linalg.norm(plain - average, axis=2), np.nan)
    ours = np.where(sure, student, np.nan)
    return {
        "unit": "pixels of the student's input",
        "frames": len(plain),
        "teacher": _summary(teacher),
        "student": _summary(ours),
        "by_keypoint": {
            name: {"teacher": _summary(teacher[:, index]), "student": _summary(ours[:, index])}
            for index, name in enumerate(keypoints)
            if sure[:, index].any()
        },
    }


def second_differences(frames: ComparedFrames, xy: FloatArray) -> FloatArray:
    """Return |x(t - 1) - 2 x(t) + x(t + 1)| on the stillest triplets of neighbours, in pixels of the student's input.

    Shape (T, K); NaN where the teacher was unsure in any of the three. White noise of standard deviation s in x and y
    gives a root mean square of s times the square root of 12.
    """
    number, change = frames.number, frames.change
    triplet = np.flatnonzero((number[2:] - number[:-2]) == 2) + 1
    if triplet.size == 0:
        return np.zeros((0, xy.shape[1]), np.float32)
    most = np.maximum(change[triplet], change[triplet + 1])
    still = triplet[most <= np.percentile(most, 100 * STILL_SHARE)]
    bend = np.linalg.norm(xy[still - 1] - 2 * xy[still] + xy[still + 1], axis=2) / frames.scale
    sure = np.min([frames.weight[still + step] for step in (-1, 0, 1)], axis=0) >= UNSURE
    bend[~sure] = np.nan
    return np.asarray(bend, np.float32)


def _jitter(
    recordings: Sequence[ComparedFrames], who: str, known: list[int]
) -> dict[str, float | int | None]:
    bends = [second_differences(each, getattr(each, who))[:, known].ravel() for each in recordings]
    return _summary(np.concatenate(bends))


def _together(recordings: Sequence[ComparedFrames], index: int) -> dict[str, Any]:
    pairs = []
    for each in recordings:
        sure = ~np.isnan(each.distance[:, index])
        both = np.stack([each.teacher[sure, index], each.student[sure, index]]).astype(np.float64)
        if sure.any():
            pairs.append((both - both.mean(axis=1, keepdims=True)) / each.scale)
    if not pairs:
        return {"correlation": None, "moves_px": None}
    theirs, ours = np.concatenate(pairs, axis=1)
    moves = np.sqrt((theirs**2).sum(axis=1).mean())
    norms = np.sqrt((theirs**2).sum(axis=0) * (ours**2).sum(axis=0))
    enough = len(theirs) >= _LEAST_FOR_CORRELATION and bool((norms > 0).all())
    values = (theirs * ours).sum(axis=0) / norms if enough else None
    correlation = None if values is None else {"x": _round(values[0]), "y": _round(values[1])}
    return {"correlation": correlation, "moves_px": _round(moves)}


def _summary(values: NDArray[Any]) -> dict[str, float | int | None]:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return {"n": 0, "mean": None, "median": None, "p90": None, "p99": None}
    median, p90, p99 = np.percentile(known, [50, 90, 99])
    return {
        "n": int(known.size),
        "mean": _round(known.mean()),
        "median": _round(median),
        "p90": _round(p90),
        "p99": _round(p99),
    }


def _times(milliseconds: FloatArray) -> dict[str, float | int]:
    median, p99 = np.percentile(milliseconds, [50, 99])
    return {"n": len(milliseconds), "median_ms": _round(median), "p99_ms": _round(p99)}


def _round(value: Any) -> float:
    return round(float(value), 4)
