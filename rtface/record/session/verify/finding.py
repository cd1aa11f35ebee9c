"""What a check of a session found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["whole", "missing", "wrong"]

MOST_NAMED = 5
"""Numbers that a finding names at most."""


@dataclass(frozen=True, slots=True)
class SessionFinding:
    """What one check found.

    Attributes
    ----------
    check : str
        What was checked.
    verdict : str
        ``whole``; ``missing``: something is not there, and its lack is recorded or the record ends early; ``wrong``:
        the record contradicts itself, or was changed.
    text : str
        What was found, for a person.
    """

    check: str
    verdict: Verdict
    text: str


def some(numbers: list[int], count: int | None = None) -> str:
    """Return the first few of many numbers, for a person."""
    more = (len(numbers) if count is None else count) - MOST_NAMED
    return ", ".join(map(str, numbers[:MOST_NAMED])) + (f" and {more} more" if more > 0 else "")
