"""What there is to label in the folder of a screen: label sets, recordings, old projects. Looked for no deeper than need be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtface.acquire.picturefile import is_picture
from rtface.acquire.recording import is_video
from rtface.learn.labels.formats.deeplabcut import CONFIG_FILE
from rtface.learn.labels.formats.table import TABLE_FILE
from rtface.learn.labels.set_record import DATA_FOLDER, FILE_STEM
from rtface.screen.folderwalk import FolderWalk
from rtface.screen.label.opening import written_by_rtface
from rtface.screen.label.project import JOURNAL
from rtface.screen.label.writing import DEEPLABCUT_OUT

MOST = 300
"""Things of a kind that are listed."""

_DEEPEST = 4


@dataclass(slots=True)
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
    whole: bool = True


def look(folder: Path) -> Found:
    """Look through a folder; hidden folders and links to folders are passed over."""
    found = Found([], [], [], [])
    walk = FolderWalk(folder, deepest=_DEEPEST)
    for path, folders, files in walk:
        if DEEPLABCUT_OUT in folders:
            folders.remove(DEEPLABCUT_OUT)
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
            _look_at_files(found, [path / name for name in files], within=path != folder)
    found.whole = walk.whole
    return found


def _look_at_files(found: Found, files: Sequence[Path], *, within: bool) -> None:
    for path in files:
        if is_video(path):
            _add(found.recordings, path)
        elif path.suffix.lower() == ".slp" or path.name.endswith("_Facemap_refined_data.npy"):
            _add(found.projects, path)
    if within and sum(map(is_picture, files)) > 1:
        _add(found.recordings, files[0].parent)


def _add(paths: list[Path], path: Path) -> None:
    if len(paths) < MOST:
        paths.append(path)
