"""What comes out: rtface's csv and DeepLabCut's, read back by the readers, and never over what somebody else wrote."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.core.errors import DataError, UsageError
from rtface.learn.labels.confirmed import CONFIRMED_FILE
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.screen.label import writing
from rtface.screen.label.opening import copy_to_label
from rtface.screen.label.project import LabelProject
from rtface.screen.label.writing import DEEPLABCUT_OUT, changed_outside, take_in, write_deeplabcut, write_own

EMPTY = np.full((2, 2), np.nan, np.float32)


def picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (20, 30)).astype(np.uint8)


@pytest.fixture
def project(tmp_path: Path) -> LabelProject:
    frames = tuple(LabelledFrame(f"{name}.png", "day1", picture(at), EMPTY) for at, name in enumerate("abc"))
    write_table(LabelSet(("nose", "paw"), frames), tmp_path / "old")
    copy_to_label(tmp_path / "old", tmp_path / "set", "anna")
    project = LabelProject(tmp_path / "set")
    for frame, point, x in (("f1", "p1", 3.25), ("f2", "p2", 7), ("f3", "p1", 9)):
        project.act("anna", "place", [[["label", "first", frame, point], {"x": x, "y": 5, "from": "hand"}]])
    project.act("anna", "hide", [[["label", "first", "f1", "p2"], {"hidden": True}]])
    project.act("anna", "skip", [[["skip", "f3"], True]])
    return project


def check(found: LabelSet, frames: int) -> None:
    assert found.keypoints == ("nose", "paw")
    assert len(found.frames) == frames
    np.testing.assert_array_equal(found.frames[0].xy, np.array([[3.25, 5], [np.nan, np.nan]], np.float32))
    np.testing.assert_array_equal(found.frames[1].xy, np.array([[np.nan, np.nan], [7, 5]], np.float32))
    for at, frame in enumerate(found.frames):
        np.testing.assert_array_equal(frame.image, picture(at))


def test_our_csv_has_the_labels_and_neither_hidden_points_nor_frames_left_out(project: LabelProject) -> None:
    written = write_own(project, "anna")
    assert (written.files, written.frames, written.labels) == (("labels.csv",), 2, 2)
    check(read_labels(project.folder), 2)
    assert write_own(project, "anna").files == ()


def test_deeplabcuts_files_have_the_same_labels(project: LabelProject) -> None:
    written = write_deeplabcut(project, "anna", "lab")
    folder = project.folder / DEEPLABCUT_OUT
    assert (written.frames, written.labels) == (2, 2)
    check(read_labels(folder), 2)
    if writing.has_h5():
        check(read_labels(folder / "labeled-data" / "day1" / "CollectedData_lab.h5"), 2)
    assert write_deeplabcut(project, "anna", "lab").files == ()


def test_deeplabcuts_csv_needs_no_pandas(project: LabelProject, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "has_h5", lambda: False)
    written = write_deeplabcut(project, "anna", "lab")
    assert "h5" in written.note
    assert not list(project.folder.rglob("*.h5"))
    check(read_labels(project.folder / DEEPLABCUT_OUT), 2)


def test_another_label_is_in_the_next_file_and_the_set_is_read_as_ours(project: LabelProject) -> None:
    write_own(project, "anna")
    write_deeplabcut(project, "anna", "lab")
    project.act("bert", "place", [[["label", "first", "f1", "p1"], {"x": 4, "y": 5, "from": "hand"}]])
    assert write_own(project, "bert").files == ("labels.csv",)
    assert (
        f"{DEEPLABCUT_OUT}/labeled-data/day1/CollectedData_lab.csv"
        in write_deeplabcut(project, "bert", "lab").files
    )
    assert read_labels(project.folder).frames[0].xy[0, 0] == 4


def test_a_file_that_somebody_changed_is_never_written_over(project: LabelProject) -> None:
    write_own(project, "anna")
    write_deeplabcut(project, "anna", "lab")
    theirs = project.folder / DEEPLABCUT_OUT / "labeled-data" / "day1" / "CollectedData_lab.csv"
    for file in (project.folder / "labels.csv", theirs):
        file.write_text(file.read_text().replace("3.25", "3.75"))
    project.act("bert", "place", [[["label", "first", "f2", "p1"], {"x": 4, "y": 5, "from": "hand"}]])
    assert changed_outside(project)
    for write in (lambda: write_own(project, "bert"), lambda: write_deeplabcut(project, "bert", "lab")):
        with pytest.raises(UsageError, match="changed outside"):
            write()
    for file in (project.folder / "labels.csv", theirs):
        assert "3.75" in file.read_text()


def test_a_file_of_somebody_elses_is_never_written_over(project: LabelProject) -> None:
    theirs = project.folder / DEEPLABCUT_OUT / "labeled-data" / "day1" / "CollectedData_lab.csv"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("mine")
    with pytest.raises(UsageError, match="changed outside"):
        write_deeplabcut(project, "anna", "lab")
    assert theirs.read_text() == "mine"


def test_a_crash_between_journal_and_file_leaves_a_file_that_is_known(
    project: LabelProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_own(project, "anna")
    project.act("anna", "place", [[["label", "first", "f2", "p1"], {"x": 4, "y": 5, "from": "hand"}]])

    def crash(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writing, "written_whole", crash)
    with pytest.raises(KeyboardInterrupt):
        write_own(project, "anna")
    monkeypatch.undo()
    again = LabelProject(project.folder)
    assert not changed_outside(again)
    assert write_own(again, "anna").files == ("labels.csv",)
    assert not changed_outside(LabelProject(project.folder))


def test_labels_that_somebody_wrote_into_the_csv_are_taken_in_and_can_be_undone(
    project: LabelProject,
) -> None:
    write_own(project, "anna")
    table = project.folder / "labels.csv"
    lines = table.read_text().splitlines()
    lines[0] += ",tongue_x,tongue_y"
    lines[1] = lines[1].replace("3.25", "6.5") + ",1,2"
    lines[2] = lines[2].replace("7.0,5.0", ",") + ",,"
    table.write_text("\n".join(lines) + "\n")
    project.act("anna", "place", [[["label", "first", "f2", "p1"], {"x": 8, "y": 5, "from": "hand"}]])
    assert take_in(project, "bert") == 4  # a keypoint, its label, a label that moved, one that went
    assert not changed_outside(project)
    labels = project.labels("first")
    assert (labels["f1", "p1"].value, labels["f1", "p1"].who) == (
        {"x": 6.5, "y": 5.0, "from": "file"},
        "bert",
    )
    assert ("f2", "p2") not in labels
    assert labels["f1", "p2"].value == {"hidden": True}
    assert labels["f1", "p3"].value["x"] == 1
    assert labels["f2", "p1"].value["x"] == 8  # placed since the file was written
    assert write_own(project, "bert").files == ("labels.csv",)
    assert read_labels(project.folder).keypoints == ("nose", "paw", "tongue")
    project.turn("bert", "undo")
    assert project.labels("first")["f1", "p1"].value["x"] == 3.25


def test_a_strange_row_in_the_csv_is_named(project: LabelProject) -> None:
    write_own(project, "anna")
    table = project.folder / "labels.csv"
    table.write_text(table.read_text() + "day1/other.png,day1,other,30,20,1,2,,\n")
    with pytest.raises(DataError, match=r"line 4.*other.png"):
        take_in(project, "bert")


@pytest.mark.parametrize("scorer", ["", "a/b", "..\\x", "x" * 80])
def test_a_scorer_is_a_plain_name(project: LabelProject, scorer: str) -> None:
    with pytest.raises(UsageError, match="scorer"):
        write_deeplabcut(project, "anna", scorer)


def test_guesses_that_were_confirmed_where_they_lay_are_named_beside_the_labels(
    project: LabelProject,
) -> None:
    guess = {"x": 12.34, "y": 6, "from": "guess", "engine": "face"}
    project.act("anna", "confirm", [[["label", "first", "f1", "p2"], guess]])
    project.act("anna", "confirm", [[["label", "first", "f2", "p1"], guess]])
    project.act("anna", "move", [[["label", "first", "f2", "p1"], {"x": 13, "y": 6, "from": "hand"}]])
    assert write_own(project, "anna").files == ("labels.csv", CONFIRMED_FILE)
    assert write_own(project, "anna").files == ()
    labels = read_labels(project.folder)
    assert labels.confirmed.tolist() == [[False, True], [False, False]], "the other was moved"
    renamed = labels.renamed({"paw": "foot"}).arranged(["foot", "nose"])
    assert renamed.confirmed.tolist() == [[True, False], [False, False]]

    table = project.folder / "labels.csv"
    table.write_text(table.read_text().replace("12.34", "12.5"))
    assert not read_labels(project.folder).confirmed.any(), "it lies elsewhere than was confirmed"
    (project.folder / CONFIRMED_FILE).write_text('{"confirmed": [3]}')
    with pytest.raises(DataError, match=CONFIRMED_FILE):
        read_labels(project.folder)


def test_the_file_of_confirmed_guesses_is_emptied_when_they_are_moved(project: LabelProject) -> None:
    key = ["label", "first", "f1", "p2"]
    project.act("anna", "confirm", [[key, {"x": 12.34, "y": 6, "from": "guess"}]])
    write_own(project, "anna")
    project.act("anna", "move", [[key, {"x": 14, "y": 6, "from": "hand"}]])
    assert write_own(project, "anna").files == ("labels.csv", CONFIRMED_FILE)
    assert not read_labels(project.folder).confirmed.any()
