"""Whether a prediction is better than the same for trials in another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import FloatArray

BLOCK = 25


@dataclass(frozen=True, eq=False)
class Shuffled:
    """A permutation test.

    Attributes
    ----------
    observed : float
        Mean over neurons of the correlation of activity and prediction.
    null : ndarray, shape (n,)
        The same of shuffled trials.
    p : float
        Share of orders, the true one counted, that are no worse than it: 1 / (n + 1) at best.
    """

    observed: float
    null: NDArray[np.float64]
    p: float


def against_shuffled_trials(
    actual: FloatArray, predicted: FloatArray, *, block: int = BLOCK, shuffles: int = 999, seed: int = 0
) -> Shuffled:
    """Compare a prediction with itself after the trials were shuffled among their neighbours.

    Trials change places within blocks of successive ones only, and within each block and moment the mean over trials
    and a linear trend are taken off. What drifts slowly through a session and what every trial repeats is so the same
    in the shuffled and in the true order, and cannot pass for encoding.

    Parameters
    ----------
    actual, predicted : ndarray, shape (trials, C) or (trials, moments, C)
        Predictions of trials that were not trained on.
    block : int
        Trials that may change places.
    shuffles : int
    seed : int

    Raises
    ------
    DataError
        The shapes differ, or there are too few trials to shuffle.
    """
    if actual.shape != predicted.shape or actual.ndim not in (2, 3):
        raise DataError(f"predictions of shape {predicted.shape} are not of trials of shape {actual.shape}")
    trials = len(actual)
    if min(block, trials) < 3:
        raise DataError(f"{trials} trials in blocks of {block} are too few to shuffle")
    blocks = np.array_split(np.arange(trials), max(1, trials // block))
    columns = actual.shape[-1]
    here, there = (_centred(each.reshape(trials, -1, columns), blocks) for each in (actual, predicted))
    size = np.linalg.norm(here, axis=(0, 1)) * np.linalg.norm(there, axis=(0, 1))
    used = size > 1e-9 * np.linalg.norm(actual) * np.linalg.norm(predicted)
    if not used.any():
        raise DataError("neither activity nor prediction changes from trial to trial")
    here, there, size = here[:, :, used], there[:, :, used], size[used]

    def mean_correlation(order: NDArray[np.int64]) -> float:
        return float((np.einsum("tmc,tmc->c", here, there[order]) / size).mean())

    random = np.random.default_rng(seed)
    observed = mean_correlation(np.arange(trials))
    null = np.array(
        [
            mean_correlation(np.concatenate([random.permutation(each) for each in blocks]))
            for _ in range(shuffles)
        ]
    )
    return Shuffled(observed, null, (1 + int((null >= observed).sum())) / (shuffles + 1))


def _centred(values: NDArray[np.float32], blocks: list[NDArray[np.int64]]) -> NDArray[np.float64]:
    centred = values.astype(np.float64)
    for block in blocks:
        base = np.linalg.qr(np.stack([np.ones(len(block)), np.linspace(-1, 1, len(block))], axis=1))[0]
        part = centred[block].reshape(len(block), -1)
        centred[block] = (part - base @ (base.T @ part)).reshape(centred[block].shape)
    return centred
