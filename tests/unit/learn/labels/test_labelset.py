"""Sets of labelled frames: their columns, their recordings, and several files as one set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtface.core.errors import DataError
from rtface.learn.labels.formats.table import write_table
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.reading import read_labels

NAN = float("nan")


def frame(name: str, video: str, *xy: tuple[float, float]) -> LabelledFrame:
    return LabelledFrame(name, video, np.full((20, 30), len(name), np.uint8), np.array(xy, np.float32))


@pytest.fixture
def pair() -> LabelSet:
    return LabelSet(
        ("nose", "paw"), (frame("a", "one", (1, 2), (NAN, NAN)), frame("bb", "two", (3, 4), (5, 6)))
    )


def test_a_set_counts_points_and_names_what_is_labelled(pair: LabelSet) -> None:
    assert (len(pair), pair.labels, pair.videos) == (2, 3, ("one", "two"))
    assert pair.labelled == ("nose", "paw")
    assert pair.only(["one"]).labelled == ("nose",)
    assert [one.name for one in pair.without(["one"]).frames] == ["bb"]


def test_arranging_moves_columns_and_leaves_gaps(pair: LabelSet) -> None:
    moved = pair.arranged(("paw", "ear", "nose"))
    assert moved.keypoints == ("paw", "ear", "nose")
    np.testing.assert_array_equal(moved.frames[1].xy, [[5, 6], [NAN, NAN], [3, 4]])


def test_renaming_refuses_strangers_and_collisions(pair: LabelSet) -> None:
    assert pair.renamed({"paw": "hand"}).keypoints == ("nose", "hand")
    with pytest.raises(DataError, match="no keypoint 'ear'"):
        pair.renamed({"ear": "hand"})
    with pytest.raises(DataError, match="names a keypoint twice: nose"):
        pair.renamed({"paw": "nose"})


def test_several_files_become_one_set_by_name(pair: LabelSet, tmp_path: Path) -> None:
    write_table(pair, tmp_path / "first")
    write_table(LabelSet(("ear", "nose"), (frame("c", "three", (7, 8), (9, 10)),)), tmp_path / "second")
    both = read_labels(tmp_path / "first", tmp_path / "second" / "labels.csv")
    assert both.keypoints == ("nose", "paw", "ear")
    assert both.videos == ("one", "three", "two")
    np.testing.assert_array_equal(both.frames[2].xy, [[9, 10], [NAN, NAN], [7, 8]])


def test_a_frame_in_two_files_is_refused(pair: LabelSet, tmp_path: Path) -> None:
    write_table(pair, tmp_path / "first")
    write_table(pair.only(["two"]), tmp_path / "second")
    with pytest.raises(DataError, match=r"second: frame 'bb' of video 'two' is in .*first too"):
        read_labels(tmp_path / "first", tmp_path / "second")
    with pytest.raises(DataError, match="named twice"):
        read_labels(tmp_path / "first", tmp_path / "second" / ".." / "first")


def test_what_is_no_label_set_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for path in (tmp_path, tmp_path / "notes.txt", tmp_path / "absent"):
        with pytest.raises(DataError, match=r"labels\.csv .*config\.yaml.*CollectedData_.*\.slp.*\.npy"):
            read_labels(path)
    with pytest.raises(DataError, match="no label set"):
        read_labels()


def test_a_folder_with_two_formats_is_not_guessed(pair: LabelSet, tmp_path: Path) -> None:
    write_table(pair, tmp_path / "set")
    (tmp_path / "set" / "config.yaml").write_text("scorer: me\n")
    with pytest.raises(DataError, match=r"labels\.csv and labels of DeepLabCut's; name the one file"):
        read_labels(tmp_path / "set")


def test_the_side_view_set_has_its_197_frames_of_12_keypoints(shared_data: Path) -> None:
    found = read_labels(shared_data / "mouse_face_side_view")
    assert (len(found), found.labels) == (197, 197 * 12)
    assert len(found.labelled) == 12
    assert found.videos == ("cam1_G7c1_1", "cam1_G7c1_2")
    assert {one.image.shape for one in found.frames} == {(646, 864)}
    renamed = found.renamed({"whisker 1": "whisker(II)", "whisker 2": "whisker(I)"})
    height = np.median([one.xy[:, 1] for one in renamed.frames], axis=0)
    place = renamed.keypoints.index
    assert height[place("whisker(I)")] < height[place("whisker(II)")], "whisker (I) is the uppermost"


def test_the_hand_and_tongue_set_has_its_55_frames_and_csv_equals_h5(shared_data: Path) -> None:
    project = shared_data / "mouse_hand_tongue_labelled"
    file = project / "labeled-data" / "reachingvideo1" / "CollectedData_Mackenzie"
    sets = [read_labels(path) for path in (project, file.with_suffix(".csv"), file.with_suffix(".h5"))]
    for found in sets:
        assert (len(found), found.labels, found.videos) == (55, 233, ("reachingvideo1",))
        assert found.keypoints == ("Hand", "Finger1", "Tongue", "Joystick1", "Joystick2")
        for one, other in zip(found.frames, sets[0].frames, strict=True):
            assert one.name == other.name
            np.testing.assert_array_equal(one.xy, other.xy)
