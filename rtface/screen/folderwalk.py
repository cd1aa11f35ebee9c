"""The folders of a workspace, gone through no deeper and no longer than need be, but for hidden ones and links."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path

_DEEPEST = 3
_MOST_ENTRIES = 20_000
_MOST_FILES = 200


class FolderWalk:
    """Gives each folder with the names of the folders and files in it, the nearest first, names in their order.

    Whoever takes a name out of a list of folders keeps the walk out of that folder.

    Parameters
    ----------
    folder : Path
        Where to begin.
    deepest : int
        Levels of folders below it.
    most : int
        Names of files and folders after which it ends.

    Attributes
    ----------
    whole : bool
        Whether it came to its end, not to `most`.
    """

    def __init__(self, folder: Path, *, deepest: int = _DEEPEST, most: int = _MOST_ENTRIES) -> None:
        self._folder, self._deepest, self._most = folder, deepest, most
        self.whole = True

    def __iter__(self) -> Iterator[tuple[Path, list[str], list[str]]]:
        waiting, seen = deque([(self._folder, 0)]), 0
        while waiting:
            here, depth = waiting.popleft()
            folders, files = _names(here)
            seen += len(folders) + len(files)
            if seen > self._most:
                self.whole = False
                return
            if depth == self._deepest:
                folders.clear()
            yield here, folders, files
            waiting.extend((here / name, depth + 1) for name in folders)


def files_below(folder: Path, wanted: Callable[[Path], bool], *, most: int = _MOST_FILES) -> Iterator[Path]:
    """Yield the wanted files of a folder and those below it; at most so many of these, whatever else lies there."""
    found = 0
    for here, _, names in FolderWalk(folder):
        for path in (here / name for name in names):
            if not wanted(path):
                continue
            if found == most:
                return
            found += 1
            yield path


def _names(folder: Path) -> tuple[list[str], list[str]]:
    folders: list[str] = []
    files: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for each in entries:
                if each.name.startswith("."):
                    continue
                if each.is_dir(follow_symlinks=False):
                    folders.append(each.name)
                elif each.is_file():
                    files.append(each.name)
    except OSError:
        return [], []
    return sorted(folders), sorted(files)
