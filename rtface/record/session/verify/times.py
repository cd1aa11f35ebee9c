"""Times: in order at each frame, and from frame to frame."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from rtface.record.session.reader import Session
from rtface.record.session.rows import UNKNOWN, Rows
from rtface.record.session.verify.finding import MOST_NAMED, SessionFinding, some

_ORDER = ("arrival_ns", "taken_ns", "prepared_ns", "inferred_ns", "decided_ns", "published_ns")


def check_times(session: Session) -> Iterator[SessionFinding]:
    """Yield times that are out of order, or not there."""
    name = "times"
    poses, published = session.poses, session.published
    wrong = []
    for before, after in itertools.pairwise(_ORDER):
        if len(back := np.flatnonzero((poses[after] < poses[before]) & (poses[after] != UNKNOWN))):
            wrong.append(f"{after} before {before} at frame {_ids(poses, back)}")
    for rows, column in ((poses, "taken_ns"), (session.features, "now_ns"), (published, "published_ns")):
        if len(back := np.flatnonzero(np.diff(rows[column]) < 0) + 1):
            wrong.append(f"{column} goes back at frame {_ids(rows, back)}")
    frames, first, times = np.unique(published["frame_id"], return_index=True, return_counts=True)
    if len(again := np.flatnonzero(times > 1)):
        wrong.append(f"published more than once: frame {_ids(published, first[again])}")
    moments = np.array([each.t_ns for each in session.decisions], np.int64)
    if len(back := np.flatnonzero(np.diff(moments) < 0) + 1):
        wrong.append(f"decisions go back in time at number {some([int(each) for each in back])}")
    for text in wrong:
        yield SessionFinding(name, "wrong", text)
    stamped = np.flatnonzero(poses["published_ns"] != UNKNOWN)
    holes = np.setdiff1d(np.arange(stamped[-1]), stamped) if len(stamped) else stamped
    if len(holes):
        yield SessionFinding(name, "missing", f"when it was published, of frame {_ids(poses, holes)}")
    if len(alone := np.flatnonzero(~np.isin(frames, poses["frame_id"]))):
        yield SessionFinding(
            name, "missing", f"the pose of a published frame: {_ids(published, first[alone])}"
        )
    if not wrong and not len(holes) and not len(alone):
        yield SessionFinding(
            name,
            "whole",
            f"in order at every frame and from frame to frame; {len(stamped)} with published_ns",
        )


def _ids(rows: Rows, at: np.ndarray[tuple[int], np.dtype[np.intp]]) -> str:
    return some(rows["frame_id"][at[: MOST_NAMED + 1]].tolist(), len(at))
