"""rtface's own label sets: ``labels.csv`` beside a folder ``frames``.

The csv has the column ``file`` and, for each keypoint, ``NAME_x`` and ``NAME_y``: pixels of the image, pixel centres
at integers; an empty cell is a missing label. Optional columns: ``video``, the recording (else the name of the
csv's folder); ``name``, the frame's name (else its file's); ``width`` and ``height``, the image's size when it was
labelled. Other columns are ignored. Images lie in ``frames`` beside the csv, or relative to the csv.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.files import MARKING, folder_written_whole, safe_name
from rtface.core.records import FloatArray
from rtface.learn.distances import write_distances
from rtface.learn.labels.formats.checks import (
    NOTHING_THERE,
    Fault,
    Row,
    check_size,
    gather,
    number,
    read_image,
)
from rtface.learn.labels.formats.spreadsheet import read_cells
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.set_record import write_origins

TABLE_FILE = "labels.csv"
FRAMES_FOLDER = "frames"
_SIZE = ("width", "height")


@dataclass(frozen=True, slots=True)
class TableRow:
    """A line of a csv of labels; its image was not read.

    Attributes
    ----------
    where : str
        The file and the line, for messages.
    file : Path
        The image.
    name, video : str
        As in `rtface.learn.labels.labelset.LabelledFrame`.
    size : tuple of int or None
        Width and height of the image when it was labelled.
    xy : ndarray, shape (K, 2), float64
        Pixels of the image; NaN where there is no label.
    """

    where: str
    file: Path
    name: str
    video: str
    size: tuple[int, int] | None
    xy: NDArray[np.float64]


def read_table(path: Path) -> LabelSet:
    """Read a csv of labels, or the folder of its ``labels.csv``.

    Raises
    ------
    DataError
        A file or column is missing, a row is wrong, or an image does not fit its labels; named with the line.
    """
    keypoints, rows = read_table_rows(path)
    table = path / TABLE_FILE if path.is_dir() else path
    return gather(table, keypoints, (_with_image(row) for row in rows))


def read_table_rows(path: Path) -> tuple[list[str], list[TableRow | DataError]]:
    """Return the keypoints of a csv of labels, or of the folder of its ``labels.csv``, and its rows without their images.

    Raises
    ------
    DataError
        The file or a column is missing. What is wrong in a row stands in the row's place.
    """
    path = path / TABLE_FILE if path.is_dir() else path
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = read_cells(file)
            _, header = next(lines, (1, []))
            keypoints = _keypoints(path, header)
            return keypoints, list(_rows(path, lines, header, keypoints))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no csv in UTF-8: {error}") from error


def write_table(labels: LabelSet, folder: Path) -> Path:
    """Write a label set so that `read_table` returns it unchanged; images as png, coordinates to the last bit.

    Returns
    -------
    Path
        The csv.

    Raises
    ------
    DataError
        The folder exists and is not empty, or cannot be written. Nothing is left half written.
    """
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder} exists already; labels are never overwritten: name a new folder")
    try:
        with folder_written_whole(folder) as fresh:
            _write(labels, fresh)
            write_distances(fresh, labels.distances)
            write_origins(fresh, labels.origins)
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error.strerror or error}") from error
    return folder / TABLE_FILE


def _keypoints(path: Path, header: Sequence[str]) -> list[str]:
    if "file" not in header:
        raise DataError(
            f"{path}: line 1: the column file is missing; there is {', '.join(header) or 'nothing'}"
        )
    if repeated := sorted({name for name in header if name and header.count(name) > 1}):
        raise DataError(f"{path}: line 1: the column {repeated[0]} is there twice")
    if ("width" in header) != ("height" in header):
        raise DataError(f"{path}: line 1: of the columns width and height there is only one")
    stems = {axis: [name[:-2] for name in header if name.endswith(f"_{axis}")] for axis in "xy"}
    for one, other in ("xy", "yx"):
        if alone := [stem for stem in stems[one] if stem not in stems[other]]:
            raise DataError(f"{path}: line 1: there is {alone[0]}_{one} but no {alone[0]}_{other}")
    if not stems["x"]:
        raise DataError(f"{path}: line 1: there is no keypoint, no pair of columns NAME_x and NAME_y")
    return stems["x"]


def _rows(
    path: Path, lines: Iterator[tuple[int, list[str]]], header: Sequence[str], keypoints: Sequence[str]
) -> Iterator[TableRow | DataError]:
    for line, cells in lines:
        if any(cells):
            try:
                yield _row(path, f"{path}: line {line}", cells, header, keypoints)
            except DataError as error:
                yield error


def _row(
    path: Path, where: str, cells: list[str], header: Sequence[str], keypoints: Sequence[str]
) -> TableRow:
    if len(cells) != len(header):
        raise DataError(f"{where}: {len(cells)} cells, but the header has {len(header)}")
    row = dict(zip(header, cells, strict=True))
    if not row["file"]:
        raise DataError(f"{where}: the file's name is empty")
    xy = np.array(
        [
            [number(row[f"{keypoint}_{axis}"], f"{keypoint}_{axis}", where) for axis in "xy"]
            for keypoint in keypoints
        ],
        np.float64,
    )
    size = None
    if any(row.get(side) for side in _SIZE):
        width, height = (number(row[side], side, where) for side in _SIZE)
        if not (width.is_integer() and height.is_integer()):
            raise DataError(f"{where}: the size {row['width']}x{row['height']} is not in whole pixels")
        size = int(width), int(height)
    video = row.get("video") or path.resolve().parent.name
    return TableRow(
        where, _image_path(path.parent, row["file"]), row.get("name") or row["file"], video, size, xy
    )


def _with_image(row: TableRow | DataError) -> Row | Fault:
    if isinstance(row, DataError):
        return row
    if np.isnan(row.xy).all() and not row.file.exists():
        return NOTHING_THERE
    try:
        image = read_image(row.file, row.where)
        if row.size is not None:
            check_size(image, *row.size, row.where)
    except DataError as error:
        return error
    return Row(row.where, row.name, row.video, image, row.xy)


def _image_path(folder: Path, file: str) -> Path:
    """Return where an image is, or where it should be."""
    within = folder / FRAMES_FOLDER / file
    beside = folder / file
    return beside if beside.is_file() and not within.is_file() else within


def write_rows(
    file: TextIO,
    keypoints: Sequence[str],
    rows: Iterable[tuple[str, str, str, tuple[int, int], FloatArray | NDArray[np.float64]]],
) -> None:
    """Write the lines of a csv of labels.

    Parameters
    ----------
    file : text file
        Opened with ``newline=""``.
    keypoints : sequence of str
        Names, K of them.
    rows : iterable of tuple
        Of each frame the image's name, the recording, the frame's name, width and height, and the labels: an array of
        shape (K, 2), NaN where there is none.
    """
    columns = [f"{keypoint}_{axis}" for keypoint in keypoints for axis in "xy"]
    table = csv.writer(file, lineterminator="\n")
    table.writerow(["file", "video", "name", *_SIZE, *columns])
    for image, video, name, size, xy in rows:
        numbers = ["" if np.isnan(value) else str(value) for value in xy.ravel()]
        table.writerow([image, video, name, *size, *numbers])


def _write(labels: LabelSet, folder: Path) -> None:
    taken: set[str] = set()
    rows = []
    for frame in labels.frames:
        image = _free_name(frame, taken)
        target = folder / FRAMES_FOLDER / image
        target.parent.mkdir(parents=True, exist_ok=True)
        done, png = cv2.imencode(".png", frame.image)
        if not done:
            raise DataError(f"the image of frame {frame.name!r} cannot be written as png")
        target.write_bytes(png.tobytes())
        height, width = frame.image.shape
        rows.append((image, frame.video, frame.name, (width, height), frame.xy))
    with (folder / TABLE_FILE).open("x", newline="", encoding="utf-8", errors=MARKING) as file:
        write_rows(file, labels.keypoints, rows)


def _free_name(frame: LabelledFrame, taken: set[str]) -> str:
    """Return a file name of no other frame, even where the file system does not tell case apart."""
    stem = re.sub(r"\.(png|jpe?g|tiff?|bmp)$", "", frame.name, flags=re.IGNORECASE)
    video, stem = (safe_name(text) or "_" for text in (frame.video, stem))
    name, count = f"{video}/{stem}.png", 1
    while name.casefold() in taken:
        count += 1
        name = f"{video}/{stem}~{count}.png"
    taken.add(name.casefold())
    return name
