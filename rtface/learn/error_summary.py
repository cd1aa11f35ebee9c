"""Errors in figures: summed up by keypoint, and two networks' difference with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray

_RESAMPLES = 2000


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


def difference_interval(ours: FloatArray, theirs: FloatArray, seed: int = 0) -> dict[str, float]:
    """Return the difference of two networks' mean errors on the same frames, with a 95 % interval.

    Frames are drawn with replacement, not labels: the errors of one frame's keypoints go together (bootstrap, Efron
    and Tibshirani 1993).

    Parameters
    ----------
    ours, theirs : ndarray, shape (N, K), float32
        Distances; NaN in both where there is no label.
    """
    random = np.random.default_rng(seed)
    gap = (ours - theirs).astype(np.float64)
    total, count = np.nansum(gap, axis=1), (~np.isnan(gap)).sum(axis=1)
    draws = random.integers(0, len(gap), (_RESAMPLES, len(gap)))
    means = total[draws].sum(axis=1) / count[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "difference_px": round(float(total.sum() / count.sum()), 3),
        "low_px": round(float(low), 3),
        "high_px": round(float(high), 3),
    }
