"""``/api/teach``: guided ways, engines, and the jobs that make, export and verify them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from rtface.core.errors import UsageError
from rtface.learn.labels.how_many import FRAMES_TO_LABEL, HOW_MANY
from rtface.screen.desk import Desk
from rtface.screen.rigfiles import change_rig, rigs_of
from rtface.screen.said import Said, asked, posted, text
from rtface.screen.teach.commands import begin, check_view, export_int8, go_on, verify
from rtface.screen.teach.engines import engine_in_full, engines_here
from rtface.screen.teach.ways import attempt_in_full, curves_of, way_at, way_in_full, ways_of


def routes(desk: Desk) -> list[BaseRoute]:
    """Return the routes below ``/api/teach``."""

    def listed(request: Request) -> JSONResponse:
        return JSONResponse(
            {
                "ways": ways_of(desk),
                "engines": engines_here(),
                "rigs": rigs_of(desk),
                "count": FRAMES_TO_LABEL,
                "how_many": HOW_MANY,
            }
        )

    def way(request: Request) -> JSONResponse:
        return JSONResponse(way_in_full(desk, asked(request, "folder")))

    def attempts(request: Request) -> JSONResponse:
        found = way_at(desk, asked(request, "folder")).attempts()
        return JSONResponse({"attempts": [attempt_in_full(each) for each in found]})

    def curves(request: Request) -> JSONResponse:
        return JSONResponse(curves_of(desk, asked(request, "folder"), asked(request, "attempt")))

    def engine(request: Request) -> JSONResponse:
        return JSONResponse(engine_in_full(asked(request, "name")))

    def use(said: Said) -> Mapping[str, Any]:
        seen = said.get("token")
        if seen is not None and not isinstance(seen, str):
            raise UsageError("token is what came with the difference")
        return change_rig(desk, text(said, "rig"), {"engine": text(said, "engine")}, seen=seen)

    return [
        Route("/ways", listed),
        Route("/way", way),
        Route("/attempts", attempts),
        Route("/curves", curves),
        Route("/engine", engine),
        posted("/begin", lambda said: begin(desk, said)),
        posted("/go", lambda said: go_on(desk, said)),
        posted("/export", lambda said: export_int8(desk, said)),
        posted("/verify", lambda said: verify(desk, said)),
        posted("/view", lambda said: check_view(desk, said)),
        posted("/use", use),
    ]
