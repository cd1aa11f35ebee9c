"""What a page's request says, checked field by field; and the routes that take it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from rtface.core.errors import UsageError
from rtface.core.files import plain
from rtface.screen.messages import parsed

_LONGEST = 2_000
_LARGEST = 1 << 53
"""Whole numbers up to it are the same in a page and here."""

_LONGEST_TIME = 1e9
"""Seconds, or whatever a number is of."""

_WRITTEN = re.compile(r"[-+.eE0-9]{1,24}")


class Said:
    """The fields of a request, each checked when it is read; a wrong one is named.

    Parameters
    ----------
    fields : mapping
        The JSON of a body, or the texts of an address.
    """

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __contains__(self, name: str) -> bool:
        return self._fields.get(name) is not None

    def text(self, name: str, default: str | None = None, *, most: int = _LONGEST) -> str:
        """Return a text; `UsageError` where it is none, too long, or, without a default, empty or missing."""
        value = self._fields.get(name)
        if value is None:
            value = default
        if value is None or (value == "" and default is None):
            raise UsageError(f"{name} is missing")
        if not isinstance(value, str) or len(value) > most or "\0" in value:
            raise UsageError(f"{name} is a text of at most {most} letters, not {str(value)[:40]!r}")
        return value

    def texts(self, name: str) -> list[str]:
        """Return a list of texts; empty where it is missing."""
        value = self._fields.get(name) or []
        if not isinstance(value, list) or len(value) > _LONGEST:
            raise UsageError(f"{name} is a list of texts")
        return [Said({name: each}).text(name) for each in value]

    def texts_by_name(self, name: str) -> dict[str, str]:
        """Return a map of texts, which may be empty; empty where it is missing."""
        value = self._fields.get(name) or {}
        if not isinstance(value, dict) or len(value) > _LONGEST:
            raise UsageError(f"{name} is a map of names to texts")
        return {Said({name: key}).text(name): Said(value).text(key, "") for key in value}

    def items(self, name: str) -> list[Any]:
        """Return a list of anything; `UsageError` where it is none."""
        value = self._fields.get(name)
        if not isinstance(value, list):
            raise UsageError(f"{name} is a list")
        return value

    def whole(self, name: str, default: int | None = None, *, least: int = 0, most: int = _LARGEST) -> int:
        """Return a whole number; `UsageError` where it is none, out of range, or missing without a default."""
        value = self._number(name, int, default)
        if not least <= value <= most:
            raise UsageError(f"{name} is a whole number from {least} to {most}, not {value}")
        return int(value)

    def number(self, name: str, default: float | None = None) -> float:
        """Return a number, of seconds or the like; `UsageError` where it is none, too large, or missing without a default."""
        return float(self._number(name, float, default))

    def flag(self, name: str) -> bool:
        """Return whether a field is true; one that is anything else is not."""
        return self._fields.get(name) is True

    def _number(self, name: str, kind: type[int] | type[float], default: float | None) -> float:
        value = self._fields.get(name)
        if value is None or value == "":
            if default is None:
                raise UsageError(f"{name} is missing")
            return default
        wrong = UsageError(f"{name} is a {'whole ' if kind is int else ''}number, not {str(value)[:40]!r}")
        if isinstance(value, str) and _WRITTEN.fullmatch(value):
            try:
                value = kind(value)  # an address says all in letters
            except ValueError:
                raise wrong from None
        if isinstance(value, bool) or not isinstance(value, int if kind is int else int | float):
            raise wrong
        if abs(value) > (_LARGEST if kind is int else _LONGEST_TIME) or not math.isfinite(value):
            raise wrong
        return value


Answer = Response | Mapping[str, Any]
"""What a page is answered: a map as JSON, numbers that it cannot hold as null, or a response as it is."""


def got(path: str, find: Callable[[Said], Answer]) -> Route:
    """Return a route that reads: `find` takes what stands in the address, in a thread that may wait."""

    def handle(request: Request) -> Response:
        return _response(find(Said({**request.query_params, **request.path_params})))

    return Route(path, handle)


def posted(path: str, do: Callable[[Said], Answer]) -> Route:
    """Return a route for a change: `do` takes what the body says, in a thread that may wait."""

    async def handle(request: Request) -> Response:
        said = Said(await said_in(request) | request.path_params)
        return _response(await run_in_threadpool(do, said))

    return Route(path, handle, methods=["POST"])


async def said_in(request: Request) -> dict[str, Any]:
    """Return the JSON map that is the body of a request.

    Raises
    ------
    UsageError
        It is none.
    """
    try:
        said = parsed(await request.body() or b"{}")
    except ValueError as error:
        raise UsageError(f"the request is not JSON: {error}") from error
    if not isinstance(said, dict):
        raise UsageError("the request is not a map")
    return said


def _response(answer: Answer) -> Response:
    return answer if isinstance(answer, Response) else JSONResponse(plain(answer))
