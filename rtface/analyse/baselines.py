"""Linear regressions that an encoder is compared with: ridge, and of reduced rank; and the inputs they get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh, solve
from scipy.ndimage import gaussian_filter1d

from rtface.analyse.splits import Split
from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.networks.temporal_kernels import bumps, gabors

Float64Array = NDArray[np.float64]
Indices = NDArray[np.int64]

PENALTIES = tuple(10.0**power for power in range(-4, 6))
"""Tried for a ridge regression, each times the mean variance of the inputs and the number of samples over 1000."""


PUBLISHED_RANK = 128
PUBLISHED_PENALTY = 1e-6
"""Of the linear method of the Facemap paper."""

_FILTERS = 10
_WAVELETS = 20


@dataclass(frozen=True, eq=False)
class Line:
    """A linear prediction.

    Attributes
    ----------
    weights : ndarray, shape (D, C)
    centre : ndarray, shape (D,)
        Mean of the inputs.
    level : ndarray, shape (C,)
        Mean of the targets.
    penalty : float
        What it was fitted with.
    """

    weights: Float64Array
    centre: Float64Array
    level: Float64Array
    penalty: float

    def predict(self, inputs: NDArray[np.floating[Any]]) -> FloatArray:
        """Return the prediction (S, C) for inputs (S, D)."""
        return np.asarray((inputs - self.centre) @ self.weights + self.level, np.float32)


def fit_ridge(inputs: FloatArray, targets: FloatArray, penalty: float) -> Line:
    """Fit a ridge regression with an intercept.

    Parameters
    ----------
    inputs, targets : ndarray, shape (S, D) and (S, C)
    penalty : float
        On the squared weights, beside the sum of squared errors; 0 or more.

    Raises
    ------
    DataError
        The inputs are not finite, or the shapes do not fit.
    """
    return _fit(inputs, targets, penalty, None)


def fit_reduced_rank(inputs: FloatArray, targets: FloatArray, rank: int, penalty: float) -> Line:
    """Fit a ridge regression whose weights have at most `rank`: the best such in its penalised squared error.

    Raises
    ------
    DataError
        As `fit_ridge`.
    """
    return _fit(inputs, targets, penalty, rank)


def choose_penalty(
    inputs: FloatArray,
    targets: FloatArray,
    split: Split,
    rank: int | None = None,
    penalties: Sequence[float] = PENALTIES,
) -> float:
    """Return the penalty that is best on held-back samples; the training samples' scale is in it.

    Parameters
    ----------
    inputs, targets : ndarray, shape (S, D) and (S, C)
        All samples.
    split : Split
        Samples to fit on and samples to choose by.
    rank : int, optional
    penalties : sequence of float
    """
    scale = float(inputs[split.train].var(axis=0, dtype=np.float64).mean()) * len(split.train) / 1000
    errors = []
    for penalty in penalties:
        line = _fit(inputs[split.train], targets[split.train], penalty * scale, rank)
        errors.append(float(np.square(line.predict(inputs[split.test]) - targets[split.test]).sum()))
    return penalties[int(np.argmin(errors))] * scale


def smoothed_at(inputs: FloatArray, frames: Indices, frames_per_sample: float) -> FloatArray:
    """Return inputs (T, D) at some frames after a Gaussian of a quarter of the neural interval, as Facemap does.

    It reaches as far ahead as back.
    """
    width = float(np.ceil(frames_per_sample / 4))
    return np.asarray(gaussian_filter1d(inputs, width, axis=0, mode="nearest")[frames], np.float32)


def filtered_at(inputs: FloatArray, frames: Indices, kernels: FloatArray, look_ahead: int = 0) -> FloatArray:
    """Return inputs (T, D) under a bank of kernels (F, taps) at some frames, shape (S, D * F); zeros beyond the ends.

    Parameters
    ----------
    inputs : ndarray, shape (T, D), float32
    frames : ndarray of int64, shape (S,)
    kernels : ndarray, shape (F, taps)
        Oldest tap first, such as `rtface.networks.temporal_kernels.bumps`.
    look_ahead : int
        How many of the taps lie in the future.
    """
    taps = kernels.shape[1]
    padded = np.pad(inputs, ((taps - 1 - look_ahead, look_ahead), (0, 0)))
    found = np.empty((len(frames), inputs.shape[1], len(kernels)), np.float32)
    for column in range(inputs.shape[1]):
        windows = np.lib.stride_tricks.sliding_window_view(padded[:, column], taps)
        found[:, column] = windows[frames] @ kernels.T
    return found.reshape(len(frames), -1)


def _fit(inputs: FloatArray, targets: FloatArray, penalty: float, rank: int | None) -> Line:
    if len(inputs) != len(targets) or len(inputs) < 2:
        raise DataError(f"{len(inputs)} samples of inputs do not fit {len(targets)} of targets")
    centre, level = inputs.mean(axis=0, dtype=np.float64), targets.mean(axis=0, dtype=np.float64)
    x, y = inputs - centre, targets - level
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError("inputs or targets of a regression are not finite numbers")
    square = x.T @ x
    square[np.diag_indices_from(square)] += max(penalty, 1e-9 * np.trace(square) / len(square))
    crossed = x.T @ y
    weights = solve(square, crossed, assume_a="pos")
    if rank is not None and rank < min(weights.shape):
        # The penalised fit is a least-squares fit to rows that stand below the samples; its best approximation of
        # a lower rank keeps the directions of the targets in which the fitted values are largest.
        fitted = weights.T @ crossed
        count = len(fitted)
        _, chosen = eigh(fitted, subset_by_index=[count - rank, count - 1])
        weights = weights @ chosen @ chosen.T
    return Line(weights, centre, level, penalty)


def keypoint_baselines(
    inputs: FloatArray,
    frames: Indices,
    values: FloatArray,
    split: Split,
    held: Split,
    frames_per_sample: float,
    window: int,
) -> Iterator[tuple[str, FloatArray]]:
    """Fit the linear regressions from keypoints and yield each one's name and its prediction of the test samples.

    Parameters
    ----------
    inputs : ndarray, shape (T, D), float32
        Normalised.
    frames : ndarray of int64, shape (S,)
        For each neural sample its frame, 0 or more.
    values : ndarray, shape (S, C), float32
        The targets.
    split : Split
        What to fit on, what to predict.
    held : Split
        The samples to fit on, split again to choose penalties.
    frames_per_sample : float
    window : int
        Frames of the encoder that they are compared with.
    """
    moment = smoothed_at(inputs, frames, frames_per_sample)
    line = fit_reduced_rank(moment[split.train], values[split.train], PUBLISHED_RANK, PUBLISHED_PENALTY)
    yield "reduced rank, keypoints (published)", line.predict(moment[split.test])
    for name, features in (
        ("ridge, keypoints", inputs[frames]),
        (
            "ridge, causal filters of them",
            filtered_at(inputs, frames, bumps(_FILTERS, window)),
        ),
        (
            "ridge, wavelets, half future",
            filtered_at(inputs, frames, gabors(_WAVELETS, window), window // 2),
        ),
    ):
        penalty = choose_penalty(features, values, held)
        yield (
            name,
            fit_ridge(features[split.train], values[split.train], penalty).predict(features[split.test]),
        )


def video_baseline(
    traces: FloatArray,
    frames: Indices,
    values: FloatArray,
    split: Split,
    held: Split,
    frames_per_sample: float,
) -> FloatArray:
    """Return what a reduced-rank regression from a video's components (T, C) predicts of the test samples.

    Rank and smoothing are the published method's. The penalty is chosen on held-back samples: the published one is
    far too small where components are as many as samples.
    """
    moment = smoothed_at(traces, np.minimum(frames, len(traces) - 1), frames_per_sample)
    penalty = choose_penalty(moment, values, held, PUBLISHED_RANK)
    line = fit_reduced_rank(moment[split.train], values[split.train], PUBLISHED_RANK, penalty)
    return line.predict(moment[split.test])
