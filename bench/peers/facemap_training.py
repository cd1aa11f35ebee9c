"""Facemap's network, trained as its authors publish: their loss, optimiser, schedule and augmentation, nothing of ours.

Source: the published training code of Facemap 1.0.8 (Syeda et al. 2024): batches of one, Adam, the learning rate
divided by 10 and then by 25 in the last twelfths of the epochs, gradients limited to a norm of 50, mirrored pictures
half of the time, brightness and contrast changed half of the time. Its random growth of the face's box is clipped to
the picture; here the box is the whole frame, so that there is nowhere to grow. The authors do not state the learning
rate of a training from random weights (1e-4 is for fine-tuning): it is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.facemap.peer import CHANNELS
from rtface.core.geometry import NetworkFrame
from rtface.core.records import FACEMAP_KEYPOINTS, FloatArray
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.learn.tracker.losses import facemap_loss
from rtface.learn.tracker.samples import Picture, plain_sample, prepare
from rtface.networks.facemap import FacemapNetwork
from rtface.networks.graph import FacemapDecode, NetworkWithDecode

SIZE = 256
EPOCHS = 36

Progress = Callable[[int, float], None]


@dataclass(frozen=True, slots=True)
class FacemapRecipe:
    """The published recipe; `learning_rate` alone is not published for random weights."""

    learning_rate: float
    epochs: int = EPOCHS
    flip: float = 0.5
    gray: float = 0.5
    brightness: float = 0.2
    contrast: tuple[float, float] = (0.7, 1.3)
    gradient_limit: float = 50.0
    seed: int = 0

    def rate(self, epoch: int) -> float:
        """Return the learning rate of an epoch, counted from 0."""
        tail = max(1, round(self.epochs / 12))
        left = self.epochs - epoch
        if left <= tail:
            return self.learning_rate / 25
        return self.learning_rate / 10 if left <= 2 * tail else self.learning_rate


def train_facemap(
    labels: LabelSet, recipe: FacemapRecipe, progress: Progress = lambda epoch, loss: None
) -> NetworkWithDecode:
    """Train on all frames and return the network with its decode, in evaluation mode.

    Parameters
    ----------
    labels : LabelSet
        With Facemap's keypoints.
    recipe : FacemapRecipe
    progress : callable
        Called after each epoch with its number, from 1, and its mean loss.
    """
    torch.manual_seed(recipe.seed)
    random = np.random.default_rng(recipe.seed)
    network = FacemapNetwork(CHANNELS, len(FACEMAP_KEYPOINTS)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    samples = [plain_sample(_picture(frame), SIZE, square=True) for frame in labels.frames]
    weight = torch.ones(1, len(FACEMAP_KEYPOINTS))
    network.train()
    for epoch in range(recipe.epochs):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate(epoch)
        total = 0.0
        for index in random.permutation(len(samples)):
            image, xy = augment(*samples[int(index)], recipe, random)
            loss = facemap_loss(
                network(torch.from_numpy(image)[None, None]), torch.from_numpy(xy)[None], weight
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), recipe.gradient_limit)
            optimiser.step()
            total += float(loss.detach())
        progress(epoch + 1, total / len(samples))
    return NetworkWithDecode(network, FacemapDecode()).eval()


@torch.no_grad()
def find(network: NetworkWithDecode, frames: Sequence[LabelledFrame]) -> FloatArray:
    """Return keypoints, shape (N, K, 2), float32, in camera pixels."""
    found = []
    for frame in frames:
        picture = _picture(frame)
        image, _ = plain_sample(picture, SIZE, square=True)
        xy = network(torch.from_numpy(image)[None, None])[0, :, :2].numpy()
        found.append(NetworkFrame(picture.crop, SIZE, True).to_camera(xy))
    return np.stack(found)


def facts(recipe: FacemapRecipe, frames: int) -> dict[str, Any]:
    """Return how a network was trained, as plain values."""
    return {
        "network": {"channels": list(CHANNELS), "input": SIZE},
        "frames": frames,
        "recipe": asdict(recipe),
    }


def augment(
    image: FloatArray, xy: FloatArray, recipe: FacemapRecipe, random: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Mirror a sample and change its gray levels, at random.

    Parameters
    ----------
    image : ndarray, shape (rows, cols), float32
    xy : ndarray, shape (K, 2), float32
        Pixels of the image.
    """
    if random.random() < recipe.flip:
        image, xy = image[:, ::-1], xy.copy()
        xy[:, 0] = image.shape[1] - 1 - xy[:, 0]
    if random.random() < recipe.gray:
        gain = np.float32(random.uniform(*recipe.contrast))
        offset = np.float32(random.uniform(-recipe.brightness, recipe.brightness) * image.max())
        image = image * gain + offset
    return np.ascontiguousarray(image), xy


def _picture(frame: LabelledFrame) -> Picture:
    return prepare(frame.image, frame.xy)
