"""A desk in a folder of its own, and a client for the routes of a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the pages need the extra `screen`")

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount
from starlette.testclient import TestClient
from support.job_waits import all_ended

from rtface.core.errors import RtfaceError
from rtface.screen.desk import Desk
from rtface.screen.jobs import Jobs


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A workspace; its jobs are real commands, and are stopped at the end."""
    folder = tmp_path / "work"
    folder.mkdir()
    jobs = Jobs(folder, stop_after_s=1.0)
    yield Desk(folder, jobs)
    all_ended(jobs)


@pytest.fixture
def client(desk: Desk) -> Callable[[Callable[[Desk], list[BaseRoute]]], TestClient]:
    """Make a client of a page's routes, which answers errors as the screen does."""

    def refused(request: Request, error: Exception) -> Response:
        return JSONResponse({"error": {"kind": type(error).__name__, "text": str(error)}}, 400)

    def make(routes: Callable[[Desk], list[BaseRoute]]) -> TestClient:
        handlers: dict[Any, Any] = {RtfaceError: refused}
        return TestClient(
            Starlette(routes=[Mount("/api/page", routes=routes(desk))], exception_handlers=handlers)
        )

    return make
