"""The record of a session: a folder with an append-only log and, where wanted, the frames as a video."""

from __future__ import annotations

from pathlib import Path

from rtface.core.clock import utc
from rtface.core.errors import UsageError

LOG_NAME = "session.log"
VIDEO_NAME = "frames.mkv"


def session_folder(root: Path, session: str, began_ns: int | None = None) -> Path:
    """Return the path of a new session's folder, such as ``2026-11-22T23-14-05Z_a1b2``.

    The name is ``<date>T<time>Z_<id>``, in universal time.

    Parameters
    ----------
    root : Path
        Folder of all sessions.
    session : str
        Id of the session: letters, digits, ``-`` and ``_``.
    began_ns : int, optional
        Nanoseconds since the Unix epoch; now when absent.

    Raises
    ------
    UsageError
        The id is empty or has other characters.
    """
    if not session or not all(each.isascii() and (each.isalnum() or each in "-_") for each in session):
        raise UsageError(f"the id of a session has letters, digits, - and _ only, not {session!r}")
    began = utc(began_ns)
    return root / f"{began:%Y-%m-%dT%H-%M-%SZ}_{session}"


def log_of(path: Path) -> Path:
    """Return the log of a session that is given by its folder or by its log."""
    return path / LOG_NAME if path.is_dir() else path
