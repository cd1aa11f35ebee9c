"""Which files of a folder belong to one recording, and what is wrong with any of them, all at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rtface.core.errors import DataError
from rtface.learn.study.contents import Content, FilmTraces, Float64Array, Matrix, Points, Stated
from rtface.learn.study.recognise import recognise
from rtface.learn.study.suite2p import OWN, is_plane, suite2p_content

_PLANE = re.compile(r"plane\d+")
_COMBINED = "combined"
"""suite2p's folder of all planes once more."""


@dataclass(eq=False)
class Gathered:
    """The files of one recording: that of its neurons, and those that were found to go with it."""

    name: str
    neurons: Content
    others: list[Content] = field(default_factory=list)

    @property
    def contents(self) -> tuple[Content, ...]:
        """All of its files."""
        return (self.neurons, *self.others)

    def vector(self, what: str) -> tuple[Float64Array, Path] | None:
        """Return numbers of one axis and the file that has them; that of the neurons first."""
        for content in self.contents:
            if what in content.vectors:
                return content.vectors[what], content.path
        return None

    @property
    def frames(self) -> int | None:
        """Frames of its camera, where a file says it."""
        if (found := self.vector("tcam")) is not None:
            return len(found[0])
        return next((content.frames for content in self.contents if content.frames is not None), None)

    @property
    def matrix(self) -> Matrix:
        """Its neurons."""
        assert self.neurons.neurons is not None
        return self.neurons.neurons

    def points(self) -> list[tuple[Points, Path]]:
        """Return its keypoints, the filtered first."""
        found = [(content.points, content.path) for content in self.contents if content.points is not None]
        return sorted(found, key=lambda each: (not each[0].filtered, str(each[1])))

    def films(self, kind: str) -> list[tuple[FilmTraces, Path]]:
        """Return its components of a film or of its motion."""
        return [
            (film, content.path) for content in self.contents for film in content.films if film.kind == kind
        ]


def gather(
    root: Path,
    stated: Stated,
    faults: list[str],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Gathered]:
    """Read what each file of a folder and those below holds, and put together what is of one recording.

    A file goes to the recording whose neurons' file has as many camera times (one more or less), and of several to the one
    with which its path has most words in common that tell the recordings apart.

    Parameters
    ----------
    root : Path
    stated : Stated
    faults : list of str
        What is wrong with a file is put here.
    progress : callable
        Called with the files read and their number.

    Raises
    ------
    DataError
        The folder is none.
    """
    if not root.is_dir():
        raise DataError(f"{root} is no folder")
    contents = _contents(root, stated, faults, progress)
    found = [each for each in contents if each.neurons is not None]
    if not found and not faults:
        faults.append(
            f"{root}: no file holds neurons (spks of an npz or MATLAB file, a folder of suite2p, NWB); "
            "--field spks=NAME says what they are called"
        )
    gathered = [Gathered(name, each) for name, each in zip(_names(root, found), found, strict=True)]
    own = [_words(root, each.neurons.path) for each in gathered]
    shared = set.intersection(*own) if len(own) > 1 else set()
    telling = [words - shared for words in own]
    rest = [each for each in contents if each.neurons is None]
    # Times last: whose they are is told by what else is there.
    for content in sorted(rest, key=lambda each: each.unnamed is not None):
        place = _place(root, content, gathered, telling, stated, faults)
        if place is not None:
            place.others.append(content)
    return gathered


def _contents(
    root: Path, stated: Stated, faults: list[str], progress: Callable[[int, int], None]
) -> list[Content]:
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.startswith("."))
    planes = sorted({path.parent for path in files if is_plane(path.parent)})
    together: dict[Path, list[Path]] = {}
    for folder in planes:
        if folder.name != _COMBINED:
            one_of_several = _PLANE.fullmatch(folder.name) and folder != root
            together.setdefault(folder.parent if one_of_several else folder, []).append(folder)
    contents: list[Content] = []
    for folders in together.values():
        _kept(lambda folders=folders: suite2p_content(folders, stated), contents, faults)  # type: ignore[misc]
    for done, path in enumerate(files):
        progress(done, len(files))
        if path.parent not in planes or path.name not in OWN:
            _kept(lambda path=path: recognise(path, stated), contents, faults)  # type: ignore[misc]
    progress(len(files), len(files))
    return [each for each in contents if stated.match in str(each.path.relative_to(root)) or each.neurons]


def _kept(read: Callable[[], Content | None], contents: list[Content], faults: list[str]) -> None:
    try:
        if (content := read()) is not None:
            contents.append(content)
    except DataError as error:
        faults.append(str(error))


def _words(root: Path, path: Path) -> set[str]:
    return {word.lower() for word in re.split(r"[^0-9A-Za-z]+", str(path.relative_to(root))) if word}


def _names(root: Path, found: Sequence[Content]) -> list[str]:
    """Return a name for each recording: its file's, or its folder's where files have the same."""
    names = [each.path.name.split(".")[0] or root.name for each in found]
    if len(set(names)) < len(names):
        names = ["_".join(each.path.relative_to(root).with_suffix("").parts) or root.name for each in found]
    return [re.sub(r"[^0-9A-Za-z_.-]+", "_", name).removesuffix("_spks") or root.name for name in names]


def _place(
    root: Path,
    content: Content,
    gathered: list[Gathered],
    telling: list[set[str]],
    stated: Stated,
    faults: list[str],
) -> Gathered | None:
    """Return the recording that a file belongs to; None, and a fault, where that is not known."""
    if not gathered:
        return None
    words = _words(root, content.path)
    kin = [len(words & own) for own in telling]
    if content.unnamed is not None:
        return _place_of_times(content, gathered, kin, faults)
    frames = content.frames
    fits = [
        index
        for index, each in enumerate(gathered)
        if frames is None or each.frames is None or abs(each.frames - frames) <= 1
    ]
    among = fits or list(range(len(gathered)))
    best = max(kin[index] for index in among)
    chosen = [index for index in among if kin[index] == best]
    if fits and len(chosen) == 1:
        return gathered[chosen[0]]
    if len(gathered) == 1 or (len(chosen) == 1 and best):
        return gathered[chosen[0]]  # whose lengths do not fit: said where the recording is put together
    names = ", ".join(gathered[index].neurons.path.name for index in chosen)
    what = f"{frames} frames" if frames is not None else "its arrays"
    faults.append(
        f"{content.path}: {what} fit several recordings ({names})"
        if fits
        else f"{content.path}: {what} fit no recording, and its path names none ({names})"
    )
    return None


def _place_of_times(
    content: Content, gathered: list[Gathered], kin: list[int], faults: list[str]
) -> Gathered | None:
    """Give rising numbers to the recording that lacks such times; numbers that fit none are no fault."""
    assert content.unnamed is not None
    count = len(content.unnamed)
    fits: list[tuple[int, int, str]] = []
    for index, each in enumerate(gathered):
        for what, length in (("tneural", each.matrix.shape[1]), ("tcam", each.frames)):
            if each.vector(what) is None and length is not None and abs(length - count) <= 1:
                fits.append((kin[index], index, what))
    if not fits:
        return None
    best = max(fits)[0]
    chosen = [each for each in fits if each[0] == best]
    if len(chosen) > 1:
        faults.append(f"{content.path}: its {count} times fit {len(chosen)} recordings or clocks")
        return None
    _, index, what = chosen[0]
    assert isinstance(content.vectors, dict)
    content.vectors[what] = np.asarray(content.unnamed)
    return gathered[index]
