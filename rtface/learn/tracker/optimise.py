"""The steps of a keypoint network's training: seeded, resumable at any of them, with averaged weights."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from rtface.core.errors import DataError
from rtface.core.geometry import NetworkFrame
from rtface.learn.tracker.families import INPUT_SIZE
from rtface.learn.tracker.losses import LOSSES
from rtface.learn.tracker.samples import Augmentation, Picture, draw_batch

_GRADIENT_LIMIT = 5.0
_WARM_UP = 0.08


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network is trained.

    Attributes
    ----------
    steps : int
        Batches in all.
    batch : int
        Samples in a batch.
    simulated_share : float
        Share of simulated samples in a batch at the start; it falls to a third of that by the end.
    learning_rate, weight_decay : float
        AdamW's, with a short warm-up and a cosine to zero.
    averaging : float
        Decay of the running average of the weights, which is what is kept.
    size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether samples are square, as some networks need, or have the shape that the first picture's crop gets.
    other_shape : float
        Share of batches whose samples are square although they need not be.
    seed : int
    bf16 : bool
        Whether the network's arithmetic is bf16 where that is safe (torch's autocast).
    augmentation : Augmentation
    """

    steps: int = 1500
    batch: int = 16
    simulated_share: float = 0.25
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    averaging: float = 0.997
    size: int = INPUT_SIZE
    square: bool = False
    other_shape: float = 0.15
    seed: int = 0
    bf16: bool = True
    augmentation: Augmentation = field(default_factory=Augmentation)


class Training:
    """One training under way; `rtface.learn.resumable` runs it.

    Everything random comes from the recipe's seed, and `state` holds all there is to go on from: a training that is
    interrupted, saved and restored gives the same weights as one that ran through.

    Parameters
    ----------
    network : Module
        A network of an architecture in `LOSSES`; trained in place.
    architecture : str
        Its architecture's name.
    real, simulated : sequence of Picture
        What samples are drawn from. The first real picture's crop sets the samples' shape.
    recipe : Recipe
    """

    def __init__(
        self,
        network: nn.Module,
        architecture: str,
        real: Sequence[Picture],
        simulated: Sequence[Picture],
        recipe: Recipe,
    ) -> None:
        if not real and not simulated:
            raise DataError("there is nothing to train on: no picture")
        self.recipe = recipe
        self.done = 0
        self.losses: list[float] = []
        self.average = copy.deepcopy(network).eval()
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._loss = LOSSES[architecture]
        self._real, self._simulated = real, simulated
        self._shape = NetworkFrame((real or simulated)[0].crop, recipe.size, True, recipe.square).shape
        self._random = np.random.default_rng(recipe.seed)
        self._optimiser = torch.optim.AdamW(
            network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimiser, recipe.learning_rate, total_steps=recipe.steps + 1, pct_start=_WARM_UP
        )

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.done >= self.recipe.steps

    def step(self) -> float:
        """Train on one batch and return its loss."""
        images, xy, weight = self._draw()
        device = next(self._network.parameters()).device
        inputs = torch.from_numpy(images).to(device, memory_format=torch.channels_last)
        self._network.train()
        with torch.autocast(device.type, torch.bfloat16, enabled=self.recipe.bf16):
            maps = self._network(inputs)
        maps = tuple(each.float() for each in maps) if isinstance(maps, tuple) else maps.float()
        loss = self._loss(maps, torch.from_numpy(xy).to(device), torch.from_numpy(weight).to(device))
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._network.parameters(), _GRADIENT_LIMIT)
        self._optimiser.step()
        self._schedule.step()
        _average(self.average, self._network, min(self.recipe.averaging, (1 + self.done) / (10 + self.done)))
        self.done += 1
        self.losses.append(float(loss.detach()))
        return self.losses[-1]

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, as tensors and plain values."""
        return {
            "done": self.done,
            "losses": list(self.losses),
            "network": self._network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": json.dumps(self._random.bit_generator.state),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another training with the same arguments was."""
        self.done = state["done"]
        self.losses = list(state["losses"])
        self._network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._random.bit_generator.state = json.loads(state["random"])

    def _draw(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        recipe, random = self.recipe, self._random
        share = recipe.simulated_share * (1 - 2 * self.done / (3 * recipe.steps)) if self._simulated else 0.0
        rendered = round(recipe.batch * share) if self._real else recipe.batch
        pick = [self._real[i] for i in random.integers(0, max(1, len(self._real)), recipe.batch - rendered)]
        if rendered:
            pick += [self._simulated[i] for i in random.integers(0, len(self._simulated), rendered)]
        other = random.random() < recipe.other_shape
        shape = (recipe.size, recipe.size) if other else self._shape
        return draw_batch(pick, shape, recipe.size, recipe.augmentation, random)


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    current = network.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name], 1 - decay)
        else:
            value.copy_(current[name])
