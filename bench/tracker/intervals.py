"""The difference of two networks on the same frames, with its interval."""

from __future__ import annotations

import numpy as np

from rtface.core.records import FloatArray

_RESAMPLES = 2000


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
