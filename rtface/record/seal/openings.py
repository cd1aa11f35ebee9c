"""Who opened the seal of a session, when and for what: a file in its folder to which lines are added, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from rtface import __version__
from rtface.core.clock import utc
from rtface.core.errors import DataError, UsageError
from rtface.core.files import printable
from rtface.record.seal.cipher import fingerprint, read_key
from rtface.record.session.log import lock

OPENINGS_NAME = "unblinded.jsonl"


def open_seal(folder: Path, who: str, what: str, *, first: bool = False, why: str = "") -> bytes:
    """Write down that somebody opens the seal of a session, and return its key.

    Parameters
    ----------
    folder : Path
        Of the session.
    who, what, why : str
        Who opens it, by which command, and their reason.
    first : bool
        It is the act of unblinding, which must come before any other use.

    Raises
    ------
    UsageError
        Nobody has unblinded the session.
    DataError
        The key cannot be read, or nothing can be written down.
    """
    before = openings(folder)
    if not first and not before:
        raise UsageError(
            f"{folder} is blinded, and its seal was not opened: `rtface session unblind {folder}` does, and writes down who did"
        )
    key = read_key(folder)
    path = folder / OPENINGS_NAME
    try:
        _add(path, who, what, why, fingerprint(key)[:16])
    except OSError as error:
        raise DataError(
            f"{path} cannot be written: {error.strerror or error}; what cannot be written down is not opened"
        ) from error
    return key


def _add(path: Path, who: str, what: str, why: str, key: str) -> None:
    """Add a line, whole or not at all, and after those of others who open it at the same time."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o644)
    try:
        lock(handle)
        before = path.read_bytes()
        line = {
            "at": utc().isoformat(timespec="milliseconds"),
            "who": who,
            "what": what,
            "why": why,
            "rtface": __version__,
            "key": key,
            "before": hashlib.sha256(before).hexdigest(),
        }
        data = printable(json.dumps(line, ensure_ascii=False)).encode() + b"\n"
        if os.write(handle, data) < len(data):
            os.ftruncate(handle, len(before))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    finally:
        os.close(handle)


def openings(folder: Path) -> list[dict[str, Any]]:
    """Return who opened the seal, in order; nothing where nobody did.

    Raises
    ------
    DataError
        A line is not as it was written, or one before it is missing.
    """
    path = folder / OPENINGS_NAME
    try:
        data = path.read_bytes() if path.exists() else b""
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    found: list[dict[str, Any]] = []
    at = 0
    for line in data.splitlines(keepends=True):
        try:
            entry = json.loads(line)
            whole = entry["before"] == hashlib.sha256(data[:at]).hexdigest()
        except (ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            raise DataError(
                f"{path}: line {len(found) + 1} is not as it was written, or one before it was changed"
            )
        found.append(entry)
        at += len(line)
    return found
