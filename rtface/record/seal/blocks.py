"""Sealed entries in blocks of one size, written at one rate: neither size nor number of them depends on what they hold.

The plain text of a block, little-endian: u32 number of its first entry, u16 how many, u32 length n of n bytes of zlib, then
zeros. Unpacked, each entry is u32 clear events and u32 rows of features that were recorded before it, u16 kind, u32 length of
its payload, payload.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from rtface.core.errors import DataError
from rtface.record.seal.cipher import Cipher

BLOCK = 1024
"""Bytes of a block's plain text."""
LAST_BLOCKS = 8
"""Fewest blocks at the end of a session, where all that waits is written."""

_HEAD = struct.Struct("<IHI")
_ENTRY = struct.Struct("<IIHI")
_MOST_AT_ONCE = 64


class SealedItem(NamedTuple):
    """A sealed entry, and its place among those in the clear.

    Attributes
    ----------
    number : int
        From 0, without a gap.
    events, features : int
        Events, and rows of features, that were recorded in the clear before it.
    kind : int
    payload : bytes
        As of an event in the log.
    """

    number: int
    events: int
    features: int
    kind: int
    payload: bytes


class SealedQueue:
    """Entries that wait for a block; the writer's lock is held around every method.

    Parameters
    ----------
    cipher : Cipher
    """

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self._waiting: deque[SealedItem] = deque()
        self._entries = self._blocks = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, events: int, features: int, kind: int, payload: bytes) -> None:
        """Let an entry wait."""
        self._waiting.append(SealedItem(self._entries, events, features, kind, payload))
        self._entries += 1

    def block(self, *, padded: bool = True) -> tuple[int, bytes, list[SealedItem]]:
        """Return number and content of the next block, with as much as there is room for, and what is in it.

        An entry that alone is larger than a block makes a larger one: it must not be lost.
        """
        taken: list[SealedItem] = []
        packed = b""
        for most in (_MOST_AT_ONCE, 32, 16, 8, 4, 2, 1):
            taken = [self._waiting[at] for at in range(min(most, len(self._waiting)))]
            plain = b"".join(_ENTRY.pack(*each[1:4], len(each.payload)) + each.payload for each in taken)
            packed = zlib.compress(plain, 1) if taken else b""
            if _HEAD.size + len(packed) <= BLOCK:
                break
        for _ in taken:
            self._waiting.popleft()
        first = taken[0].number if taken else self._entries
        content = _HEAD.pack(first, len(taken), len(packed)) + packed
        number = self._blocks
        self._blocks += 1
        return number, self._cipher.seal(number, content.ljust(BLOCK, b"\0") if padded else content), taken

    def clear(self) -> Counter[int]:
        """Forget what waits; return how many of each kind."""
        lost = Counter(each.kind for each in self._waiting)
        self._waiting.clear()
        return lost


def opened_items(blocks: Mapping[int, bytes], key: bytes) -> list[SealedItem]:
    """Return the entries of sealed blocks, in order; blocks by their numbers, any of which may be missing.

    Raises
    ------
    DataError
        A block was not sealed with this key, or is not what it should be.
    """
    cipher = Cipher(key)
    return [item for number in sorted(blocks) for item in _items(number, cipher.open(number, blocks[number]))]


def _items(number: int, content: bytes) -> Iterable[SealedItem]:
    try:
        first, count, length = _HEAD.unpack_from(content)
        plain = zlib.decompress(content[_HEAD.size : _HEAD.size + length]) if length else b""
        at = 0
        for place in range(count):
            events, features, kind, size = _ENTRY.unpack_from(plain, at)
            at += _ENTRY.size
            yield SealedItem(first + place, events, features, kind, plain[at : at + size])
            at += size
    except (struct.error, zlib.error) as error:
        raise DataError(f"block {number} of the seal is not what it should be: {error}") from error
