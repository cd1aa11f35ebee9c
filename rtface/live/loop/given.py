"""What rules are given beside features of the pose: whether the picture changes, whether its view is known, neural values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtface.core.features import NEVER_NS, VIEW, Features
from rtface.core.records import Pose
from rtface.decide.evaluator import SAME_PICTURES

_OF_POSE = SAME_PICTURES, VIEW
UNITS = ("1",) * len(_OF_POSE)


class GivenValues:
    """Puts `Pose.same_pictures` and `Pose.view_ok` behind an encoder's values, so that a record has them and a replay gets them.

    Parameters
    ----------
    names : sequence of str
        Of the encoder's values.

    Attributes
    ----------
    names : tuple of str
        Of all.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = (*names, *_OF_POSE)
        count = len(self.names)
        self._values = Features(np.full(count, np.nan), np.zeros(count), np.full(count, NEVER_NS, np.int64))
        self._values.scores[-len(_OF_POSE) :] = 1.0

    def of(self, pose: Pose, neural: Features | None) -> Features:
        """Return the values on a pose, borrowed until the next; `neural` are those of the encoder."""
        values = self._values
        if neural is not None:
            count = len(neural.values)
            values.values[:count] = neural.values
            values.scores[:count] = neural.scores
            values.exposure_ns[:count] = neural.exposure_ns
        values.values[-2], values.values[-1] = pose.same_pictures, pose.view_ok
        values.exposure_ns[-2:] = pose.frame.exposure_ns
        return values
