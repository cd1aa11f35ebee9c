"""The folder that a person labels: each recording's frames and guesses lie in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.learn.labels.labelling_folder import SuggestedFrame, how_chosen, write_labelling_folder
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.suggest import ChosenFrame

KEYPOINTS = ("nose", "paw", "ear")


def suggested(video: str, frame: int) -> SuggestedFrame:
    """A frame of its own gray levels; the nose is sure, the paw is not, and the ear lies beyond the frame."""
    value = 10 * frame + len(video)
    image = np.full((40, 60), value, np.uint8)
    xy = np.array([[frame, value / 10], [5, 5], [70, 5]], np.float32)
    return SuggestedFrame(
        video,
        frame,
        frame / 30,
        ChosenFrame(0, "coverage", 0.1, 1.0, 3),
        xy,
        np.array([0.9, 0.2, 0.9]),
        image,
    )


FRAMES = tuple(suggested(*each) for each in (("one", 9), ("other", 4), ("one", 2), ("other", 12), ("one", 4)))


def test_each_recording_has_its_own_images_and_guesses_in_the_order_of_time(tmp_path: Path) -> None:
    write_labelling_folder(tmp_path / "label", FRAMES, KEYPOINTS, {"rtface": "0"}, guesses_above=0.5)
    data = tmp_path / "label" / "deeplabcut" / "labeled-data"
    numbers = {"one": [2, 4, 9], "other": [4, 12]}
    assert sorted(path.name for path in data.iterdir()) == list(numbers)
    for video, frames in numbers.items():
        names = [f"img{frame:06d}.png" for frame in frames]
        files = {"CollectedData_rtface.csv", "CollectedData_rtface.h5"}
        assert {path.name for path in (data / video).iterdir()} == {*names, *files}
        for path in (data / video / name for name in sorted(files)):
            labels = read_labels(path)
            assert [frame.name for frame in labels.frames] == names
            assert labels.videos == (video,)
            for frame, number in zip(labels.frames, frames, strict=True):
                made = suggested(video, number)
                np.testing.assert_array_equal(frame.image, made.image)
                np.testing.assert_allclose(frame.xy[0], made.xy[0])
                assert np.isnan(frame.xy[1:]).all(), "a low score, and a point beyond the frame"


def test_without_guesses_there_is_no_folder_for_them(tmp_path: Path) -> None:
    write_labelling_folder(tmp_path / "label", FRAMES, KEYPOINTS, {"rtface": "0"})
    assert {path.name for path in (tmp_path / "label").iterdir()} == {
        "chosen.json",
        "frames",
        "labels.csv",
        "sheet.png",
    }
    assert cv2.imread(str(tmp_path / "label" / "sheet.png")) is not None


@pytest.mark.parametrize(("above", "given"), [(0.0, 2), (0.9, 1), (1.0, 0)])
def test_a_guess_has_at_least_the_score_that_is_asked_for(tmp_path: Path, above: float, given: int) -> None:
    write_labelling_folder(tmp_path / "label", FRAMES, KEYPOINTS, {}, guesses_above=above)
    folder = tmp_path / "label" / "deeplabcut" / "labeled-data" / "one"
    rows = [row.split(",") for row in (folder / "CollectedData_rtface.csv").read_text().splitlines()[3:]]
    assert [row[:3] for row in rows] == [["labeled-data", "one", f"img{each:06d}.png"] for each in (2, 4, 9)]
    assert all(
        [cell != "" for cell in row[3:]] == [True] * 2 * given + [False] * 2 * (3 - given) for row in rows
    )


def test_how_the_frames_were_chosen_is_said_in_true_numbers(tmp_path: Path) -> None:
    def said(asked: int | None, whys: list[str]) -> str:
        about = {} if asked is None else {"asked": asked}
        (tmp_path / "chosen.json").write_text(json.dumps({**about, "frames": [{"why": why} for why in whys]}))
        return str(how_chosen(tmp_path))

    assert (
        said(10, ["coverage"] * 5 + ["doubt"] * 2 + ["spread"] * 3) == "7 of 10 differ, 3 are spread in time"
    )
    assert said(3, ["coverage"] * 3) == "3 of 3 differ"
    assert (
        said(10, ["coverage", "spread"])
        == "1 of 10 differ, 1 is spread in time; no more than 2 could be chosen"
    )
    assert said(None, ["doubt"]) == "1 of 1 differ", "one of before"
    (tmp_path / "chosen.json").write_text('{"frames": 3}')
    assert how_chosen(tmp_path).frames == 0
