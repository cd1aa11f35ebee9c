"""What rules are given beside features of the pose: whether the picture changes, and neural values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtface.core.features import NEVER_NS, Features
from rtface.core.records import Pose
from rtface.decide.evaluator import SAME_PICTURES

UNIT = "1"


class GivenValues:
    """Puts `Pose.same_pictures` behind the values of an encoder, so that a record has it and a replay is given it.

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
        self.names = (*names, SAME_PICTURES)
        count = len(self.names)
        self._values = Features(np.full(count, np.nan), np.zeros(count), np.full(count, NEVER_NS, np.int64))
        self._values.scores[-1] = 1.0

    def of(self, pose: Pose, neural: Features | None) -> Features:
        """Return the values on a pose, borrowed until the next; `neural` are those of the encoder."""
        values = self._values
        if neural is not None:
            values.values[:-1] = neural.values
            values.scores[:-1] = neural.scores
            values.exposure_ns[:-1] = neural.exposure_ns
        values.values[-1] = pose.same_pictures
        values.exposure_ns[-1] = pose.frame.exposure_ns
        return values
