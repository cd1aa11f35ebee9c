"""A prediction for a recording that came with none: ridge regression of the population's components from its keypoints."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.baselines import choose_penalty, filtered_at, fit_ridge
from rtface.analyse.populationfile import ActivityPredictions, Recorded
from rtface.analyse.ridge.shift_null import explained_when_shifted
from rtface.analyse.splits import hold_back, strict
from rtface.analyse.targets import COMPONENTS, fit_targets
from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.networks.temporal_kernels import bumps

RIDGE = "ridge, causal filters of the keypoints"

_WINDOW_S = 4.0
_FILTERS = 10
_HELD_BACK = 0.15
_CHUNK = 20_000


def predict_by_ridge(recorded: Recorded) -> tuple[ActivityPredictions, FloatArray]:
    """Predict the components of held-out samples from causal filters of the keypoints' last four seconds.

    All that is fitted is fitted to the training samples of the strict split.

    Parameters
    ----------
    recorded : Recorded
        With keypoints.

    Returns
    -------
    predictions : ActivityPredictions
        With the null of the regression.
    latents : ndarray, shape (T, C), float32
        What the regression predicts of the components at every frame, those that it was fitted to among them.

    Raises
    ------
    DataError
        It has no keypoints, or is too short to hold a part out.
    """
    if recorded.keypoints is None:
        raise DataError("the recording holds no keypoints to predict from")
    rate = 1 / float(np.median(np.diff(recorded.tcam)))
    neural_rate = 1 / float(np.median(np.diff(recorded.tneural)))
    window = max(_FILTERS, round(_WINDOW_S * rate))
    gap = int(np.ceil(_WINDOW_S * neural_rate)) + 1
    split = strict(len(recorded.tneural), gap)
    frames = np.searchsorted(recorded.tcam, recorded.tneural + 1e-9, side="right") - 1
    frames = np.clip(frames, 0, len(recorded.tcam) - 1)
    inputs = _standardised(last_seen(recorded.keypoints), frames[split.train])
    targets = fit_targets(recorded.spks, split.train, min(COMPONENTS, min(recorded.spks.shape) - 1), fewest=0)
    values = targets.of(recorded.spks, np.arange(len(frames)))
    kernels = bumps(_FILTERS, window)
    features = filtered_at(inputs, frames, kernels)
    penalty = choose_penalty(features, values, hold_back(split.train, _HELD_BACK, gap))
    line = fit_ridge(features[split.train], values[split.train], penalty)
    null = explained_when_shifted(features, values, split, penalty)
    every = np.arange(len(inputs))
    latents = [
        line.predict(filtered_at(inputs, every[first : first + _CHUNK], kernels))
        for first in range(0, len(every), _CHUNK)
    ]
    predictions = ActivityPredictions(
        values[split.test],
        line.predict(features[split.test]),
        split.test,
        targets.basis,
        method=RIDGE,
        null=null.by_output,
        null_together=null.together,
    )
    return predictions, np.concatenate(latents)


def last_seen(keypoints: NDArray[np.floating]) -> FloatArray:
    """Return keypoints (T, K, 2) of which each that is not known stays where it was last, at first where it comes first.

    One that is never known is at 0.
    """
    known = np.isfinite(keypoints).all(axis=2)
    place = np.maximum.accumulate(np.where(known, np.arange(len(keypoints))[:, None], -1), axis=0)
    place = np.where(place < 0, known.argmax(axis=0), place)
    held = np.take_along_axis(keypoints, place[:, :, None], axis=0)
    return np.nan_to_num(np.asarray(held, np.float32), nan=0.0, posinf=0.0, neginf=0.0)


def _standardised(keypoints: FloatArray, frames: NDArray[np.int64]) -> FloatArray:
    flat = keypoints.reshape(len(keypoints), -1)
    mean, spread = flat[frames].mean(axis=0, dtype=np.float64), flat[frames].std(axis=0, dtype=np.float64)
    scored: FloatArray = ((flat - mean) / np.where(spread > 0, spread, 1)).astype(np.float32)
    return scored
