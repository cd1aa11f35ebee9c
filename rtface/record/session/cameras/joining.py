"""Which frames of several cameras were exposed together: those of one trigger, else the nearest in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.record.session.reader import Session
from rtface.record.session.rows import UNKNOWN

_LEAST_PERIOD_NS = 1_000_000


@dataclass(frozen=True)
class JoinedFrames:
    """Frames that belong together, by the frames of the first camera.

    Attributes
    ----------
    by : str
        ``trigger``, where every camera sent the number of the trigger with its frames, else ``exposure``.
    columns : tuple of str
        ``trigger_id`` where it is known, ``exposure_ns`` of the first camera's frame, and of each camera its frame, and how
        much later it was exposed, in nanoseconds.
    rows : list of tuple
        In the order of the first camera's frames; empty texts where a camera has no frame that belongs to it.
    """

    by: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def join_frames(session: Session) -> JoinedFrames:
    """Join the frames of a session with several cameras.

    By trigger a frame belongs to those of the same number. By exposure it belongs to the nearest of another camera that is
    less than half of that camera's frame period away.
    """
    names = session.cameras
    each = [_CameraExposures(session.of_camera(name)) for name in names]
    by = "trigger" if all(frames.triggered for frames in each) else "exposure"
    first, others = each[0], each[1:]
    found = [first.joined(other, by) for other in others]
    columns = [f"{name}.{what}" for name in names for what in ("frame_id", "later_ns")]
    rows: list[tuple[Any, ...]] = []
    for at in range(len(first.ids)):
        trigger = int(first.triggers[at])
        row: list[Any] = [
            "" if trigger == UNKNOWN else trigger,
            int(first.exposures[at]),
            int(first.ids[at]),
            0,
        ]
        for other, places in zip(others, found, strict=True):
            place = int(places[at])
            row += _cells(other, place, int(first.exposures[at]))
        rows.append(tuple(row))
    return JoinedFrames(by, ("trigger_id", "exposure_ns", *columns), rows)


class _CameraExposures:
    """The frames of one camera in the order of their exposures."""

    def __init__(self, session: Session) -> None:
        poses, chunks = session.poses, session.chunks
        order = np.argsort(poses["exposure_ns"], kind="stable")
        self.ids: NDArray[np.int64] = poses["frame_id"][order]
        self.exposures: NDArray[np.int64] = poses["exposure_ns"][order]
        known = dict(zip(chunks["frame_id"].tolist(), chunks["trigger_id"].tolist(), strict=True))
        self.triggers = np.array([known.get(each, UNKNOWN) for each in self.ids.tolist()], np.int64)
        self.triggered = len(self.ids) > 0 and bool((self.triggers != UNKNOWN).all())
        steps = np.diff(self.exposures)
        self.period_ns = max(_LEAST_PERIOD_NS, float(np.median(steps))) if len(steps) else float("inf")

    def joined(self, other: _CameraExposures, by: str) -> NDArray[np.int64]:
        """Return for each frame the place of the other camera's that belongs to it; -1 without one."""
        if by == "trigger":
            place_of = {trigger: place for place, trigger in enumerate(other.triggers.tolist())}
            return np.array([place_of.get(each, -1) for each in self.triggers.tolist()], np.int64)
        if not len(other.ids):
            return np.full(len(self.ids), -1, np.int64)
        after = np.clip(np.searchsorted(other.exposures, self.exposures), 0, len(other.ids) - 1)
        before = np.clip(after - 1, 0, None)
        nearer = np.abs(other.exposures[before] - self.exposures) <= np.abs(
            other.exposures[after] - self.exposures
        )
        places = np.where(nearer, before, after).astype(np.int64)
        apart = np.abs(other.exposures[places] - self.exposures)
        return np.where(apart < other.period_ns / 2, places, -1).astype(np.int64)


def _cells(frames: _CameraExposures, place: int, exposure_ns: int) -> Sequence[Any]:
    if place < 0:
        return "", ""
    return int(frames.ids[place]), int(frames.exposures[place]) - exposure_ns
