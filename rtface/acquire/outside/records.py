"""What is said of a slot: the frame in it, and what the camera has counted by then. Packed into records of one size."""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import Any

import msgpack

from rtface.acquire.base import Camera
from rtface.acquire.outside.passage import RECORD
from rtface.core.clockfit import ClockLine
from rtface.core.records import FrameMeta

_LENGTH = struct.Struct("<H")
_META = tuple(each.name for each in fields(FrameMeta))


@dataclass(frozen=True, slots=True)
class Counts:
    """What a camera has counted, and how its clock stands; fields as in `rtface.acquire.base.Camera`.

    Attributes
    ----------
    taken_back : int
        Frames that a newer one displaced before they were taken.
    missed_triggers : int or None
        As in `rtface.core.status.CameraStatus`.
    """

    lost_at_camera: int = 0
    lost_in_transport: int = 0
    transport_known: bool = True
    clock_line: ClockLine | None = None
    taken_back: int = 0
    missed_triggers: int | None = None

    @classmethod
    def of(cls, camera: Camera, taken_back: int) -> Counts:
        """Return what a camera has counted by now."""
        return cls(
            camera.lost_at_camera,
            camera.lost_in_transport,
            camera.transport_known,
            camera.clock_line,
            taken_back,
            camera.status.missed_triggers,
        )

    def as_list(self) -> list[Any]:
        """Return plain values, for a record or a message."""
        return [
            self.lost_at_camera,
            self.lost_in_transport,
            self.transport_known,
            self.clock_line,
            self.taken_back,
            self.missed_triggers,
        ]

    @classmethod
    def from_list(cls, values: list[Any]) -> Counts:
        """Return what `as_list` was made of."""
        at_camera, in_transport, known, line, taken_back, missed = values
        clock_line = None if line is None else ClockLine(*line)
        return cls(at_camera, in_transport, known, clock_line, taken_back, missed)


@dataclass(frozen=True, slots=True)
class Filled:
    """A record: the slot and its frame, or None of both, which only says that the driver answers."""

    slot: int | None
    meta: FrameMeta | None
    counts: Counts

    def pack(self) -> bytes:
        """Return the record in `RECORD` bytes."""
        meta = None if self.meta is None else [getattr(self.meta, name) for name in _META]
        body: bytes = msgpack.packb([self.slot, meta, self.counts.as_list()])
        return (_LENGTH.pack(len(body)) + body).ljust(RECORD, b"\0")

    @classmethod
    def unpack(cls, record: bytes) -> Filled:
        """Return what `pack` was given."""
        (length,) = _LENGTH.unpack_from(record)
        slot, meta, counts = msgpack.unpackb(record[_LENGTH.size : _LENGTH.size + length])
        return cls(slot, None if meta is None else FrameMeta(*meta), Counts.from_list(counts))
