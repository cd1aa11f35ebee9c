"""DeepLabCut's labels: a project, one folder of ``labeled-data``, or one ``CollectedData`` file; Lightning Pose's projects.

Lightning Pose has the tables of all recordings in one csv above ``labeled-data``, and a second one of the recordings that it
tests on; of a project all are read. Frames without a row, the neighbours of labelled ones, are not.

DeepLabCut writes the same labels as csv and as h5: of a folder the csv is read, and the h5 only where there is no csv. A
path to one file reads that file.

A row's image is taken from beside its file first, then by the row's own path under ``labeled-data``; the recording is
the folder of the image. Coordinates are kept as they are: napari, which DeepLabCut labels with, counts pixels as
rtface does. DeepLabCut does not record the size of an image, so sizes are not checked, only that labels lie within.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.learn.labels.formats.checks import NOTHING_THERE, Fault, Row, gather, number, read_image
from rtface.learn.labels.formats.deeplabcut_tables import read_h5_table
from rtface.learn.labels.formats.spreadsheet import read_cells
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.labels.set_record import DATA_FOLDER, FILE_STEM

CONFIG_FILE = "config.yaml"


@dataclass(frozen=True, slots=True)
class _Labels:
    """One CollectedData file: its frames' paths as parts, where in the file they stand, and which rows are wrong."""

    path: Path
    keypoints: tuple[str, ...]
    images: list[tuple[str, ...]]
    places: list[str]
    xy: NDArray[np.float64]
    faults: tuple[DataError, ...] = ()


def read_deeplabcut(path: Path) -> LabelSet:
    """Read a project's folder, one folder of its ``labeled-data``, or one ``CollectedData`` csv or h5.

    A project of Lightning Pose likewise.

    Raises
    ------
    DataError
        The project has several animals, a file is missing, damaged, or holds predictions instead of labels, or an
        image or a label is wrong; named with the file and the line or row.
    """
    if path.is_file():
        files = [_read_file(path)]
    elif tables := _lightning_pose_tables(path):
        files = [_read_file(table) for table in tables]
    elif (path / CONFIG_FILE).is_file() or (path / DATA_FOLDER).is_dir():
        files = _read_project(path)
    elif not any(path.glob(f"{FILE_STEM}*")) and any(path.glob(f"*/{FILE_STEM}*")):
        files = _read_data_folder(path, None)
    else:
        files = [_read_folder(path, None)]
    keypoints = tuple(dict.fromkeys(name for file in files for name in file.keypoints))
    return gather(path, keypoints, (row for file in files for row in _rows(file, keypoints)))


def _lightning_pose_tables(project: Path) -> list[Path]:
    """Return the tables of a project of Lightning Pose: above ``labeled-data``, where DeepLabCut has one in each folder."""
    data = project / DATA_FOLDER
    if not data.is_dir() or any(file.suffix in (".csv", ".h5") for file in data.glob(f"*/{FILE_STEM}*")):
        return []
    return sorted(project.glob(f"{FILE_STEM}*.csv"))


def _read_project(project: Path) -> list[_Labels]:
    config = project / CONFIG_FILE
    scorer = None
    if config.is_file():
        try:
            settings = yaml.safe_load(config.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise DataError(f"{config} cannot be read: {error}") from error
        if not isinstance(settings, dict):
            raise DataError(f"{config} is no DeepLabCut configuration")
        if settings.get("multianimalproject"):
            raise _several_animals(config)
        scorer = settings.get("scorer")
    return _read_data_folder(project / DATA_FOLDER, scorer)


def _read_data_folder(data: Path, scorer: str | None) -> list[_Labels]:
    # Videos' folders with drawn labels end in "_labeled" and hold no labels of their own.
    folders = sorted({file.parent for file in data.glob(f"*/{FILE_STEM}*") if file.suffix in (".csv", ".h5")})
    if not folders:
        raise DataError(f"{data} has no folder with labels: no */{FILE_STEM}_SCORER.csv or .h5")
    return [_read_folder(folder, scorer) for folder in folders]


def _read_folder(folder: Path, scorer: str | None) -> _Labels:
    """Read a folder's labels; of several scorers', those of the project's."""
    found = {file.suffix: file for file in folder.glob(f"{FILE_STEM}_{scorer}.*")} if scorer else {}
    if not found.keys() & {".csv", ".h5"}:
        files = [file for file in sorted(folder.glob(f"{FILE_STEM}*")) if file.suffix in (".csv", ".h5")]
        if len({file.stem for file in files}) > 1:
            raise DataError(
                f"{folder} holds labels of several scorers ({', '.join(file.name for file in files)}); name one file"
            )
        found = {file.suffix: file for file in files}
    if not found:
        raise DataError(f"{folder} holds no labels: no {FILE_STEM}_SCORER.csv or .h5")
    return _read_file(found[".csv" if ".csv" in found else ".h5"])


def _read_file(path: Path) -> _Labels:
    if path.suffix == ".csv":
        return _read_csv(path)
    columns, images, values = read_h5_table(path)
    keypoints = _keypoints(path, columns)
    places = [f"row {row + 1}" for row in range(len(images))]
    parts = [_parts(image, f"{path}: {place}") for image, place in zip(images, places, strict=True)]
    return _Labels(path, keypoints, parts, places, _points(values, columns, keypoints))


def _read_csv(path: Path) -> _Labels:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = read_cells(file)
            header: list[list[str]] = []
            for _, cells in lines:
                header.append(cells)
                if not cells or cells[0] == "coords" or len(header) > 4:
                    break
            levels = [cells[0] if cells else "" for cells in header]
            if levels[-1:] != ["coords"]:
                raise DataError(
                    f"{path}: line 1: no header of DeepLabCut's (scorer, bodyparts, coords), but {levels}"
                )
            # Newer versions write three index columns (labeled-data, video, image), older ones the path in one.
            index = next((at for at, cell in enumerate(header[-1]) if at and cell), len(header[-1]))
            columns = list(zip(*(cells[index:] for cells in header), strict=True))
            keypoints = _keypoints(path, columns)
            images, places, values, faults = [], [], [], []
            for line, cells in lines:
                if not any(cells):
                    continue
                try:
                    image, row = _csv_row(f"{path}: line {line}", cells, index, columns)
                except DataError as error:
                    faults.append(error)
                    continue
                images.append(image)
                places.append(f"line {line}")
                values.append(row)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except (csv.Error, UnicodeDecodeError, ValueError) as error:
        raise DataError(f"{path} is no csv of DeepLabCut's: {error}") from error
    table = np.array(values, np.float64).reshape(len(values), len(columns))
    points = _points(table, columns, keypoints)
    return _Labels(path, keypoints, images, places, points, tuple(faults))


def _csv_row(
    where: str, cells: list[str], index: int, columns: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], list[float]]:
    """Return the path of a line's image as parts, and its numbers."""
    if len(cells) != index + len(columns):
        raise DataError(f"{where}: {len(cells)} cells, the header has {index + len(columns)}")
    image = _parts(cells[:index], where)
    numbers = zip(cells[index:], columns, strict=True)
    return image, [number(cell, " ".join(column[-2:]), where) for cell, column in numbers]


def _keypoints(path: Path, columns: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the body parts, after checking that the columns are labels of one animal."""
    if any(len(column) == 4 for column in columns):
        raise _several_animals(path)
    if not columns or any(len(column) != 3 for column in columns):
        raise DataError(f"{path}: its columns are not DeepLabCut's scorer, bodyparts and coords")
    if any(column[2] == "likelihood" for column in columns):
        raise DataError(
            f"{path} holds predictions, not labels: it has likelihoods. Labels are in {FILE_STEM}_* files"
        )
    if len({column[0] for column in columns}) > 1:
        raise DataError(
            f"{path} holds labels of several scorers: {sorted({column[0] for column in columns})}"
        )
    keypoints = tuple(dict.fromkeys(column[1] for column in columns))
    wanted = {(keypoint, axis) for keypoint in keypoints for axis in "xy"}
    if len(columns) != len(wanted) or {column[1:] for column in columns} != wanted:
        raise DataError(
            f"{path}: each body part needs one column x and one y; there are {len(columns)} columns"
        )
    return keypoints


def _several_animals(path: Path) -> DataError:
    return DataError(
        f"{path} is of a project of several animals; rtface tracks one animal: give it a project of one, or a "
        "csv of rtface's own with one animal's labels"
    )


def _parts(image: Sequence[str], where: str) -> tuple[str, ...]:
    """Return an image's path as parts, whichever system wrote it."""
    parts = tuple(part for piece in image for part in piece.replace("\\", "/").split("/") if part)
    if not parts:
        raise DataError(f"{where}: the image's path is empty")
    return parts


def _points(
    values: NDArray[np.float64], columns: Sequence[tuple[str, ...]], keypoints: Sequence[str]
) -> NDArray[np.float64]:
    place = {column[1:]: at for at, column in enumerate(columns)}
    return values[:, [place[keypoint, axis] for keypoint in keypoints for axis in "xy"]].reshape(
        len(values), len(keypoints), 2
    )


def _rows(labels: _Labels, keypoints: Sequence[str]) -> Iterator[Row | Fault]:
    yield from labels.faults
    columns = [keypoints.index(name) for name in labels.keypoints]
    for image, place, points in zip(labels.images, labels.places, labels.xy, strict=True):
        where = f"{labels.path}: {place}"
        path = _find_image(labels.path.resolve().parent, image)
        xy = np.full((len(keypoints), 2), np.nan)
        xy[columns] = points
        if np.isnan(xy).all() and not path.exists():
            yield NOTHING_THERE
            continue
        try:
            yield Row(where, image[-1], path.parent.name, read_image(path, where), xy)
        except DataError as error:
            yield error


def _find_image(folder: Path, image: tuple[str, ...]) -> Path:
    """Return where a row's image is, or where it should be.

    A copied or renamed folder keeps the old path in its rows, so the image beside the file is taken where the row's
    own folder is nowhere to be found.
    """
    beside = folder / image[-1]
    if len(image) == 1 or image[-2] == folder.name:
        return beside
    places = [above / DATA_FOLDER / image[-2] / image[-1] for above in (folder, *folder.parents)]
    return next((place for place in places if place.is_file()), beside)
