"""Label sets of every kind, opened and carried on: in place where rtface wrote the table, else as a copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.core.errors import DataError, UsageError
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.screen.label import opening
from rtface.screen.label.opening import OpenSets, begin_labelling, copy_to_label, new_set
from rtface.screen.label.project import JOURNAL, LabelProject


def picture(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (20, 30)).astype(np.uint8)


def save(path: Path, image: NDArray[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def labels() -> LabelSet:
    nan = np.nan
    xy = np.array([[[1.5, 2.25], [nan, nan]], [[3.0, 4.0], [29.4, 19.4]]], np.float32)
    frames = tuple(LabelledFrame(f"{name}.png", "day1", picture(at), xy[at]) for at, name in enumerate("ab"))
    return LabelSet(("nose", "paw"), frames)


def deeplabcut(project: Path, labelled: bool = True) -> Path:
    folder = project / "labeled-data" / "day1"
    for at, name in enumerate(("img1.png", "img2.png")):
        save(folder / name, picture(at))
    (project / "config.yaml").write_text("scorer: lab\nbodyparts: [paw, nose, tongue]\n")
    if labelled:
        (folder / "CollectedData_lab.csv").write_text(
            "scorer,lab,lab,lab,lab\nbodyparts,nose,nose,paw,paw\ncoords,x,y,x,y\n"
            "labeled-data/day1/img1.png,1.5,2.25,,\n"
        )
    return project


def first(project: LabelProject) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the labels by frame's and keypoint's name."""
    names, frames = project.points(), {each.frame: each.name for each in project.frames()}
    return {
        (frames[frame], names[point]): (found.value["x"], found.value["y"])
        for (frame, point), found in project.labels("first").items()
    }


def test_a_copy_of_our_own_set_has_its_labels_and_images(tmp_path: Path) -> None:
    write_table(labels(), tmp_path / "old")
    copy_to_label(tmp_path / "old", tmp_path / "new", "anna")
    project = LabelProject(tmp_path / "new")
    assert list(project.points().values()) == ["nose", "paw"]
    assert first(project) == {
        ("a.png", "nose"): (1.5, 2.25),
        ("b.png", "nose"): (3.0, 4.0),
        ("b.png", "paw"): (29.4, 19.4),
    }
    for at, each in enumerate(project.frames()):
        assert (each.video, each.width, each.height) == ("day1", 30, 20)
        np.testing.assert_array_equal(
            cv2.imread(str(project.image(each.frame)), cv2.IMREAD_UNCHANGED), picture(at)
        )


def test_a_table_made_by_hand_is_not_opened_in_place(tmp_path: Path) -> None:
    write_table(labels(), tmp_path)
    before = (tmp_path / "labels.csv").read_bytes()
    with pytest.raises(UsageError, match="carry on in a copy"):
        begin_labelling(tmp_path, "anna")
    assert (tmp_path / "labels.csv").read_bytes() == before


def test_a_set_is_begun_once(tmp_path: Path) -> None:
    new_set(tmp_path / "set", ["nose", "tongue"], "anna")
    project = LabelProject(tmp_path / "set")
    project.act("anna", "name", [[["name", project.next_point()], "paw"]])
    begin_labelling(tmp_path / "set", "bert")
    assert list(LabelProject(tmp_path / "set").points().values()) == ["nose", "tongue", "paw"]


def test_an_old_project_of_deeplabcut_is_carried_on_with_its_images_without_labels(tmp_path: Path) -> None:
    source = deeplabcut(tmp_path / "dlc")
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    copy_to_label(source, tmp_path / "new", "anna", ["whisker"])
    project = LabelProject(tmp_path / "new")
    assert list(project.points().values()) == ["paw", "nose", "tongue", "whisker"]
    assert [(each.video, each.name) for each in project.frames()] == [
        ("day1", "img1.png"),
        ("day1", "img2.png"),
    ]
    assert first(project) == {("img1.png", "nose"): (1.5, 2.25)}
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before


def test_a_project_in_which_nobody_has_labelled_is_opened(tmp_path: Path) -> None:
    copy_to_label(deeplabcut(tmp_path / "dlc", labelled=False), tmp_path / "new", "anna")
    project = LabelProject(tmp_path / "new")
    assert len(project.frames()) == 2
    assert project.labels("first") == {}


def test_a_damaged_table_is_never_taken_for_none(tmp_path: Path) -> None:
    source = deeplabcut(tmp_path / "dlc")
    (source / "labeled-data" / "day1" / "CollectedData_lab.csv").write_text("scorer,lab\nwrong")
    with pytest.raises(DataError, match=r"CollectedData_lab\.csv"):
        copy_to_label(source, tmp_path / "new", "anna")
    assert not (tmp_path / "new").exists()


def test_a_table_that_nobody_filled_in_is_carried_on(tmp_path: Path) -> None:
    empty = LabelSet(
        ("nose",),
        tuple(
            LabelledFrame(f.name, f.video, f.image, np.full((1, 2), np.nan, np.float32))
            for f in labels().frames
        ),
    )
    write_table(empty, tmp_path / "old")
    copy_to_label(tmp_path / "old", tmp_path / "new", "anna")
    assert len(LabelProject(tmp_path / "new").frames()) == 2


def test_sleaps_file_is_carried_on(tmp_path: Path) -> None:
    sleap = pytest.importorskip("sleap_io")
    for at, name in enumerate(("a.png", "b.png")):
        save(tmp_path / "frames" / name, picture(at))
    video = sleap.Video.from_filename([str(tmp_path / "frames" / f"{name}.png") for name in "ab"])
    skeleton = sleap.Skeleton(["nose", "paw"])
    points = np.array([[1.5, 2.25], [np.nan, np.nan]])
    frame = sleap.LabeledFrame(video, 0, [sleap.Instance.from_numpy(points, skeleton=skeleton)])
    sleap.save_slp(sleap.Labels([frame]), str(tmp_path / "old.slp"))
    copy_to_label(tmp_path / "old.slp", tmp_path / "new", "anna")
    project = LabelProject(tmp_path / "new")
    assert list(project.points().values()) == ["nose", "paw"]
    assert list(first(project).values()) == [(1.5, 2.25)]


def test_nothing_is_ever_written_over(tmp_path: Path) -> None:
    write_table(labels(), tmp_path / "old")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mine.txt").write_text("mine")
    for make in (
        lambda: copy_to_label(tmp_path / "old", tmp_path / "new", "anna"),
        lambda: new_set(tmp_path / "new", ["nose"], "anna"),
    ):
        with pytest.raises(DataError, match="exists already"):
            make()
    assert [each.name for each in (tmp_path / "new").iterdir()] == ["mine.txt"]


def test_images_without_labels_need_names(tmp_path: Path) -> None:
    save(tmp_path / "pictures" / "a.png", picture(0))
    with pytest.raises(UsageError, match="name the keypoints"):
        copy_to_label(tmp_path / "pictures", tmp_path / "new", "anna")
    copy_to_label(tmp_path / "pictures", tmp_path / "new", "anna", ["nose"])
    assert [each.video for each in LabelProject(tmp_path / "new").frames()] == ["pictures"]


def test_a_set_whose_journal_failed_is_read_anew(tmp_path: Path) -> None:
    new_set(tmp_path / "set", ["nose"], "anna")
    sets = OpenSets()
    project = sets.get(tmp_path / "set")
    journal = tmp_path / "set" / JOURNAL
    before = journal.read_bytes()
    project.act("anna", "name", [[["name", "p2"], "paw"]])
    n, _ = project.read()
    journal.write_bytes(before)  # an older copy is put back
    with pytest.raises(DataError, match="shorter"):
        project.read(n)
    again = sets.get(tmp_path / "set")
    assert again is not project
    assert [key for key, _ in again.read(n)[1]] == [("name", "p1")]  # all, since it has no n-th entry


def test_each_set_is_open_once_and_few_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_OPEN", 2)
    sets = OpenSets()
    for name in "abc":
        new_set(tmp_path / name, ["nose"], "anna")
    one = sets.get(tmp_path / "a")
    assert sets.get(tmp_path / "a") is one
    sets.get(tmp_path / "b")
    sets.get(tmp_path / "c")
    assert sets.get(tmp_path / "a") is not one
    with pytest.raises(UsageError, match="open it first"):
        sets.get(tmp_path)
