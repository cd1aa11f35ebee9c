"""What a score is worth: fitted to mean "within a stated distance", and checked."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray

if TYPE_CHECKING:
    from rtface.learn.tracker.evaluation import Predictions

RADIUS_PX = 4.0
"""A score is the probability that the point lies within this distance, in pixels of the network's input."""

_BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
_NEWTON_STEPS = 50
_SMALLEST_STEP = 1e-9
_SMALLEST_SCORE = 1e-4
_SLOPE_PULL = 1.0
_COMMON_PULL = 0.1
_OWN_PULL = 0.5
_PRIOR_SCORE = 0.02
_PRIOR_MISSES = 2.0

FEWEST_MISSES = 8
"""Labels beyond the radius below which a calibration cannot be fitted."""

_WIDENING = 0.8


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters of ``sigmoid(slope * logit(plain score) + intercept)``.

    Attributes
    ----------
    slope : float
    intercept : ndarray, shape (K,), float32
    """

    slope: float
    intercept: FloatArray

    def apply(self, score: FloatArray) -> FloatArray:
        """Turn plain scores, shape (N, K), into probabilities."""
        odds = self.slope * _logit(score) + self.intercept.astype(np.float64)
        return _logistic(odds).astype(np.float32)


def fit_calibration(found: Predictions, radius: float = RADIUS_PX) -> Calibration:
    """Fit the logistic that turns plain scores into the probability of being within `radius`.

    Maximum likelihood by Newton's method with halved steps (Platt 1999; Lin, Lin and Weng 2007). One slope and one
    intercept are common to all keypoints; each keypoint has a difference of its own, pulled towards 0, so that one
    with few labels goes with the rest. The slope is pulled towards 1, the common intercept towards 0, and each keypoint
    counts `_PRIOR_MISSES` misses at a plain score near 0, so that labels without a miss never make all scores sure.

    Parameters
    ----------
    found : Predictions
        On frames that the network was not trained on, scored without calibration.
    radius : float
        Pixels of the network's input.
    """
    known = ~np.isnan(found.distance)
    keypoints = found.distance.shape[1]
    within = (found.distance[known] <= radius).astype(np.float64)
    own = np.vstack([np.eye(keypoints)[np.nonzero(known)[1]], np.eye(keypoints)])
    odds = np.concatenate([_logit(found.score[known]), _logit(np.full(keypoints, _PRIOR_SCORE))])
    within = np.concatenate([within, np.zeros(keypoints)])
    counts = np.concatenate([np.ones(len(odds) - keypoints), np.full(keypoints, _PRIOR_MISSES)])
    features = np.column_stack([odds, np.ones_like(odds), own])
    centre = np.zeros(features.shape[1])
    centre[0] = 1.0
    prior = np.diag([_SLOPE_PULL, _COMMON_PULL, *[_OWN_PULL] * keypoints])

    def cost(weights: NDArray[np.float64]) -> float:
        odds, pull = features @ weights, weights - centre
        return float((counts * (np.logaddexp(0.0, odds) - within * odds)).sum() + pull @ prior @ pull / 2)

    weights = centre
    for _ in range(_NEWTON_STEPS):
        chance = _logistic(features @ weights)
        gradient = features.T @ (counts * (chance - within)) + prior @ (weights - centre)
        curvature = (features * (counts * chance * (1 - chance))[:, None]).T @ features + prior
        step = np.linalg.solve(curvature, gradient)
        # A full step from far away overshoots without end: most chances lie close to 1.
        while cost(weights - step) > cost(weights) and np.abs(step).max() > _SMALLEST_STEP:
            step = step / 2
        weights = weights - step
    return Calibration(float(weights[0]), (weights[1] + weights[2:]).astype(np.float32))


def can_be_fitted(found: Predictions, radius: float = RADIUS_PX) -> bool:
    """Return whether there are misses enough, `FEWEST_MISSES`, to tell which scores they have."""
    return int((found.distance > radius).sum()) >= FEWEST_MISSES


def widened(calibration: Calibration) -> Calibration:
    """Return a calibration with its odds drawn towards even: for a network that was changed since it was fitted."""
    return Calibration(_WIDENING * calibration.slope, (_WIDENING * calibration.intercept).astype(np.float32))


def reliability(score: FloatArray, distance: FloatArray, radius: float = RADIUS_PX) -> dict[str, Any]:
    """Return, by bin of score, how often the point was within `radius`, and the expected calibration error.

    Parameters
    ----------
    score, distance : ndarray, shape (N, K), float32
        Calibrated scores; distances in pixels of the network's input, NaN where there is no label.
    radius : float
    """
    known = ~np.isnan(distance)
    scores, within = score[known], distance[known] <= radius
    bins, error = [], 0.0
    for low, high in pairwise(_BINS):
        here = (scores >= low) & ((scores < high) | (high == _BINS[-1]))
        if not here.any():
            continue
        stated, true = float(scores[here].mean()), float(within[here].mean())
        error += abs(stated - true) * here.sum() / known.sum()
        bins.append({"n": int(here.sum()), "stated": round(stated, 3), "within": round(true, 3)})
    return {"bins": bins, "expected_calibration_error": round(float(error), 4)}


def _logit(score: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    share = np.clip(score.astype(np.float64), _SMALLEST_SCORE, 1 - _SMALLEST_SCORE)
    odds: NDArray[np.float64] = np.log(share / (1 - share))
    return odds


def _logistic(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -odds))
    return chance
