"""What a network with its weights finds on labelled pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from rtface.core.geometry import NetworkFrame
from rtface.core.records import FloatArray
from rtface.learn.tracker.samples import Picture, plain_sample
from rtface.networks.graph import NetworkWithDecode


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
    """

    distance: FloatArray
    score: FloatArray
    scale: FloatArray

    @property
    def camera_distance(self) -> FloatArray:
        """Distance in camera pixels, shape (N, K)."""
        return self.distance * self.scale[:, None]


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
    distances, scores, scales = [], [], []
    for picture in pictures:
        image, xy = plain_sample(picture, size, square=square)
        found = network(torch.from_numpy(image)[None, None])[0].numpy()
        distances.append(np.linalg.norm(found[:, :2] - xy, axis=1))
        scores.append(found[:, 2])
        scales.append(NetworkFrame(picture.crop, size, True, square).scale)
    return Predictions(*(np.array(each, np.float32) for each in (distances, scores, scales)))
