"""Reading labelled frames: names, gaps, and what is wrong, by line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.errors import DataError
from rtface.learn.labels import read_side_view
from rtface.records import FACEMAP_KEYPOINTS

HEADER = "file,video,whisker 2_x,whisker 2_y,whisker 1_x,whisker 1_y,mouth_x,mouth_y"


def write(folder: Path, *rows: str, header: str = HEADER) -> Path:
    (folder / "frames").mkdir()
    image = np.arange(20 * 30, dtype=np.uint32).reshape(20, 30).astype(np.uint8)
    cv2.imwrite(str(folder / "frames" / "a.png"), image)
    (folder / "labels.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder


def test_points_come_in_facemaps_order_under_facemaps_names(tmp_path: Path) -> None:
    (frame,) = read_side_view(write(tmp_path, "a.png,one,1,2,3,4,5.5,6.25"))
    assert (frame.name, frame.video) == ("a.png", "one")
    assert frame.image.shape == (20, 30)
    assert frame.image.dtype == np.uint8
    assert frame.xy.shape == (15, 2)
    named = {name: frame.xy[index].tolist() for index, name in enumerate(FACEMAP_KEYPOINTS)}
    assert named["whisker(I)"] == [1, 2]
    assert named["whisker(II)"] == [3, 4]
    assert named["mouth"] == [5.5, 6.25]
    assert np.isnan(np.delete(frame.xy, [12, 14, 5], axis=0)).all()


def test_an_empty_cell_is_a_missing_label(tmp_path: Path) -> None:
    (frame,) = read_side_view(write(tmp_path, "a.png,one,1,2,,4,5,6"))
    assert np.isnan(frame.xy[FACEMAP_KEYPOINTS.index("whisker(II)")]).all()
    assert not np.isnan(frame.xy[FACEMAP_KEYPOINTS.index("mouth")]).any()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.png,one,1,2,3,4,5,6", "line 3.*b.png is missing"),
        ("a.png,one,1,2,3,high,5,6", "line 3: whisker 1 .*not two numbers"),
        ("a.png,one,1,2,3,4,30,6", r"line 3: mouth at \(30, 6\) is outside"),
        ("a.png,one,1,2,3,4,5,-0.6", "line 3: mouth .* is outside"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: str, message: str) -> None:
    folder = write(tmp_path, "a.png,one,1,2,3,4,5,6", row)
    with pytest.raises(DataError, match=message):
        read_side_view(folder)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("file,mouth_x,mouth_y", "column video is missing"),
        ("file,video,mouth_x", "mouth_x but no mouth_y"),
        ("file,video,ear_x,ear_y", "ear is no keypoint"),
    ],
)
def test_a_bad_header_is_refused(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_side_view(write(tmp_path, header=header))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"labels\.csv cannot be read"):
        read_side_view(tmp_path)


def test_the_real_set_has_its_197_frames_and_12_keypoints(shared_data: Path) -> None:
    frames = read_side_view(shared_data / "mouse_face_side_view")
    assert len(frames) == 197
    labelled = ~np.isnan(np.stack([frame.xy for frame in frames])).any(axis=(0, 2))
    absent = {
        name for name, there in zip(FACEMAP_KEYPOINTS, np.atleast_1d(labelled), strict=True) if not there
    }
    assert absent == {"nosebridge", "nose(r)", "paw"}
    middle = np.median([frame.xy for frame in frames], axis=0)
    whiskers = [middle[FACEMAP_KEYPOINTS.index(f"whisker({number})"), 1] for number in ("I", "II", "III")]
    assert whiskers == sorted(whiskers), "whisker (I) is the uppermost"
