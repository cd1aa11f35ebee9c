"""What a page's request says, checked field by field; and the route that takes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from rtface.core.errors import UsageError
from rtface.screen.app import said_in

Said = Mapping[str, Any]
"""The map of a request."""

_LONGEST = 1_000


def posted(path: str, do: Callable[[Said], Mapping[str, Any]]) -> Route:
    """Return a route for a change: `do` takes what the request says, in a thread that may wait, and returns the answer."""

    async def handle(request: Request) -> JSONResponse:
        said = await said_in(request)
        return JSONResponse(dict(await run_in_threadpool(do, said)))

    return Route(path, handle, methods=["POST"])


def text(said: Said, name: str, default: str | None = None) -> str:
    """Return a text that a request says; `UsageError` where it is none, or missing without a default."""
    value = said.get(name, default)
    if value is None:
        raise UsageError(f"{name} is missing")
    if not isinstance(value, str) or len(value) > _LONGEST or "\0" in value:
        raise UsageError(f"{name} is a text, not {str(value)[:40]!r}")
    return value


def texts(said: Said, name: str) -> list[str]:
    """Return a list of texts that a request says; empty where it says nothing."""
    value = said.get(name, [])
    if not isinstance(value, list) or len(value) > _LONGEST:
        raise UsageError(f"{name} is a list of texts")
    return [text({name: each}, name) for each in value]


def whole(said: Said, name: str, default: int | None = None, *, least: int = 0, most: int = 1_000_000) -> int:
    """Return a whole number that a request says; `UsageError` where it is none or out of range."""
    value = said.get(name, default)
    if value is None:
        raise UsageError(f"{name} is missing")
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise UsageError(f"{name} is a whole number from {least} to {most}, not {str(value)[:40]}")
    return value


def asked(request: Request, name: str, default: str | None = None) -> str:
    """Return a text that stands in a request's address; errors as of `text`."""
    return text(dict(request.query_params), name, default)
