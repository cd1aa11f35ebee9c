"""The websocket of the emergency stop, served beside the pages in a thread of its own.

While pictures, plots and jobs hang, this does not: it shares no event loop, no socket and no queue with them.
A page says ``{"n": 1, "stop": ["0"], "who": "ann"}`` and gets an answer a rig with the same `n`; ``{"n": 2}`` asks of each
rig whether a stop would arrive. What comes while an answer is waited for is answered too, and no rig waits for another.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtface.screen.access import Visitor
from rtface.screen.commands import name_for_record
from rtface.screen.messages import read_message
from rtface.screen.middleware import VISITOR
from rtface.screen.stopline import StopAnswer, StopLine

_UNDER_WAY = 32
"""Answers of one page that are waited for; what it says beyond is read when one of them has come."""


@dataclass(frozen=True, slots=True)
class _Said:
    number: int
    rigs: list[str] | None
    who: str


def stop_app(lines: Callable[[], Mapping[str, StopLine]]) -> ASGIApp:
    """Return the ASGI application of the emergency stop.

    Parameters
    ----------
    lines : callable
        Returns the lines of all rigs by their ids as they are now; opened and closed by the caller.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await PlainTextResponse("the emergency stop is a websocket", 404)(scope, receive, send)
        if scope["type"] != "websocket":
            return
        socket = WebSocket(scope, receive, send)
        visitor: Visitor | None = scope.get(VISITOR)
        if visitor is None or visitor.read_only:
            await socket.close(1008, "guests look, and stop nothing")
            return
        await socket.accept()
        try:
            await _serve(socket, lines)
            await socket.close(1003, "not what a page says")
        except (WebSocketDisconnect, RuntimeError):
            return

    return app


async def _serve(socket: WebSocket, lines: Callable[[], Mapping[str, StopLine]]) -> None:
    """Do what a page says, until it says what is not known or goes."""
    answering: set[asyncio.Task[None]] = set()
    try:
        while (said := _said(await read_message(socket))) is not None:
            if said.rigs is None:
                ready = {rig: line.ready for rig, line in lines().items()}
                await socket.send_text(json.dumps({"n": said.number, "ready": ready}))
                continue
            for rig in dict.fromkeys(said.rigs):
                task = asyncio.create_task(_stop(socket, said, rig, lines().get(rig)))
                answering.add(task)
                task.add_done_callback(answering.discard)
            while len(answering) >= _UNDER_WAY:
                await asyncio.wait(answering, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)


def _said(message: object) -> _Said | None:
    """Return what a message says; None where it is not what a page says."""
    if not isinstance(message, dict) or type(number := message.get("n")) is not int:
        return None
    if "stop" not in message:
        return _Said(number, None, "")
    rigs = message["stop"]
    if not isinstance(rigs, list) or not all(isinstance(rig, str) for rig in rigs):
        return None
    return _Said(number, rigs, name_for_record(message.get("who")))


async def _stop(socket: WebSocket, said: _Said, rig: str, line: StopLine | None) -> None:
    if line is None:
        answer = StopAnswer(False, "this screen shows no such rig any more: load the page anew", 0.0)
    else:
        answer = await asyncio.wrap_future(line.stop(said.who))
    words = {"ok": answer.ok, "text": answer.text, "ms": round(answer.ms, 1)}
    await socket.send_text(json.dumps({"n": said.number, "rig": rig, **words}))
