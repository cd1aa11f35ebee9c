"""The pages and what they are made of, as one application."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from rtface import __version__
from rtface.core.errors import ControlError, RtfaceError, UsageError
from rtface.screen.access import Access
from rtface.screen.commands import PageCommands
from rtface.screen.desk import Desk
from rtface.screen.face import face_in_view
from rtface.screen.feed import PageFeed
from rtface.screen.middleware import VISITOR
from rtface.screen.openrigs import OpenRig, OpenRigs
from rtface.screen.said import said_in
from rtface.screen.socket import follow

STATIC = Path(__file__).parent / "static"

Routes = Callable[[Desk], list[BaseRoute]]


@dataclass(frozen=True)
class ScreenParts:
    """What an application is made of.

    Attributes
    ----------
    rigs : OpenRigs
    feed : PageFeed
    desk : Desk
    access : Access
    stop_port : int
        Where the emergency stop is served.
    link_for : callable
        The address that a token stands in.
    pages : dict of str to callable
        The routes of each page that has a server's part, by page.
    """

    rigs: OpenRigs
    feed: PageFeed
    desk: Desk
    access: Access
    stop_port: int
    link_for: Callable[[str], str]
    pages: dict[str, Routes] = field(default_factory=dict)


def screen_app(parts: ScreenParts) -> Starlette:
    """Return the application, to stand behind `rtface.screen.middleware.Doorway`."""
    served = _Served(parts)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        parts.feed.start()
        yield

    routes: list[BaseRoute] = [
        Route("/", served.index),
        Route("/api/about", served.about),
        Route("/api/guests", served.invite, methods=["POST"]),
        Route("/api/disk", served.disk),
        Route("/api/rigs/{rig}/history", served.history),
        Route("/api/rigs/{rig}/face", served.face, methods=["POST"]),
        Route("/api/rigs/{rig}/{operation}", served.command, methods=["POST"]),
        WebSocketRoute("/socket", served.socket),
        *(Mount(f"/api/{page}", routes=made(parts.desk)) for page, made in parts.pages.items()),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    handlers: dict[Any, Any] = {
        RtfaceError: _refused,
        HTTPException: _failed_http,
        Exception: _failed,
    }
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)


def greeting(parts: ScreenParts) -> str:
    """Return the first message of a page's websocket, which comes again where another rig is shown."""
    about = {"rigs": _rigs(parts), "version": __version__, "stop_port": parts.stop_port}
    return json.dumps({"topic": "screen", "rig": "", "data": about})


def _rigs(parts: ScreenParts) -> list[dict[str, str | bool]]:
    return [each.rig.as_dict() for each in parts.rigs.all()]


class _Served:
    def __init__(self, parts: ScreenParts) -> None:
        self._parts = parts

    async def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def about(self, request: Request) -> Response:
        parts = self._parts
        return JSONResponse(
            {
                "version": __version__,
                "folder": str(parts.desk.folder),
                "stop_port": parts.stop_port,
                "read_only": request.scope[VISITOR].read_only,
                "rigs": _rigs(parts),
                "pages": sorted(parts.pages),
            }
        )

    async def invite(self, request: Request) -> Response:
        """Make a link for a guest, who may look and change nothing."""
        return JSONResponse({"link": self._parts.link_for(self._parts.access.new_link(read_only=True))})

    def history(self, request: Request) -> Response:
        return JSONResponse(self._rig(request).link.history())

    def face(self, request: Request) -> Response:
        """Seek the face in what the camera sees; it changes nothing, but is work."""
        link = self._rig(request).link
        return JSONResponse(face_in_view(link.rig, link.pictures_address, link.engine))

    def disk(self, request: Request) -> Response:
        """Say how much room there is on the disk of the folder, in bytes."""
        usage = shutil.disk_usage(self._parts.desk.folder)
        return JSONResponse({"free": usage.free, "total": usage.total})

    def _rig(self, request: Request) -> OpenRig:
        found = self._parts.rigs.get(request.path_params["rig"])
        if found is None:
            raise UsageError("no such rig")
        return found

    async def command(self, request: Request) -> Response:
        said = await said_in(request)
        operation = request.path_params["operation"]
        return await run_in_threadpool(self._command, self._rig(request).commands, operation, said)

    def _command(self, commands: PageCommands, operation: str, said: dict[str, Any]) -> Response:
        args = said.get("args", {})
        if not isinstance(args, dict):
            raise UsageError("args: a map of the operation's arguments")
        return JSONResponse(dict(commands.request(operation, args, said.get("who"))))

    async def socket(self, websocket: WebSocket) -> None:
        for each in self._parts.rigs.all():
            each.link.say_again()
        await follow(websocket, self._parts.feed, self._parts.rigs.get, greeting(self._parts))


def _refused(request: Request, error: Exception) -> Response:
    said = {"kind": type(error).__name__, "text": str(error)}
    if isinstance(error, ControlError):
        said["code"] = error.code
    return JSONResponse({"error": said}, HTTPStatus.BAD_REQUEST)


def _failed_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else HTTPStatus.INTERNAL_SERVER_ERROR
    return JSONResponse({"error": {"kind": "HTTP", "text": f"{status}: {request.url.path}"}}, status)


def _failed(request: Request, error: Exception) -> Response:
    said = {"kind": type(error).__name__, "text": f"the screen failed: {error}"}
    return JSONResponse({"error": said}, HTTPStatus.INTERNAL_SERVER_ERROR)
