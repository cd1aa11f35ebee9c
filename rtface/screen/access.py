"""Who may see and use the pages: links that open once, and the cookies that they are exchanged for."""

from __future__ import annotations

import json
import logging
import secrets
import threading
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from rtface.core.clock import NS_PER_S, wall_ns
from rtface.core.files import cache_folder, written_whole

_log = logging.getLogger(__name__)

MOST_LINKS = 16
MOST_VISITORS = 64
DAY_S = 24 * 3600
"""A browser that was not used for so long must come in by a link again."""

COOKIE_S = 30 * DAY_S
"""How long a browser keeps its cookie; whether it is good still is known here."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A browser that came in by a link.

    Attributes
    ----------
    read_only : bool
        It may look, and change nothing.
    until_s : float
        When its cookie ends unless it is used before, in seconds since 1970.
    """

    read_only: bool
    until_s: float


class Access:
    """Links that open once, and the visitors that they let in; used by several threads.

    Cookies outlive the process where `kept` names a file: a page that was left open finds its way back after a
    restart. The file holds hashes alone.

    Parameters
    ----------
    kept : path or None
        Where visitors are kept.
    """

    def __init__(self, kept: Path | None = None) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._links: dict[str, bool] = {}
        self._visitors: dict[str, Visitor] = {} if kept is None else _read(kept)

    def new_link(self, *, read_only: bool = False) -> str:
        """Return a token that opens once; the oldest of more than `MOST_LINKS` unused ones opens no more."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._links[token] = read_only
            while len(self._links) > MOST_LINKS:
                del self._links[next(iter(self._links))]
        return token

    def enter(self, token: str) -> str | None:
        """Return the cookie that a token is exchanged for, once; None for any other."""
        with self._lock:
            read_only = self._links.pop(token, None)
            if read_only is None:
                return None
            cookie = secrets.token_urlsafe(32)
            self._visitors[_hash(cookie)] = Visitor(read_only, wall_ns() / NS_PER_S + DAY_S)
            while len(self._visitors) > MOST_VISITORS:
                del self._visitors[next(iter(self._visitors))]
            self._keep()
        return cookie

    def lets_act(self, token: str) -> bool:
        """Return whether a token opens, and not for a guest; it stays unused."""
        with self._lock:
            return self._links.get(token) is False

    def visitor(self, cookie: str) -> Visitor | None:
        """Return whose cookie this is; None where it is nobody's, or was not used for a day."""
        name, now_s = _hash(cookie), wall_ns() / NS_PER_S
        with self._lock:
            visitor = self._visitors.get(name)
            if visitor is None or visitor.until_s < now_s:
                return None
            if visitor.until_s < now_s + DAY_S / 2:
                visitor = self._visitors[name] = Visitor(visitor.read_only, now_s + DAY_S)
                self._keep()
        return visitor

    def _keep(self) -> None:
        if self._kept is None:
            return
        try:
            self._write(self._kept)
        except OSError as error:  # a full disk keeps nobody out
            _log.warning("browsers that came in must come in again after a restart: %s", error)

    def _write(self, path: Path) -> None:
        values = {name: [each.read_only, each.until_s] for name, each in self._visitors.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(path) as part:
            part.touch(mode=0o600)
            part.write_text(json.dumps(values), encoding="utf-8")


def kept_visitors(port: int) -> Path:
    """Return the file of this user in which the visitors of a port are kept."""
    return cache_folder("screen") / f"{port}.json"


def _hash(cookie: str) -> str:
    return sha256(cookie.encode()).hexdigest()


def _read(path: Path) -> dict[str, Visitor]:
    """Return the visitors that were kept; nobody where the file is missing or is not ours."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        now_s = wall_ns() / NS_PER_S
        kept = {str(name): Visitor(bool(one), float(until)) for name, (one, until) in values.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}
    return {name: each for name, each in kept.items() if now_s < each.until_s <= now_s + DAY_S}
