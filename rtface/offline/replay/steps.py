"""The log of a session as the calls that were made of the features and the rules, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.record.session.entries import BaselineEntry, CallEntry, DecisionEntry, TrackedEntry
from rtface.record.session.reading import iterate
from rtface.record.session.rows import POSE_TIMES, UNKNOWN, RowBatch, Rows


@dataclass(frozen=True)
class Seen:
    """What the rules saw of a frame: a row of features.

    Attributes
    ----------
    frame_id, now_ns : int
        The frame, and when they looked.
    values, scores, exposure_ns : ndarray, shape (F,)
        As `rtface.record.session.rows.feature_dtype` says.
    """

    frame_id: int
    now_ns: int
    values: np.ndarray[tuple[int], np.dtype[np.float64]]
    scores: np.ndarray[tuple[int], np.dtype[np.float64]]
    exposure_ns: np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass
class ReplayStep:
    """One call, and the decisions that came of it.

    Attributes
    ----------
    pose : Pose or None
        Of the frame; None for a call that no frame made.
    seen : Seen or None
        What the rules saw of it; None for a call that no frame made.
    call : CallEntry or None
        A call that no frame made.
    decisions : list of Decision
        As they were recorded.
    baseline : BaselineEntry or None
        That was complete with this frame.
    """

    pose: Pose | None
    seen: Seen | None
    call: CallEntry | None
    decisions: list[DecisionEntry] = field(default_factory=list)
    baseline: BaselineEntry | None = None

    @property
    def frame_id(self) -> int | None:
        """The frame, if one made it."""
        return None if self.seen is None else self.seen.frame_id

    @property
    def now_ns(self) -> int:
        """When."""
        if self.seen is not None:
            return self.seen.now_ns
        assert self.call is not None
        return self.call.t_ns


class HoleError(DataError):
    """A pose or what the rules saw of it is not in the log, so nothing after it can be replayed."""


def steps(path: Path, key: bytes | None = None) -> Iterator[ReplayStep]:
    """Yield the calls of a session in order; with the key of its seal those that are sealed, too.

    Raises
    ------
    DataError
        There is no session, or a record is not what it should be.
    HoleError
        A row is missing, as where the disk was too slow.
    """
    waiting: dict[int, deque[Pose]] = {}
    names: dict[int, str] = {}
    step: ReplayStep | None = None
    for each in iterate(path, key):
        if isinstance(each, RowBatch) and each.name == "poses":
            waiting.setdefault(each.camera, deque()).extend(poses_of(each.rows, names.get(each.camera, "")))
        elif isinstance(each, RowBatch) and each.name == "features":
            poses = waiting.setdefault(each.camera, deque())
            for seen in _seen(each.rows):
                if step is not None:
                    yield step
                if not poses or poses[0].frame.frame_id != seen.frame_id:
                    raise HoleError(
                        f"frame {seen.frame_id} was decided on, but the next pose in the log is "
                        + (f"of frame {poses[0].frame.frame_id}" if poses else "not there")
                    )
                step = ReplayStep(poses.popleft(), seen, None)
        elif isinstance(each, TrackedEntry):
            names[each.number] = each.camera_name
        elif isinstance(each, CallEntry):
            if step is not None:
                yield step
            step = ReplayStep(None, None, each)
        elif isinstance(each, BaselineEntry):
            if step is None or step.seen is None:
                raise HoleError("a baseline stands before any frame that it could be complete with")
            step.baseline = each
        elif isinstance(each, DecisionEntry):
            if step is None:
                raise HoleError(f"decision {each.number} stands before any call that it could come of")
            step.decisions.append(each)
    if step is not None:
        yield step


def poses_of(rows: Rows, camera: str = "") -> Iterator[Pose]:
    """Yield the poses of rows, as they were recorded, of a camera among several."""
    xy, score, outside = (np.ascontiguousarray(rows[name]) for name in ("xy", "score", "outside"))
    has_likelihood = "likelihood" in (rows.dtype.names or ())
    likelihood = np.ascontiguousarray(rows["likelihood"]) if has_likelihood else None
    times = zip(
        *(rows[name].tolist() for name in POSE_TIMES if name != "published_ns"),
        strict=True,
    )
    for row, (frame_id, exposure_ns, arrival_ns, camera_ns, *later) in enumerate(times):
        yield Pose(
            FrameMeta(
                frame_id, exposure_ns, arrival_ns, None if camera_ns == UNKNOWN else camera_ns, camera=camera
            ),
            Stamps(exposure_ns, arrival_ns, *later),
            xy[row],
            score[row],
            outside[row],
            None if likelihood is None else likelihood[row],
        )


def _seen(rows: Rows) -> Iterator[Seen]:
    values, scores, exposures = (
        np.ascontiguousarray(rows[name]) for name in ("values", "scores", "exposure_ns")
    )
    for row, (frame_id, now_ns) in enumerate(
        zip(rows["frame_id"].tolist(), rows["now_ns"].tolist(), strict=True)
    ):
        yield Seen(frame_id, now_ns, values[row], scores[row], exposures[row])
