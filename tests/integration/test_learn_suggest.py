"""``rtface learn suggest`` as a user meets it: recordings in, a folder to label out, read back as labels."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import numpy as np
import pandas as pd
import pytest

from rtface.core.errors import DataError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.learn.labels.reading import read_labels
from rtface.simulate.face import MouseFace

Run = Callable[..., CompletedProcess[str]]
BLACK = 7


def record(folder: Path, seed: int, frames: int = 40) -> Path:
    """Write a recording of a simulated mouse as a folder of images; one of them is black."""
    folder.mkdir()
    face = MouseFace(96, 80, 2.0, seed)
    image = np.zeros((80, 96), np.uint8)
    for index in range(frames):
        face.render(index, image)
        cv2.imwrite(str(folder / f"{index}.png"), image if index != BLACK else image // 255)
    return folder


def test_suggested_frames_can_be_labelled_and_read_back(rtface: Run, tmp_path: Path) -> None:
    one, two = record(tmp_path / "one", 1), record(tmp_path / "two", 2)
    done = rtface(
        *("learn", "suggest", "one", "two", "--engine", "test-engine", "--count", "6", "--out", "to label"),
        *("--candidates", "20", "--guesses", "--guesses-above", "0"),
    )
    assert done.returncode == 0, done.stderr
    assert "rtface learn adapt --engine test-engine --labels to label" in done.stdout

    folder = tmp_path / "to label"
    chosen = json.loads((folder / "chosen.json").read_text())
    assert [entry["why"] for entry in chosen["frames"]] == ["coverage", "coverage", "doubt"] * 2
    assert sorted(entry["video"] for entry in chosen["frames"]) == ["one"] * 3 + ["two"] * 3
    assert all(entry["frame"] % 2 == 0 for entry in chosen["frames"]), (
        "40 frames, 20 candidates: every second"
    )
    assert cv2.imread(str(folder / "sheet.png")) is not None

    with pytest.raises(DataError, match="no labels"):
        read_labels(folder)
    with (folder / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0]["nose(tip)_x"], rows[0]["nose(tip)_y"] = "11.5", "20"
    with (folder / "labels.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    labels = read_labels(folder)
    assert labels.keypoints == FACEMAP_KEYPOINTS
    assert (len(labels), labels.labels) == (6, 1)
    assert labels.frames[0].xy[FACEMAP_KEYPOINTS.index("nose(tip)")].tolist() == [11.5, 20]
    for frame, entry in zip(labels.frames, chosen["frames"], strict=True):
        source = {"one": one, "two": two}[entry["video"]] / f"{entry['frame']}.png"
        assert np.array_equal(frame.image, cv2.imread(str(source), cv2.IMREAD_GRAYSCALE))


def test_guesses_are_what_tracking_finds(rtface: Run, tmp_path: Path) -> None:
    record(tmp_path / "one", 1)
    engine = ("--engine", "test-engine")
    assert rtface("track", "one", "--out", "tracked.csv", *engine).returncode == 0
    options = ("--count", "4", "--out", "label", "--guesses")
    done = rtface("learn", "suggest", "one", *engine, *options, "--guesses-above", "0", "--json")
    assert done.returncode == 0, done.stderr
    frames = sorted(entry["frame"] for entry in json.loads(done.stdout)["frames"])
    assert len(frames) == 4
    assert BLACK not in frames

    found = pd.read_csv(tmp_path / "tracked.csv", header=[0, 1, 2], index_col=0).droplevel("scorer", axis=1)
    folder = tmp_path / "label" / "deeplabcut" / "labeled-data" / "one"
    guesses = pd.read_hdf(folder / "CollectedData_rtface.h5", key="df_with_missing")
    assert [place[-1] for place in guesses.index] == [f"img{frame:06d}.png" for frame in frames]
    for name in FACEMAP_KEYPOINTS:
        expected = found.loc[frames, name][["x", "y"]].to_numpy()
        within = (expected > -0.5).all(axis=1) & (expected[:, 0] < 95.5) & (expected[:, 1] < 79.5)
        expected[~within] = np.nan
        np.testing.assert_allclose(guesses["rtface"][name].to_numpy(), expected, atol=1e-3)
    as_csv = pd.read_csv(folder / "CollectedData_rtface.csv", header=[0, 1, 2], index_col=[0, 1, 2])
    np.testing.assert_allclose(as_csv.to_numpy(), guesses.to_numpy())
    read = read_labels(tmp_path / "label" / "deeplabcut")
    assert read.labels == guesses.notna().to_numpy().sum() / 2 > 0


def test_points_with_a_low_score_are_no_guesses(rtface: Run, tmp_path: Path) -> None:
    record(tmp_path / "one", 1, 12)
    options = (
        "--engine",
        "test-engine",
        "--count",
        "2",
        "--out",
        "label",
        "--guesses",
        "--guesses-above",
        "1",
    )
    assert rtface("learn", "suggest", "one", *options).returncode == 0
    path = tmp_path / "label" / "deeplabcut" / "labeled-data" / "one" / "CollectedData_rtface.h5"
    assert pd.read_hdf(path, key="df_with_missing").isna().all(axis=None)


def test_what_cannot_be_is_refused_before_the_work(rtface: Run, tmp_path: Path) -> None:
    record(tmp_path / "one", 1, 3)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("labels of a week")
    done = rtface("learn", "suggest", "one", "--engine", "test-engine", "--out", "full")
    assert (done.returncode, [each.name for each in full.iterdir()]) == (2, ["mine.txt"])
    assert "name a new folder" in done.stderr
    twice = rtface("learn", "suggest", "one", "one", "--engine", "test-engine", "--out", "new")
    assert twice.returncode == 2
    assert "same name" in twice.stderr
    assert not (tmp_path / "new").exists()


def test_a_recording_whose_name_is_no_utf_8_can_be_suggested_from(rtface: Run, tmp_path: Path) -> None:
    """OpenCV, which draws the sheet, crashes on text with such bytes."""
    odd = tmp_path / os.fsdecode(b"M\xe4use")
    try:
        record(tmp_path / "one", 1).rename(odd)
    except OSError:
        pytest.skip("this file system takes no such names")
    done = rtface(
        *("learn", "suggest", odd, "--engine", "test-engine", "--count", "2", "--candidates", "20"),
        *("--out", "to label", "--json"),
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {frame["video"] for frame in said["frames"]} == {"M\ufffduse"}
    assert said["recordings"][0].endswith("M\ufffduse")
    with (tmp_path / "to label" / "labels.csv").open(newline="", encoding="utf-8") as file:
        assert {row["video"] for row in csv.DictReader(file)} == {"M\ufffduse"}
