"""A label set that is being labelled: its folder, its journal, and the acts of all who label it."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from rtface.core.clock import utc
from rtface.core.errors import DataError, UsageError
from rtface.screen.label.journal import Journal, JournalEntry
from rtface.screen.label.state import REDO, UNDO, LabelState, Value
from rtface.screen.label.values import MAX_CHANGES, MAX_NAME, Change, Key, check_change

JOURNAL = PurePosixPath("labelling/journal.jsonl")
"""Where in a label set's folder its journal is."""

ACTS = frozenset(
    {"place", "move", "confirm", "copy", "hide", "clear", "skip", "keep", "name", "rename", "retire", "take"}
)
"""What a person may call an act; it says what was meant, the changes say what was done."""

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class LabelFrame:
    """A frame of a label set.

    Attributes
    ----------
    frame : str
        Its short name.
    file : str
        Its image, relative to the set's folder.
    video, name : str
        As in `rtface.learn.labels.labelset.LabelledFrame`.
    width, height : int
    """

    frame: str
    file: str
    video: str
    name: str
    width: int
    height: int


class LabelProject:
    """A label set with its journal; for several threads.

    Parameters
    ----------
    folder : Path
        The set's; it has a journal.
    now : callable
        The wall clock, in UTC.

    Attributes
    ----------
    failed : bool
        The journal could not be read or written: what is known of it here may differ from the file. A new
        `LabelProject` reads it anew.
    """

    def __init__(self, folder: Path, now: Clock = utc) -> None:
        self.folder = folder
        self._now = now
        self._lock = threading.RLock()
        self._journal = Journal(folder / JOURNAL)
        self._state = LabelState()
        self.failed = False
        with self._lock:
            self._catch_up(self._journal.read_new())

    @property
    def notes(self) -> tuple[str, ...]:
        """What crashes have left in the journal, in words."""
        with self._lock:
            return tuple(self._journal.notes)

    def read(self, since: int = 0) -> tuple[int, list[tuple[Key, Value]]]:
        """Return the number of the last entry, and what has perhaps changed after the `since`-th; all for 0.

        All, too, where the journal has no such entry: it is another one, or an older copy.

        Raises
        ------
        DataError
            The journal cannot be read.
        """
        with self._lock, self._noting_failure():
            self._catch_up(self._journal.read_new())
            first = since if since <= self._state.n else 0
            return self._state.n, sorted(self._state.since(first), key=lambda each: each[1].n)

    def turns(self, who: str) -> tuple[bool, bool]:
        """Return whether a person has something to undo, and something to redo."""
        with self._lock:
            return self._state.to_undo(who) is not None, self._state.to_redo(who) is not None

    def act(self, who: str, do: str, changes: Sequence[Any], *, act: str = "") -> None:
        """Do what a person asks for, and have it on the disk before this returns.

        Parameters
        ----------
        who : str
        do : str
            What it is, one of `ACTS`.
        changes : sequence of JSON values
            See `rtface.screen.label.values.check_change`; all are done or none.
        act : str
            The sender's own name for it: one that was done before is not done again.

        Raises
        ------
        UsageError
            It asks for what cannot be.
        DataError
            The journal cannot be read or written.
        """
        if do not in ACTS:
            raise UsageError(f"{do!r} is nothing that is done to labels")
        if not 1 <= len(changes) <= MAX_CHANGES:
            raise UsageError(f"an act has 1 to {MAX_CHANGES} changes, not {len(changes)}")

        def entries() -> Iterable[JournalEntry]:
            if self._state.has(act):
                return []
            checked: dict[Key, Any] = {}
            for each in changes:
                key, value = check_change(
                    each, lambda key: checked[key] if key in checked else self._state.value(key)
                )
                checked[key] = value
            self._check_names(checked)
            return [self._entry(who, do, act, changes=tuple(checked.items()))]

        self._write(entries)

    def turn(self, who: str, do: str, *, act: str = "") -> tuple[Key, ...]:
        """Undo a person's last act, or redo what they undid last; return the keys that it was about.

        Raises
        ------
        UsageError
            There is nothing to undo or redo, or a keypoint would get a name that another has now.
        DataError
            The journal cannot be read or written.
        """
        keys: tuple[Key, ...] = ()

        def entries() -> Iterable[JournalEntry]:
            nonlocal keys
            if self._state.has(act):
                return []
            target = self._state.to_undo(who) if do == UNDO else self._state.to_redo(who)
            if target is None:
                raise UsageError(f"{who} has nothing to {do}")
            changed = self._state.entry(target).changes
            keys = tuple(key for key, _ in changed)
            before = {"without": target} if do == UNDO else {"with_": target}
            self._check_names({key: self._state.current(key, **before).value for key in keys})
            return [self._entry(who, do, act, of=target)]

        if do not in (UNDO, REDO):
            raise UsageError(f"{do!r} is neither {UNDO} nor {REDO}")
        self._write(entries)
        return keys

    def add_frames(self, who: str, frames: Sequence[Mapping[str, Any]]) -> list[str]:
        """Add frames whose images are in the folder; return their short names.

        Raises
        ------
        UsageError
            A frame of this video and name is there.
        DataError
            The journal cannot be read or written.
        """
        names: list[str] = []

        def entries() -> Iterable[JournalEntry]:
            known = {(each.video, each.name) for each in self._frames()}
            for each in frames:
                if (each["video"], each["name"]) in known:
                    raise UsageError(f"frame {each['name']} of {each['video']} is in the label set already")
            first = self._next("frame")
            names.extend(f"f{first + place}" for place in range(len(frames)))
            return [
                self._entry(who, "catch", "", changes=((("frame", name), dict(each)),))
                for name, each in zip(names, frames, strict=True)
            ]

        self._write(entries)
        return names

    def note_files(self, who: str, files: Mapping[str, str]) -> None:
        """Write down that files of these hashes are about to be written, by their names relative to the folder."""
        self._write(lambda: [self._entry(who, "wrote", "", about={"files": dict(files)})])

    def known_files(self) -> dict[str, set[str]]:
        """Return the hashes of all files that were written of this set, by their names relative to the folder."""
        with self._lock:
            return self._state.known_files()

    def when_written(self, name: str) -> dict[tuple[str, str], Any]:
        """Return the labels of the first pass, by frame and keypoint, as a file had them when it was last written."""
        state = LabelState()
        found: dict[tuple[str, str], Any] = {}
        for each in Journal(self.folder / JOURNAL).read_new():
            state.apply(each)
            if name in ((each.about or {}).get("files") or {}):
                found = {key[2:]: value.value for key, value in state.of_kind("label") if key[1] == "first"}  # type: ignore[misc]
        return found

    def next_point(self) -> str:
        """Return a short name that no keypoint ever had."""
        with self._lock:
            return f"p{self._next('name')}"

    def points(self) -> dict[str, str]:
        """Return the keypoints: names by short names, in their order."""
        with self._lock:
            return {key[1]: found.value for key, found in self._state.of_kind("name")}

    def frames(self, *, skipped: bool = True) -> list[LabelFrame]:
        """Return the frames, with or without those that are left out."""
        with self._lock:
            return [each for each in self._frames() if skipped or not self._state.value(("skip", each.frame))]

    def frame(self, frame: str) -> LabelFrame:
        """Return a frame by its short name; `UsageError` where there is none."""
        with self._lock:
            value = self._state.value(("frame", frame))
        if value is None:
            raise UsageError(f"the label set has no frame {frame}")
        return _frame(frame, value)

    def labels(self, labels_of: str) -> dict[tuple[str, str], Value]:
        """Return the labels of a pass, hidden ones too, by frame and keypoint."""
        with self._lock:
            return {
                (key[2], key[3]): found for key, found in self._state.of_kind("label") if key[1] == labels_of
            }

    def image(self, frame: str) -> Path:
        """Return where a frame's image is; `UsageError` where that is outside the folder or nowhere."""
        folder = self.folder.resolve()
        path = (folder / self.frame(frame).file).resolve()
        if not path.is_relative_to(folder):
            raise UsageError(f"the image of {frame} is outside the folder of its label set")
        if not path.is_file():
            raise UsageError(f"{path} is missing")
        return path

    def _frames(self) -> list[LabelFrame]:
        return [_frame(key[1], found.value) for key, found in self._state.of_kind("frame")]

    def _next(self, kind: str) -> int:
        return 1 + max((int(key[1][1:]) for key in self._state.keys(kind)), default=0)

    def _check_names(self, changed: Mapping[Key, Any]) -> None:
        """Raise `UsageError` where two keypoints would have one name."""
        names = {key: found.value for key, found in self._state.of_kind("name")}
        names |= {key: value for key, value in changed.items() if key[0] == "name"}
        seen = [name.casefold() for name in names.values() if name is not None]
        if twice := [name for name in seen if seen.count(name) > 1]:
            raise UsageError(f"another keypoint is called {twice[0]}")

    def _entry(
        self,
        who: str,
        do: str,
        act: str,
        *,
        changes: tuple[Change, ...] = (),
        of: str | None = None,
        about: dict[str, Any] | None = None,
    ) -> JournalEntry:
        if not who.strip() or len(who) > MAX_NAME or not who.isprintable():
            raise UsageError(f"whoever labels has a name, of 1 to {MAX_NAME} letters")
        return JournalEntry(0, self._at(), who, do, act or f"s{secrets.token_hex(8)}", changes, of, about)

    def _at(self) -> str:
        return self._now().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _write(self, entries: Callable[[], Iterable[JournalEntry]]) -> None:
        def write(found: Sequence[JournalEntry]) -> Iterable[JournalEntry]:
            self._catch_up(found)
            return entries()

        with self._lock, self._noting_failure():
            self._catch_up(self._journal.append(write, self._at()))

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except DataError:
            self.failed = True
            raise

    def _catch_up(self, found: Iterable[JournalEntry]) -> None:
        for each in found:
            self._state.apply(each)


def _frame(frame: str, value: Mapping[str, Any]) -> LabelFrame:
    return LabelFrame(
        frame,
        str(value["file"]),
        str(value["video"]),
        str(value["name"]),
        int(value["width"]),
        int(value["height"]),
    )
