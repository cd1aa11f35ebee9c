"""Labelled frames: a csv of keypoints and a folder of images, checked."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from rtface.errors import DataError
from rtface.records import FACEMAP_KEYPOINTS, FloatArray, Image

SIDE_VIEW_NAMES = {"whisker 1": "whisker(II)", "whisker 2": "whisker(I)", "whisker 3": "whisker(III)"}
"""Keypoints of the side-view set that have other names than Facemap's, matched by position."""


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """One frame and its labels.

    Attributes
    ----------
    name : str
        The image file's name.
    video : str
        Which recording it is of; frames of one recording are never split between training and test.
    image : ndarray, shape (height, width), uint8
    xy : ndarray, shape (15, 2), float32
        Pixels of the frame, in the order of `FACEMAP_KEYPOINTS`; NaN where there is no label.
    """

    name: str
    video: str
    image: Image
    xy: FloatArray


def read_side_view(folder: Path) -> list[LabelledFrame]:
    """Read a folder with ``labels.csv`` and ``frames/``.

    The csv has the columns ``file``, ``video`` and, for each keypoint, ``NAME_x`` and ``NAME_y``; an empty cell is a
    missing label.

    Raises
    ------
    DataError
        A file or column is missing, a cell is no number, or a label lies outside its image; named with the line.
    """
    path = folder / "labels.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = _columns(path, reader.fieldnames or ())
            return [_frame(path, line, row, columns) for line, row in enumerate(reader, start=2)]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _columns(path: Path, names: Sequence[str]) -> dict[int, str]:
    """Return the csv's name of each Facemap keypoint that it has."""
    if missing := {"file", "video"} - set(names):
        raise DataError(f"{path}: line 1: the column {sorted(missing)[0]} is missing")
    found: dict[int, str] = {}
    for name in names:
        if not name.endswith("_x"):
            continue
        stem = name[:-2]
        if f"{stem}_y" not in names:
            raise DataError(f"{path}: line 1: there is {name} but no {stem}_y")
        keypoint = SIDE_VIEW_NAMES.get(stem, stem)
        if keypoint not in FACEMAP_KEYPOINTS:
            raise DataError(f"{path}: line 1: {stem} is no keypoint of Facemap's")
        found[FACEMAP_KEYPOINTS.index(keypoint)] = stem
    return found


def _frame(path: Path, line: int, row: dict[str, str], columns: dict[int, str]) -> LabelledFrame:
    source = path.parent / "frames" / row["file"]
    image = cv2.imread(str(source), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise DataError(f"{path}: line {line}: {source} is missing or no image")
    height, width = image.shape
    xy = np.full((len(FACEMAP_KEYPOINTS), 2), np.nan, np.float32)
    for index, stem in columns.items():
        cells = row[f"{stem}_x"], row[f"{stem}_y"]
        if not all(cells):
            continue
        try:
            x, y = float(cells[0]), float(cells[1])
        except ValueError:
            raise DataError(f"{path}: line {line}: {stem} is {cells}, not two numbers") from None
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise DataError(
                f"{path}: line {line}: {stem} at ({x:g}, {y:g}) is outside the image of {width}x{height} pixels"
            )
        xy[index] = x, y
    return LabelledFrame(row["file"], row["video"], np.asarray(image, np.uint8), xy)
