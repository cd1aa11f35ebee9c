"""Training: seeded, with averaged weights, and a folder that tells what was done."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rtface.learn.samples import Augmentation, Picture, draw_batch
from rtface.networks.small import STRIDE

_BLEND = 0.3


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
    sigma : float
        Width of the target's Gaussian, in cells.
    mean_weight : float
        Weight of the distance between the map's mean and the label, in cells, beside the cross entropy.
    seed : int
    """

    steps: int = 1500
    batch: int = 16
    simulated_share: float = 0.4
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    averaging: float = 0.995
    sigma: float = 1.2
    mean_weight: float = 0.3
    size: int = 256
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)


def train(
    network: nn.Module,
    real: Sequence[Picture],
    simulated: Sequence[Picture],
    recipe: Recipe,
    *,
    masked: Sequence[int] = (),
    progress: Callable[[int, float], None] = lambda step, loss: None,
) -> nn.Module:
    """Train a network and return its running average, in evaluation mode.

    Parameters
    ----------
    network : Module
        Maps images to logits, as `SmallNetwork`; trained in place.
    real, simulated : sequence of Picture
        What samples are drawn from.
    recipe : Recipe
    masked : sequence of int
        Keypoints whose labels are left out altogether.
    progress : callable
        Called with the step and the loss.
    """
    random = np.random.default_rng(recipe.seed)
    torch.manual_seed(recipe.seed)
    average = copy.deepcopy(network).eval()
    network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.08
    )
    for step in range(recipe.steps):
        share = recipe.simulated_share * (1 - 2 * step / (3 * recipe.steps)) if simulated else 0.0
        rendered = round(recipe.batch * share)
        pick = [real[index] for index in random.integers(0, len(real), recipe.batch - rendered)]
        pick += (
            [simulated[index] for index in random.integers(0, len(simulated), rendered)] if rendered else []
        )
        images, xy = draw_batch(pick, recipe.size, recipe.augmentation, random)
        xy[:, list(masked)] = np.nan
        inputs = torch.from_numpy(images).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(inputs)
        loss = keypoint_loss(logits.float(), torch.from_numpy(xy), recipe)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        schedule.step()
        _average(average, network, min(recipe.averaging, (1 + step) / (10 + step)))
        progress(step, float(loss.detach()))
    return average


def keypoint_loss(logits: Tensor, xy: Tensor, recipe: Recipe) -> Tensor:
    """Return the mean over labelled keypoints of cross entropy and distance.

    The target is a Gaussian about the label, normalised over the cells; the distance is between the map's mean and
    the label (smooth L1, in cells).

    Parameters
    ----------
    logits : Tensor, shape (N, K, rows, cols), float32
    xy : Tensor, shape (N, K, 2), float32
        Pixels of the network's input; NaN is left out.
    recipe : Recipe
    """
    rows, cols = logits.shape[2:]
    labelled = ~torch.isnan(xy).any(dim=2)
    wanted = (xy[labelled] - (STRIDE - 1) / 2) / STRIDE
    chosen = logits[labelled]
    across, down = torch.arange(cols, dtype=torch.float32), torch.arange(rows, dtype=torch.float32)
    near_x = torch.exp(-((across - wanted[:, :1]) ** 2) / (2 * recipe.sigma**2))
    near_y = torch.exp(-((down - wanted[:, 1:]) ** 2) / (2 * recipe.sigma**2))
    target = (near_y[:, :, None] * near_x[:, None, :]).flatten(1)
    target = target / target.sum(dim=1, keepdim=True).clamp_min(1e-6)
    log_share = functional.log_softmax(chosen.flatten(1), dim=1)
    entropy = -(target * log_share).sum(dim=1)
    share = log_share.exp().reshape(-1, rows, cols)
    mean = torch.stack([(share.sum(1) * across).sum(1), (share.sum(2) * down).sum(1)], dim=1)
    distance = functional.smooth_l1_loss(mean, wanted, reduction="none", beta=1.0).sum(dim=1)
    return (entropy + recipe.mean_weight * distance).sum() / max(1, int(labelled.sum()))


def write_run(folder: Path, recipe: Recipe, facts: dict[str, Any], losses: Sequence[float]) -> None:
    """Keep the configuration, the facts and the losses of a training."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    smooth: list[float] = []
    for loss in losses:
        smooth.append(loss if not smooth else (1 - _BLEND) * smooth[-1] + _BLEND * loss)
    (folder / "losses.json").write_text(
        json.dumps([round(loss, 4) for loss in smooth]) + "\n", encoding="utf-8"
    )


@torch.no_grad()
def _average(average: nn.Module, network: nn.Module, decay: float) -> None:
    current = network.state_dict()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            value.lerp_(current[name], 1 - decay)
        else:
            value.copy_(current[name])
