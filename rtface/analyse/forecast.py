"""Where keypoints will be: a causal linear forecast, and how far ahead it is worth anything.

The method is Facemap's with two changes. There: the keypoints through causal exponential filters of 1 to 128 frames, and
ridge regression from all of them to all keypoints some frames later. Here the present frame is among its inputs and the
change from now is its output, so that the penalty pulls towards staying put, and the penalty is chosen on the last
quarter of the training frames: a forecast fitted on too little predicts little rather than nonsense. Being causal and linear
it can also make up for the latency of a rig; so it is compared with staying where the point was last seen and with the
Kalman filter of the live path (`rtface.decide.features.smoothing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from rtface.analyse.explained import variance_explained
from rtface.core.errors import UsageError
from rtface.decide.features.smoothing import make_smoother
from rtface.decide.features.specs import KalmanSpec

Float = NDArray[np.float64]

TIME_CONSTANTS = tuple(2.0**power for power in range(8))
"""Of the filters, in frames."""
RIDGES = tuple(10.0**power for power in range(-4, 4))
"""Penalties to choose from, as parts of the mean square of a standardised coordinate."""
TEST_PART = 0.25
LAGS = (1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377)
"""Frames ahead that `compare` tests by default."""

_GUARD = 128


@dataclass(frozen=True, eq=False)
class Forecaster:
    """Predicts where coordinates will be `lag` frames later.

    Attributes
    ----------
    lag : int
        Frames ahead.
    mean, scale : ndarray, shape (F,), float64
        Of the coordinates in training.
    weights : ndarray, shape (9 F, F), float64
        From coordinates and filtered coordinates to the change of the coordinates, all standardised.
    offset : ndarray, shape (F,), float64
        Added to it.
    ridge : float
        The penalty that was chosen.
    """

    lag: int
    mean: Float
    scale: Float
    weights: Float
    offset: Float
    ridge: float

    def predict(self, coordinates: NDArray[np.floating[Any]]) -> Float:
        """Return for each frame of `coordinates` (T, F) where they will be `lag` frames later, shape (T, F)."""
        normal = (coordinates - self.mean) / self.scale
        change = _features(normal) @ self.weights + self.offset
        ahead: Float = self.mean + self.scale * (normal + change)
        return ahead


def fit_forecaster(coordinates: NDArray[np.floating[Any]], lag: int) -> Forecaster:
    """Fit a forecast on a stretch of frames.

    Parameters
    ----------
    coordinates : ndarray, shape (T, F)
        Frame by frame at a steady rate, no NaN; x and y of all keypoints for Facemap's forecast.
    lag : int
        Frames ahead, 1 or more.

    Raises
    ------
    UsageError
        Too few frames, a NaN, or a lag below 1.
    """
    _check(coordinates)
    most = (len(coordinates) - _GUARD) // 4
    if lag < 1 or lag > most:
        raise UsageError(f"a lag is from 1 to {max(0, most)} of {len(coordinates)} frames, not {lag}")
    mean = coordinates.mean(axis=0, dtype=np.float64)
    scale = np.maximum(coordinates.std(axis=0, dtype=np.float64), 1e-6)
    normal = (coordinates - mean) / scale
    seen = _features(normal)[_GUARD // 2 : -lag]
    change = normal[_GUARD // 2 + lag :] - normal[_GUARD // 2 : -lag]
    cut = int(len(seen) * (1 - TEST_PART))
    tried = _ridge_path(seen[: cut - lag], change[: cut - lag])
    left = [((change[cut:] - seen[cut:] @ weights - offset) ** 2).mean() for weights, offset in tried]
    best = int(np.argmin(left))
    weights, offset = _ridge_path(seen, change)[best]
    return Forecaster(lag, mean, scale, weights, offset, RIDGES[best])


def _ridge_path(inputs: Float, outputs: Float) -> list[tuple[Float, Float]]:
    """Return weights and offset of ridge regression for each penalty."""
    centre, middle = inputs.mean(axis=0), outputs.mean(axis=0)
    away = inputs - centre
    values, vectors = np.linalg.eigh(away.T @ away / len(away))
    moment = vectors.T @ (away.T @ (outputs - middle)) / len(away)
    path = []
    for ridge in RIDGES:
        weights = vectors @ (moment / (np.maximum(values, 0) + ridge)[:, None])
        path.append((weights, middle - centre @ weights))
    return path


def _features(normal: Float) -> Float:
    """Return the coordinates, the same through each filter of unit gain, shape (T, 9 F).

    The filters are recursive, as a live path would run them; they start as if the first frame had lasted for ever.
    """
    columns = [normal]
    for tau in TIME_CONSTANTS:
        keep = np.exp(-1 / tau)
        columns.append(normal[:1] + lfilter([1 - keep], [1, -keep], normal - normal[:1], axis=0))
    return np.concatenate(columns, axis=1)


@dataclass(frozen=True, eq=False)
class Comparison:
    """How well the future is predicted, by lag and group of keypoints, on frames not fitted.

    Attributes
    ----------
    lags : ndarray, shape (M,), int64
        Frames ahead.
    seconds : ndarray, shape (M,), float64
        The same in seconds.
    groups : tuple of str, length G
        Groups of keypoints.
    forecast, hold, kalman : ndarray, shape (G, M), float64
        Variance explained by the forecast, by the last position, and by the Kalman filter's prediction: 1 - squared
        error over variance, both summed over the group's coordinates. Below 0: worse than the mean of the test frames.
    half_s : ndarray, shape (G,), float64
        Lag in seconds at which the forecast explains half of what it does at the shortest lag (interpolated); NaN
        where it never falls so far.
    """

    lags: NDArray[np.int64]
    seconds: Float
    groups: tuple[str, ...]
    forecast: Float
    hold: Float
    kalman: Float
    half_s: Float


def group_keypoints(names: Sequence[str]) -> dict[str, list[int]]:
    """Return the indices of the keypoints of eye, whiskers, nose and mouth; others are left out."""
    prefixes = {"eye": ("eye",), "whisker": ("whisker",), "nose": ("nose",), "mouth": ("mouth", "lowerlip")}
    groups = {
        group: [index for index, name in enumerate(names) if name.startswith(starts)]
        for group, starts in prefixes.items()
    }
    return {group: chosen for group, chosen in groups.items() if chosen} or {"all": list(range(len(names)))}


def compare(
    keypoints: NDArray[np.floating[Any]],
    names: Sequence[str],
    rate_hz: float,
    lags: Sequence[int] = LAGS,
    truth: NDArray[np.floating[Any]] | None = None,
) -> Comparison:
    """Compare the forecast with the last position and the Kalman filter.

    The first three quarters are fitted, the rest is tested, with 128 frames between.

    Parameters
    ----------
    keypoints : ndarray, shape (T, K, 2)
        As tracked, in px; no NaN.
    names : sequence of str, length K
        The keypoints.
    rate_hz : float
        Frames per second.
    lags : sequence of int
        Frames ahead, rising; those too long for the recording are left out.
    truth : ndarray, shape (T, K, 2), optional
        What predictions are compared with; the tracked keypoints when absent, whose noise nothing can predict.
    """
    frames = len(keypoints)
    flat = np.asarray(keypoints, np.float64).reshape(frames, -1)
    _check(flat)
    if len(names) != keypoints.shape[1]:
        raise UsageError(f"{len(names)} names for {keypoints.shape[1]} keypoints")
    target = flat if truth is None else np.asarray(truth, np.float64).reshape(frames, -1)
    start = int(frames * (1 - TEST_PART)) + _GUARD
    tried = np.array(
        [lag for lag in lags if lag <= min(frames - start, (start - 2 * _GUARD) // 2) // 2], np.int64
    )
    if tried.size == 0 or frames < 7 * _GUARD:
        raise UsageError(f"{frames} frames are too few to test a forecast; {7 * _GUARD} or more are needed")
    groups = group_keypoints(names)
    columns = {
        name: np.array([2 * k + axis for k in chosen for axis in (0, 1)]) for name, chosen in groups.items()
    }
    scores = np.empty((3, len(groups), len(tried)))
    states = _kalman(flat[start - _GUARD :], rate_hz)[_GUARD:]
    for index, lag in enumerate(tried):
        forecaster = fit_forecaster(flat[: start - _GUARD], int(lag))
        future, now = target[start + lag :], flat[start:-lag]
        ahead = forecaster.predict(flat[start - _GUARD :])[_GUARD:-lag]
        moved = states[:-lag, 0] + lag / rate_hz * states[:-lag, 1]
        for row, chosen in enumerate(columns.values()):
            for kind, guess in enumerate((ahead, now, moved)):
                scores[kind, row, index] = variance_explained(future[:, chosen], guess[:, chosen])
    seconds = tried / rate_hz
    half = np.array([_half_life(seconds, curve) for curve in scores[0]])
    forecast, hold, kalman = scores
    return Comparison(tried, seconds, tuple(groups), forecast, hold, kalman, half)


def _kalman(flat: Float, rate_hz: float) -> Float:
    """Return position and velocity of every coordinate after each frame, shape (T, 2, F), by the live path's filter."""
    states = np.empty((len(flat), 2, flat.shape[1]))
    for column in range(0, flat.shape[1], 2):
        smoother = make_smoother(KalmanSpec(kind="kalman", latency_ms=0.0))
        for index, (x, y) in enumerate(flat[:, column : column + 2].tolist()):
            if index:
                smoother.step(x, y, 1 / rate_hz)
            else:
                smoother.start(x, y)
            states[index, :, column] = smoother.x, smoother.vx
            states[index, :, column + 1] = smoother.y, smoother.vy
    return states


def _half_life(seconds: Float, curve: Float) -> float:
    """Return where `curve` first falls to half of its first value."""
    below = np.flatnonzero(curve <= curve[0] / 2)
    if curve[0] <= 0 or below.size == 0:
        return float("nan")
    end = int(below[0])
    part = (curve[end - 1] - curve[0] / 2) / (curve[end - 1] - curve[end])
    return float(seconds[end - 1] + part * (seconds[end] - seconds[end - 1]))


def _check(coordinates: NDArray[np.floating[Any]]) -> None:
    if coordinates.ndim != 2 or not np.isfinite(coordinates).all():
        raise UsageError(
            f"coordinates are frames x coordinates without NaN, not of shape {coordinates.shape}"
        )
