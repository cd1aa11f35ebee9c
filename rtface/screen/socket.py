"""The one websocket of a page: what it is sent, and what it says that it wants.

A page says ``{"pictures": {RIG: "frame" | "crop"}}``, ``"shown"`` of each picture, and ``{"clock": N}``, which is answered
with the clock of this process: with it a page knows how old what it shows is, however long that was on its way.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from rtface.core.clock import monotonic_ns
from rtface.screen.feed import PageFeed, Watcher
from rtface.screen.messages import read_message

_VIEWS = ("frame", "crop")


async def follow(socket: WebSocket, feed: PageFeed, rig: Callable[[str], object], greeting: str) -> None:
    """Serve a page's websocket until either side ends it.

    Parameters
    ----------
    socket : WebSocket
        Not accepted yet.
    feed : PageFeed
    rig : callable
        Returns the rig of an id that a page may want pictures of; None where there is none.
    greeting : str
        The first message.
    """
    watcher = feed.join()
    if watcher is None:  # accepted first: a browser gives its page no reason otherwise
        await socket.accept()
        await socket.close(1013, "too many pages are open on this screen: close some")
        return
    try:
        await socket.accept()
        await socket.send_text(greeting)
        tasks = [
            asyncio.create_task(_send(socket, watcher)),
            asyncio.create_task(_receive(socket, feed, watcher, rig)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(RuntimeError, WebSocketDisconnect):  # it is closed already
            await asyncio.wait_for(socket.close(1001 if watcher.ended else 1000), 1.0)
    except (WebSocketDisconnect, TimeoutError):
        return
    finally:
        feed.leave(watcher)


async def _send(socket: WebSocket, watcher: Watcher) -> None:
    told = 0
    while found := await watcher.next():
        if watcher.missed > told:
            told = watcher.missed
            await socket.send_text(json.dumps({"topic": "missed", "rig": "", "data": told}))
        for message in found:
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await socket.send_text(message)


async def _receive(socket: WebSocket, feed: PageFeed, watcher: Watcher, rig: Callable[[str], object]) -> None:
    """Read what a page says; anything else than what it may say ends its socket."""
    while (said := await read_message(socket)) is not None:
        if said == "shown":
            watcher.shown()
        elif not isinstance(said, dict):
            return
        elif set(said) == {"pictures"}:
            feed.want(watcher, _views(said["pictures"], rig))
        elif set(said) == {"clock"} and type(said["clock"]) is int:
            now = {"n": said["clock"], "now_ns": monotonic_ns()}
            watcher.put(json.dumps({"topic": "clock", "rig": "", "data": now}), ("clock", ""))
        else:
            return


def _views(said: Any, rig: Callable[[str], object]) -> dict[str, str]:
    if not isinstance(said, dict):
        return {}
    return {name: view for name, view in said.items() if view in _VIEWS and rig(name) is not None}
