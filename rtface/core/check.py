"""The answer to one question of a self-test, of a rig or of a device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Check:
    """The answer to one question of a self-test; `mend` says what to do about it, empty when there is nothing to do."""

    what: str
    verdict: Literal["ok", "warn", "fail"]
    text: str
    mend: str = ""
