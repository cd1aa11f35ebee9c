"""Which page may be shown light and sham of which session: the one that asked, after that was written down, and no other.

Two people may sit at two pages of one screen, and one of them must stay blind: so what was opened is bound to a secret that
only the page has that opened it, and a reload forgets.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from rtface.core.errors import UsageError
from rtface.offline.sessions.certificate import is_blinded
from rtface.offline.sessions.outline import Outline
from rtface.offline.sessions.unblinding import unblind_session
from rtface.record.seal.openings import open_seal, openings

MOST = 64
"""Pages that may have something open at once; the oldest must ask again."""
_LONGEST = 200
UNBLIND, SHOW = "rtface screen: unblind", "rtface screen: show light and sham"


class Unsealed:
    """The secrets of the pages that opened a session; any thread."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, tuple[str, bytes | None]] = OrderedDict()
        self._lock = threading.Lock()

    def open(self, session: str, found: Outline, who: str, why: str, *, first: bool) -> str:
        """Open a blinded session for the page that asks, write that down, and return the page's secret.

        Parameters
        ----------
        session : str
            Its path in the workspace.
        found : Outline
            Not opened.
        who, why : str
            For the record.
        first : bool
            It is the act of unblinding.

        Raises
        ------
        UsageError
            It is not blinded, nobody is named, or nobody has unblinded it yet.
        DataError
            The key cannot be read, or nothing can be written down.
        """
        if not who.strip():
            raise UsageError("who opens it is written down: put your name where the page asks for it")
        if not is_blinded(found.session, unblind=False):
            raise UsageError("this session is not blinded: it shows light and sham already")
        name, reason = who.strip()[:_LONGEST], why.strip()[:_LONGEST]
        key: bytes | None = None
        if found.session.seal is not None and first:
            key = unblind_session(found.session, name, UNBLIND, reason)
        elif found.session.seal is not None:
            key = open_seal(found.session.folder, name, SHOW, why=reason)
        token = secrets.token_urlsafe(24)
        with self._lock:
            self._open[token] = (session, key)
            while len(self._open) > MOST:
                self._open.popitem(last=False)
        return token

    def outline(
        self, session: str, token: str, read: Callable[[bytes | None], Outline]
    ) -> tuple[Outline, bool]:
        """Return a session as a page may see it, and whether light and sham may be told apart.

        Parameters
        ----------
        session : str
            Its path in the workspace.
        token : str
            The page's secret; empty where it has none.
        read : callable
            Gives the session, with a key that opens its seal or None.

        Raises
        ------
        UsageError
            The secret is not one of this session.
        """
        if not token:
            return read(None), False
        with self._lock:
            opened = self._open.get(token)
        if opened is None or opened[0] != session:
            raise UsageError("this page has not opened that session, or too long ago; open it again")
        return read(opened[1]), True


def opened_by(found: Outline) -> list[dict[str, Any]]:
    """Return who opened the seal so far: when, who, by what and why."""
    if found.session.seal is None:
        return []
    names = ("at", "who", "what", "why")
    return [{name: each.get(name, "") for name in names} for each in openings(found.session.folder)[-50:]]
