"""What came of a replay of the rules, and the first difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Difference:
    """The first place where a replay is not as the record.

    Attributes
    ----------
    what : str
        ``value``, ``decision``, ``baseline`` or ``hole`` (the record lacks what the replay needs).
    frame_id : int or None
        The frame, if one made it.
    now_ns : int
        When.
    text : str
        What differs, for a person.
    recorded, replayed : mapping
        Both sides, field by field.
    inputs : mapping
        What the call was given: keypoints, values, scores, ages, arguments.
    """

    what: str
    frame_id: int | None
    now_ns: int
    text: str
    recorded: dict[str, Any]
    replayed: dict[str, Any]
    inputs: dict[str, Any]

    def in_words(self) -> str:
        """Return where and what, for a person."""
        where = "a call without a frame" if self.frame_id is None else f"frame {self.frame_id}"
        return f"{where} at {self.now_ns} ns: {self.text}"


@dataclass(frozen=True)
class RulesReplay:
    """What came of a replay of the rules.

    Attributes
    ----------
    frames, calls : int
        Frames, and calls that no frame made, that were replayed.
    values : int
        Values, scores and ages that were compared.
    recorded, replayed : mapping of str to int
        Decisions by action as far as the replay came: after a decision that differs, what was recorded says no more
        what would have happened, and the replay ends.
    value, decision : Difference or None
        The first value, and the first decision, that differ.
    hole : Difference or None
        Why the replay ended early, if the record lacks something.
    baseline : Difference or None
        The first baseline that does not follow from the recorded poses and values; the replay goes on with the record's.
    baselines : int
        Baselines that were compared.
    """

    frames: int
    calls: int
    values: int
    recorded: dict[str, int]
    replayed: dict[str, int]
    value: Difference | None
    decision: Difference | None
    hole: Difference | None
    baseline: Difference | None = None
    baselines: int = 0

    @property
    def identical(self) -> bool:
        """Whether all is as it was recorded."""
        return self.first is None

    @property
    def first(self) -> Difference | None:
        """The first difference of all."""
        found = [each for each in (self.value, self.baseline, self.decision, self.hole) if each is not None]
        return min(found, key=lambda each: each.now_ns) if found else None
