"""The ratio of what was measured in pairs, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FEWEST_PAIRS = 20
UNRESOLVED = "not resolved"

_RESAMPLES = 10_000
_ENDS = (2.5, 97.5)


def ratio_of_pairs(
    after: Sequence[float], before: Sequence[float], goal: float, seed: int = 0
) -> dict[str, Any]:
    """Return the median of the pairs' ratios with a 95 % interval, and what it says of a goal.

    Pairs are drawn with replacement (percentile bootstrap, Efron and Tibshirani 1993).

    Parameters
    ----------
    after, before : sequence of float
        Measured beside each other, pair by pair.
    goal : float
        The most that the ratio is to be: 1.02 for 2 % more.
    seed : int
        Of the draws.

    Returns
    -------
    dict
        ``ratio``, ``low``, ``high``, ``pairs``, ``goal``, and ``verdict``: ``kept`` where the whole interval is within the goal,
        ``missed`` where it is beyond, else, and of fewer than 20 pairs, ``not resolved``.
    """
    return _median_of("ratio", np.asarray(after, np.float64) / np.asarray(before, np.float64), goal, seed)


def difference_of_pairs(
    after: Sequence[float], before: Sequence[float], goal: float, seed: int = 0
) -> dict[str, Any]:
    """Return the median of the pairs' differences with a 95 % interval, and what it says of a goal.

    As `ratio_of_pairs`, with ``difference`` in the unit of what was measured.
    """
    found = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    return _median_of("difference", found, goal, seed)


def _median_of(name: str, values: NDArray[np.float64], goal: float, seed: int) -> dict[str, Any]:
    draws = np.random.default_rng(seed).integers(0, len(values), (_RESAMPLES, len(values)))
    low, high = np.percentile(np.median(values[draws], axis=1), _ENDS)
    verdict = "kept" if high <= goal else "missed" if low > goal else UNRESOLVED
    if len(values) < FEWEST_PAIRS:
        verdict = UNRESOLVED
    return {
        name: round(float(np.median(values)), 4),
        "low": round(float(low), 4),
        "high": round(float(high), 4),
        "pairs": len(values),
        "goal": goal,
        "verdict": verdict,
    }
