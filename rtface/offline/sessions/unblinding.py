"""The act of unblinding: who may learn light from sham is written down first, at a terminal and on a page alike."""

from __future__ import annotations

from rtface.core.errors import UsageError
from rtface.record.seal.openings import open_seal
from rtface.record.session.reader import Session


def unblind_session(session: Session, who: str, what: str, why: str) -> bytes:
    """Open the seal of a session, write down who did, and return its key.

    Parameters
    ----------
    session : Session
    who, what, why : str
        As of `rtface.record.seal.openings.open_seal`.

    Raises
    ------
    UsageError
        It has no seal, or is still being written.
    DataError
        The key cannot be read, or nothing can be written down.
    """
    if session.seal is None:
        raise UsageError(
            f"{session.folder} has no seal: it was not blinded, or recorded before there was one"
        )
    if session.state == "open":
        raise UsageError(f"{session.folder} is still being written; it is opened after it has ended")
    return open_seal(session.folder, who, what, first=True, why=why)
