"""What there is to label in the folder of a screen: label sets, recordings, old projects. Looked for no deeper than need be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtface.learn.labels.formats.deeplabcut import CONFIG_FILE
from rtface.learn.labels.formats.table import TABLE_FILE
from rtface.learn.labels.set_record import DATA_FOLDER, FILE_STEM
from rtface.screen.label.opening import written_by_rtface
from rtface.screen.label.project import JOURNAL
from rtface.screen.label.writing import DEEPLABCUT_OUT

MOST = 300
"""Things of a kind that are listed."""

_DEPTH = 4
_MOST_LOOKED_AT = 20_000
_VIDEOS = frozenset({".mp4", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv"})
_IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder.

    Attributes
    ----------
    sets : list of Path
        Label sets that are being labelled here.
    fresh : list of Path
        Sets that nobody labelled here yet, with a table that rtface wrote.
    projects : list of Path
        Labels of others, to be carried on in a copy: tables made by hand, DeepLabCut's projects, SLEAP's files.
    recordings : list of Path
        Videos and folders of images.
    whole : bool
        Whether all was looked at.
    """

    sets: list[Path]
    fresh: list[Path]
    projects: list[Path]
    recordings: list[Path]
    whole: bool


def look(folder: Path) -> Found:
    """Look through a folder; hidden folders and links to folders are passed over."""
    found = Found([], [], [], [], True)
    looked = 0
    for path, folders, files in _walk(folder):
        looked += len(folders) + len(files)
        if looked > _MOST_LOOKED_AT:
            return Found(found.sets, found.fresh, found.projects, found.recordings, False)
        if (path / JOURNAL).is_file():
            _add(found.sets, path)
            folders.clear()
        elif TABLE_FILE in files:
            _add(found.fresh if written_by_rtface(path) else found.projects, path)
            folders.clear()
        elif (CONFIG_FILE in files and DATA_FOLDER in folders) or (
            DATA_FOLDER in folders and any(name.startswith(FILE_STEM) for name in files)
        ):
            _add(found.projects, path)
            folders.clear()
        else:
            images = 0
            for name in files:
                suffix = os.path.splitext(name)[1].lower()
                images += suffix in _IMAGES
                if suffix in _VIDEOS:
                    _add(found.recordings, path / name)
                elif suffix == ".slp" or name.endswith("_Facemap_refined_data.npy"):
                    _add(found.projects, path / name)
            if images > 1 and path != folder:
                _add(found.recordings, path)
    return found


def _add(paths: list[Path], path: Path) -> None:
    if len(paths) < MOST:
        paths.append(path)


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    depth = len(folder.parts)
    for root, folders, files in os.walk(folder):
        path = Path(root)
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != DEEPLABCUT_OUT)
        if len(path.parts) - depth >= _DEPTH:
            folders.clear()
        yield path, folders, sorted(name for name in files if not name.startswith("."))
