"""What a network finds on pictures, and errors summed up."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rtface.core.records import Crop
from rtface.learn.error_summary import error_summary
from rtface.learn.tracker.evaluation import Predictions, predict
from rtface.learn.tracker.samples import prepare
from rtface.networks.graph import NetworkWithDecode

NAMES = ("eye", "mouth", "ear")


class Constant(nn.Module):
    """Always the same answer, in pixels of the network's input."""

    def forward(self, prepared: Tensor) -> Tensor:
        assert not self.training
        return torch.tensor([[[10.0, 20.0, 0.25], [30.0, 5.0, 0.75]]]) + 0 * prepared.sum()


def test_errors_are_summed_up_over_labels_and_by_keypoint() -> None:
    distance = np.full((4, 3), np.nan, np.float32)
    distance[:, 0] = 1, 2, 3, 4
    distance[:2, 1] = 10, 20
    summary = error_summary(distance, NAMES)
    assert (summary["n"], summary["mean_px"], summary["median_px"]) == (6, 6.67, 3.5)
    assert summary["by_keypoint"] == {
        "eye": {"n": 4, "mean_px": 2.5, "median_px": 2.5, "p90_px": 3.7},
        "mouth": {"n": 2, "mean_px": 15.0, "median_px": 15.0, "p90_px": 19.0},
    }
    assert error_summary(distance[:, 2:], NAMES[2:]) == {"n": 0, "by_keypoint": {}}


@pytest.mark.parametrize(("square", "rows_above"), [(False, 1), (True, 17)])
def test_distances_are_of_the_networks_pixels_and_the_scale_gives_the_cameras(
    square: bool, rows_above: int
) -> None:
    """By hand: a crop of 128 x 60 at 64 pixels is 64 x 30, padded to 64 x 32 or to 64 x 64."""
    crop = Crop(3, 9, 128, 60)
    there = [2 * 10 + 0.5 + crop.x, 2 * (20 - rows_above) + 0.5 + crop.y]
    xy = np.array([[there[0], there[1] + 6], [np.nan, np.nan]], np.float32)
    picture = prepare(np.zeros((100, 140), np.uint8), xy, crop=crop)
    network = NetworkWithDecode(Constant(), nn.Identity()).train()
    found = predict(network, [picture, picture], 64, square=square)
    assert found.distance[:, 0] == pytest.approx([3.0, 3.0], abs=1e-3)
    assert np.isnan(found.distance[:, 1]).all()
    assert found.score.tolist() == [[0.25, 0.75]] * 2
    assert found.camera_distance[:, 0] == pytest.approx([6.0, 6.0], abs=2e-3)


def test_predictions_have_distances_in_the_cameras_pixels() -> None:
    found = Predictions(
        np.ones((2, 2), np.float32), np.ones((2, 2), np.float32), np.array([2, 3], np.float32)
    )
    assert found.camera_distance.tolist() == [[2, 2], [3, 3]]
