"""Opening a label set to be labelled on: in place where rtface wrote its table, else as a copy in a new folder."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import yaml

from rtface.acquire.picturefile import is_picture
from rtface.core.clock import utc
from rtface.core.errors import DataError, UsageError
from rtface.core.files import file_hash, printable, write_json
from rtface.core.records import FloatArray
from rtface.learn.labels.formats.checks import check_size, read_image
from rtface.learn.labels.formats.deeplabcut import CONFIG_FILE
from rtface.learn.labels.formats.table import TABLE_FILE, TableRow, read_table_rows, write_table
from rtface.learn.labels.labelling_folder import CHOSEN_FILE
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.set_record import DATA_FOLDER, FILE_STEM
from rtface.screen.label.journal import JournalEntry, create_journal
from rtface.screen.label.project import JOURNAL, Clock, LabelProject
from rtface.screen.label.values import Change, keypoint_name

MAX_OPEN = 32
"""Label sets that are kept in memory; of more, the one that was used longest ago is read again when it is wanted."""


class OpenSets:
    """The label sets that are open, each once in the process; for several threads."""

    def __init__(self, now: Clock = utc) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, LabelProject] = OrderedDict()

    def get(self, folder: Path) -> LabelProject:
        """Return the label set of a folder that has a journal.

        Raises
        ------
        UsageError
            It has none.
        DataError
            The journal is damaged.
        """
        folder = folder.resolve()
        with self._lock:
            if not (folder / JOURNAL).is_file():
                self._open.pop(folder, None)
                raise UsageError(f"{folder.name} is no label set that was opened here: open it first")
            if folder not in self._open or self._open[folder].failed:
                self._open[folder] = LabelProject(folder, self._now)
            self._open.move_to_end(folder)
            while len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)
            return self._open[folder]


def begin_labelling(folder: Path, who: str, now: Clock = utc) -> None:
    """Give a folder with ``labels.csv`` its journal, once; the labels that are there are its first.

    Raises
    ------
    UsageError
        Somebody other than rtface made or changed the table: `copy_to_label` takes it into a folder of its own.
    DataError
        The table or an image is wrong.
    """
    if (folder / JOURNAL).is_file():
        return
    table = folder / TABLE_FILE
    if not table.is_file():
        raise UsageError(f"{folder.name} has no {TABLE_FILE}")
    if not written_by_rtface(folder):
        raise UsageError(
            f"{table.name} of {folder.name} was made or changed by hand, and is not written over: carry on in a copy"
        )
    keypoints, rows = read_table_rows(folder)
    faults = [str(row) for row in rows if isinstance(row, DataError)]
    if faults:
        raise DataError(faults[0])
    names = {name: f"p{place}" for place, name in enumerate(keypoints, 1)}
    changes: list[Change] = [(("name", point), name) for name, point in names.items()]
    acts: list[tuple[Change, ...]] = [tuple(changes)]
    chosen = _chosen(folder)
    for place, row in enumerate((row for row in rows if isinstance(row, TableRow)), 1):
        acts.append(_frame_changes(folder, f"f{place}", row, list(names.values()), chosen))
    at = now().isoformat(timespec="milliseconds").replace("+00:00", "Z")
    files = {"files": {TABLE_FILE: file_hash(table)}}
    entries = [
        JournalEntry(0, at, who, "start", f"start{place}", act, about=files if not place else None)
        for place, act in enumerate(acts)
    ]
    create_journal(folder / JOURNAL, entries)


def copy_to_label(
    source: Path,
    folder: Path,
    who: str,
    keypoints: Sequence[str] = (),
    now: Clock = utc,
    *,
    part: Callable[[str], AbstractContextManager[object]] = nullcontext,
) -> LabelSet:
    """Copy labels of any format that rtface reads into a new folder, and begin to label there; the source stays as it is.

    Images of a project of DeepLabCut's that nobody labelled yet come too.

    Parameters
    ----------
    source, folder : Path
        The labels, or a folder of images; a new folder.
    who : str
    keypoints : sequence of str
        Names that the set gets beside those of the labels.
    part : callable
        Given the name of each part of the work; what it returns is open while that is done.

    Raises
    ------
    UsageError
        No keypoint is named.
    DataError
        The labels cannot be read, or the folder is there already.
    """
    with part("reading the labels and images"):
        labels = _labels_of(source)
    names = tuple(dict.fromkeys((*labels.keypoints, *map(keypoint_name, keypoints))))
    if not names:
        raise UsageError("name the keypoints that are to be labelled: these images have none yet")
    if not labels.frames:
        raise DataError(f"{source} holds no frames")
    with part(f"writing {len(labels.frames)} frames"):
        write_table(labels.arranged(names), folder)
    _note_as_written(folder, {"copied_from": printable(str(source))})
    with part("beginning the journal"):
        begin_labelling(folder, who, now)
    return labels


def new_set(folder: Path, keypoints: Sequence[str], who: str, now: Clock = utc) -> None:
    """Begin a label set without frames, for those that are caught from the live picture.

    Raises
    ------
    UsageError
        No keypoint is named.
    DataError
        The folder is there already.
    """
    names = tuple(dict.fromkeys(map(keypoint_name, keypoints)))
    if not names:
        raise UsageError("name the keypoints that are to be labelled")
    write_table(LabelSet(names, ()), folder)
    _note_as_written(folder, {})
    begin_labelling(folder, who, now)


def face_in(folder: Path) -> dict[str, Any] | None:
    """Return the crop of the face with which a set's frames were chosen; None where that is not known."""
    crop = _chosen(folder).get("crop")
    return crop if isinstance(crop, dict) else None


def written_by_rtface(folder: Path) -> bool:
    """Return whether a folder's ``labels.csv`` is as rtface wrote it, by ``chosen.json``."""
    tables = _chosen(folder).get("tables")
    try:
        return isinstance(tables, dict) and tables.get(TABLE_FILE) == file_hash(folder / TABLE_FILE)
    except OSError:
        return False


def _note_as_written(folder: Path, about: Mapping[str, Any]) -> None:
    chosen = {**about, "frames": [], "tables": {TABLE_FILE: file_hash(folder / TABLE_FILE)}}
    try:
        write_json(folder / CHOSEN_FILE, chosen)
    except OSError as error:
        raise DataError(f"{folder / CHOSEN_FILE} cannot be written: {error.strerror or error}") from error


def _chosen(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / CHOSEN_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _frame_changes(
    folder: Path, frame: str, row: TableRow, points: Sequence[str], chosen: Mapping[str, Any]
) -> tuple[Change, ...]:
    """Return a table's row as the changes that bring its frame and labels in."""
    image = read_image(row.file, row.where)
    if row.size is not None:
        check_size(image, *row.size, row.where)
    height, width = image.shape
    try:
        file = PurePosixPath(row.file.resolve().relative_to(folder.resolve())).as_posix()
    except ValueError:
        raise UsageError(f"{row.where}: {row.file} is outside the folder of its label set") from None
    value: dict[str, Any] = {
        "file": file,
        "video": printable(row.video),
        "name": printable(row.name),
        "width": width,
        "height": height,
        "from": _why(row, chosen),
    }
    changes: list[Change] = [(("frame", frame), value)]
    for point, (x, y) in zip(points, row.xy.tolist(), strict=True):
        if x == x and y == y:
            if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
                raise DataError(
                    f"{row.where}: ({x:g}, {y:g}) is outside the image of {width}x{height} pixels"
                )
            changes.append((("label", "first", frame, point), {"x": x, "y": y, "from": "file"}))
    return tuple(changes)


def _why(row: TableRow, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return why `learn suggest` chose a frame, as far as that is known."""
    for each in chosen.get("frames") or ():
        if (
            isinstance(each, dict)
            and each.get("video") == row.video
            and row.name == f"frame{each.get('frame', -1):06d}.png"
        ):
            return {key: each[key] for key in ("rank", "frame", "time_s", "why", "doubt") if key in each}
    return {}


def _labels_of(source: Path) -> LabelSet:
    """Read labels, and with DeepLabCut's the images without any."""
    images = _images_without_labels(source)
    tables = source.is_dir() and any(source.rglob(f"{FILE_STEM}*"))
    labels = LabelSet((), ()) if images and not tables else read_labels(source, unlabelled=True)
    names = tuple(dict.fromkeys((*_bodyparts(source), *labels.keypoints)))
    known = {(frame.video, frame.name) for frame in labels.frames}
    empty: FloatArray = np.full((len(names), 2), np.nan, np.float32)
    frames = [
        LabelledFrame(path.name, path.parent.name, read_image(path, str(path)), empty)
        for path in images
        if (path.parent.name, path.name) not in known
    ]
    arranged = labels.arranged(names)
    return LabelSet(names, (*arranged.frames, *frames), labels.notes, arranged.distances, labels.origins)


def _images_without_labels(source: Path) -> list[Path]:
    if not source.is_dir() or (source / TABLE_FILE).is_file():
        return []
    data = source / DATA_FOLDER
    folders = [each for each in data.iterdir() if each.is_dir()] if data.is_dir() else [source]
    if any(source.glob(f"{FILE_STEM}*.csv")) and data.is_dir():
        return []  # Lightning Pose keeps the neighbours of labelled frames beside them
    return sorted(
        path
        for each in folders
        if not each.name.endswith("_labeled")
        for path in each.iterdir()
        if is_picture(path)
    )


def _bodyparts(project: Path) -> list[str]:
    config = project / CONFIG_FILE
    if not config.is_file():
        return []
    try:
        settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"{config} cannot be read: {error}") from error
    parts = settings.get("bodyparts") if isinstance(settings, dict) else None
    return [str(part) for part in parts] if isinstance(parts, list) else []
