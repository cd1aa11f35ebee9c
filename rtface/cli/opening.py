"""Sessions as a command reads them: with what is sealed in them where that is asked for, and written down."""

from __future__ import annotations

import getpass
import socket
from pathlib import Path

from rtface.offline.sessions.outline import Outline, outline
from rtface.record.seal.openings import open_seal
from rtface.record.session.reader import Session, read_session


def read_opened(path: Path, command: str, *, unblind: bool) -> Session:
    """Read a session; its seal is opened, and that written down, where it has one and `unblind` asks for it.

    Raises
    ------
    UsageError
        Nobody has unblinded it: `rtface session unblind`.
    DataError
        It cannot be read, opened, or written down.
    """
    session = read_session(path)
    if not unblind or session.seal is None:
        return session
    return read_session(path, open_seal(session.folder, me(), f"{command} --unblind"))


def outline_opened(path: Path, command: str, *, unblind: bool) -> Outline:
    """Go through a session as `read_opened` reads one; raises what that raises."""
    found = outline(path)
    if not unblind or found.session.seal is None:
        return found
    return outline(path, open_seal(found.session.folder, me(), f"{command} --unblind"))


def me() -> str:
    """Return who runs this command, for the record."""
    return f"{getpass.getuser()}@{socket.gethostname()}"[:64]
