"""Drawn frames with labels known to a fraction of a pixel, and a network small enough to learn them in seconds.

Each frame shows a bright blob and a fainter one beside it, to the right in every frame. Keypoints are the two and a
third in the dark, further on in the direction from the first to the second: to find it a network must see which
blob is which.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtface.core.records import FloatArray, Image
from rtface.learn.engines.bundle import ModelCard, save_engine
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.optimise import Recipe
from rtface.learn.tracker.samples import Augmentation
from rtface.networks.build import build_network
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import KeypointEntry, ScoreSpec
from rtface.track.store import Engine

NAMES = ("bright", "faint", "ahead")
SHAPE = (56, 120)
SIZE = 64
ARCHITECTURE: dict[str, Any] = {
    "name": "small",
    "keypoints": len(NAMES),
    "channels": [8, 12, 16, 16],
    "depths": [1, 1, 1],
    "head": 16,
}
FACEMAP_ARCHITECTURE: dict[str, Any] = {
    "name": "facemap",
    "keypoints": len(NAMES),
    "channels": [3, 4, 5, 6, 7],
}
STILL = Augmentation(
    rotation_deg=0.0,
    zoom=1.0,
    shift=0.0,
    stretch=1.0,
    flip=0.0,
    contrast=0.0,
    gamma=1.0,
    blur=0.0,
    noise=0.0,
    occlusion=0.0,
)
BRIEF = Recipe(steps=4, batch=2, size=SIZE, bf16=False)


def blob(shape: tuple[int, int], x: float, y: float, sigma: float) -> FloatArray:
    """A Gaussian of height 1 about a point, its centre at integers being a pixel's."""
    rows, cols = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(np.exp(-((cols - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)), np.float32)


def draw(xy: FloatArray, shape: tuple[int, int] = SHAPE) -> Image:
    """One frame of the two blobs at the first two of some points."""
    light = 20 + 210 * blob(shape, *xy[0], sigma=4.0) + 120 * blob(shape, *xy[1], sigma=4.0)
    return np.clip(light, 0, 255).round().astype(np.uint8)


def drawn(count: int = 8, seed: int = 0, video: str = "one") -> LabelSet:
    """Some frames, each with all three labels."""
    chance = np.random.default_rng(seed)
    frames = []
    for number in range(count):
        first = np.array([chance.uniform(25, 60), chance.uniform(16, 40)])
        step = np.array([chance.uniform(16, 20), chance.uniform(-4, 4)])
        xy = np.stack([first, first + step, first + 1.8 * step]).astype(np.float32)
        frames.append(LabelledFrame(f"{video}-{number}", video, draw(xy), xy))
    return LabelSet(NAMES, tuple(frames))


def begun_engine(folder: Path) -> Engine:
    """An engine of the first two keypoints that was not trained at all."""
    built_of = {"name": "small", "keypoints": 2, "channels": [4, 6, 8], "depths": [1, 1], "head": 6}
    card = model_card(
        built_of,
        [KeypointEntry(name=name) for name in NAMES[:2]],
        size=SIZE,
        square=False,
        calibrated=False,
        description="begun",
        licence="CC0-1.0",
    )
    return save_engine(fresh(built_of), folder, card)


def drawn_engine(folder: Path, *, off_by: float = 0.0) -> Engine:
    """An engine of random weights, sure of what it finds; the weights of its model.onnx are off by a share of them."""
    network = fresh()
    heads: Any = network.network.heads
    heads.weight.data *= 40
    changed = copy.deepcopy(network)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        for weight in changed.parameters():
            weight *= 1 + off_by * torch.randn_like(weight)
    card = ModelCard(
        architecture=ARCHITECTURE,
        keypoints=[KeypointEntry(name=name) for name in NAMES],
        description="random weights",
        licence="CC0-1.0",
        decode="the peak",
        score=ScoreSpec(definition="made up", calibrated=False),
        input_size=SIZE,
    )
    return save_engine(network, folder, card, folded=changed)


def fresh(architecture: dict[str, Any] = ARCHITECTURE, seed: int = 0) -> NetworkWithDecode:
    """A network of random weights, the same for the same seed; nothing else random is touched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_network(architecture)
