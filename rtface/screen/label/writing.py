"""A label set as files: rtface's ``labels.csv`` in its folder, and DeepLabCut's tables in a folder of their own.

A file is replaced only where it is as rtface wrote it, by a hash in the journal that is there before the file is. One
that somebody changed since stays, until its labels are taken in.
"""

from __future__ import annotations

import hashlib
import io
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError, UsageError
from rtface.core.extras import is_installed
from rtface.core.files import file_hash, safe_name, written_whole
from rtface.learn.labels.confirmed import CONFIRMED_FILE, ConfirmedGuess, confirmed_text
from rtface.learn.labels.formats.deeplabcut_csv import label_csv
from rtface.learn.labels.formats.deeplabcut_tables import write_labels
from rtface.learn.labels.formats.table import FRAMES_FOLDER, TABLE_FILE, read_table_rows, write_rows
from rtface.learn.labels.set_record import DATA_FOLDER, FILE_STEM
from rtface.screen.label.project import LabelFrame, LabelProject
from rtface.screen.label.values import MAX_CHANGES

DEEPLABCUT_OUT = "labels-for-deeplabcut"
"""In a label set's folder: images and tables as DeepLabCut has them."""

_SCORER = re.compile(r"[\w.-]{1,60}")
_SAME = 6e-4


@dataclass(frozen=True, slots=True)
class WrittenLabels:
    """What was written.

    Attributes
    ----------
    files : tuple of str
        Names relative to the label set's folder, of those that are new or were replaced.
    frames, labels : int
        In them.
    note : str
        What else is to be said.
    """

    files: tuple[str, ...]
    frames: int
    labels: int
    note: str = ""


def write_own(project: LabelProject, who: str) -> WrittenLabels:
    """Write ``labels.csv``, all frames but those left out with their labels of the first pass, and which are confirmed guesses.

    Raises
    ------
    UsageError
        Somebody changed the file since rtface wrote it.
    DataError
        It cannot be written.
    """
    frames = project.frames(skipped=False)
    xy = labels_of(project, frames)
    text = io.StringIO()
    rows = [
        (_within_frames(each.file), each.video, each.name, (each.width, each.height), values)
        for each, values in zip(frames, xy, strict=True)
    ]
    write_rows(text, list(project.points().values()), rows)
    data = text.getvalue().encode()
    files = _replace(project, who, TABLE_FILE, data)
    if (guesses := _confirmed(project, frames)) or (project.folder / CONFIRMED_FILE).exists():
        files += _replace(project, who, CONFIRMED_FILE, confirmed_text(guesses).encode())
    return WrittenLabels(files, len(frames), int((~np.isnan(xy[..., 0])).sum()))


def write_deeplabcut(project: LabelProject, who: str, scorer: str) -> WrittenLabels:
    """Write each recording's labelled frames as DeepLabCut and napari open them; h5 too where pandas is installed.

    Raises
    ------
    UsageError
        Somebody changed one of the files since rtface wrote it, or no frame is labelled.
    DataError
        They cannot be written.
    """
    if not _SCORER.fullmatch(scorer):
        raise UsageError("a scorer's name has 1 to 60 letters, digits, dots, dashes or underscores")
    frames = project.frames(skipped=False)
    xy = labels_of(project, frames)
    labelled = (~np.isnan(xy[..., 0])).any(axis=1)
    if not labelled.any():
        raise UsageError("no frame is labelled yet")
    places: dict[tuple[str, str], int] = {}
    for at in np.flatnonzero(labelled).tolist():
        place = _deeplabcut_place(frames[at])
        if place in places:
            raise DataError(f"two frames would be {'/'.join(place)}")
        places[place] = at
    names = list(project.points().values())
    files: list[str] = []
    for video in dict.fromkeys(video for video, _ in places):
        here = sorted((image, at) for (folder, image), at in places.items() if folder == video)
        target = PurePosixPath(DEEPLABCUT_OUT, DATA_FOLDER, video)
        for image, at in here:
            data = project.image(frames[at].frame).read_bytes()
            files += _replace(project, who, str(target / image), data)
        images = [(DATA_FOLDER, video, image) for image, _ in here]
        points = xy[[at for _, at in here]]
        table = target / f"{FILE_STEM}_{scorer}.csv"
        new = _replace(project, who, str(table), label_csv(scorer, images, names, points).encode())
        files += new
        if has_h5() and (new or not (project.folder / table.with_suffix(".h5")).exists()):
            files += _write_h5(project, who, table, scorer, images, names, points)
    note = "" if has_h5() else "without .h5, which needs pip install '.[lab]'"
    return WrittenLabels(tuple(files), len(places), int((~np.isnan(xy[..., 0])).sum()), note)


def has_h5() -> bool:
    """Return whether DeepLabCut's h5 can be written here."""
    return is_installed("pandas") and is_installed("tables")


def changed_outside(project: LabelProject) -> bool:
    """Return whether somebody changed ``labels.csv`` since rtface wrote it."""
    table = project.folder / TABLE_FILE
    return table.is_file() and file_hash(table) not in project.known_files().get(TABLE_FILE, ())


def take_in(project: LabelProject, who: str) -> int:
    """Take labels that somebody wrote into ``labels.csv`` into the journal, as acts of `who`; return how many changed.

    That is what differs from the file as rtface wrote it last: labels that were placed here since stay.

    Raises
    ------
    DataError
        The table is wrong, or has a frame that the set has not.
    """
    sha256 = file_hash(project.folder / TABLE_FILE)
    keypoints, rows = read_table_rows(project.folder)
    changes: list[object] = []
    points = {name: point for point, name in project.points().items()}
    first = int(project.next_point()[1:])
    for place, name in enumerate(name for name in keypoints if name not in points):
        points[name] = f"p{first + place}"
        changes.append([["name", points[name]], name])
    frames = {(project.folder / each.file).resolve(): each for each in project.frames()}
    labels = project.when_written(TABLE_FILE)
    for row in rows:
        if isinstance(row, DataError):
            raise row
        frame = frames.get(row.file.resolve())
        if frame is None:
            raise DataError(f"{row.where}: the label set has no frame with the image {row.file.name}")
        for name, (x, y) in zip(keypoints, row.xy.tolist(), strict=True):
            key = ["label", "first", frame.frame, points[name]]
            before = labels.get((frame.frame, points[name])) or {}
            if x != x or y != y:
                changes += [[key, None]] if "x" in before else []
            elif "x" not in before or abs(before["x"] - x) > _SAME or abs(before["y"] - y) > _SAME:
                changes.append([key, {"x": x, "y": y, "from": "file"}])
    for at in range(0, len(changes), MAX_CHANGES):
        project.act(who, "take", changes[at : at + MAX_CHANGES])
    project.note_files(who, {TABLE_FILE: sha256})
    return len(changes)


def labels_of(project: LabelProject, frames: Sequence[LabelFrame]) -> NDArray[np.float64]:
    """Return the labels of the first pass on some frames, shape (N, K, 2); NaN where there is none or the point is hidden."""
    points = {point: place for place, point in enumerate(project.points())}
    rows = {each.frame: place for place, each in enumerate(frames)}
    xy = np.full((len(frames), len(points), 2), np.nan)
    for (frame, point), found in project.labels("first").items():
        if frame in rows and point in points and "x" in found.value:
            xy[rows[frame], points[point]] = found.value["x"], found.value["y"]
    return xy


def _confirmed(project: LabelProject, frames: Sequence[LabelFrame]) -> list[ConfirmedGuess]:
    """Return the labels of the first pass that are guesses which a person confirmed where they lay."""
    names, by_frame = project.points(), {each.frame: each for each in frames}
    return [
        ConfirmedGuess(
            by_frame[frame].video, by_frame[frame].name, names[point], found.value["x"], found.value["y"]
        )
        for (frame, point), found in project.labels("first").items()
        if found.value.get("from") == "guess" and frame in by_frame and point in names
    ]


def _replace(project: LabelProject, who: str, name: str, data: bytes) -> tuple[str, ...]:
    """Write a file if it is new, or is as rtface wrote it and not what it should be now; return its name then."""
    path = project.folder / name
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        if path.exists():
            if (present := file_hash(path)) == sha256:
                return ()
            if present not in project.known_files().get(name, ()):
                raise UsageError(
                    f"{name} was changed outside this page, and is not written over: take its labels in, or move it"
                )
        if sha256 not in project.known_files().get(name, ()):
            project.note_files(who, {name: sha256})
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path, durable=True) as fresh:
            fresh.write_bytes(data)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
    return (name,)


def _write_h5(
    project: LabelProject,
    who: str,
    table: PurePosixPath,
    scorer: str,
    images: Sequence[tuple[str, ...]],
    names: Sequence[str],
    xy: NDArray[np.float64],
) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as made:
        stem = Path(made) / table.stem
        write_labels(stem, scorer, images, names, xy)
        return _replace(project, who, str(table.with_suffix(".h5")), stem.with_suffix(".h5").read_bytes())


def _within_frames(file: str) -> str:
    """Return an image's name as the csv has it: relative to ``frames``."""
    path = PurePosixPath(file)
    return (
        str(PurePosixPath(*path.parts[1:]))
        if path.parts[0] == FRAMES_FOLDER and len(path.parts) > 1
        else file
    )


def _deeplabcut_place(frame: LabelFrame) -> tuple[str, str]:
    """Return the recording's folder and the image's name."""
    parts = PurePosixPath(frame.file).parts
    return parts[-2] if len(parts) > 2 else safe_name(frame.video) or "_", parts[-1]
