"""Whether a frame shows a view that the engine knows, and if not, whether something only covers it.

A known view of a moment ago is remembered. Where points that were seen in it are still seen in the same places, the camera looks
where it did, and a paw, whiskers or the lick spout hide the others: the view is occluded. Where hardly one is, it is unknown.
"""

from __future__ import annotations

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.decision import Reason
from rtface.core.records import FloatArray, Pose

OCCLUDED_NS = 10 * NS_PER_S
"""How long after the last known view, by exposure, something can be said to cover it: bouts of grooming are shorter."""

_SEEN = 0.5
"""Score of a point that is seen."""
_STAYED = 0.2
"""Distance within which a point is in the same place, as part of the root mean square distance of the points from their mean."""
_FEWEST = 2
_PART = 0.25
"""Part of the points that were seen, and of those that are seen now, that must have stayed."""


class ViewDoubt:
    """Looks at one pose after the other.

    Parameters
    ----------
    least : float or None
        `Pose.view_ok` of a known view; None asks for none.
    """

    def __init__(self, least: float | None) -> None:
        self._least = least
        self._xy: FloatArray | None = None
        self._score: FloatArray | None = None
        self._exposure_ns = 0

    def doubt(self, pose: Pose, view_ok: float) -> Reason | None:
        """Return why the view cannot be believed; None where it can, or where the engine keeps none.

        Parameters
        ----------
        pose : Pose
            Of the frame.
        view_ok : float
            As of `Pose`.
        """
        if self._least is None or view_ok != view_ok:
            return None
        if view_ok >= self._least:
            # A pose's arrays are its own, so they may be kept.
            self._xy, self._score, self._exposure_ns = pose.xy, pose.score, pose.frame.exposure_ns
            return None
        return Reason.OCCLUDED if self._covered(pose) else Reason.UNKNOWN_VIEW

    def _covered(self, pose: Pose) -> bool:
        xy, score = self._xy, self._score
        if xy is None or score is None or len(score) != len(pose.score):
            return False
        if not 0 <= pose.frame.exposure_ns - self._exposure_ns <= OCCLUDED_NS:
            return False
        before, now = score >= _SEEN, pose.score >= _SEEN
        if np.count_nonzero(before) < _FEWEST:
            return False
        known = xy[before]
        size = float(np.sqrt(((known - known.mean(axis=0)) ** 2).sum(axis=1).mean()))
        apart = np.sqrt(((pose.xy - xy) ** 2).sum(axis=1))
        stayed = int(np.count_nonzero(before & now & (apart <= _STAYED * size)))
        return stayed >= _FEWEST and stayed >= _PART * int(
            max(np.count_nonzero(before), np.count_nonzero(now))
        )
