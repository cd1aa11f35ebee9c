"""What a page says, field by field, each checked: a wrong one is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from rtface.core.errors import UsageError

_ACT = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_MOST = 1_000


class PageFields:
    """The fields of a request.

    Parameters
    ----------
    values : mapping
        From JSON, or texts from an address.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values

    def text(self, name: str, default: str | None = None, *, most: int = _MOST) -> str:
        """Return a text; `UsageError` where it is missing and has no default, or is none."""
        value = self._values.get(name, default)
        if not isinstance(value, str) or len(value) > most or (default is None and not value):
            raise UsageError(f"{name}: a text of 1 to {most} letters is needed")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of texts; empty where it is missing."""
        value = self._values.get(name, [])
        if not isinstance(value, list) or len(value) > _MOST:
            raise UsageError(f"{name}: a list of texts is needed")
        if any(not isinstance(each, str) or len(each) > _MOST for each in value):
            raise UsageError(f"{name}: a list of texts is needed")
        return value

    def items(self, name: str) -> list[Any]:
        """Return a list of anything."""
        value = self._values.get(name)
        if not isinstance(value, list):
            raise UsageError(f"{name}: a list is needed")
        return value

    def integer(self, name: str, *, low: int = 0, high: int = 1 << 53) -> int:
        """Return a whole number; 0 where it is missing."""
        value = self._values.get(name, 0)
        if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 17:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise UsageError(f"{name}: a whole number of {low} or more is needed")
        return value

    def act(self) -> str:
        """Return the sender's own name of an act, ``id``."""
        value = self.text("id")
        if not _ACT.fullmatch(value):
            raise UsageError("id: letters, digits, dots, dashes and underscores, 64 at most")
        return value
