"""Training a network further on few pictures.

Three things keep it from forgetting more than it learns. The statistics of its batch normalisation stay as they are:
those of a handful of frames say little. New keypoints learn first, with all else held still, so that the noise of
their random beginnings does not run through the network. And the result lies between the weights before and after, as
far along as helps on frames that were held out (Wortsman et al. 2022): at 0 it is the network that it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from rtface.core.errors import DataError
from rtface.learn.tracker.optimise import Progress, Recipe, Training, train
from rtface.learn.tracker.predictions import Answers, answer
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

BLENDS = (0.25, 0.5, 0.75, 1.0)
"""How far from the weights before to those after, as tried."""

LOOK_EVERY = 25
"""Steps between two looks at the held-out pictures."""

PATIENCE = 4
"""Looks without anything better after which the search ends."""

_NEW_RATE = 1e-2
_FARTHEST = 16.0
_FEW_STEPS = 80
_FEW_STEPS_NEW = 120
_FAR_PX = 5.0

Stop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Look:
    """The error on held-out pictures after some steps, at some blend; in pixels of the network's input."""

    steps: int
    blend: float
    error_px: float


class Stopped(Exception):  # noqa: N818  (a wish, not an error)
    """The user ended a training; its checkpoint is there to go on from."""


def robust_error(answers: Answers) -> float:
    """Return the mean distance, none counted beyond 16 pixels of the network's input: far is far."""
    return float(np.nanmean(np.minimum(answers.distance, _FARTHEST)))


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


def teach_new(
    network: NetworkWithDecode,
    architecture: str,
    pictures: Sequence[Picture],
    new: Sequence[int],
    recipe: Recipe,
    *,
    progress: Progress = lambda step, loss: None,
    checkpoint: Path | None = None,
    stop: Stop = lambda: False,
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
    progress, checkpoint, stop
        As of `fine_tune`.

    Raises
    ------
    Stopped
        `stop` ended it.
    """
    taught = copy.deepcopy(network)
    heads = {f"{head}.{part}" for head in HEADS[architecture] for part in ("weight", "bias")}
    for name, parameter in taught.network.named_parameters():
        parameter.requires_grad_(name in heads)
    alone = replace(recipe, steps=NEW_STEPS, learning_rate=_NEW_RATE, weight_decay=0.0)
    tuned = fine_tune(
        taught, architecture, pictures, alone, progress=progress, checkpoint=checkpoint, stop=stop
    )
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
    checkpoint: Path | None = None,
    stop: Stop = lambda: False,
    enough: Callable[[], bool] = lambda: False,
    watch: Callable[[int, NetworkWithDecode], bool] = lambda steps, network: False,
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
    checkpoint : Path, optional
        Where the state is kept; gone on from where it exists.
    stop : callable
        Asked after each step whether the user wants an end.
    enough : callable
        Asked after each step whether to be content with what there is.
    watch : callable
        Called every `LOOK_EVERY` steps and at the end with the steps done and the averaged network; True ends the
        training.

    Raises
    ------
    Stopped
        `stop` ended it.
    """
    tuned = copy.deepcopy(network)
    freeze_statistics(tuned.network)
    training = Training(tuned.network, architecture, pictures, [], recipe)

    def ends(training: Training) -> bool:
        looks = training.done % LOOK_EVERY == 0 or training.finished
        content = looks and watch(training.done, _holding(network, training.average))
        return content or enough() or stop()

    average = train(training, progress=progress, checkpoint=checkpoint, every=LOOK_EVERY, stop=ends)
    if stop():
        raise Stopped
    return _holding(network, average)


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


def few_frames(
    network: NetworkWithDecode,
    pictures: Sequence[Picture],
    recipe: Recipe,
    known: Sequence[int],
    new: Sequence[int],
) -> Look:
    """Return the steps and the blend for so few frames that none can be held out.

    They are those of `bench/fewshot.py`. A network that is far off on the frames has little to lose: it goes all the
    way. So does one most of whose keypoints are new.
    """
    answers = answer(network, pictures, recipe.size, square=recipe.square)
    answers.distance[:, list(new)] = np.nan
    error = float("nan") if np.isnan(answers.distance).all() else robust_error(answers)
    if len(new) > len(known):
        return Look(min(recipe.steps, _FEW_STEPS_NEW), 1.0, error)
    near = error < _FAR_PX or np.isnan(error)
    blend = (0.25 if len(pictures) < 4 else 0.5) if near else 1.0
    return Look(min(recipe.steps, _FEW_STEPS), blend, error)


class Search:
    """Looks at held-out pictures while a network is fine-tuned, for the steps and the blend that serve them best.

    Parameters
    ----------
    before : NetworkWithDecode
        What the training starts from; blend 0 of it is a candidate.
    judging : sequence of Picture
        Held-out pictures with labels of people only.
    size, square
        Of the network's input.
    rival : sequence of int
        Places of the keypoints that `before` knows: where it finds these better than anything that was learnt does,
        it stays.
    keep : Path, optional
        Where the looks are kept; gone on from where it exists.
    """

    def __init__(
        self,
        before: NetworkWithDecode,
        judging: Sequence[Picture],
        size: int,
        square: bool,
        rival: Sequence[int],
        *,
        keep: Path | None = None,
    ) -> None:
        self._before, self._judging, self._keep = before, judging, keep
        self._size, self._square = size, square
        self._rival = list(rival)
        start = self._answers(before)
        self.looks = [Look(0, 0.0, robust_error(start))]
        self._start = self._known_error(start)
        self._best: tuple[Look, NetworkWithDecode] | None = None
        self.ended = False
        if keep is not None and keep.exists():
            self._restore(keep)

    @property
    def best(self) -> Look:
        """The steps and the blend to take; 0 and 0 where the network is best left as it is."""
        return self._best[0] if self._best else self.looks[0]

    @property
    def network(self) -> NetworkWithDecode:
        """The network at `best`."""
        return self._best[1] if self._best else self._before

    def watch(self, steps: int, tuned: NetworkWithDecode) -> bool:
        """Take one look; True when the last ones found nothing better."""
        self.looks = [look for look in self.looks if look.steps < steps]
        for blend in BLENDS:
            candidate = blended(self._before, tuned, blend)
            answers = self._answers(candidate)
            look = Look(steps, blend, robust_error(answers))
            self.looks.append(look)
            no_worse = np.isnan(self._start) or self._known_error(answers) < self._start
            if no_worse and (self._best is None or look.error_px < self._best[0].error_px):
                self._best = look, candidate
        self.ended = steps - self.best.steps >= PATIENCE * LOOK_EVERY
        self._save()
        return self.ended

    def _save(self) -> None:
        if self._keep is None:
            return
        state = {
            "looks": [astuple(look) for look in self.looks],
            "ended": self.ended,
            "best": astuple(self.best),
            "network": self.network.state_dict(),
        }
        fresh = self._keep.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self._keep)

    def _restore(self, path: Path) -> None:
        try:
            state = torch.load(path, weights_only=True)
            self.looks = [Look(*look) for look in state["looks"]]
            self.ended = state["ended"]
            if (best := Look(*state["best"])).steps:
                network = copy.deepcopy(self._before)
                network.load_state_dict(state["network"])
                self._best = best, network
        except Exception as error:  # torch raises nearly anything on a file that is not its own
            raise DataError(f"{path} is damaged or of another run: {error}") from error

    def _answers(self, network: NetworkWithDecode) -> Answers:
        return answer(network, self._judging, self._size, square=self._square)

    def _known_error(self, answers: Answers) -> float:
        distance = answers.distance[:, self._rival]
        return (
            float("nan") if np.isnan(distance).all() else float(np.nanmean(np.minimum(distance, _FARTHEST)))
        )


def _holding(like: NetworkWithDecode, trained: nn.Module) -> NetworkWithDecode:
    """Return a copy of a network and its decode with the weights of another training of it."""
    result = copy.deepcopy(like)
    result.network.load_state_dict(trained.state_dict())
    return result.eval()
