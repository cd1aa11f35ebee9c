"""What every feature is to the bank: names, units, and one step a frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from rtface.core.features import NEVER_NS
from rtface.decide.features.points import PointTrack


class Extractor:
    """Turns tracks of points into values; has a constant cost a frame.

    Attributes
    ----------
    names, units : tuple of str
        Of each value; the names are what stands behind the dot.
    tracks : tuple of PointTrack
        What it is made from.
    score : float
        The least score of the keypoints that the values rest on.
    exposure_ns : int
        Exposure of the newest frame that the values rest on.
    """

    names: ClassVar[tuple[str, ...]]
    units: ClassVar[tuple[str, ...]]

    __slots__ = ("exposure_ns", "score", "tracks")

    def __init__(self, tracks: Sequence[PointTrack]) -> None:
        self.tracks = tuple(tracks)
        self.score, self.exposure_ns = 0.0, NEVER_NS

    def values(self, now_ns: int) -> tuple[float, ...]:
        """Return the values at a frame that the tracks have taken, NaN for what cannot be known.

        Parameters
        ----------
        now_ns : int
            Exposure of the frame; later than that of the one before.
        """
        raise NotImplementedError

    def reset(self) -> None:
        """Forget all frames."""
        self.score, self.exposure_ns = 0.0, NEVER_NS

    def _rest_on_all(self) -> None:
        score, exposure_ns = math.inf, 1 << 62
        for track in self.tracks:
            if track.score < score:
                score = track.score
            if track.exposure_ns < exposure_ns:
                exposure_ns = track.exposure_ns
        self.score, self.exposure_ns = score, exposure_ns
