"""The cipher of a seal, and its key: a file of its own in the session's folder.

It keeps honest people honest: who looks at a log, or at its size, learns nothing. Who takes the key can open it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import struct
from pathlib import Path

from rtface.core.errors import DataError

KEY_NAME = "seal.key"
NAME = "SHAKE-256 and BLAKE2b"
KEY_BYTES = 32
TAG_BYTES = 16


class Cipher:
    """Seals numbered blocks: each number once.

    A block is added, bit by bit, to SHAKE-256 of key and number; its tag is a keyed BLAKE2b of number and what came of it.

    Parameters
    ----------
    key : bytes
        32 random ones, of one session.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._tag_key = hashlib.blake2b(b"rtface seal tag", key=key).digest()

    def seal(self, number: int, plain: bytes) -> bytes:
        """Return a block sealed; `TAG_BYTES` longer."""
        sealed = self._mixed(number, plain)
        return sealed + self._tag(number, sealed)

    def open(self, number: int, data: bytes) -> bytes:
        """Return what `seal` was given.

        Raises
        ------
        DataError
            It was sealed under another key or number, or changed.
        """
        sealed, tag = data[:-TAG_BYTES], data[-TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(number, sealed)):
            raise DataError(f"block {number} of the seal was not sealed with this key, or was changed")
        return self._mixed(number, sealed)

    def _mixed(self, number: int, data: bytes) -> bytes:
        stream = hashlib.shake_256(self._key + struct.pack("<Q", number)).digest(len(data))
        return (int.from_bytes(data, "little") ^ int.from_bytes(stream, "little")).to_bytes(
            len(data), "little"
        )

    def _tag(self, number: int, sealed: bytes) -> bytes:
        numbered = struct.pack("<Q", number) + sealed
        return hashlib.blake2b(numbered, key=self._tag_key, digest_size=TAG_BYTES).digest()


def fingerprint(key: bytes) -> str:
    """Return what tells a key from others, and nothing of it."""
    return hashlib.sha256(b"rtface seal key" + key).hexdigest()


def make_key(folder: Path) -> bytes:
    """Make the key of a new session, on the disk before this returns; `OSError` where it cannot be written."""
    key = secrets.token_bytes(KEY_BYTES)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    handle = os.open(folder / KEY_NAME, flags, 0o600)
    try:
        os.write(handle, key.hex().encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    return key


def read_key(folder: Path) -> bytes:
    """Return the key of a session.

    Raises
    ------
    DataError
        It is not there, or no key.
    """
    path = folder / KEY_NAME
    try:
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: the key of this session's seal cannot be read ({error})") from error
    if len(key) != KEY_BYTES:
        raise DataError(f"{path}: {len(key)} bytes, a key has {KEY_BYTES}")
    return key
