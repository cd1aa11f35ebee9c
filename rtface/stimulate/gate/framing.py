"""Frames of the gate's serial line: bytes to messages and back. No I/O.

A frame is ``COBS(type, sequence number, nonce, payload), CRC in three bytes, 0``. COBS removes every zero, so a zero ends a
frame and nothing else does: whoever has lost the thread has it again at the next zero. The CRC-16 (polynomial
0x1021, initial value 0xFFFF) is taken over the bytes as they travel, not over what they decode to, and is sent seven
bits a byte under a set top bit. So one, two or three flipped bits anywhere in a frame, and any burst of up to 16 in
its stuffed part, are caught for certain as long as they make or remove no zero; a flip that does leaves a piece
that is too short or too long for its type, which is refused as well.

The nonce is the conversation's: the gate draws a new one at each `Hello` and answers under it. A frame of another
conversation, of before or of another host, counts for nothing. Sequence numbers have 32 bits and only grow: at 100 a
second they last for 497 days, and none comes twice.
"""

from __future__ import annotations

import binascii
import struct
from dataclasses import dataclass

from rtface.core.errors import UsageError, WireError
from rtface.stimulate.gate.codes import MAX_FRAME
from rtface.stimulate.gate.protocol import LAYOUTS, Message, from_payload, payload_size, to_payload

_HEADER = struct.Struct("<BII")
_OLD_HEADER = struct.Struct("<BH")
_CRC_BYTES = 3
_MAX = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class LineFrame:
    """A message, its sequence number, and the nonce of its conversation (0: of none)."""

    seq: int
    message: Message
    nonce: int = 0


def crc16(data: bytes) -> int:
    """Return the CRC-16 (polynomial 0x1021, initial value 0xFFFF, most significant bit first)."""
    return binascii.crc_hqx(data, 0xFFFF)


def encode(message: Message, seq: int, nonce: int = 0) -> bytes:
    """Return the bytes of a frame, its closing zero included.

    Raises
    ------
    UsageError
        A field of the message, the sequence number or the nonce is out of range.
    """
    for name, value in (("sequence number", seq), ("nonce", nonce)):
        if not 0 <= value <= _MAX:
            raise UsageError(f"the {name} {value} is not within 0 to {_MAX}")
    stuffed = _stuff(_HEADER.pack(message.TYPE, seq, nonce) + to_payload(message))
    return stuffed + _crc_bytes(crc16(stuffed)) + b"\0"


class Decoder:
    """Takes bytes in pieces of any size and returns the messages in them; never raises.

    Attributes
    ----------
    rejected : int
        Pieces between zeros that were no frame: damaged, of an unknown type, or of a wrong length.
    old : int
        Those among them that a gate of protocol 1 sends.
    """

    def __init__(self) -> None:
        self.rejected = 0
        self.old = 0
        self._piece = bytearray()
        self._overlong = False

    def feed(self, data: bytes) -> list[LineFrame]:
        """Return the frames that these bytes complete, in order."""
        frames: list[LineFrame] = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._append(piece)
            if self._overlong:
                self.rejected += 1
            elif self._piece:
                try:
                    frames.append(_decode(bytes(self._piece)))
                except WireError:
                    self.rejected += 1
                    self.old += _is_old(bytes(self._piece))
            self._piece.clear()
            self._overlong = False
        self._append(rest)
        return frames

    def _append(self, piece: bytes) -> None:
        self._overlong = self._overlong or len(self._piece) + len(piece) >= MAX_FRAME
        if not self._overlong:
            self._piece += piece


def _decode(piece: bytes) -> LineFrame:
    body = _body(piece)
    if len(body) < _HEADER.size:
        raise WireError("shorter than a header")
    kind, seq, nonce = _HEADER.unpack_from(body)
    if kind not in LAYOUTS:
        raise WireError(f"unknown type {kind:#x}")
    return LineFrame(seq, from_payload(kind, body[_HEADER.size :]), nonce)


def _body(piece: bytes) -> bytes:
    if len(piece) <= _CRC_BYTES:
        raise WireError("shorter than any frame")
    stuffed, check = piece[:-_CRC_BYTES], piece[-_CRC_BYTES:]
    if check != _crc_bytes(crc16(stuffed)):
        raise WireError("the CRC does not match")
    return _unstuff(stuffed)


def _is_old(piece: bytes) -> bool:
    """Whether this is a frame of a gate of protocol 1: the same messages, behind a shorter header."""
    try:
        body = _body(piece)
    except WireError:
        return False
    known = LAYOUTS.get(body[0]) if body else None
    return known is not None and bool(body[0] & 0x80) and len(body) == _OLD_HEADER.size + payload_size(known)


def _crc_bytes(crc: int) -> bytes:
    return bytes((0x80 | crc >> 14, 0x80 | crc >> 7 & 0x7F, 0x80 | crc & 0x7F))


def _stuff(body: bytes) -> bytes:
    """COBS: each zero is replaced by the distance to the next one. No body is long enough for a code of 255."""
    return b"".join(bytes((len(run) + 1,)) + run for run in body.split(b"\0"))


def _unstuff(stuffed: bytes) -> bytes:
    runs = []
    at = 0
    while at < len(stuffed):
        end = at + stuffed[at]
        if end > len(stuffed) or stuffed[at] == 0:
            raise WireError("the stuffing leads out of the frame")
        runs.append(stuffed[at + 1 : end])
        at = end
    return b"\0".join(runs)
