"""The answer to one question of a self-test, of a rig or of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Check:
    """What was found.

    Attributes
    ----------
    what : str
        The question's subject: ``configuration``, ``camera``, ...
    verdict : str
        ``ok``, ``warn`` or ``fail``.
    text : str
        What was found.
    fix : str
        What to do about it; empty when there is nothing to do.
    exit_code : int
        Of the command line when this is the first failure.
    """

    what: str
    verdict: Literal["ok", "warn", "fail"]
    text: str
    fix: str = ""
    exit_code: int = 1

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for messages and files, whose readers know `fix` as ``mend``."""
        return {"what": self.what, "verdict": self.verdict, "text": self.text, "mend": self.fix}
