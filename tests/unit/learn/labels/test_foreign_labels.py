"""Label files as spreadsheets and other people leave them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from rtface.core.errors import DataError
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.set_record import set_sources

HEAD = [["scorer", "", "", "me", "me"], ["bodyparts", "", "", "tip", "tip"], ["coords", "", "", "x", "y"]]


def folder_of(
    folder: Path, rows: list[list[str]], separator: str = ",", edge: str = "", mark: str = ""
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    text = mark + "".join(separator.join(row) + edge + "\n" for row in HEAD + rows)
    (folder / "CollectedData_me.csv").write_text(text, encoding="utf-8")
    return folder


def row_of(folder: Path, name: str, x: str, y: str, value: int = 0) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folder / name), np.full((40, 60), value, np.uint8))
    return ["labeled-data", folder.name, name, x, y]


@pytest.mark.parametrize(
    ("separator", "comma", "edge", "mark"),
    [
        (",", ".", ",,", ""),
        (";", ",", "", ""),
        (";", ",", ";;", "\ufeff"),
        ("\t", ",", "", ""),
        (";", ".", "", ""),
    ],
)
def test_a_csv_that_a_spreadsheet_saved_is_read(
    tmp_path: Path, separator: str, comma: str, edge: str, mark: str
) -> None:
    folder = tmp_path / "cam0"
    rows = [row_of(folder, "1.png", f"12{comma}25", f"7{comma}5")]
    labels = read_labels(folder_of(folder, rows, separator, edge, mark))
    assert labels.frames[0].xy.tolist() == [[12.25, 7.5]]


def test_zeros_for_not_seen_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "cam0"
    rows = [row_of(folder, f"{number}.png", "0.0", "0.0") for number in range(3)]
    (note,) = read_labels(folder_of(folder, rows)).notes
    assert "tip is at (0, 0) in 3 of its 3 labels" in note
    assert str(folder) in note


def test_rows_of_nothing_are_left_out_and_counted(tmp_path: Path) -> None:
    folder = tmp_path / "cam0"
    rows = [row_of(folder, "1.png", "5", "6"), ["labeled-data", "cam0", "gone.png", "", ""]]
    labels = read_labels(folder_of(folder, rows))
    assert len(labels) == 1
    assert "1 rows with neither image nor label" in labels.notes[0]


def test_all_faults_are_in_one_message(tmp_path: Path) -> None:
    folder = tmp_path / "cam0"
    rows = [
        row_of(folder, "1.png", "500", "6"),
        ["labeled-data", "cam0", "gone.png", "1", "2"],
        row_of(folder, "2.png", "5", "6"),
        row_of(folder, "2.png", "5", "6"),
    ]
    rows += [
        row_of(folder, "3.png", "5", "left"),
        row_of(folder, "4.png", "5", "6")[:-1],
        ["", "", "", "1", "2"],
    ]
    with pytest.raises(DataError, match="6 faults") as caught:
        read_labels(folder_of(folder, rows))
    for said in (
        "line 8: tip y is 'left', not a number",
        "line 9: 4 cells, the header has 5",
        "line 10: the image's path is empty",
        "line 4: tip at (500, 6) is outside",
        "line 5: the image",
        "line 7: frame '2.png'",
        "duplicate row",
    ):
        assert said in str(caught.value)


def test_folders_named_alike_are_two_recordings(tmp_path: Path) -> None:
    folders = [tmp_path / day / "cam0" for day in ("day1", "day2")]
    for value, folder in enumerate(folders):
        folder_of(folder, [row_of(folder, "1.png", "5", "6", value)])
    assert read_labels(*folders).videos == ("day1/cam0", "day2/cam0")


def test_a_bare_folder_of_labelled_data_is_read(tmp_path: Path) -> None:
    for name in ("a", "b"):
        folder = tmp_path / "labeled-data" / name
        folder_of(folder, [row_of(folder, "1.png", "5", "6")])
    assert read_labels(tmp_path / "labeled-data").videos == ("a", "b")


def test_stretches_of_unequal_length_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x_Facemap_refined_data.npy"
    counts = (5, 4)
    data = {
        "imgs": [np.full((count, 20, 20), 9, np.uint8) for count in counts],
        "keypoints": [np.full((count, 1, 3), 4.0) for count in counts],
        "bodyparts": ["nose(tip)"],
        "frame_ind": [[3, 1, 0, 2, 4], [9, 8, 7, 6]],
        "video_path": "C:/x/plain.mp4",
    }
    np.save(path, np.array(data, dtype=object), allow_pickle=True)
    labels = read_labels(path)
    assert [frame.name for frame in labels.frames] == [f"plain {n}" for n in (3, 1, 0, 2, 4, 9, 8, 7, 6)]


def test_all_faults_of_facemaps_stretches_are_in_one_message(tmp_path: Path) -> None:
    path = tmp_path / "x_Facemap_refined_data.npy"
    images = [np.full((2, 20, 20), 9, np.uint8) for _ in range(3)]
    images += [np.full((2, 20, 20), np.nan), np.float64(7)]
    points = [np.full((count, 1, 3), 4.0) for count in (3, 2, 2, 2, 2)]
    points[2][1, 0, 0] = 40
    data = {"imgs": images, "keypoints": points, "bodyparts": ["nose(tip)"]}
    np.save(path, np.array(data, dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="4 faults") as caught:
        read_labels(path)
    for said in (
        "stretch 1: keypoints of shape",
        "stretch 3, frame 1: nose",
        "stretch 4: the images hold",
        "stretch 5: images of shape ()",
    ):
        assert said in str(caught.value)


def with_companions(folder: Path) -> Path:
    """Lay macOS's companion beside each file, and what macOS's archives have beside the folder."""
    aside = folder / "__MACOSX"
    for path in list(folder.rglob("*")):
        twin = aside / path.relative_to(folder)
        if path.is_dir():
            twin.mkdir(parents=True, exist_ok=True)
            continue
        for place in (path.parent, twin.parent):
            place.mkdir(parents=True, exist_ok=True)
            (place / f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X        ")
    return folder


@pytest.mark.parametrize("data", ["cam0", "labeled-data/cam0", "project/labeled-data/cam0"])
def test_companions_of_macos_are_no_labels(tmp_path: Path, data: str) -> None:
    folder = tmp_path / "set" / data
    folder_of(folder, [row_of(folder, "1.png", "5", "6")])
    with_companions(tmp_path / "set")
    opened = tmp_path / "set" / data.split("/")[0]
    labels = read_labels(opened)
    assert (labels.videos, len(labels)) == (("cam0",), 1)


@pytest.mark.parametrize(
    ("layout", "names", "found"),
    [
        ("any", ["a/labels.csv"], ["a/labels.csv"]),
        ("any", ["a/x.slp", "b/labeled-data/cam0/CollectedData_me.h5"], ["a/x.slp", "b"]),
        ("facemap", ["a/x_Facemap_refined_data.npy"], ["a/x_Facemap_refined_data.npy"]),
        ("lightning-pose", ["a/CollectedData.csv", "a/labeled-data/cam0/1.png"], ["a"]),
    ],
)
def test_companions_of_macos_are_no_sources_of_a_set(
    tmp_path: Path, layout: str, names: list[str], found: list[str]
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    assert set_sources(with_companions(tmp_path), layout) == tuple(tmp_path / name for name in found)
