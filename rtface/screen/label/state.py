"""What a journal amounts to: of each key the last value that was not undone.

An undone entry counts as if it had never been, a redone one as if it had never been undone, whatever others did
meanwhile: so two people's acts merge by point, the later one wins, and undoing one's own takes nothing of another's.
Each person undoes their own acts, without limit, from any browser; an act of theirs ends what they could redo.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rtface.core.errors import UsageError
from rtface.screen.label.journal import JournalEntry
from rtface.screen.label.values import Key

UNDO, REDO = "undo", "redo"
LASTING = frozenset({"start", "wrote", "recovered"})
"""What cannot be undone: how a set began, files that were written, and what crashes left."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a key has.

    Attributes
    ----------
    value : JSON value
        None where it was taken out or never set.
    who : str
        Who set it last.
    n : int
        The entry that set it, 0 where none.
    """

    value: Any
    who: str
    n: int


NOTHING = Value(None, "", 0)
"""What a key has that was never set."""


class LabelState:
    """The values after all entries that were applied, and what each person can undo."""

    def __init__(self) -> None:
        self.n = 0
        self._values: dict[Key, list[tuple[Value, str]]] = {}
        self._touched: dict[Key, int] = {}
        self._entries: dict[str, JournalEntry] = {}
        self._undone: set[str] = set()
        self._files: dict[str, set[str]] = {}
        self._can_undo: defaultdict[str, list[str]] = defaultdict(list)
        self._can_redo: defaultdict[str, list[str]] = defaultdict(list)

    def apply(self, entry: JournalEntry) -> None:
        """Take an entry in, in the journal's order; one whose `id` was there before changes nothing."""
        self.n = entry.n
        if entry.id and entry.id in self._entries:
            return
        if entry.id:
            self._entries[entry.id] = entry
        for name, sha256 in ((entry.about or {}).get("files") or {}).items():
            self._files.setdefault(str(name), set()).add(str(sha256))
        if entry.do in (UNDO, REDO):
            self._turn(entry)
            return
        for key, value in entry.changes:
            self._values.setdefault(key, []).append((Value(value, entry.who, entry.n), entry.id))
            self._touch(key, entry.n)
        if entry.changes and entry.do not in LASTING:
            self._can_undo[entry.who].append(entry.id)
            self._can_redo[entry.who].clear()

    def _turn(self, entry: JournalEntry) -> None:
        """Undo or redo; of what is not there, or is so already, nothing."""
        target = self._entries.get(entry.of or "")
        if target is None or target.do in LASTING or (target.id in self._undone) == (entry.do == UNDO):
            return
        mine, theirs = self._can_undo[target.who], self._can_redo[target.who]
        if entry.do == UNDO:
            self._undone.add(target.id)
        else:
            self._undone.discard(target.id)
            mine, theirs = theirs, mine
        if target.id in mine:
            mine.remove(target.id)
        theirs.append(target.id)
        for key, _ in target.changes:
            self._touch(key, entry.n)

    def _touch(self, key: Key, n: int) -> None:
        self._touched.pop(key, None)
        self._touched[key] = n

    def has(self, act: str) -> bool:
        """Return whether an act of this `id` was applied."""
        return act in self._entries

    def current(self, key: Key, *, without: str = "", with_: str = "") -> Value:
        """Return what a key has; on request as if one more act were undone, or one fewer."""
        for value, act in reversed(self._values.get(key, ())):
            if act == with_ or (act not in self._undone and act != without):
                return value
        return NOTHING

    def value(self, key: Key) -> Any:
        """Return the value of a key, None where there is none."""
        return self.current(key).value

    def keys(self, kind: str) -> Iterator[Key]:
        """Yield all keys of a kind that ever had a value."""
        return (key for key in self._values if key[0] == kind)

    def of_kind(self, kind: str) -> Iterator[tuple[Key, Value]]:
        """Yield all keys of a kind that have a value, in the order in which they first came."""
        for key in self._values:
            if key[0] == kind:
                found = self.current(key)
                if found.value is not None:
                    yield key, found

    def since(self, n: int) -> Iterator[tuple[Key, Value]]:
        """Yield what has perhaps changed after the `n`-th entry, with what it is now."""
        for key, touched in reversed(self._touched.items()):
            if touched <= n:
                return
            yield key, self.current(key)

    def to_undo(self, who: str) -> str | None:
        """Return the act that a person would undo next."""
        acts = self._can_undo.get(who)
        return acts[-1] if acts else None

    def to_redo(self, who: str) -> str | None:
        """Return the act that a person would redo next."""
        acts = self._can_redo.get(who)
        return acts[-1] if acts else None

    def entry(self, act: str) -> JournalEntry:
        """Return an act by its `id`; `UsageError` where there is none."""
        if act not in self._entries:
            raise UsageError(f"the journal has no act {act}")
        return self._entries[act]

    def known_files(self) -> dict[str, set[str]]:
        """Return the hashes of all that was written, or begun to be written, by each file's name."""
        return self._files
