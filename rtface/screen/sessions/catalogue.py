"""The sessions of a workspace: found, glanced at, gone through, each kept as long as its log is the same."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from rtface.core.errors import RtfaceError, UsageError
from rtface.core.files import printable
from rtface.offline.sessions.glance import Glance, glance
from rtface.offline.sessions.outline import Outline, outline
from rtface.offline.sessions.pictures import SessionPictures
from rtface.record.session import LOG_NAME
from rtface.record.session.log import has_writer
from rtface.screen.desk import Desk
from rtface.screen.folderwalk import FolderWalk

DEEPEST = 4
"""Folders below the workspace in which sessions are sought: ``mouse 3/day 2/sessions/SESSION``."""
MOST_NAMES = 200_000
"""Files and folders that are gone through for them."""
MOST_SESSIONS = 5_000
MOST_OUTLINES = 6
MOST_VIDEOS = 4

_OPEN = "open"
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Listed:
    """A session in the list: its path in the workspace, its folder's name, and what a glance saw or why it saw nothing."""

    path: str
    name: str
    seen: Glance | None
    wrong: str

    def as_dict(self) -> dict[str, Any]:
        """Return plain values."""
        seen = None if self.seen is None else asdict(self.seen)
        return {"path": self.path, "name": self.name, "seen": seen, "wrong": self.wrong}


class Catalogue:
    """The sessions in the folder of a screen; any thread.

    Parameters
    ----------
    desk : Desk
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._glances: _Kept[Listed] = _Kept(2 * MOST_SESSIONS)
        self._outlines: _Kept[Outline] = _Kept(MOST_OUTLINES)
        self._videos: _Kept[SessionPictures] = _Kept(MOST_VIDEOS, SessionPictures.close)
        self._reading = threading.Lock()

    def list(self, *, offset: int = 0, limit: int = 500, word: str = "") -> tuple[int, list[Listed]]:
        """Return how many sessions there are, and some of them, the newest first.

        Parameters
        ----------
        offset, limit : int
        word : str
            Only those whose path has it.
        """
        logs = [
            each
            for each in _logs(self._desk.folder)
            if word.lower() in str(each.parent.relative_to(self._desk.folder)).lower()
        ]
        logs.sort(key=lambda each: each.parent.name, reverse=True)
        return len(logs), [self._listed(each) for each in logs[offset : offset + limit]]

    def log(self, name: str) -> Path:
        """Return the log of a session that a page names by its path in the workspace.

        Raises
        ------
        UsageError
            There is none.
        """
        path = self._desk.path(name)
        log = path / LOG_NAME
        if not log.is_file() or not log.resolve().is_relative_to(self._desk.folder.resolve()):
            raise UsageError(f"there is no session {printable(name)!r} in the folder of this screen")
        return log

    def outline(self, name: str, key: bytes | None = None, *, again: bool = False) -> Outline:
        """Go through a session, or return what is known of it while its log is the same.

        One is gone through at a time, so that a rig on this computer keeps its cores. One that is still being written is
        not read again until `again`.

        Raises
        ------
        UsageError, DataError
            There is no such session, or it cannot be read.
        """
        log = self.log(name)
        which = (str(log), key is not None)
        found = self._outlines.get(which, None if again else _same(log))
        if found is not None:
            return found
        with self._reading:
            found = self._outlines.get(which, None if again else _same(log))
            if found is None:
                stamp = _stamp(log)
                found = outline(log, key)
                self._outlines.put(which, found, _OPEN if found.session.state == "open" else stamp)
            return found

    def pictures(self, name: str, found: Outline) -> SessionPictures:
        """Return the recorded pictures of a session; raises what `SessionPictures` raises."""
        which = str(self.log(name)), found.session.size
        known = self._videos.get(which, lambda stamp: True)
        if known is None:
            known = SessionPictures(found)
            self._videos.put(which, known, None)
        return known

    def _listed(self, log: Path) -> Listed:
        try:
            stamp = _stamp(log)
            known = self._glances.get(str(log), lambda found: found == stamp)
        except OSError as error:
            return self._entry(log, None, f"it cannot be read: {error.strerror or error}")
        if known is None:
            try:
                seen = glance(log)
                known = self._entry(log, seen, seen.wrong)
            except RtfaceError as error:
                known = self._entry(log, None, str(error))
            if known.seen is None or known.seen.state != "open":
                self._glances.put(str(log), known, stamp)
        damaged = self._outlines.get((str(log), False), lambda found: found == stamp)
        if damaged is not None and damaged.session.damage:
            return self._entry(log, known.seen, "; ".join(damaged.session.missing[:3]))
        return known

    def _entry(self, log: Path, seen: Glance | None, wrong: str) -> Listed:
        path = log.parent.relative_to(self._desk.folder).as_posix()
        return Listed(printable(path), printable(log.parent.name), seen, printable(wrong))


def _logs(folder: Path) -> Iterator[Path]:
    """Yield the logs of the sessions in a folder, at most `MOST_SESSIONS`; hidden folders and links are left out."""
    found = 0
    for here, folders, files in FolderWalk(folder, deepest=DEEPEST, most=MOST_NAMES):
        if LOG_NAME not in files or (here / LOG_NAME).is_symlink():
            continue
        folders.clear()
        found += 1
        yield here / LOG_NAME
        if found == MOST_SESSIONS:
            return


def _stamp(log: Path) -> tuple[int, int, int]:
    found = log.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


def _same(log: Path) -> Callable[[Any], bool]:
    """Return what tells whether a stamp still holds; that of a session that is being written does until it ends."""
    return lambda stamp: _is_written(log) if stamp == _OPEN else stamp == _stamp(log)


def _is_written(log: Path) -> bool:
    try:
        with log.open("rb") as file:
            return has_writer(file)
    except OSError:
        return False


class _Kept(Generic[_Value]):
    """The last few values by what they are of, each with the stamp that it holds for."""

    def __init__(self, most: int, let_go: Callable[[_Value], None] = lambda value: None) -> None:
        self._most, self._let_go = most, let_go
        self._values: OrderedDict[Hashable, tuple[_Value, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, which: Hashable, holds: Callable[[Any], bool] | None) -> _Value | None:
        with self._lock:
            found = self._values.get(which)
            if found is None or holds is None or not holds(found[1]):
                return None
            self._values.move_to_end(which)
            return found[0]

    def put(self, which: Hashable, value: _Value, stamp: Any) -> None:
        gone = []
        with self._lock:
            if which in self._values:
                gone.append(self._values.pop(which)[0])
            self._values[which] = (value, stamp)
            while len(self._values) > self._most:
                gone.append(self._values.popitem(last=False)[1][0])
        for each in gone:
            self._let_go(each)
