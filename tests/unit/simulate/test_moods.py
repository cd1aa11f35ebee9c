from __future__ import annotations

import numpy as np
import pytest

from rtface.core.errors import UsageError
from rtface.simulate.face import MouseFace
from rtface.simulate.moods import MOODS, MoodyMotion, ring_jumps, sample_moods
from rtface.simulate.parameters import FaceParameters


def test_a_ring_turns_as_much_as_asked() -> None:
    jumps = ring_jumps(6, 0.9)
    assert jumps.sum(axis=1) == pytest.approx(1)
    assert (np.diag(jumps) == 0).all()
    assert jumps[5, 0] == pytest.approx(jumps[0, 1])
    assert jumps[0, 1] > 5 * jumps[1, 0]
    even = ring_jumps(6, 0.5)
    assert even == pytest.approx(even.T)


def test_moods_last_and_follow_as_asked() -> None:
    jumps = ring_jumps(4, 0.8)
    path = sample_moods(jumps, 20.0, 200_000, np.random.default_rng(0))
    changes = np.flatnonzero(np.diff(path))
    assert np.diff(changes).mean() == pytest.approx(20, rel=0.05)
    counts = np.zeros((4, 4))
    np.add.at(counts, (path[changes], path[changes + 1]), 1)
    assert counts / counts.sum(axis=1, keepdims=True) == pytest.approx(jumps, abs=0.03)


def test_each_mood_moves_and_holds_the_face_in_its_way() -> None:
    parameters = FaceParameters.typical(2)
    moods = np.repeat(np.arange(len(MOODS), dtype=np.int8), 500)
    motion = MoodyMotion(2, parameters, moods, 50.0)
    poses = [motion.at(index / 50) for index in range(len(moods))]
    held = {name: slice(500 * mood + 50, 500 * mood + 500) for mood, name in enumerate(MOODS)}
    whisk = np.abs(np.diff([pose.whisker_angle for pose in poses], append=0))
    tongue = np.array([pose.tongue for pose in poses])
    eye = np.array([pose.eye_closure for pose in poses])
    assert whisk[held["whisk"]].mean() > 4 * whisk[held["rest"]].mean()
    assert np.median(eye[held["rest"]]) > np.median(eye[held["alert"]]) + 0.15
    assert tongue[held["lick"]].max() == 1
    assert tongue[held["whisk"]].max() == 0
    assert max(pose.eye_closure for pose in poses) <= 1
    assert (
        motion.at(1e6).whisker_angle == motion.at(1e6).whisker_angle
    )  # beyond the end: the last mood goes on


def test_a_face_goes_through_moods() -> None:
    parameters = FaceParameters.typical(0)
    resting, whisking = (
        MouseFace(320, 240, 50, 0, parameters, MoodyMotion(0, parameters, np.full(200, mood), 50.0))
        for mood in (0, 2)
    )
    moved = [
        np.nanmean([np.abs(face.truth(i + 1) - face.truth(i)) for i in range(60)])
        for face in (resting, whisking)
    ]
    assert moved[1] > 2 * moved[0]


def test_moods_that_cannot_be_are_refused() -> None:
    with pytest.raises(UsageError, match="2 to 6"):
        ring_jumps(1, 0.5)
    with pytest.raises(UsageError, match="circulation"):
        ring_jumps(3, 1.5)
    with pytest.raises(UsageError, match="longer than one step"):
        sample_moods(ring_jumps(3, 0.5), 1.0, 10, np.random.default_rng(0))
    for moods in (np.zeros(0, np.int8), np.array([6])):
        with pytest.raises(UsageError, match="0 to 5"):
            MoodyMotion(0, FaceParameters(), moods, 50.0)
