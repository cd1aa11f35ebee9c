"""Distances between keypoints: where they are declared, and whether an engine follows them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.drawn_labels import NAMES, drawn

from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.learn.distances import DeclaredDistance, distances_of, followed, united, with_known
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.reading import read_labels
from rtface.learn.tracker.labelled_frames import hold_out

PUPIL = DeclaredDistance("pupil", "left", "right")
KEYPOINTS = ("left", "right")


def ring(diameter: np.ndarray) -> FloatArray:
    """Two points about (50, 50), shape (N, 2, 2)."""
    half = np.stack([diameter / 2, np.zeros_like(diameter)], axis=1)
    return np.stack([50 - half, 50 + half], axis=1).astype(np.float32)


def test_a_ring_that_sits_right_and_does_not_breathe_has_a_slope_near_0() -> None:
    truth = np.linspace(10, 30, 12)
    clips = ["a"] * 6 + ["b"] * 6
    for share in (0.2, 1.0):
        found = 3 + truth.mean() + share * (truth - truth.mean())
        told = followed(ring(truth), ring(found), KEYPOINTS, [PUPIL], clips)["pupil"]
        assert told["slope"] == pytest.approx(share, abs=0.01)
        assert told["correlation"] == pytest.approx(1, abs=0.001)
        assert (told["frames"], told["clips"], told["points"]) == (12, 2, ["left", "right"])


def test_the_correlation_is_that_of_noise() -> None:
    random = np.random.default_rng(0)
    truth, found = random.normal(40, 5, 4000), random.normal(40, 5, 4000)
    told = followed(ring(truth), ring(found), KEYPOINTS, [PUPIL], ["a"] * 4000)["pupil"]
    assert abs(told["correlation"]) < 0.06
    assert abs(told["slope"]) < 0.06


@pytest.mark.parametrize(
    ("diameter", "reason"),
    [
        (np.linspace(10, 30, 4), "4 frames have both points; 5 are needed"),
        (20 + 0.4 * np.arange(6), "hardly varies"),
        (200 + 2.0 * np.arange(6), "hardly varies"),
    ],
)
def test_what_cannot_be_said_is_not(diameter: np.ndarray, reason: str) -> None:
    told = followed(ring(diameter), ring(diameter), KEYPOINTS, [PUPIL], ["a"] * len(diameter))["pupil"]
    assert reason in told["not_said"]
    assert "slope" not in told


def test_frames_with_one_point_do_not_count() -> None:
    truth = ring(np.linspace(10, 30, 7))
    truth[0, 1] = np.nan
    found = ring(np.linspace(10, 30, 7))
    found[6, 0] = np.nan
    told = followed(truth, found, KEYPOINTS, [PUPIL], [*"abbbbbc"])["pupil"]
    assert (told["frames"], told["clips"]) == (5, 1)
    assert followed(truth, found, KEYPOINTS, [replace(PUPIL, other="nose")], [*"abbbbbc"]) == {}


def test_an_engine_that_gives_one_and_the_same_has_no_correlation() -> None:
    truth = ring(np.linspace(10, 30, 6))
    told = followed(truth, np.repeat(truth[:1], 6, axis=0), KEYPOINTS, [PUPIL], ["a"] * 6)["pupil"]
    assert (told["slope"], told["correlation"]) == (0, None)


def test_they_are_declared_beside_labels_and_stay_with_them(tmp_path: Path) -> None:
    write_table(drawn(4), tmp_path / "set")
    plain = read_labels(tmp_path / "set")
    (tmp_path / "set" / "distances.yaml").write_text("gap: [bright, faint]\n")
    labels = read_labels(tmp_path / "set")
    assert labels.distances == (DeclaredDistance("gap", "bright", "faint"),)
    assert labels.digest != plain.digest
    assert labels.renamed({"faint": "dim"}).distances == (DeclaredDistance("gap", "bright", "dim"),)
    assert labels.arranged(("bright", "ahead")).distances == ()
    assert labels.arranged(NAMES[::-1]).distances == labels.distances
    assert all(part.distances == labels.distances for part in hold_out(labels, 0.5, 0))
    write_table(labels, tmp_path / "again")
    assert read_labels(tmp_path / "again").distances == labels.distances
    write_table(drawn(4, video="two"), tmp_path / "two")
    assert read_labels(tmp_path / "set", tmp_path / "two").distances == labels.distances
    (tmp_path / "two" / "distances.yaml").write_text("gap: [bright, ahead]\n")
    with pytest.raises(DataError, match="'gap' is declared twice"):
        read_labels(tmp_path / "set", tmp_path / "two")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gap: [bright]", "gap: a distance has two keypoints"),
        ("gap: bright", "gap: a distance has two keypoints"),
        ("gap: [bright, bright]", "from itself"),
        ("gap: [bright, fain]", "no keypoint 'fain'; did you mean faint"),
        ("- gap", "holds no distances"),
        ("gap: [", "cannot be read"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, text: str, message: str) -> None:
    write_table(drawn(2), tmp_path / "set")
    (tmp_path / "set" / "distances.yaml").write_text(text)
    with pytest.raises(DataError, match=rf"distances.yaml.*{message}"):
        read_labels(tmp_path / "set")


def test_the_eye_is_known_unless_another_is_declared() -> None:
    eye = ("eye(top)", "eye(bottom)", "left", "right")
    assert [each.name for each in with_known([PUPIL], eye)] == ["pupil", "eye opening"]
    own = DeclaredDistance("eye opening", "left", "right")
    assert with_known([own], eye) == (own,)
    assert united([own], [DeclaredDistance("eye opening", "right", "left")]) == (own,)
    assert distances_of({"distances": {"pupil": ["left", "right"], "odd": 3, "one": ["left"]}}) == (PUPIL,)
    assert distances_of({}) == ()
