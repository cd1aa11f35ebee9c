"""What a prediction of neural activity is worth on samples that were not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rtface.analyse.explained import (
    Explainable,
    by_column,
    by_neuron,
    explainable_variance,
    variance_explained,
)
from rtface.analyse.splits import Split, published, strict
from rtface.analyse.targets import Targets
from rtface.core.errors import UsageError
from rtface.core.records import FloatArray
from rtface.learn.encoder.recording import Recording
from rtface.networks.encoder import EncoderNetwork

SPLITS = ("strict", "published")

_CHUNK = 20_000


def split_samples(kind: str, samples: int, window_s: float, neural_rate: float) -> Split:
    """Return which neural samples are trained on and which are tested on.

    Parameters
    ----------
    kind : str
        ``strict``: with gaps as long as the encoder's window; ``published``: as the Facemap paper.
    samples : int
    window_s : float
        The encoder's window in seconds.
    neural_rate : float
        Samples a second.

    Raises
    ------
    UsageError
        There is no such kind.
    DataError
        There are too few samples.
    """
    if kind == "published":
        return published(samples)
    if kind == "strict":
        return strict(samples, int(np.ceil(window_s * neural_rate)) + 1)
    raise UsageError(f"a split is one of {', '.join(SPLITS)}, not {kind!r}")


def predict(network: EncoderNetwork, inputs: FloatArray, frames: NDArray[np.int64]) -> FloatArray:
    """Return the outputs (S, C) for normalised inputs (T, D) at some frames, a stretch at a time."""
    network.eval()
    wanted = np.maximum(frames, 0)
    found: list[FloatArray] = []
    before, after = network.past, network.look_ahead
    with torch.no_grad():
        for first in range(0, len(inputs), _CHUNK):
            here = wanted[(wanted >= first) & (wanted < first + _CHUNK)] - first
            start, end = max(0, first - before), min(len(inputs), first + _CHUNK + after)
            outputs, _ = network(torch.from_numpy(inputs[start:end]))
            found.append(outputs.numpy()[here + first - start])
    return np.concatenate(found)


def latents_of(network: EncoderNetwork, inputs: FloatArray) -> FloatArray:
    """Return the latents (T, L) at every frame of normalised inputs (T, D), a stretch at a time; 0 beyond both ends."""
    network.eval()
    found: list[FloatArray] = []
    with torch.no_grad():
        for first in range(0, len(inputs), _CHUNK):
            last = min(first + _CHUNK, len(inputs))
            start = max(0, first - network.past)
            latents = network.latents(torch.from_numpy(inputs[start : last + network.look_ahead]))
            found.append(latents.numpy()[first - start : last - start])
    return np.concatenate(found)


def score_prediction(
    predicted: FloatArray,
    targets: Targets,
    recording: Recording,
    samples: NDArray[np.int64],
    explainable: Explainable | None = None,
) -> dict[str, Any]:
    """Return the explained variance of a prediction of some samples: jointly, by component, by neuron.

    Parameters
    ----------
    predicted : ndarray, shape (s, C)
    targets : Targets
    recording : Recording
    samples : ndarray of int64, shape (s,)
    explainable : Explainable, optional
        To normalise by.
    """
    actual = targets.of(recording.neurons, samples)
    neurons = by_neuron(targets, recording.neurons, samples, predicted)
    scores: dict[str, Any] = {
        "samples": len(samples),
        "variance_explained": round(variance_explained(actual, predicted), 4),
        "by_output": [round(float(value), 4) for value in by_column(actual, predicted)],
        "neurons_mean": round(float(np.nanmean(neurons)), 4),
    }
    if explainable is not None:
        scores["explainable_mean"] = round(explainable.mean, 4)
        scores["neurons_normalised"] = round(explainable.normalise(neurons), 4)
    return scores


def explained_by_peers(
    recording: Recording, split: Split, progress: Callable[[int, int], None] = lambda done, total: None
) -> Explainable | None:
    """Return what neurons explain of each other; None where there are too few."""
    if len(recording.neurons) < 2:
        return None
    return explainable_variance(
        recording.neurons, split.train, split.test, recording.positions, progress=progress
    )
