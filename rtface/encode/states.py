"""Discrete states of the latents, filtered frame by frame: the forward algorithm of a Gaussian hidden Markov model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import EngineError, UsageError

FORMAT = 1
_ARRAYS = {"start": 1, "transition": 2, "means": 2, "covariances": 3, "centre": 1, "axes": 2}
_SLACK = 1e-6

Float = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StateModel:
    """A hidden Markov model of S states over D features, which are a linear function of L latents.

    Attributes
    ----------
    start : ndarray, shape (S,), float64
        Probability of each state at the first frame.
    transition : ndarray, shape (S, S), float64
        From row to column in one step; rows sum to 1.
    means : ndarray, shape (S, D), float64
        Mean features in each state.
    covariances : ndarray, shape (S, D, D), float64
        Their covariance in each state, positive definite.
    centre : ndarray, shape (L,), float64
        Subtracted from the latents.
    axes : ndarray, shape (L, D), float64
        Features are ``(latents - centre) @ axes``.
    every : int
        A step of the model takes the mean of the latents of so many frames.

    Raises
    ------
    UsageError
        Shapes do not go together, probabilities do not sum to 1, or a covariance is not positive definite.
    """

    start: Float
    transition: Float
    means: Float
    covariances: Float
    centre: Float
    axes: Float
    every: int = 1

    def __post_init__(self) -> None:
        for name, dimensions in _ARRAYS.items():
            array = np.ascontiguousarray(getattr(self, name), np.float64)
            if array.ndim != dimensions or not np.isfinite(array).all():
                raise UsageError(
                    f"{name} of a state model: finite, with {dimensions} axes, not {array.shape}"
                )
            object.__setattr__(self, name, array)
        states, size = self.means.shape
        latents = len(self.centre)
        shapes = {
            "start": (states,),
            "transition": (states, states),
            "covariances": (states, size, size),
            "axes": (latents, size),
        }
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise UsageError(
                    f"{name} of a state model has shape {getattr(self, name).shape}, not {shape}"
                )
        for name in ("start", "transition"):
            array = getattr(self, name)
            if array.min() < 0 or np.abs(array.sum(axis=-1) - 1).max() > _SLACK:
                raise UsageError(f"{name} of a state model: probabilities that sum to 1")
        if self.every < 1:
            raise UsageError(f"a step of a state model is one frame or more, not {self.every}")
        try:
            np.linalg.cholesky(self.covariances)
        except np.linalg.LinAlgError:
            raise UsageError("covariances of a state model: not all are positive definite") from None

    @property
    def states(self) -> int:
        """Number of states."""
        return len(self.start)

    def features(self, latents: NDArray[np.floating[Any]]) -> Float:
        """Return the features of latents, shape (..., L) to (..., D)."""
        features: Float = (latents - self.centre) @ self.axes
        return features

    def save(self, path: Path) -> None:
        """Write the model as ``.npz``; `load_states` reads it."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez(path, format=np.array(FORMAT), every=np.array(self.every), **arrays)


def load_states(path: Path) -> StateModel:
    """Read a model that `StateModel.save` wrote.

    Raises
    ------
    EngineError
        The file is missing, damaged, of another format, or holds no model; the message names file and field.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as loaded:
            arrays: Mapping[str, NDArray[Any]] = {name: loaded[name] for name in loaded.files}
    except Exception as error:  # whatever numpy and zipfile make of foreign bytes
        raise EngineError(f"{path} is no state model: {error}") from error
    if missing := {"format", "every", *_ARRAYS} - set(arrays):
        raise EngineError(f"{path} is no state model: no {', '.join(sorted(missing))}")
    if arrays["format"].shape != () or int(arrays["format"]) != FORMAT:
        raise EngineError(f"{path}: state model of format {arrays['format']}, this version reads {FORMAT}")
    try:
        return StateModel(**{name: arrays[name] for name in _ARRAYS}, every=int(arrays["every"]))
    except (UsageError, TypeError, ValueError) as error:
        raise EngineError(f"{path}: {error}") from error


class StateFilter:
    """Finds in which state the latents are, from this frame and all before it.

    A step is the forward algorithm's: the probabilities so far through the transition matrix, times the likelihood of
    the features. Frames whose latents are not all finite (lost ones) are left out of the step's mean; a step without
    any brings no likelihood, so that the probabilities only spread. Nothing grows, and it is causal.

    Parameters
    ----------
    model : StateModel
        As fitted offline.

    Attributes
    ----------
    log_likelihood : float
        Of the features of the newest step given all before: low for latents unlike those of the fit.
    """

    def __init__(self, model: StateModel) -> None:
        self.model = model
        states, size = model.means.shape
        factors = np.linalg.inv(np.linalg.cholesky(model.covariances))  # whitening: L^-1
        self._whiten = factors.reshape(states * size, size)
        self._whitened_means = (factors @ model.means[:, :, None]).reshape(states, size)
        log_det = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
        self._constant = log_det - 0.5 * size * math.log(2 * math.pi)
        self._transition = np.ascontiguousarray(model.transition.T)
        self.reset()

    def reset(self) -> None:
        """Forget all, as before the first frame."""
        self._probability = self.model.start.copy()
        self._first = True
        self._sum = np.zeros_like(self.model.centre)
        self._frames = self._known = 0
        self.log_likelihood = math.nan

    @property
    def probability(self) -> Float:
        """Probability of each state after the newest step, shape (S,); borrowed until the next step."""
        return self._probability

    @property
    def state(self) -> int:
        """The most probable state."""
        return int(self._probability.argmax())

    def step(self, latents: NDArray[np.floating[Any]]) -> Float:
        """Take one frame in and return `probability`; before a step of the model is full it stays as it is.

        Parameters
        ----------
        latents : ndarray, shape (L,)
            Of this frame; NaN for a frame that was lost.
        """
        if math.isfinite(latents.sum()):
            self._sum += latents
            self._known += 1
        self._frames += 1
        if self._frames == self.model.every:
            self._advance()
            self._sum[:] = 0
            self._frames = self._known = 0
        return self._probability

    def _advance(self) -> None:
        if not self._first:
            self._probability = self._transition @ self._probability
        self._first = False
        if self._known == 0:
            self.log_likelihood = math.nan
            return
        features = (self._sum / self._known - self.model.centre) @ self.model.axes
        away = (self._whiten @ features).reshape(self._whitened_means.shape) - self._whitened_means
        log_density = self._constant - 0.5 * np.einsum("sd,sd->s", away, away)
        top = float(log_density.max())
        joint = self._probability * np.exp(log_density - top)
        total = float(joint.sum())
        if total > 0:
            self._probability = joint / total
            self.log_likelihood = top + math.log(total)
        else:  # every state that was possible is out of the question: start from the features alone
            joint = np.exp(log_density - top)
            self._probability = joint / joint.sum()
            self.log_likelihood = -math.inf
