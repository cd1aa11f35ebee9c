"""The training of an encoder: seeded, resumable at any step, ended when held-back samples stop getting better."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rtface.analyse.splits import Split, stretches
from rtface.core.errors import DataError, UsageError
from rtface.core.records import FloatArray
from rtface.networks.encoder import EncoderNetwork

_GRADIENT_LIMIT = 1.0
_WARM_UP = 0.1


@dataclass(frozen=True, slots=True)
class EncoderRecipe:
    """How an encoder is trained.

    Attributes
    ----------
    epochs : int
        At most.
    samples : int
        Neural samples in a batch; they follow each other.
    learning_rate, weight_decay : float
        AdamW's.
    schedule : str
        ``cosine``, with a short warm-up; or ``steps``: a tenth from two thirds of the epochs on, a hundredth from five
        sixths, as Facemap does.
    smoothness : float
        Weight of the roughness of the kernels.
    averaging : float
        Decay of the running average of the weights, which is what is kept.
    noise : float
        Standard deviation of the noise on the inputs.
    patience : int
        Epochs without a better held-back loss after which a training ends; 0: never.
    seed : int
    """

    epochs: int = 30
    samples: int = 100
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    schedule: str = "cosine"
    smoothness: float = 0.0
    averaging: float = 0.99
    noise: float = 0.0
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.epochs, self.samples) < 1 or self.patience < 0:
            raise UsageError("epochs and samples are 1 or more, patience is 0 or more")
        if self.schedule not in ("cosine", "steps"):
            raise UsageError(f"the schedule is cosine or steps, not {self.schedule!r}")


RECIPES = {
    "causal": EncoderRecipe(),
    "facemap": EncoderRecipe(
        epochs=300,
        samples=800,
        learning_rate=1e-3,
        weight_decay=1e-4,
        schedule="steps",
        smoothness=0.5,
        averaging=0.0,
        patience=60,
    ),
}
"""By the encoder's name; Facemap's is the published one, but for the end by held-back samples."""


class EncoderTraining:
    """One training under way; `rtface.learn.resumable` runs it.

    Everything random comes from the recipe's seed, and `state` holds all there is to go on from.

    Parameters
    ----------
    network : EncoderNetwork
        Trained in place.
    inputs : ndarray, shape (T, D), float32
        Normalised.
    frames : ndarray, shape (S,), int64
        For each neural sample its frame.
    targets : ndarray, shape (S, C), float32
    split : Split
        Samples to train on, and samples held back to find when to end. Those whose window leaves the recording are left
        out.
    recipe : Recipe

    Attributes
    ----------
    done : int
        Steps so far.
    held_back : list of float
        Loss on the held-back samples after each epoch: the part of their variance that is not explained.
    best : int
        The epoch, from 1, whose weights are kept.

    Raises
    ------
    DataError
        There is nothing to train on.
    """

    def __init__(
        self,
        network: EncoderNetwork,
        inputs: FloatArray,
        frames: NDArray[np.int64],
        targets: FloatArray,
        split: Split,
        recipe: EncoderRecipe,
    ) -> None:
        self.recipe, self.done, self.best = recipe, 0, 0
        self.losses: list[float] = []
        self.held_back: list[float] = []
        self.average = copy.deepcopy(network).eval()
        self._best = copy.deepcopy(network.state_dict())
        self._network = network
        self._inputs = torch.from_numpy(inputs)
        whole = [
            within(part, frames, len(inputs), network.past, network.look_ahead)
            for part in (split.train, split.test)
        ]
        if min(map(len, whole)) < 2:
            raise DataError(
                f"only {len(whole[0])} neural samples to train on and {len(whole[1])} held back lie within the "
                f"recording with the {network.window} frames round them"
            )
        scale = float(targets[whole[0]].var(axis=0, dtype=np.float64).sum())
        if not scale > 0:
            raise DataError("the targets of the training samples never change")
        self._size = scale
        self._batches, self._test = (self._gather(part, frames, targets) for part in whole)
        spread = float(targets[whole[1]].var(axis=0, dtype=np.float64).sum())
        self._test_size = spread if spread > 0 else scale
        self._steps = recipe.epochs * len(self._batches)
        self._random = np.random.default_rng(recipe.seed)
        self._order = self._random.permutation(len(self._batches))
        self._optimiser = torch.optim.AdamW(
            network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._optimiser, self._rate)

    @property
    def epochs(self) -> int:
        """Epochs so far."""
        return self.done // len(self._batches)

    @property
    def steps(self) -> int:
        """Steps at most."""
        return self._steps

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the held-back loss has not fallen for long enough."""
        patience = self.recipe.patience
        return self.done >= self._steps or bool(patience and self.epochs - self.best >= patience)

    def step(self) -> float:
        """Train on one batch and return its loss: the part of the variance that is not explained."""
        number = self.done % len(self._batches)
        batch, targets = self._batches[self._order[number]]
        self._network.train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.seed * 1_000_003 + self.done)
            if self.recipe.noise:
                batch = tuple(
                    part + self.recipe.noise * torch.randn_like(part) if part.is_floating_point() else part
                    for part in batch
                )
            predicted = self._network.read_out(self._network.latents_of(batch))
        error = (predicted - targets).pow(2).sum(dim=1).mean() / self._size
        loss = error + self.recipe.smoothness * self._network.roughness()
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), _GRADIENT_LIMIT)
        self._optimiser.step()
        self._schedule.step()
        self.done += 1
        self._follow(min(self.recipe.averaging, self.done / (10 + self.done)))
        self.losses.append(float(error.detach()))
        if number == len(self._batches) - 1:
            self._end_epoch()
        return self.losses[-1]

    def kept(self) -> EncoderNetwork:
        """Return the network of the best epoch, in evaluation mode."""
        network = copy.deepcopy(self.average)
        network.load_state_dict(self._best)
        return network.eval()

    def state(self) -> dict[str, Any]:
        """Return all that `restore` needs, as tensors and plain values."""
        return {
            "done": self.done,
            "losses": list(self.losses),
            "held_back": list(self.held_back),
            "best": self.best,
            "best_weights": self._best,
            "network": self._network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "order": self._order.tolist(),
            "random": json.dumps(self._random.bit_generator.state),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another training with the same arguments was."""
        self.done, self.best = state["done"], state["best"]
        self.losses, self.held_back = list(state["losses"]), list(state["held_back"])
        self._best = dict(state["best_weights"])
        self._network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._order = np.asarray(state["order"])
        self._random.bit_generator.state = json.loads(state["random"])

    def _gather(
        self, samples: NDArray[np.int64], frames: NDArray[np.int64], targets: FloatArray
    ) -> list[tuple[tuple[Tensor, ...], Tensor]]:
        """Return batches of samples that follow each other, with their targets."""
        gathered = []
        for stretch in stretches(samples):
            for part in np.array_split(stretch, max(1, round(len(stretch) / self.recipe.samples))):
                batch = self._network.batch(self._inputs, torch.from_numpy(frames[part]))
                gathered.append((batch, torch.from_numpy(targets[part])))
        return gathered

    def _rate(self, step: int) -> float:
        share = step / max(1, self._steps)
        if self.recipe.schedule == "steps":
            return 1.0 if share < 2 / 3 else 0.1 if share < 5 / 6 else 0.01
        if share < _WARM_UP:
            return (step + 1) / (_WARM_UP * self._steps + 1)
        return max(0.5 * (1 + float(np.cos(np.pi * (share - _WARM_UP) / (1 - _WARM_UP)))), 1e-3)

    @torch.no_grad()
    def _follow(self, decay: float) -> None:
        for average, current in zip(self.average.parameters(), self._network.parameters(), strict=True):
            average.lerp_(current, 1 - decay)

    @torch.no_grad()
    def _end_epoch(self) -> None:
        error = sum(
            float((self.average.read_out(self.average.latents_of(batch)) - targets).pow(2).sum())
            for batch, targets in self._test
        )
        count = sum(len(targets) for _, targets in self._test)
        self.held_back.append(error / count / self._test_size)
        if self.held_back[-1] <= min(self.held_back):
            self.best, self._best = self.epochs, copy.deepcopy(self.average.state_dict())
        self._order = self._random.permutation(len(self._batches))


def within(
    samples: NDArray[np.int64], frames: NDArray[np.int64], length: int, past: int, look_ahead: int
) -> NDArray[np.int64]:
    """Return those samples whose whole window lies within a recording of `length` frames."""
    chosen = frames[samples]
    return samples[(chosen >= past) & (chosen < length - look_ahead)]
