"""The websocket of the emergency stop, served beside the pages in a thread of its own.

While pictures, plots and jobs hang, this does not: it shares no event loop, no socket and no queue with them.
A page says ``{"n": 1, "stop": ["0"], "who": "ann"}`` and gets an answer a rig with the same `n`; ``{"n": 2}`` asks of each
rig whether a stop would arrive.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtface.publish.commands import MAX_NAME
from rtface.screen.access import Visitor
from rtface.screen.middleware import VISITOR
from rtface.screen.stopline import StopAnswer, StopLine

_MAX_TEXT = 4_096


def stop_app(lines: Mapping[str, StopLine]) -> ASGIApp:
    """Return the ASGI application of the emergency stop.

    Parameters
    ----------
    lines : mapping of str to StopLine
        By rig; opened and closed by the caller.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return
        socket = WebSocket(scope, receive, send)
        visitor: Visitor | None = scope.get(VISITOR)
        if visitor is None or visitor.read_only:
            await socket.close(1008, "guests look, and stop nothing")
            return
        await socket.accept()
        try:
            while await _answer(socket, lines):
                pass
            await socket.close(1003)
        except (WebSocketDisconnect, RuntimeError):
            return

    return app


async def _answer(socket: WebSocket, lines: Mapping[str, StopLine]) -> bool:
    """Do what a page says next; False where it is not what a page says."""
    text = await socket.receive_text()
    if len(text) > _MAX_TEXT:
        return False
    try:
        said = json.loads(text)
        number, rigs = int(said["n"]), [str(rig) for rig in said.get("stop", ())]
        who = str(said.get("who") or "the screen")[:MAX_NAME]
    except (ValueError, TypeError, KeyError, AttributeError):
        return False
    if "stop" not in said:
        await socket.send_text(
            json.dumps({"n": number, "ready": {rig: line.ready for rig, line in lines.items()}})
        )
        return True
    answers = {rig: asyncio.wrap_future(lines[rig].stop(who)) for rig in rigs if rig in lines}
    for rig, answer in answers.items():
        await socket.send_text(json.dumps({"n": number, "rig": rig, **_words(await answer)}))
    return True


def _words(answer: StopAnswer) -> dict[str, Any]:
    return {"ok": answer.ok, "text": answer.text, "ms": round(answer.ms, 1)}
