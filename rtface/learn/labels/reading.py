"""Label sets of any format that rtface reads, which is found out from the files."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from rtface.core.errors import DataError, nearest
from rtface.learn.distances import DISTANCES_FILE, read_distances, united
from rtface.learn.labels.confirmed import with_confirmed
from rtface.learn.labels.formats.deeplabcut import CONFIG_FILE, read_deeplabcut
from rtface.learn.labels.formats.facemap import read_facemap
from rtface.learn.labels.formats.sleap import read_sleap
from rtface.learn.labels.formats.spreadsheet import first_cell
from rtface.learn.labels.formats.table import TABLE_FILE, read_table
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.labels.set_record import (
    DATA_FOLDER,
    FILE_STEM,
    RECORD_FILE,
    read_origins,
    read_record,
    set_sources,
)

_LOG = logging.getLogger(__name__)
_KNOWN = (
    f"rtface's {TABLE_FILE} or its folder, a DeepLabCut project ({CONFIG_FILE} and {DATA_FOLDER}), folder of labels or "
    f"{FILE_STEM}_* file (.csv, .h5), SLEAP's .slp, Facemap's refined data (.npy)"
)


def read_labels(
    *paths: Path, plain: bool = False, unlabelled: bool = False, tell_notes: bool = True
) -> LabelSet:
    """Read label sets, each of whatever format, as one set.

    Keypoints keep the names of their files; those of several sets are united by name, in the order in which they
    first come, and a frame has no label for a keypoint that its set lacks. `LabelSet.renamed` brings names together.

    Parameters
    ----------
    *paths : Path
        One or more files or folders: rtface's csv (`rtface.learn.labels.formats.table`), DeepLabCut
        (`.deeplabcut`), SLEAP (`.sleap`) or Facemap's refined data (`.facemap`); or the folder of a public set that was fetched
        (`rtface.learn.labels.set_record`), whose keypoints get the names that its record gives them.
    plain : bool
        Leave records of public sets out of account.
    unlabelled : bool
        Return a set in which nobody has labelled anything yet, too.
    tell_notes : bool
        Log the notes of the set; False where the caller tells them.

    Raises
    ------
    DataError
        A path is missing or of no known format, what it holds is wrong or not one label, a frame is in two of the sets,
        or no path was given.
    """
    if not paths:
        raise DataError("no label set was named")
    if len({path.resolve() for path in paths}) < len(paths):
        raise DataError(f"a label set is named twice: {', '.join(map(str, paths))}")
    sets = [(path, _read_one(path) if plain else _read_recorded(path)) for path in paths]
    for path, each in sets:
        if each.labels == 0 and not unlabelled:
            raise DataError(f"{path} holds no labels: {len(each)} frames, not one keypoint placed")
    labels = _unite(_told_apart(sets))
    for note in labels.notes if tell_notes else ():
        _LOG.warning("%s", note)
    return labels


def _told_apart(sets: list[tuple[Path, LabelSet]]) -> list[tuple[Path, LabelSet]]:
    """Return the sets with the folder above in the name of a video that several sets call after their own folder."""
    homes = [(path if path.is_dir() else path.parent).resolve() for path, _ in sets]
    own = [home.name for home, (_, labels) in zip(homes, sets, strict=True) if home.name in labels.videos]
    apart = []
    for home, (path, labels) in zip(homes, sets, strict=True):
        old = home.name
        if own.count(old) > 1 and old in labels.videos and homes.count(home) == 1:
            new = f"{home.parent.name}/{old}"
            frames = (replace(frame, video=new) if frame.video == old else frame for frame in labels.frames)
            labels = replace(labels, frames=tuple(frames))
        apart.append((path, labels))
    return apart


def _unite(sets: list[tuple[Path, LabelSet]]) -> LabelSet:
    """Return several sets, each with where it is from, as one; DataError where two hold the same frame."""
    names = tuple(dict.fromkeys(name for _, labels in sets for name in labels.keypoints))
    origin: dict[tuple[str, str], Path] = {}
    for path, labels in sets:
        for frame in labels.frames:
            earlier = origin.setdefault((frame.video, frame.name), path)
            if earlier is not path:
                raise DataError(
                    f"{path}: frame {frame.name!r} of video {frame.video!r} is in {earlier} too; "
                    "leave it out of one, or rename the video if they are two recordings"
                )
    frames = tuple(frame for _, labels in sets for frame in labels.arranged(names).frames)
    return LabelSet(
        names,
        frames,
        tuple(note for _, labels in sets for note in labels.notes),
        united(*(labels.distances for _, labels in sets)),
        tuple({record.name: record for _, labels in sets for record in labels.origins}.values()),
    )


def _read_recorded(path: Path) -> LabelSet:
    """Read one path, and what is known of the public set that it is or is of."""
    record = read_record(path)
    if record is None:
        return _read_one(path)
    if (path / RECORD_FILE).is_file():
        labels = _unite(_told_apart([(each, _read_one(each)) for each in set_sources(path, record.layout)]))
    else:
        labels = _read_one(path)
    labels = labels.renamed({old: new for old, new in record.renames.items() if old in labels.keypoints})
    return replace(labels, origins=(record,))


def _read_one(path: Path) -> LabelSet:
    return _with_neighbours(path, _read_plain(path))


def _with_neighbours(path: Path, labels: LabelSet) -> LabelSet:
    """Return a set with what its folder declares: distances, confirmed guesses, the public sets that it was copied from."""
    folder = path if path.is_dir() else path.parent
    declared = read_distances(folder)
    for each in declared:
        if unknown := [point for point in (each.one, each.other) if point not in labels.keypoints]:
            raise DataError(
                f"{folder / DISTANCES_FILE}: {each.name}: there is no keypoint {unknown[0]!r}"
                f"{nearest(unknown[0], labels.keypoints)}"
            )
    labels = replace(labels, distances=declared, origins=read_origins(folder))
    return with_confirmed(labels, folder)


def _read_plain(path: Path) -> LabelSet:
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise DataError(f"{path} does not exist; labels are {_KNOWN}")
    suffix = path.suffix.lower()
    if suffix == ".slp":
        return read_sleap(path)
    if suffix == ".npy":
        return read_facemap(path)
    if suffix in (".h5", ".hdf5"):
        return read_deeplabcut(path)
    if suffix == ".csv":
        return read_deeplabcut(path) if _first_cell(path) == "scorer" else read_table(path)
    raise DataError(f"{path} is of no format of labels that rtface reads; labels are {_KNOWN}")


def _read_folder(folder: Path) -> LabelSet:
    table = (folder / TABLE_FILE).is_file()
    deeplabcut = (
        (folder / CONFIG_FILE).is_file()
        or (folder / DATA_FOLDER).is_dir()
        or any(
            file.suffix in (".csv", ".h5")
            for pattern in (f"{FILE_STEM}*", f"*/{FILE_STEM}*")
            for file in folder.glob(pattern)
        )
    )
    if table and deeplabcut:
        raise DataError(f"{folder} holds {TABLE_FILE} and labels of DeepLabCut's; name the one file")
    if table:
        return read_table(folder)
    if deeplabcut:
        return read_deeplabcut(folder)
    raise DataError(f"{folder} holds no labels; labels are {_KNOWN}")


def _first_cell(path: Path) -> str:
    try:
        return first_cell(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
