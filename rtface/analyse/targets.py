"""What an encoder learns to predict: principal components of z-scored neurons, or the neurons.

All of it is fitted on the training samples alone and in parts, so that 50,000 neurons fit in memory once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.traces import Traces
from rtface.core.errors import DataError
from rtface.core.records import FloatArray

COMPONENTS = 128
FEWEST_NEURONS = 200
"""Up to this many, the neurons themselves are the targets."""

_CHUNK = 2000
_OVERSAMPLE = 32
_POWER_STEPS = 5


@dataclass(frozen=True, eq=False)
class Targets:
    """How neurons become targets, and targets neurons.

    Attributes
    ----------
    mean, sd : ndarray, shape (N,), float32
        Of the neurons over the training samples; 1 where a neuron never changed.
    basis : ndarray, shape (N, C), float32, or None
        Orthonormal columns: z-scored neurons are about components @ basis.T. None: the targets are the neurons.
    """

    mean: FloatArray
    sd: FloatArray
    basis: FloatArray | None

    @property
    def count(self) -> int:
        """Number of targets."""
        return len(self.mean) if self.basis is None else self.basis.shape[1]

    def of(self, neurons: Traces, samples: NDArray[np.int64]) -> FloatArray:
        """Return the targets of some samples of neurons (N, S), shape (len(samples), C)."""
        if self.basis is None:
            return self.scored(neurons, samples, slice(None)).T
        found = np.zeros((len(samples), self.count), np.float32)
        for part in _parts(len(neurons)):
            found += self.scored(neurons, samples, part).T @ self.basis[part]
        return found

    def scored(self, neurons: Traces, samples: NDArray[np.int64], part: slice) -> FloatArray:
        """Return some neurons' z-scores, shape (n, len(samples))."""
        values = np.asarray(neurons[part][:, samples], np.float32)
        values -= self.mean[part, None]
        values /= self.sd[part, None]
        return values

    def neurons_of(self, components: FloatArray, part: slice = slice(None)) -> FloatArray:
        """Return z-scored neurons (n, S) of targets (S, C)."""
        return components[:, part].T if self.basis is None else self.basis[part] @ components.T


def fit_targets(
    neurons: Traces,
    train: NDArray[np.int64],
    components: int = COMPONENTS,
    *,
    seed: int = 0,
    fewest: int = FEWEST_NEURONS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Targets:
    """Find means, standard deviations and, of more than 200 neurons, the principal components.

    The components come from a seeded randomised subspace iteration (Halko, Martinsson and Tropp 2011): the memory of
    a few chunks of neurons, and a few passes over them.

    Parameters
    ----------
    neurons : ndarray or StoredTraces, shape (N, S)
    train : ndarray of int64
        Samples to fit on.
    components : int
        At most; there are never more than neurons or training samples.
    seed : int
    fewest : int
        Up to this many neurons are the targets themselves.
    progress : callable
        Called with the passes done and their number.

    Raises
    ------
    DataError
        A neuron has values that are not finite; or none ever changes.
    """
    count = len(neurons)
    mean, sd = np.empty(count, np.float32), np.ones(count, np.float32)
    for part in _parts(count):
        values = np.asarray(neurons[part][:, train], np.float32)
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0]) + part.start
            raise DataError(f"neuron {bad} of spks has values that are not finite numbers")
        mean[part] = values.mean(axis=1, dtype=np.float64)
        spread = values.std(axis=1, dtype=np.float64)
        sd[part] = np.where(spread > 1e-12, spread, 1)
        if not (spread > 1e-12).any() and count <= _CHUNK:
            raise DataError("none of the neurons ever changes")
    if count <= fewest:
        return Targets(mean, sd, None)
    plain = Targets(mean, sd, None)
    wanted = min(components, count, len(train))
    width = min(wanted + _OVERSAMPLE, count, len(train))
    random = np.random.default_rng(seed)
    samples = random.standard_normal((len(train), width)).astype(np.float32)
    for step in range(_POWER_STEPS):
        progress(step, _POWER_STEPS + 1)
        turned: Any = np.zeros_like(samples)
        for part in _parts(count):
            scored = plain.scored(neurons, train, part)
            turned += scored.T @ (scored @ samples)
        samples = np.linalg.qr(turned)[0]
    progress(_POWER_STEPS, _POWER_STEPS + 1)
    projected = np.concatenate(
        [plain.scored(neurons, train, part) @ samples for part in _parts(count)]
    )  # (N, width)
    _, vectors = np.linalg.eigh((projected.T @ projected).astype(np.float64))
    chosen = vectors[:, ::-1][:, :wanted].astype(np.float32)
    basis = np.linalg.qr(projected @ chosen)[0]
    basis *= np.where(basis.sum(axis=0) < 0, -1, 1)  # a sign that does not hang on the library
    progress(_POWER_STEPS + 1, _POWER_STEPS + 1)
    return Targets(mean, sd, np.ascontiguousarray(basis))


def _parts(count: int) -> Iterator[slice]:
    for first in range(0, count, _CHUNK):
        yield slice(first, min(first + _CHUNK, count))
