"""An engine that finds a bright spot, by convolutions whose weights are set by hand: small, exact, no training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from rtface.core.records import Image
from rtface.learn.engines.bundle import ModelCard, save_engine
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import KeypointEntry, ScoreSpec
from rtface.track.store import Engine

SHAPE = (80, 96)
SIZE = 64
NAMES = ("spot", "unknown", "spot again")


class SpotNetwork(nn.Module):
    """Logits that are the smoothed brightness: first, depthwise, middle and last convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, 2, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, 1, 1, groups=8)
        self.middle = nn.Conv2d(8, 16, 3, 2, 1)
        self.last = nn.Conv2d(16, len(NAMES), 1)
        chance = torch.Generator().manual_seed(0)
        for layer in (self.first, self.depthwise, self.middle, self.last):
            shape = layer.weight.shape
            layer.weight.data = (0.75 + 0.5 * torch.rand(shape, generator=chance)) / shape[1:].numel()
            layer.bias.data = 0.01 * torch.rand(shape[0], generator=chance)
        self.last.weight.data *= 20

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = torch.relu(self.first(image))
        features = torch.relu(self.depthwise(features))
        return self.last(torch.relu(self.middle(features)))


class SpotDecode(nn.Module):
    """The mean of the probabilities of all cells, 4 pixels apart, and the highest of them as score."""

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        chance = torch.softmax(logits.flatten(2), dim=2).reshape(logits.shape)
        cells = 4.0 * torch.arange(SIZE // 4)
        x, y = (chance.sum(dim=axis) * cells for axis in (2, 3))
        columns = (x.sum(dim=2), y.sum(dim=2), chance.amax(dim=(2, 3)))
        return torch.stack(columns, dim=2)


@torch.no_grad()
def outlier(network: SpotNetwork, before: str, factor: float) -> SpotNetwork:
    """Make one input channel of a convolution `factor` times as large and its weights as much smaller.

    The function stays the same, but the channel takes all of the input's range, and eight bits are too few for the
    others.
    """
    layers = {
        "depthwise": (network.first, network.depthwise),
        "middle": (network.depthwise, network.middle),
        "last": (network.middle, network.last),
    }
    maker, taker = layers[before]
    maker.weight[0] *= factor
    maker.bias[0] *= factor
    taken = taker.weight[0] if before == "depthwise" else taker.weight[:, 0]
    taken /= factor
    return network


def spot_engine(folder: Path, network: SpotNetwork | None = None) -> Engine:
    """Save it; the keypoint in the middle counts as untrained."""
    card = ModelCard(
        architecture={"name": "small", "keypoints": len(NAMES)},
        keypoints=[KeypointEntry(name=name, trained=name != "unknown") for name in NAMES],
        description="finds a spot",
        licence="CC0-1.0",
        decode="mean of the probabilities",
        score=ScoreSpec(definition="highest probability", calibrated=False),
        input_size=SIZE,
        training={"seed": 0},
        metrics={"kept": True},
    )
    return save_engine(NetworkWithDecode(network or SpotNetwork(), SpotDecode()), folder, card)


def spot_frames(count: int = 24, seed: int = 0) -> dict[int, Image]:
    """Frames of noise with a spot of light somewhere, numbered in steps of 3."""
    chance = np.random.default_rng(seed)
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    frames = {}
    for number in range(count):
        x, y = chance.uniform(25, 70), chance.uniform(25, 55)
        spot = 200 * np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
        frames[3 * number] = (20 + spot + chance.uniform(0, 10, SHAPE)).astype(np.uint8)
    return frames
