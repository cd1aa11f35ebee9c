"""Values at one frame, as features of the face and predictions of an encoder give them to rules and to the record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VIEW = "view.ok"
"""Name of a value beside the features: `rtface.core.records.Pose.view_ok`."""

NEVER_NS = -(1 << 62)
"""The exposure of what was never seen: its age is beyond any limit, and fits into an int64."""


@dataclass(frozen=True, slots=True)
class Features:
    """The features at one frame, in the order of `FeatureBank.names`; borrowed until the bank's next update.

    Attributes
    ----------
    values : ndarray, shape (F,), float64
        In `FeatureBank.units`; NaN where it cannot be known: warm-up, score too low, never seen.
    scores : ndarray, shape (F,), float64
        In [0, 1]: the least score of the keypoints that the value rests on. Where a score was too low it is that
        score; 0 where a keypoint has no coordinates or was never seen.
    exposure_ns : ndarray, shape (F,), int64
        Exposure of the newest frame that the value rests on, so that its age is now less this; for an unknown
        value the newest in which all its points were seen, and `NEVER_NS` before the first.
    """

    values: NDArray[np.float64]
    scores: NDArray[np.float64]
    exposure_ns: NDArray[np.int64]
