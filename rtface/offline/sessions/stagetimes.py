"""Latency of each stage, computed anew from the stamps of every recorded frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.core.latency import Histogram, StageSummary
from rtface.record.session.rows import UNKNOWN, Rows

STAGES: dict[str, tuple[str, str]] = {
    "transfer": ("exposure", "arrival"),
    "wait": ("arrival", "taken"),
    "prepare": ("taken", "prepared"),
    "network": ("prepared", "inferred"),
    "decide": ("inferred", "decided"),
    "act": ("decided", "published"),
    "end_to_end": ("exposure", "published"),
}
"""Each stage's first and last stamp. `act` is what `rtface.core.latency.STAGES` has in two, `react` and `publish`: rules,
hand-over to the output and publishing; when a pose had been reacted to is not recorded of each frame."""

_MOST_WAITING = 100_000
"""Poses that wait for their stamp of publishing; those of a session of before kind 68 never get one."""


class StageTimes:
    """Counts the frames of a session, in memory that does not grow with it.

    Parameters
    ----------
    deadline_ns : int
        From exposure to published; longer ones are misses.
    limit_ns : int or None
        Of the budget; `over` counts the frames that took as long or longer.

    Attributes
    ----------
    over : int
    gaps : int
        Frame numbers between the first and the last pose that have none.
    """

    def __init__(self, deadline_ns: int, limit_ns: int | None) -> None:
        self._limit_ns = limit_ns
        self._histograms = {name: Histogram(deadline_ns if name == "end_to_end" else None) for name in STAGES}
        self._waiting_ids: NDArray[np.int64] = np.empty(0, np.int64)
        self._waiting: dict[str, NDArray[np.int64]] = {
            name: np.empty(0, np.int64) for name in ("exposure", "decided")
        }
        self._last_id: int | None = None
        self.over = self.gaps = 0

    def poses(self, rows: Rows) -> None:
        """Count poses."""
        if not len(rows):
            return
        for name, (first, last) in STAGES.items():
            if last != "published":
                self._histograms[name].add_all(rows[f"{last}_ns"] - rows[f"{first}_ns"])
        ids = rows["frame_id"]
        known = ids if self._last_id is None else np.concatenate([[self._last_id], ids])
        steps = np.diff(known)
        self.gaps += int((steps[steps > 1] - 1).sum())
        self._last_id = int(ids[-1])
        self._waiting_ids = np.concatenate([self._waiting_ids, ids])[-_MOST_WAITING:]
        for name, times in self._waiting.items():
            self._waiting[name] = np.concatenate([times, rows[f"{name}_ns"]])[-_MOST_WAITING:]
        stamped = np.flatnonzero(rows["published_ns"] != UNKNOWN)
        if len(stamped):
            self._count(ids[stamped], rows["published_ns"][stamped])

    def published(self, rows: Rows) -> None:
        """Count stamps of publishing; those of frames without a pose have no latency."""
        self._count(rows["frame_id"], rows["published_ns"])

    def _count(self, ids: NDArray[np.int64], published_ns: NDArray[np.int64]) -> None:
        waiting = self._waiting_ids
        if not len(waiting) or not len(ids):
            return
        order = np.argsort(waiting, kind="stable")
        at = order[np.minimum(np.searchsorted(waiting, ids, sorter=order), len(waiting) - 1)]
        found = waiting[at] == ids
        at, stamps = at[found], published_ns[found]
        whole = stamps - self._waiting["exposure"][at]
        self._histograms["act"].add_all(stamps - self._waiting["decided"][at])
        self._histograms["end_to_end"].add_all(whole)
        if self._limit_ns is not None:
            self.over += int((whole >= self._limit_ns).sum())
        kept = np.ones(len(waiting), bool)
        kept[at] = False
        self._waiting_ids = waiting[kept]
        for name, times in self._waiting.items():
            self._waiting[name] = times[kept]

    def summary(self) -> dict[str, StageSummary]:
        """Return the percentiles of every stage."""
        return {name: histogram.summary() for name, histogram in self._histograms.items()}
