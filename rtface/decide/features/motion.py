"""The motion index: how fast the face moves as a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtface.decide.features.base import Extractor
from rtface.decide.features.points import PointTrack


class MotionIndex(Extractor):
    """Mean speed of the points that are seen, weighted by their scores.

    Parameters
    ----------
    tracks : sequence of PointTrack
    min_seen : float
        Part of the tracks whose velocity must be known; unknown below.
    """

    names, units = ("motion",), ("px/s",)
    __slots__ = ("_least",)

    def __init__(self, tracks: Sequence[PointTrack], min_seen: float) -> None:
        super().__init__(tracks)
        self._least = max(1, math.ceil(min_seen * len(self.tracks)))

    def values(self, now_ns: int) -> tuple[float, ...]:
        """See `Extractor`; it rests on the points that are seen alone, or on all when they are too few."""
        weights, total, seen, least = 0.0, 0.0, 0, math.inf
        exposure_ns = now_ns
        for track in self.tracks:
            vx, score = track.vx, track.score
            if vx == vx:
                total += score * math.hypot(vx, track.vy)
                weights += score
                seen += 1
                if score < least:
                    least = score
                if track.exposure_ns < exposure_ns:
                    exposure_ns = track.exposure_ns
        if seen < self._least or not weights:
            self._rest_on_all()
            return (math.nan,)
        self.score, self.exposure_ns = least, exposure_ns
        return (total / weights,)
