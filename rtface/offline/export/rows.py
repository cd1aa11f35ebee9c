"""The rows of a recording in one pass: each pose with all that the log learned of its frame later."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.features import VIEW
from rtface.record.session.entries import ConfigurationEntry, Entry
from rtface.record.session.rows import POSE_TIMES, UNKNOWN, RowBatch, Rows

FRAME_NUMBERS = (*POSE_TIMES, "position", "trigger_id")
"""Whole numbers of a frame, `UNKNOWN` where not known: its number and its times, the picture of the video that shows it, and
the number of the trigger that began it."""
FRAME_VALUES = ("exposure_us", "view_ok")
"""Further values of a frame, NaN where not known; as of `rtface.record.session.rows` and `rtface.core.records.Pose`."""
HELD = 128
"""Batches of poses that wait for what is yet to come of their frames; a log's queues hold no more."""
_LATER = {
    "published": ("published_ns",),
    "frames": ("position",),
    "chunks": ("trigger_id", "exposure_us"),
}


def frame_dtype(points: int, *, likelihood: bool) -> np.dtype[np.void]:
    """Return the structure of a frame: `FRAME_NUMBERS`, `FRAME_VALUES`, and the keypoints as of a recorded pose."""
    fields: list[Any] = [(name, "<i8") for name in FRAME_NUMBERS]
    fields += [("exposure_us", "<f8"), ("view_ok", "<f4")]
    fields += [("xy", "<f4", (points, 2)), ("score", "<f4", (points,)), ("outside", "?", (points,))]
    if likelihood:
        fields.append(("likelihood", "<f4", (points,)))
    return np.dtype(fields)


def unknown_frames(count: int, dtype: np.dtype[np.void]) -> Rows:
    """Return so many frames of which nothing is known; keypoints are NaN with score 0."""
    frames = np.zeros(count, dtype)
    for name in FRAME_NUMBERS:
        frames[name] = UNKNOWN
    for name in (*FRAME_VALUES, "xy"):
        frames[name] = np.nan
    return frames


def with_what_followed(parts: Iterable[Entry | RowBatch], dtype: np.dtype[np.void]) -> Iterator[RowBatch]:
    """Yield ``poses`` as frames of `frame_dtype`, ``features`` and ``frames`` as they are; in order within a name.

    Parameters
    ----------
    parts : iterable
        A log, in its order.
    dtype : dtype
        Of the frames.

    Raises
    ------
    DataError
        Poses are not of so many keypoints, or rows of features of different widths.
    """
    held: deque[Rows] = deque()
    view: int | None = None
    width: int | None = None
    for part in parts:
        if isinstance(part, ConfigurationEntry):
            view = part.features.index(VIEW) if VIEW in part.features else None
        if not isinstance(part, RowBatch) or not len(part.rows):
            continue
        if part.name == "poses":
            held.append(_frames(part.rows, dtype))
            if len(held) > HELD:
                yield RowBatch("poses", held.popleft())
        elif part.name == "features":
            width = _same_width(part.rows, "values", width)
            if view is not None:
                _stamp(held, part.rows["frame_id"], {"view_ok": part.rows["values"][:, view]})
            yield part
        else:
            _stamp(held, part.rows["frame_id"], {name: part.rows[name] for name in _LATER[part.name]})
            if part.name == "frames":
                yield part
    for frames in held:
        yield RowBatch("poses", frames)


def _same_width(rows: Rows, name: str, width: int | None) -> int:
    """Return the number of values in a row; `DataError` where it is not `width`, if that is known."""
    (found,) = rows.dtype[name].shape
    if width not in (None, found):
        raise DataError(f"{name} is of different widths in one session")
    return int(found)


def _frames(poses: Rows, dtype: np.dtype[np.void]) -> Rows:
    _same_width(poses, "score", dtype["score"].shape[0])
    frames = unknown_frames(len(poses), dtype)
    for name in poses.dtype.names or ():
        if name in (dtype.names or ()):
            frames[name] = poses[name]
    if "likelihood" in (dtype.names or ()) and "likelihood" not in (poses.dtype.names or ()):
        frames["likelihood"] = np.nan
    return frames


def _stamp(held: Iterable[Rows], ids: NDArray[np.int64], values: Mapping[str, NDArray[Any]]) -> None:
    """Put values into the newest held frame of each number; one whose pose is not there has no place."""
    left = np.arange(len(ids))
    for frames in reversed(list(held)):
        if not len(left):
            return
        order = np.argsort(frames["frame_id"], kind="stable")
        at = np.searchsorted(frames["frame_id"], ids[left], side="right", sorter=order) - 1
        at = order[np.maximum(at, 0)]
        found = frames["frame_id"][at] == ids[left]
        for name, column in values.items():
            frames[name][at[found]] = column[left[found]]
        left = left[~found]


def in_blocks(batches: Iterable[RowBatch], rows: int) -> Iterator[RowBatch]:
    """Yield batches joined by name to at least so many rows; the last of a name has what is left."""
    waiting: dict[str, list[Rows]] = {}
    for batch in batches:
        parts = waiting.setdefault(batch.name, [])
        parts.append(batch.rows)
        if sum(map(len, parts)) >= rows:
            yield RowBatch(batch.name, np.concatenate(parts))
            parts.clear()
    for name, parts in waiting.items():
        if parts:
            yield RowBatch(name, np.concatenate(parts))
