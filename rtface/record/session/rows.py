"""Rows: what comes with every frame, kept as packed structures and written many to a record.

The payload of such a record is a MessagePack array ``[rows, width, bytes]``; the bytes are `rows` structures, one
after another, little-endian, without gaps. `width` is the number of keypoints of a pose or of features, so a record
can be read by itself.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.record.session.coding import unpack

Rows = NDArray[np.void]
"""A structured array of one dimension."""


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Rows that were written together; `name` is a value of `ROW_NAMES`, `camera` its number among several, else 0."""

    name: str
    rows: Rows
    camera: int = 0


POSES = 64
POSES_WITH_LIKELIHOOD = 65
FEATURES = 66
FRAMES = 67
PUBLISHED = 68
CHUNKS = 69

MOST_CAMERAS = 8
"""Of one session."""
CAMERA_STEP = 16
"""The kinds of each further camera of a session begin so much higher; those of the first are those of the only one."""

_KINDS = {
    POSES: "poses",
    POSES_WITH_LIKELIHOOD: "poses",
    FEATURES: "features",
    FRAMES: "frames",
    PUBLISHED: "published",
    CHUNKS: "chunks",
}

ROW_NAMES = {
    kind + camera * CAMERA_STEP: name for camera in range(MOST_CAMERAS) for kind, name in _KINDS.items()
}
"""What rows of a kind are, of whichever camera."""

UNKNOWN = -1
"""Stands in a time that is not known."""

POSE_TIMES = (
    "frame_id",
    "exposure_ns",
    "arrival_ns",
    "camera_ns",
    "taken_ns",
    "prepared_ns",
    "inferred_ns",
    "decided_ns",
    "published_ns",
)
pack_pose_times = struct.Struct("<9q").pack
pack_feature_times = struct.Struct("<2q").pack
pack_frame_row = struct.Struct("<4q").pack
pack_published_row = struct.Struct("<2q").pack
pack_chunk_row = struct.Struct("<2qd").pack


def pose_dtype(points: int, *, likelihood: bool = False) -> np.dtype[np.void]:
    """Return the structure of a pose of `points` keypoints; fields as in `rtface.core.records.Pose` and `Stamps`.

    ``camera_ns`` is -1 where it is not known. ``published_ns`` is always -1 in the log: a pose is recorded before what
    is decided on it is acted on, and so before it is published; rows of `PUBLISHED_DTYPE` have the stamp.
    """
    fields: list[Any] = [(name, "<i8") for name in POSE_TIMES]
    fields += [("xy", "<f4", (points, 2)), ("score", "<f4", (points,)), ("outside", "?", (points,))]
    if likelihood:
        fields.append(("likelihood", "<f4", (points,)))
    return np.dtype(fields)


def feature_dtype(width: int) -> np.dtype[np.void]:
    """Return the structure of the features of a frame.

    ``frame_id``, ``now_ns`` (when the rules were evaluated), ``values`` (NaN: not known), ``scores`` in [0, 1] and
    ``exposure_ns`` of the newest frame that each value rests on, `rtface.core.features.NEVER_NS` where it rests on none.
    """
    return np.dtype(
        [
            ("frame_id", "<i8"),
            ("now_ns", "<i8"),
            ("values", "<f8", (width,)),
            ("scores", "<f8", (width,)),
            ("exposure_ns", "<i8", (width,)),
        ]
    )


FRAME_DTYPE: np.dtype[np.void] = np.dtype(
    [(name, "<i8") for name in ("frame_id", "position", "exposure_ns", "crc32")]
)
"""The structure of the frame index: frame `frame_id` is picture `position` (from 0) of the video; `crc32` is
the CRC-32 of its pixels, row by row."""

PUBLISHED_DTYPE: np.dtype[np.void] = np.dtype([(name, "<i8") for name in ("frame_id", "published_ns")])
"""The structure of the stamps of publishing: when the pose of frame `frame_id` had been published."""

CHUNK_DTYPE: np.dtype[np.void] = np.dtype(
    [("frame_id", "<i8"), ("trigger_id", "<i8"), ("exposure_us", "<f8")]
)
"""The structure of what the camera sent beside the picture of frame `frame_id`: the number of its trigger, -1 where it is not
known, and how long it was exposed, in microseconds, NaN where that is not known."""

_DTYPES: dict[int, Callable[[int], np.dtype[np.void]]] = {
    POSES: pose_dtype,
    POSES_WITH_LIKELIHOOD: lambda points: pose_dtype(points, likelihood=True),
    FEATURES: feature_dtype,
    FRAMES: lambda width: FRAME_DTYPE,
    PUBLISHED: lambda width: PUBLISHED_DTYPE,
    CHUNKS: lambda width: CHUNK_DTYPE,
}


def camera_of(kind: int) -> int:
    """Return the number of the camera, from 0, that rows of a kind are of."""
    return (kind - POSES) // CAMERA_STEP


def base_kind(kind: int) -> int:
    """Return the same kind of the first camera."""
    return kind - camera_of(kind) * CAMERA_STEP


def row_dtype(kind: int, width: int) -> np.dtype[np.void]:
    """Return the structure of the rows of a kind of record, for so many keypoints or values."""
    return _DTYPES[base_kind(kind)](width)


def encode_rows(width: int, rows: Sequence[bytes]) -> bytes:
    """Return the payload of a record that holds `rows`."""
    payload: bytes = msgpack.packb((len(rows), width, b"".join(rows)))
    return payload


def decode_rows(kind: int, payload: bytes) -> Rows:
    """Return the rows of a record, read-only.

    Raises
    ------
    DataError
        The payload is not what the kind should hold.
    """
    values = unpack(payload)
    if type(values) is not list or [type(each) for each in values] != [int, int, bytes]:
        raise DataError(f"a record of {ROW_NAMES[kind]} is not an array of two numbers and bytes")
    count, width, data = values
    if not 0 <= width <= len(data) or count < 0:
        raise DataError(f"a record of {ROW_NAMES[kind]} has {count} rows of width {width}")
    dtype = row_dtype(kind, width)
    if count * dtype.itemsize != len(data):
        raise DataError(
            f"a record of {ROW_NAMES[kind]} has {len(data)} bytes for {count} rows of {dtype.itemsize}"
        )
    return np.frombuffer(data, dtype)


def batch_of(kind: int, payload: bytes) -> RowBatch:
    """Return what a record of rows holds; `DataError` as of `decode_rows`."""
    return RowBatch(ROW_NAMES[kind], decode_rows(kind, payload), camera_of(kind))


def join_batches(batches: Mapping[str, Sequence[Rows]]) -> dict[str, Rows]:
    """Return the rows of each name of `ROW_NAMES`, one after another; an array without rows where there are none.

    Raises
    ------
    DataError
        The rows of a name are of different widths.
    """
    first = {name: kind for kind, name in sorted(ROW_NAMES.items(), reverse=True)}
    return {name: join_rows(batches[name], row_dtype(kind, 0)) for name, kind in first.items()}


def join_rows(parts: Sequence[Rows], empty: np.dtype[np.void]) -> Rows:
    """Return rows one after another; where only some have a field, the others are NaN there.

    Raises
    ------
    DataError
        The rows are of different widths.
    """
    kept = [part for part in parts if len(part)]
    if not kept:
        return np.empty(0, empty)
    dtype = max((part.dtype for part in kept), key=lambda each: len(each.names or ()))
    joined = np.empty(sum(len(part) for part in kept), dtype)
    for name in dtype.names or ():
        start = 0
        for part in kept:
            rows = slice(start, start := start + len(part))
            if name not in (part.dtype.names or ()):
                joined[name][rows] = np.nan
            elif part.dtype[name] != dtype[name]:
                raise DataError(f"{name} is of different widths in one session")
            else:
                joined[name][rows] = part[name]
    return joined
