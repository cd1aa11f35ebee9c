"""Errors of a network on labelled pictures, and what its scores are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from rtface.learn.samples import Picture, plain_sample
from rtface.networks.small import SmallDecode
from rtface.records import FACEMAP_KEYPOINTS, FloatArray

_BINS = (0.0, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
_NEWTON_STEPS = 50
_SMALLEST_STEP = 1e-9


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network found on N pictures.

    Attributes
    ----------
    distance : ndarray, shape (N, K), float32
        From the label, in pixels of the network's input; NaN where there is no label.
    score : ndarray, shape (N, K), float32
        As decoded.
    """

    distance: FloatArray
    score: FloatArray

    def only(self, keypoints: Sequence[int]) -> Answers:
        """Return the answers with the labels of all other keypoints left out."""
        distance = np.full_like(self.distance, np.nan)
        distance[:, list(keypoints)] = self.distance[:, list(keypoints)]
        return Answers(distance, self.score)


@torch.no_grad()
def answer(network: nn.Module, pictures: Sequence[Picture], size: int) -> Answers:
    """Run a network with its plain decode on undisturbed pictures."""
    decode = SmallDecode()
    distances, scores = [], []
    for picture in pictures:
        image, xy = plain_sample(picture, size)
        found = decode(network.eval()(torch.from_numpy(image)[None, None]))[0].numpy()
        distances.append(np.linalg.norm(found[:, :2] - xy, axis=1))
        scores.append(found[:, 2])
    return Answers(np.array(distances, np.float32), np.array(scores, np.float32))


def error_summary(distance: FloatArray, scale: float) -> dict[str, Any]:
    """Return mean, median and 90th percentile over all labels and by keypoint.

    Parameters
    ----------
    distance : ndarray, shape (N, K), float32
        Pixels of the network's input; NaN is left out.
    scale : float
        Camera pixels to a pixel of the network's input.
    """
    errors = distance * scale

    def summary(values: NDArray[np.floating[Any]]) -> dict[str, float | int]:
        known = values[~np.isnan(values)]
        if known.size == 0:
            return {"n": 0}
        return {
            "n": int(known.size),
            "mean_px": round(float(known.mean()), 2),
            "median_px": round(float(np.median(known)), 2),
            "p90_px": round(float(np.percentile(known, 90)), 2),
        }

    by_keypoint = {
        name: summary(errors[:, index])
        for index, name in enumerate(FACEMAP_KEYPOINTS)
        if not np.isnan(errors[:, index]).all()
    }
    return summary(errors.ravel()) | {"by_keypoint": by_keypoint}


def fit_calibration(answers: Answers, radius: float) -> tuple[float, float]:
    """Fit the logistic that turns the plain score into the probability of being within `radius`.

    Maximum likelihood by Newton's method with halved steps (Platt 1999; Lin, Lin and Weng 2007), with a weak
    pull of the slope towards 1.

    Returns
    -------
    slope, intercept : float
        For ``sigmoid(slope * logit(score) + intercept)``.
    """
    known = ~np.isnan(answers.distance)
    within = (answers.distance[known] <= radius).astype(np.float64)
    share = np.clip(answers.score[known].astype(np.float64), 1e-4, 1 - 1e-4)
    features = np.stack([np.log(share / (1 - share)), np.ones_like(share)], axis=1)
    centre, prior = np.array([1.0, 0.0]), np.diag([1.0, 1e-3])

    def cost(weights: NDArray[np.float64]) -> float:
        odds, pull = features @ weights, weights - centre
        return float((np.logaddexp(0.0, odds) - within * odds).sum() + pull @ prior @ pull / 2)

    weights = centre
    for _ in range(_NEWTON_STEPS):
        chance = _logistic(features @ weights)
        gradient = features.T @ (chance - within) + prior @ (weights - centre)
        curvature = (features * (chance * (1 - chance))[:, None]).T @ features + prior
        step = np.linalg.solve(curvature, gradient)
        # A full step from far away overshoots without end: most shares lie close to 1.
        while cost(weights - step) > cost(weights) and np.abs(step).max() > _SMALLEST_STEP:
            step = step / 2
        weights = weights - step
    return float(weights[0]), float(weights[1])


def _logistic(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    chance: NDArray[np.float64] = np.exp(-np.logaddexp(0.0, -odds))
    return chance


def calibrated(score: FloatArray, slope: float, intercept: float) -> FloatArray:
    """Apply the logistic of `fit_calibration`."""
    share = np.clip(score, 1e-4, 1 - 1e-4)
    return np.asarray(1 / (1 + np.exp(-(slope * np.log(share / (1 - share)) + intercept))), np.float32)


def reliability(score: FloatArray, distance: FloatArray, radius: float) -> dict[str, Any]:
    """Return, by bin of score, how often the point was within `radius`, and the expected calibration error."""
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
