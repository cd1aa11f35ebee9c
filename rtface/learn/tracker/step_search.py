"""For how many steps a network is fine-tuned, and how far it goes: found on held-out pictures, or known for very few."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtface.core.records import FloatArray
from rtface.learn.resumable import restore_from, save_state
from rtface.learn.tracker.evaluation import Predictions, predict
from rtface.learn.tracker.fine_tune import CHECK_EVERY, blended
from rtface.learn.tracker.optimise import Recipe
from rtface.learn.tracker.samples import Picture
from rtface.networks.graph import NetworkWithDecode

BLENDS = (0.25, 0.5, 0.75, 1.0)
"""How far from the weights before to those after, as tried."""

PATIENCE = 4
"""Checks without an improvement that counts after which the search ends."""

WORTH_PX = 0.05
"""Improvement of the error, in pixels of the network's input, that counts for nothing however sure it is."""

FOLLOWS = 0.1
"""How far from 1 the slope of a declared distance may be."""

_FARTHEST = 16.0
_INTERVAL = 1.96
_FEW_STEPS = 80
_FEW_STEPS_NEW = 120
_FAR_PX = 5.0


@dataclass(frozen=True, slots=True)
class Trial:
    """A candidate: a network after some steps, at some blend.

    Attributes
    ----------
    steps : int
    blend : float
    error_px : float
        On the held-out pictures, in pixels of the network's input.
    off_slope : float or None
        How far the worst slope of the declared distances is from 1; None where none is declared or can be stated.
    """

    steps: int
    blend: float
    error_px: float
    off_slope: float | None = None

    @property
    def follows(self) -> bool:
        """Whether it follows the declared distances, as far as that is known."""
        return self.off_slope is None or self.off_slope <= FOLLOWS

    def better_than(self, other: Trial) -> bool:
        """Return whether it is the better candidate.

        One that follows the declared distances comes before one that does not. Among those that follow the lesser error
        counts; among those that do not, the error times one plus how far the worst slope is from 1.
        """
        if self.follows != other.follows:
            return self.follows
        return self._cost < other._cost

    @property
    def _cost(self) -> float:
        return self.error_px * (1 if self.follows else 1 + (self.off_slope or 0.0))


def robust_error(distance: FloatArray) -> float:
    """Return the mean distance, none counted beyond 16 pixels of the network's input; NaN where there is none."""
    return float("nan") if np.isnan(distance).all() else float(np.nanmean(np.minimum(distance, _FARTHEST)))


def improved(before: FloatArray, now: FloatArray) -> bool:
    """Return whether errors fell by more than chance makes of them, and by more than `WORTH_PX`.

    Labels are compared one by one, as of `robust_error`: the mean of the differences must exceed the half width of its 95 %
    interval. Labels of a frame count as if they were independent, so the interval is rather too narrow, and a search that ends
    by it rather too long.

    Parameters
    ----------
    before, now : ndarray, equal shapes, float32
        Distances from the same labels, in pixels of the network's input; NaN where there is none.
    """
    gain = np.minimum(before, _FARTHEST) - np.minimum(now, _FARTHEST)
    gain = gain[~np.isnan(gain)].astype(np.float64)
    if not gain.size:
        return False
    half = _INTERVAL * gain.std(ddof=1) / np.sqrt(gain.size) if gain.size > 1 else 0.0
    return bool(gain.mean() > max(half, WORTH_PX))


def trial_for_few(
    network: NetworkWithDecode,
    pictures: Sequence[Picture],
    recipe: Recipe,
    known: Sequence[int],
    new: Sequence[int],
) -> Trial:
    """Return the steps and the blend for so few frames that none can be held out.

    They are those of `bench/tracker/fewshot.py`. A network that is far off on the frames has little to lose: it goes all the
    way. So does one most of whose keypoints are new.
    """
    distance = predict(network, pictures, recipe.size, square=recipe.square).distance
    distance[:, list(new)] = np.nan
    error = robust_error(distance)
    if len(new) > len(known):
        return Trial(min(recipe.steps, _FEW_STEPS_NEW), 1.0, error)
    near = error < _FAR_PX or np.isnan(error)
    blend = (0.25 if len(pictures) < 4 else 0.5) if near else 1.0
    return Trial(min(recipe.steps, _FEW_STEPS), blend, error)


class StepSearch:
    """Tries a network on held-out pictures while it is fine-tuned, for the steps and the blend that serve them best.

    It ends where the best so far has not `improved` for `PATIENCE` checks, since it last did. What is small is added up: each
    candidate is held against the one that last counted.

    Parameters
    ----------
    before : NetworkWithDecode
        What the training starts from; blend 0 of it is a candidate.
    held_out : sequence of Picture
        Pictures with labels of people only.
    size, square
        Of the network's input.
    rival : sequence of int
        Places of the keypoints that `before` finds: where it finds these better than anything that was learnt does,
        it stays.
    keep : Path, optional
        Where the trials are kept; gone on from where it exists.
    off_slope : callable
        How far a network's worst slope of the declared distances is from 1, on all labelled pictures, those that it learns
        from too: one that does not follow what it learnt follows nothing else. While no candidate follows, the
        search does not end before its last step.
    told : callable
        Called with all trials so far, at the start and after each check.
    """

    def __init__(
        self,
        before: NetworkWithDecode,
        held_out: Sequence[Picture],
        size: int,
        square: bool,
        rival: Sequence[int],
        *,
        keep: Path | None = None,
        off_slope: Callable[[NetworkWithDecode], float | None] = lambda network: None,
        told: Callable[[Sequence[Trial]], None] = lambda trials: None,
    ) -> None:
        self._before, self._held_out, self._keep, self._told = before, held_out, keep, told
        self._off_slope = off_slope
        self._size, self._square = size, square
        self._rival = list(rival)
        start = self._predict(before)
        self.trials = [Trial(0, 0.0, robust_error(start.distance), off_slope(before))]
        self._start = robust_error(start.distance[:, self._rival])
        self._best: tuple[Trial, NetworkWithDecode] | None = None
        self._counted: tuple[int, FloatArray] = (0, start.distance)
        self.ended = False
        if keep is not None:
            restore_from(keep, self._restore)
        told(self.trials)

    @property
    def best(self) -> Trial:
        """The steps and the blend to take; 0 and 0 where the network is best left as it is."""
        return self._best[0] if self._best else self.trials[0]

    @property
    def network(self) -> NetworkWithDecode:
        """The network at `best`."""
        return self._best[1] if self._best else self._before

    def check(self, steps: int, tuned: NetworkWithDecode) -> bool:
        """Try every blend of what was tuned so far; True when the last checks found no improvement that counts."""
        self.trials = [trial for trial in self.trials if trial.steps < steps]
        followed_before = self.best.follows
        best_distance: FloatArray | None = None
        for blend in BLENDS:
            candidate = blended(self._before, tuned, blend)
            distance = self._predict(candidate).distance
            trial = Trial(steps, blend, robust_error(distance), self._off_slope(candidate))
            self.trials.append(trial)
            no_worse = np.isnan(self._start) or robust_error(distance[:, self._rival]) < self._start
            if self.trials[0].off_slope is not None and self.trials[0].follows:
                no_worse = no_worse and trial.follows
            if no_worse and (self._best is None or trial.better_than(self._best[0])):
                self._best, best_distance = (trial, candidate), distance
        if best_distance is not None and (
            self.best.follows > followed_before or improved(self._counted[1], best_distance)
        ):
            self._counted = steps, best_distance
        self.ended = self.best.follows and steps - self._counted[0] >= PATIENCE * CHECK_EVERY
        if self._keep is not None:
            save_state(self._state(), self._keep)
        self._told(self.trials)
        return self.ended

    def _state(self) -> dict[str, Any]:
        return {
            "looks": [astuple(trial) for trial in self.trials],
            "ended": self.ended,
            "best": astuple(self.best),
            "network": self.network.state_dict(),
            "counted": (self._counted[0], torch.from_numpy(self._counted[1])),
        }

    def _restore(self, state: Mapping[str, Any]) -> None:
        self.trials = [Trial(*trial) for trial in state["looks"]]
        self.ended = state["ended"]
        if (best := Trial(*state["best"])).steps:
            network = copy.deepcopy(self._before)
            network.load_state_dict(state["network"])
            self._best = best, network
        if "counted" in state:  # an older rtface kept none
            steps, distance = state["counted"]
            self._counted = steps, distance.numpy()

    def _predict(self, network: NetworkWithDecode) -> Predictions:
        return predict(network, self._held_out, self._size, square=self._square)
