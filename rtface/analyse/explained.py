"""How much of the variance of neural activity a prediction explains, and how much there is to explain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.baselines import fit_reduced_rank
from rtface.analyse.targets import COMPONENTS, Targets, fit_targets
from rtface.analyse.traces import Traces, only
from rtface.core.errors import DataError
from rtface.core.records import FloatArray

Float64Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Values = NDArray[np.floating[Any]]

CHECKERBOARD_UM = 200.0
PEER_PENALTY = 0.1

_CHUNK = 2000


def variance_explained(actual: Values, predicted: Values) -> float:
    """Return the explained part of the variance of all columns jointly, 1 - MSE / variance.

    Parameters
    ----------
    actual, predicted : ndarray, shape (S, C)
        The variance is about the mean of these samples. NaN where the columns do not vary.
    """
    error, spread = _squares(actual, predicted)
    return float(1 - error.sum() / spread.sum()) if spread.sum() > 0 else float("nan")


def by_column(actual: Values, predicted: Values) -> Float64Array:
    """Return the same for each column, shape (C,); NaN for one that does not vary."""
    error, spread = _squares(actual, predicted)
    missed: Float64Array = np.divide(error, spread, out=np.full(len(error), np.nan), where=spread > 0)
    return 1 - missed


def by_neuron(targets: Targets, neurons: Traces, samples: Indices, predicted: FloatArray) -> Float64Array:
    """Return the explained part of each neuron's variance, shape (N,), a chunk of neurons at a time.

    Parameters
    ----------
    targets : Targets
        What the prediction is of.
    neurons : ndarray, shape (N, S)
        All samples.
    samples : ndarray of int64, shape (s,)
        Those predicted.
    predicted : ndarray, shape (s, C)
    """
    found = np.empty(len(neurons))
    for first in range(0, len(neurons), _CHUNK):
        part = slice(first, first + _CHUNK)
        actual = targets.scored(neurons, samples, part)
        found[part] = by_column(actual.T, targets.neurons_of(predicted, part).T)
    return found


@dataclass(frozen=True, slots=True)
class Explainable:
    """What peers predict of neurons: an upper bound for what anything that acts on many of them can explain.

    Attributes
    ----------
    neurons : ndarray, shape (N,)
        Explained part of each neuron's variance on the test samples, from the other half of the neurons.
    """

    neurons: Float64Array

    @property
    def mean(self) -> float:
        """Mean over neurons."""
        return float(np.nanmean(self.neurons))

    def normalise(self, explained: Float64Array) -> float:
        """Return mean explained over mean explainable variance, over the neurons that have both; NaN if none is."""
        both = np.isfinite(explained) & np.isfinite(self.neurons)
        bound = float(self.neurons[both].mean()) if both.any() else 0.0
        return float(explained[both].mean() / bound) if bound > 0 else float("nan")


def explainable_variance(
    neurons: Traces,
    train: Indices,
    test: Indices,
    positions: Float64Array | None,
    *,
    components: int = COMPONENTS,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Explainable:
    """Predict each half of the neurons from the other and return how well that works on the test samples.

    The halves are the fields of a checkerboard of 200 micrometres, so that a neuron and what leaks from it into its
    neighbours' traces fall into one half; without positions they are drawn at random. Each half is represented by
    its first principal components; between them stands a reduced-rank regression. Neurons of both halves are judged.

    Parameters
    ----------
    neurons : ndarray, shape (N, S)
    train, test : ndarray of int64
    positions : ndarray, shape (N, 2), or None
        Micrometres.
    components : int
    seed : int
    progress : callable
        Called with the halves done and their number.

    Raises
    ------
    DataError
        All neurons are in one field of the board.
    """
    half = checkerboard(positions) if positions is not None else _random_half(len(neurons), seed)
    if not 0 < half.sum() < len(half):
        raise DataError(
            "all neurons lie in one field of the checkerboard: there are no peers to predict from"
        )
    rows = [np.flatnonzero(half == side) for side in (False, True)]
    parts = [only(neurons, row) for row in rows]
    found = np.empty(len(neurons))
    fitted = [fit_targets(part, train, components, seed=seed) for part in parts]
    values = [(each.of(part, train), each.of(part, test)) for each, part in zip(fitted, parts, strict=True)]
    for side in (0, 1):
        progress(side, 2)
        other = 1 - side
        rank = min(components, fitted[side].count, fitted[other].count)
        line = fit_reduced_rank(values[other][0], values[side][0], rank, PEER_PENALTY)
        found[rows[side]] = by_neuron(fitted[side], parts[side], test, line.predict(values[other][1]))
    progress(2, 2)
    return Explainable(found)


def checkerboard(positions: Float64Array, field: float = CHECKERBOARD_UM) -> NDArray[np.bool_]:
    """Return whether each position lies in a dark field of a checkerboard."""
    fields = np.floor(np.asarray(positions) / field).astype(np.int64)
    return np.asarray(fields.sum(axis=1) % 2 == 1)


def _random_half(count: int, seed: int) -> NDArray[np.bool_]:
    return np.asarray(np.random.default_rng(seed).permutation(count) % 2 == 1)


def _squares(actual: Values, predicted: Values) -> tuple[Float64Array, Float64Array]:
    """Return the summed squares of errors and of deviations from the mean, by column, in double precision."""
    if actual.shape != predicted.shape:
        raise DataError(f"a prediction of shape {predicted.shape} is not of activity of shape {actual.shape}")
    error = np.square(actual - predicted).sum(axis=0, dtype=np.float64)
    centred = actual - actual.mean(axis=0, dtype=np.float64)
    return error, np.square(centred).sum(axis=0, dtype=np.float64)
