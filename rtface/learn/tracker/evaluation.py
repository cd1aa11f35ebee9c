"""A network on pictures: what it finds, its errors, and the calibration of its scores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from rtface.core.geometry import NetworkFrame
from rtface.core.records import FloatArray
from rtface.learn.distances import DeclaredDistance, followed
from rtface.learn.error_summary import error_summary
from rtface.learn.tracker.calibration import Calibration, can_be_fitted, fit_calibration, reliability, widened
from rtface.learn.tracker.samples import Picture, plain_sample
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.small import SmallDecode

FEWEST_TO_CALIBRATE = 50
"""Held-out labels below which scores are not called calibrated."""


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a network found on N pictures.

    Attributes
    ----------
    distance : ndarray, shape (N, K), float32
        From the label, in pixels of the network's input; NaN where there is no label.
    score : ndarray, shape (N, K), float32
        As decoded.
    scale : ndarray, shape (N,), float32
        Camera pixels to a pixel of the network's input.
    found, labelled : ndarray, shape (N, K, 2), float32
        Where the points are, and where the labels are, in pixels of the network's input; empty where not kept.
    """

    distance: FloatArray
    score: FloatArray
    scale: FloatArray
    found: FloatArray = field(default_factory=lambda: np.empty((0, 0, 2), np.float32))
    labelled: FloatArray = field(default_factory=lambda: np.empty((0, 0, 2), np.float32))

    @property
    def camera_distance(self) -> FloatArray:
        """Distance in camera pixels, shape (N, K)."""
        return self.distance * self.scale[:, None]

    def followed(
        self, keypoints: Sequence[str], distances: Iterable[DeclaredDistance], clips: Sequence[str]
    ) -> dict[str, dict[str, Any]]:
        """Return how the network follows distances, in camera pixels; as of `rtface.learn.distances.followed`."""
        scale = self.scale[:, None, None]
        return followed(self.labelled * scale, self.found * scale, keypoints, distances, clips)


@torch.no_grad()
def predict(
    network: NetworkWithDecode, pictures: Sequence[Picture], size: int, *, square: bool = False
) -> Predictions:
    """Run a network on undisturbed pictures.

    Parameters
    ----------
    network : NetworkWithDecode
        Put into evaluation mode.
    pictures : sequence of Picture
    size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether its input is square.
    """
    network.eval()
    distances, scores, scales, points, labels = [], [], [], [], []
    for picture in pictures:
        image, xy = plain_sample(picture, size, square=square)
        found = network(torch.from_numpy(image)[None, None])[0].numpy()
        distances.append(np.linalg.norm(found[:, :2] - xy, axis=1))
        scores.append(found[:, 2])
        points.append(found[:, :2])
        labels.append(xy)
        scales.append(NetworkFrame(picture.crop, size, True, square).scale)
    return Predictions(*(np.array(each, np.float32) for each in (distances, scores, scales, points, labels)))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a network is worth on frames that it was not trained on.

    Attributes
    ----------
    metrics : dict
        Errors in camera pixels, over all labels and by keypoint; reliability of the scores.
    calibrated : bool
        Whether the network's decode was calibrated on these frames.
    predictions : Predictions
    """

    metrics: dict[str, Any]
    calibrated: bool
    predictions: Predictions


def evaluate(
    network: NetworkWithDecode,
    pictures: Sequence[Picture],
    keypoints: Sequence[str],
    size: int,
    *,
    square: bool = False,
) -> Evaluation:
    """Measure a network's errors on held-out pictures and, where there are enough, calibrate its scores by them.

    The stated reliability is cross-fitted: the scores of one half of the frames are calibrated on the other half.

    Parameters
    ----------
    network : NetworkWithDecode
        Its decode's calibration is replaced; where it cannot be fitted, the one it came with stays, widened.
    pictures : sequence of Picture
    keypoints : sequence of str
    size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether its input is square.
    """
    former = calibration_of(network)
    if former is not None:
        set_calibration(network, Calibration(1.0, np.zeros(len(keypoints), np.float32)))
    found = predict(network, pictures, size, square=square)
    metrics: dict[str, Any] = {"frames": len(pictures), "unit": "camera pixels"}
    metrics |= error_summary(found.camera_distance, keypoints)
    labels = int((~np.isnan(found.distance)).sum())
    calibrated = former is not None and labels >= FEWEST_TO_CALIBRATE and can_be_fitted(found)
    if calibrated:
        metrics["score_reliability"] = cross_fitted_reliability(found)
        set_calibration(network, fit_calibration(found))
    elif former is not None:
        set_calibration(network, widened(former))
    return Evaluation(metrics, calibrated, found)


def cross_fitted_reliability(found: Predictions) -> dict[str, Any]:
    """Return the reliability of scores whose calibration was fitted on the other half of the frames."""
    halves = [np.arange(len(found.distance)) % 2 == part for part in (0, 1)]
    scores = np.empty_like(found.score)
    for here, other in (halves, halves[::-1]):
        fit = fit_calibration(Predictions(found.distance[other], found.score[other], found.scale[other]))
        scores[here] = fit.apply(found.score[here])
    return reliability(scores, found.distance)


def calibration_of(network: NetworkWithDecode) -> Calibration | None:
    """Return the calibration of a network's scores; None where its kind has none."""
    if not isinstance(network.decode, SmallDecode):
        return None
    return Calibration(float(network.decode.slope), network.decode.intercept.detach().numpy().copy())


def set_calibration(network: NetworkWithDecode, calibration: Calibration) -> None:
    """Give a network's decode a calibration of its scores."""
    network.decode.load_state_dict(
        {"slope": torch.tensor(calibration.slope), "intercept": torch.from_numpy(calibration.intercept)}
    )
