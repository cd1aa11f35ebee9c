"""Errors summed up, over all labels and by keypoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray


def error_summary(distance: FloatArray, keypoints: Sequence[str]) -> dict[str, Any]:
    """Return mean, median and 90th percentile over all labels and by keypoint.

    Parameters
    ----------
    distance : ndarray, shape (N, K), float32
        In any unit of length; NaN is left out.
    keypoints : sequence of str
        Names, K of them; one without a label is left out.
    """
    by_keypoint = {
        name: _summary(distance[:, index])
        for index, name in enumerate(keypoints)
        if not np.isnan(distance[:, index]).all()
    }
    return _summary(distance.ravel()) | {"by_keypoint": by_keypoint}


def placed_summary(
    distance: FloatArray, keypoints: Sequence[str], confirmed: NDArray[np.bool_]
) -> dict[str, Any]:
    """Return `error_summary` of the points that a person placed or moved, with ``left_out``, the number of the others.

    Parameters
    ----------
    distance : ndarray, shape (N, K), float32
    keypoints : sequence of str
    confirmed : ndarray, shape (N, K), bool
        The labels that are guesses which a person confirmed where they lay.
    """
    out = confirmed & ~np.isnan(distance)
    return error_summary(np.where(out, np.nan, distance), keypoints) | {"left_out": int(out.sum())}


def _summary(values: NDArray[np.floating[Any]]) -> dict[str, float | int]:
    known = values[~np.isnan(values)]
    if known.size == 0:
        return {"n": 0}
    return {
        "n": int(known.size),
        "mean_px": round(float(known.mean()), 2),
        "median_px": round(float(np.median(known)), 2),
        "p90_px": round(float(np.percentile(known, 90)), 2),
    }
