"""How much of a keypoint's movement an engine follows.

A network that draws every point towards where it usually lies has small errors on average and misses the movement that a rule
waits for. So the found points of one animal are held against the true ones along the direction in which those vary most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_FRAMES = 20
"""Fewer labelled frames than these say nothing about movement."""
LEAST_MOVEMENT_PX = 0.5
"""A point that varies less stands still: there is nothing to follow."""


def followed(
    found: NDArray[np.floating], truth: NDArray[np.floating], names: Sequence[str]
) -> dict[str, Any]:
    """Return gain and correlation of each keypoint's movement.

    Where the truth is a person's labels, their scatter lowers both: least where a point moves far.

    Parameters
    ----------
    found, truth : ndarray, shape (frames, K, 2)
        Of one animal in one place; NaN where a point is unknown.
    names : sequence of str
        Of the K keypoints; those with fewer than `LEAST_FRAMES` known points, or without movement, are left out.

    Returns
    -------
    dict
        By keypoint: `n`; `true_sd_px`, the true points' standard deviation along the direction in which they vary most;
        `gain`, the slope of the found on the true points there (1 follows fully, 0 stands still); `correlation`.
    """
    report: dict[str, Any] = {}
    for index, name in enumerate(names):
        known = ~np.isnan(found[:, index] + truth[:, index]).any(axis=1)
        if known.sum() < LEAST_FRAMES:
            continue
        ours, theirs = (
            np.asarray(points[known, index] - points[known, index].mean(axis=0), np.float64)
            for points in (found, truth)
        )
        direction = np.linalg.svd(theirs, full_matrices=False)[2][0]
        moved, moves = ours @ direction, theirs @ direction
        if moves.std() < LEAST_MOVEMENT_PX:
            continue
        report[name] = {
            "n": int(known.sum()),
            "true_sd_px": round(float(moves.std()), 2),
            "gain": round(float(moved @ moves / (moves @ moves)), 3),
            "correlation": round(float(np.corrcoef(moved, moves)[0, 1]), 3) if moved.any() else 0.0,
        }
    return report


def median_of(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of several animals' reports by keypoint, and how many animals they are of."""
    names = dict.fromkeys(name for report in reports for name in report)
    return {
        name: {"animals": len(rows)}
        | {
            key: round(float(np.median([row[key] for row in rows])), 3)
            for key in ("true_sd_px", "gain", "correlation")
        }
        for name in names
        if (rows := [report[name] for report in reports if name in report])
    }
