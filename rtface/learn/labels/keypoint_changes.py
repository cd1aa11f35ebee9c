"""What becomes of an engine's keypoints when it is adapted."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rtface.core.errors import UsageError
from rtface.learn.labels.labelset import LabelSet


@dataclass(frozen=True, slots=True)
class KeypointChanges:
    """Keypoints to be renamed, added and dropped.

    Attributes
    ----------
    renames : mapping of str to str
        Old names to new ones; for the engine's keypoints, the labels', or both, whichever have the old name.
    only : tuple of str
        All that the new engine is to find, in this order, whatever else engine or labels have.
    only_labels : bool
        The new engine is to find what the labels have, and nothing else.
    add : tuple of str
        The labels' keypoints, after renaming, that the engine is to find besides its own.
    drop : tuple of str
        Keypoints, after renaming, that it is not to find any more.
    """

    renames: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    only_labels: bool = False
    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()

    def engine_names(self, engine: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
        """Return the engine's names after renaming.

        Raises
        ------
        UsageError
            Neither has a name that is to be replaced, or two keypoints would have one name.
        """
        if unknown := [name for name in self.renames if name not in engine and name not in labels]:
            raise UsageError(
                f"neither the engine nor the labels have a keypoint {unknown[0]!r}; the engine has "
                f"{', '.join(engine)}; the labels have {', '.join(labels)}"
            )
        names = tuple(self.renames.get(name, name) for name in engine)
        if repeated := [name for name in names if names.count(name) > 1]:
            raise UsageError(f"after renaming, two keypoints of the engine are called {repeated[0]!r}")
        return names

    def label_set(self, labels: LabelSet) -> LabelSet:
        """Return the labels after renaming.

        Raises
        ------
        DataError
            Two keypoints would have one name.
        """
        return labels.renamed({old: new for old, new in self.renames.items() if old in labels.keypoints})

    def wanted(self, engine: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
        """Return what the new engine is to find, from the names of engine and labels after renaming.

        Raises
        ------
        UsageError
            A name is unknown, nothing is left, or it is not stated what to do with the labels' new keypoints.
        """
        if (self.only or self.only_labels) and (self.add or self.drop):
            raise UsageError("a list of all keypoints leaves nothing to add or to drop: one of the two")
        if self.only_labels:
            return tuple(labels)
        if self.only:
            _check_known(self.only, [*engine, *labels], "neither the engine nor the labels have")
            return self.only
        _check_known(self.add, labels, "the labels do not have")
        _check_known(self.drop, [*engine, *labels], "there is no")
        new = [name for name in labels if name not in engine]
        if unclear := [name for name in new if name not in self.add and name not in self.drop]:
            raise UsageError(
                f"the labels have keypoints that the engine does not know: {', '.join(unclear)}{_near(unclear, engine)}; "
                "add, rename or drop them, or name all that is to be found"
            )
        names = tuple(name for name in [*engine, *(n for n in new if n in self.add)] if name not in self.drop)
        if not names:
            raise UsageError("all keypoints are dropped: none is left to find")
        return names


def _check_known(names: Sequence[str], known: Sequence[str], what: str) -> None:
    if unknown := [name for name in names if name not in known]:
        near = _near(unknown[:1], known)
        raise UsageError(
            f"{what} a keypoint {unknown[0]!r}{near}; known are {', '.join(dict.fromkeys(known))}"
        )


def _near(names: Sequence[str], known: Sequence[str]) -> str:
    pairs = [(name, near[0]) for name in names if (near := difflib.get_close_matches(name, known, 1))]
    return f" (is {pairs[0][0]} the same as {pairs[0][1]}?)" if pairs else ""
