"""``/api/jobs``: the jobs of the workspace, one of them with what it says, and its stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from rtface.core.errors import UsageError

if TYPE_CHECKING:
    from rtface.screen.desk import Desk

_LISTED = 100


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/jobs``."""

    def listed(request: Request) -> JSONResponse:
        return JSONResponse({"jobs": [job.as_dict() for job in desk.jobs.list()[:_LISTED]]})

    def one(request: Request) -> JSONResponse:
        name = request.path_params["name"]
        lines, place = desk.jobs.progress(name, _since(request))
        job = desk.jobs.get(name)
        return JSONResponse(
            {
                "job": job.as_dict(),
                "progress": lines,
                "next": place,
                "said": desk.jobs.output(name),
                "result": desk.jobs.result(name) if job.over else None,
            }
        )

    def stop(request: Request) -> JSONResponse:
        return JSONResponse({"job": desk.jobs.stop(request.path_params["name"]).as_dict()})

    return [
        Route("/", listed),
        Route("/{name}", one),
        Route("/{name}/stop", stop, methods=["POST"]),
    ]


def _since(request: Request) -> int:
    text = request.query_params.get("since", "0")
    if not text.isascii() or not text.isdecimal() or len(text) > 15:
        raise UsageError(f"since is a place in bytes, not {text!r}")
    return int(text)
