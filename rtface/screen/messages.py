"""What browsers send: JSON of a bounded length, or nothing that anybody takes."""

from __future__ import annotations

import json
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

MOST_TEXT = 4_096
"""Characters of a websocket's message."""


def parsed(text: str | bytes) -> Any:
    """Return what JSON says; `ValueError` where it is none, is nested too deeply, or holds numbers that are none."""
    try:
        return json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("nested too deeply") from None


async def read_message(socket: WebSocket) -> Any:
    """Wait for the next message of a page and return it; None where it is binary, too long or no JSON.

    Raises
    ------
    WebSocketDisconnect
        The page has gone.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1005), message.get("reason"))
    text = message.get("text")
    if text is None or len(text) > MOST_TEXT:
        return None
    try:
        return parsed(text)
    except ValueError:
        return None


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no number")
