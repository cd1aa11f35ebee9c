"""Errors of a network on labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtface.geometry import NetworkFrame
from rtface.learn.samples import Picture, plain_sample
from rtface.networks.graph import NetworkWithDecode
from rtface.records import FloatArray

_RESAMPLES = 2000


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network found on N pictures.

    Attributes
    ----------
    distance : ndarray, shape (N, K), float32
        From the label, in pixels of the network's input; NaN where there is no label.
    score : ndarray, shape (N, K), float32
        As decoded.
    scale : ndarray, shape (N,), float32
        Camera pixels to a pixel of the network's input.
    """

    distance: FloatArray
    score: FloatArray
    scale: FloatArray

    @property
    def camera_distance(self) -> FloatArray:
        """Distance in camera pixels, shape (N, K)."""
        return self.distance * self.scale[:, None]


@torch.no_grad()
def answer(
    network: NetworkWithDecode, pictures: Sequence[Picture], size: int, *, square: bool = False
) -> Answers:
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
    distances, scores, scales = [], [], []
    for picture in pictures:
        image, xy = plain_sample(picture, size, square=square)
        found = network(torch.from_numpy(image)[None, None])[0].numpy()
        distances.append(np.linalg.norm(found[:, :2] - xy, axis=1))
        scores.append(found[:, 2])
        scales.append(NetworkFrame(picture.crop, size, True, square).scale)
    return Answers(*(np.array(each, np.float32) for each in (distances, scores, scales)))


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
