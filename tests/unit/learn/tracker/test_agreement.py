"""The figures of two networks' agreement, on points made by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rtface.core.records import FloatArray
from rtface.learn.tracker.agreement import ComparedFrames, against_average, agreement, second_differences

FRAMES = 400
SCALE = 2.0


def watched(
    theirs: FloatArray, ours: FloatArray, weight: FloatArray | None = None, change: FloatArray | None = None
) -> ComparedFrames:
    count, keypoints = theirs.shape[:2]
    return ComparedFrames(
        name="v",
        number=np.arange(100, 100 + count),
        teacher=theirs.astype(np.float32),
        student=ours.astype(np.float32),
        weight=np.ones((count, keypoints), np.float32) if weight is None else weight,
        change=np.ones(count, np.float32) if change is None else change,
        teacher_ms=np.full(count, 5, np.float32),
        student_ms=np.arange(count, dtype=np.float32),
        scale=SCALE,
    )


def still(noise: float, seed: int) -> FloatArray:
    chance = np.random.default_rng(seed)
    return (50 + chance.normal(0, noise, (FRAMES, 1, 2))).astype(np.float32)


def test_distances_leave_out_what_the_teacher_doubts() -> None:
    theirs = np.zeros((4, 2, 2))
    ours = theirs.copy()
    ours[:, 0] = [[3, 4], [30, 40], [0, 0], [6, 8]]
    ours[:, 1] = np.nan
    weight = np.ones((4, 2), np.float32)
    weight[1, 0] = 0.1
    figures = agreement([watched(theirs, ours, weight)], ["nose", "paw"])
    nose = figures["by_keypoint"]["nose"]
    assert nose["camera_px"] == {"n": 3, "mean": 5.0, "median": 5.0, "p90": 9.0, "p99": 9.9}
    assert nose["input_px"]["mean"] == 2.5
    assert nose["unsure"] == 0.25
    assert figures["by_keypoint"]["paw"]["camera_px"]["n"] == 0
    assert figures["camera_px"] == nose["camera_px"]
    assert figures["unsure"] == 0.125


def test_traces_correlate_about_their_own_means() -> None:
    time = np.linspace(0, 20, FRAMES)
    theirs = np.stack([np.sin(time), np.cos(time)], axis=1)[:, None]
    ours = theirs * [1, -1] + [7, 9]
    first, second = watched(theirs, ours), watched(theirs + 100, ours - 500)
    nose = agreement([first, replace(second, name="w")], ["nose"])["by_keypoint"]["nose"]
    assert nose["correlation"] == {"x": 1.0, "y": -1.0}
    assert nose["moves_px"] == pytest.approx(1 / SCALE, rel=0.05)
    constant = agreement([watched(np.ones_like(theirs), ours)], ["nose"])
    assert constant["by_keypoint"]["nose"]["correlation"] is None


def test_jitter_is_that_of_white_noise() -> None:
    figures = agreement([watched(still(1.0, 0), still(0.25, 1))], ["nose"])["jitter"]
    bends = second_differences(watched(still(1.0, 0), still(1.0, 0)), still(1.0, 0))
    assert np.sqrt((bends**2).mean()) == pytest.approx(np.sqrt(12) / SCALE, rel=0.1)
    assert figures["teacher"]["mean"] == pytest.approx(4 * figures["student"]["mean"], rel=0.15)


def test_a_straight_motion_is_no_jitter() -> None:
    line = np.arange(FRAMES)[:, None, None] * np.array([1.5, -2.0])
    assert second_differences(watched(line, line), line).max() < 1e-3


def test_jitter_is_taken_where_the_picture_is_still_and_frames_are_neighbours() -> None:
    moving = np.arange(FRAMES) < FRAMES // 2
    trace = still(0.0, 0)
    trace[moving] += np.random.default_rng(0).normal(0, 9, (FRAMES // 2, 1, 2)).astype(np.float32)
    change = np.where(np.arange(FRAMES) <= FRAMES // 2, 5.0, 1.0).astype(np.float32)
    quiet = watched(trace, trace, change=change)
    assert np.nanmax(second_differences(quiet, trace)) == 0
    apart = replace(quiet, number=2 * quiet.number)
    assert second_differences(apart, trace).shape == (0, 1)
    unsure = replace(quiet, weight=np.zeros((FRAMES, 1), np.float32))
    assert np.isnan(second_differences(unsure, trace)).all()


def test_speeds_are_of_all_frames() -> None:
    figures = agreement([watched(still(1, 0), still(1, 1))], ["nose"])["speed"]
    assert figures["teacher"] == {"n": FRAMES, "median_ms": 5.0, "p99_ms": 5.0}
    assert figures["student"]["median_ms"] == (FRAMES - 1) / 2


def test_the_teachers_own_noise_is_told_apart_from_the_students_distance() -> None:
    average = np.zeros((4, 2, 2), np.float32)
    plain = average + np.array([[3, 4], [0, 1]], np.float32)
    student = np.full((4, 2), 0.5, np.float32)
    sure = np.array([[True, False]] * 4)
    sure[0] = False
    figures = against_average(plain, average, student, sure, ["nose", "paw"])
    assert figures["by_keypoint"].keys() == {"nose"}
    assert (figures["teacher"]["n"], figures["teacher"]["median"]) == (3, 5.0)
    assert (figures["student"]["n"], figures["student"]["median"]) == (3, 0.5)
