"""Training a network further on few pictures.

Three things keep it from forgetting more than it learns. The statistics of its batch normalisation stay as they are:
those of a handful of frames say little. New keypoints learn first, with all else held still, so that the noise of
their random beginnings does not run through the network. And the result lies between the weights before and after, as
far along as helps on frames that were held out (Wortsman et al. 2022): at 0 it is the network that it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn

from rtface.learn.resumable import Progress, run_training
from rtface.learn.tracker.optimise import Recipe, Training
from rtface.learn.tracker.samples import Augmentation, Picture
from rtface.networks.build import HEADS
from rtface.networks.graph import NetworkWithDecode

TUNING = Recipe(
    steps=200,
    batch=8,
    learning_rate=1e-3,
    simulated_share=0.0,
    augmentation=Augmentation(
        rotation_deg=8.0,
        zoom=1.15,
        shift=0.06,
        stretch=1.04,
        flip=0.0,
        contrast=0.25,
        gamma=1.3,
        blur=0.2,
        noise=0.04,
        occlusion=0.2,
    ),
)
"""One rig's camera does not turn: disturbances are gentle, and no picture is mirrored."""

NEW_STEPS = 40
"""Steps in which new keypoints learn alone."""

CHECK_EVERY = 25
"""Steps between two checks of a training."""

_NEW_RATE = 1e-2

RunTraining = Callable[..., nn.Module]
"""`rtface.learn.resumable.run_training`, or what runs a training likewise and keeps more of it."""


class Stopped(Exception):  # noqa: N818  (a request, not an error)
    """The user ended a training; its checkpoint is there to go on from."""


def freeze_statistics(network: nn.Module) -> None:
    """Replace batch normalisation by one that uses its running statistics in training too, and leaves them."""
    for name, child in network.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = _FrozenNorm(child.num_features, child.eps, child.momentum)
            frozen.load_state_dict(child.state_dict())
            setattr(network, name, frozen)
        else:
            freeze_statistics(child)


class _FrozenNorm(nn.BatchNorm2d):
    def train(self, mode: bool = True) -> _FrozenNorm:
        super().train(False)
        return self


def train_new_keypoints(
    network: NetworkWithDecode,
    architecture: str,
    pictures: Sequence[Picture],
    new: Sequence[int],
    recipe: Recipe,
    *,
    progress: Progress = lambda step, loss: None,
    run: RunTraining = run_training,
    stop: Callable[[], bool] = lambda: False,
) -> NetworkWithDecode:
    """Return a network that finds new keypoints; all else is as in `network`, to the bit.

    Parameters
    ----------
    network : NetworkWithDecode
        Left as it is.
    architecture : str
        Its architecture's name.
    pictures : sequence of Picture
    new : sequence of int
        Places of the new keypoints among the outputs.
    recipe : Recipe
        Of `fine_tune`; steps and learning rate are set here.
    progress, run, stop
        As of `fine_tune`.

    Raises
    ------
    Stopped
        `stop` ended it.
    """
    alone = copy.deepcopy(network)
    heads = {f"{head}.{part}" for head in HEADS[architecture] for part in ("weight", "bias")}
    for name, parameter in alone.network.named_parameters():
        parameter.requires_grad_(name in heads)
    new_only = replace(recipe, steps=NEW_STEPS, learning_rate=_NEW_RATE, weight_decay=0.0)
    tuned = fine_tune(alone, architecture, pictures, new_only, progress=progress, run=run, stop=stop)
    result = copy.deepcopy(network)
    state = result.state_dict()
    rows = list(new)
    for name, value in tuned.network.named_parameters():
        if name in heads:
            state[f"network.{name}"][rows] = value.detach()[rows]
    return result


def fine_tune(
    network: NetworkWithDecode,
    architecture: str,
    pictures: Sequence[Picture],
    recipe: Recipe,
    *,
    progress: Progress = lambda step, loss: None,
    run: RunTraining = run_training,
    stop: Callable[[], bool] = lambda: False,
    enough: Callable[[], bool] = lambda: False,
    check: Callable[[int, NetworkWithDecode], bool] = lambda steps, network: False,
) -> NetworkWithDecode:
    """Return a network trained further; its batch normalisation's statistics are those of before.

    Parameters
    ----------
    network : NetworkWithDecode
        Left as it is.
    architecture : str
        Its architecture's name.
    pictures : sequence of Picture
    recipe : Recipe
    progress : callable
        Called with the steps done and the loss.
    run : callable
        Runs the training.
    stop : callable
        Called after each step; True is the user's end.
    enough : callable
        Called after each step; True ends the training with what there is, after a last check.
    check : callable
        Called every `CHECK_EVERY` steps and at the end, or where it is enough, with the steps done and the averaged network;
        True ends the training.

    Raises
    ------
    Stopped
        `stop` ended it.
    """
    tuned = copy.deepcopy(network)
    freeze_statistics(tuned.network)
    training = Training(tuned.network, architecture, pictures, [], recipe)

    def ends() -> bool:
        suffices = enough()
        due = training.done % CHECK_EVERY == 0 or training.finished or suffices
        ended = due and check(training.done, _with_weights(network, training.average))
        return ended or suffices or stop()

    average = run(training, progress=progress, every=CHECK_EVERY, stop=ends)
    if stop():
        raise Stopped
    return _with_weights(network, average)


def blended(before: NetworkWithDecode, after: NetworkWithDecode, share: float) -> NetworkWithDecode:
    """Return a network whose weights lie at `share` of the way from one's to the other's."""
    result = copy.deepcopy(before)
    theirs = after.state_dict()
    result.load_state_dict(
        {
            name: torch.lerp(value, theirs[name], share) if value.is_floating_point() else value
            for name, value in before.state_dict().items()
        }
    )
    return result


def _with_weights(like: NetworkWithDecode, trained: nn.Module) -> NetworkWithDecode:
    """Return a copy of a network and its decode with the weights of another training of it."""
    result = copy.deepcopy(like)
    result.network.load_state_dict(trained.state_dict())
    return result.eval()
