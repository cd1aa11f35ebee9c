"""What goes to the pages: the newest of what is shown, all of what happened, and no more of either than a page takes."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any

MOST_WAITING = 2_000
"""Messages that wait for a page that does not keep up; then the oldest go, and the page is told how many."""

PICTURES_UNDER_WAY = 2
"""Pictures that a page has not said to have shown; no further one is sent."""

MOST_WATCHERS = 32


class Watcher:
    """What one page is sent; belongs to the event loop of its `PageFeed`."""

    def __init__(self) -> None:
        self.missed = 0
        self.views: dict[str, str] = {}
        self._waiting: deque[str] = deque()
        self._newest: dict[tuple[str, str], str] = {}
        self._pictures: dict[str, bytes] = {}
        self._under_way = 0
        self._wake = asyncio.Event()
        self.ended = False

    def put(self, text: str, newest: tuple[str, str] | None) -> None:
        """Take a message: in its turn, or, with `newest`, in place of an older one of that topic and rig."""
        if newest is not None:
            self._newest[newest] = text
        else:
            self._waiting.append(text)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popleft()
                self.missed += 1
        self._wake.set()

    def put_picture(self, rig: str, picture: bytes) -> None:
        """Take a picture, in place of an older one of that rig."""
        self._pictures[rig] = picture
        self._wake.set()

    def shown(self) -> None:
        """Note that the page has shown a picture."""
        self._under_way = max(0, self._under_way - 1)
        self._wake.set()

    def end(self) -> None:
        """Let the page be told that this screen ends."""
        self.ended = True
        self._wake.set()

    async def next(self) -> list[str | bytes]:
        """Wait for what is to be sent, and return it: texts first, then at most so many pictures as may be under way."""
        while not self.ended:
            self._wake.clear()
            found: list[str | bytes] = [*self._waiting, *self._newest.values()]
            self._waiting.clear()
            self._newest.clear()
            while self._pictures and self._under_way < PICTURES_UNDER_WAY:
                rig = next(iter(self._pictures))
                found.append(self._pictures.pop(rig))
                self._under_way += 1
            if found:
                return found
            await self._wake.wait()
        return []


class PageFeed:
    """Hands what the rigs' threads have received on to the pages; `start` is called in the event loop of the pages."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watchers: set[Watcher] = set()
        self._lock = threading.Lock()
        self._under_way = 0
        self._left_out = 0
        self._wanted: dict[str, frozenset[str]] = {}

    def start(self) -> None:
        """Take the running event loop for that of the pages."""
        self._loop = asyncio.get_running_loop()

    @property
    def watched(self) -> bool:
        """Whether a page is open; from any thread."""
        return bool(self._watchers)

    def join(self) -> Watcher | None:
        """Return what a new page is sent; None where there are `MOST_WATCHERS` already."""
        if len(self._watchers) >= MOST_WATCHERS:
            return None
        watcher = Watcher()
        self._watchers.add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Send a page no more."""
        self._watchers.discard(watcher)
        self._look()

    def want(self, watcher: Watcher, views: dict[str, str]) -> None:
        """Send a page pictures of these rigs: of each rig which view."""
        watcher.views = views
        self._look()

    def wanted(self, rig: str) -> Collection[str]:
        """Return the views of a rig that pages take now; from any thread."""
        with self._lock:
            return self._wanted.get(rig, frozenset())

    def put(self, topic: str, rig: str, text: str, *, newest: bool) -> None:
        """Send a message to all pages; from any thread."""
        self._call(self._spread, (topic, rig) if newest else None, text)

    def put_picture(self, rig: str, view: str, picture: bytes) -> None:
        """Send a picture to the pages that take this view of the rig; from any thread."""
        self._call(self._spread_picture, rig, view, picture)

    def end(self) -> None:
        """Tell all pages that this screen ends; from any thread."""
        self._under_way = 0
        self._call(self._end)

    def _call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have something done in the pages' event loop; not where that hangs, and as much waits for it as for a page."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        with self._lock:
            if self._under_way >= MOST_WAITING:
                self._left_out += 1
                return
            self._under_way += 1
        with suppress(RuntimeError):  # it was closed since
            loop.call_soon_threadsafe(self._do, function, *arguments)

    def _do(self, function: Callable[..., None], *arguments: Any) -> None:
        with self._lock:
            self._under_way = max(0, self._under_way - 1)
            left_out, self._left_out = self._left_out, 0
        for watcher in self._watchers:
            watcher.missed += left_out
        function(*arguments)

    def _spread(self, newest: tuple[str, str] | None, text: str) -> None:
        for watcher in self._watchers:
            watcher.put(text, newest)

    def _spread_picture(self, rig: str, view: str, picture: bytes) -> None:
        for watcher in self._watchers:
            if watcher.views.get(rig) == view:
                watcher.put_picture(rig, picture)

    def _end(self) -> None:
        for watcher in self._watchers:
            watcher.end()

    def _look(self) -> None:
        wanted: dict[str, set[str]] = {}
        for watcher in self._watchers:
            for rig, view in watcher.views.items():
                wanted.setdefault(rig, set()).add(view)
        with self._lock:
            self._wanted = {rig: frozenset(views) for rig, views in wanted.items()}
