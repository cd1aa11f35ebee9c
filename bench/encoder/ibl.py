"""Does the encoder know anything of real neurons? Two recordings of the International Brain Laboratory.

`trials`: 425 trials of seven traces of face and body (20 ms, two seconds a trial) and the spike counts of 134 units in
half a second of each. How the traces lie to the counts is not written; the rig's own averages over the counting
window agree best with the bins round 40 of 100, so the newest frame taken is bin 55. `segment`: 30 trials of 1.2 s
with 262 units' spikes and the wheel's speed alone.

Each method is fitted to four fifths of the trials, with three trials between, and predicts the fifth; the predictions
of all five are compared with themselves after the trials were shuffled among their neighbours
(`rtface.analyse.permutation`). The signal is weak: what counts is p.

    python -m bench.encoder.ibl DATA/ibl_behaviour_and_spikes
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from bench.result import RESULTS, parser_of, write
from rtface.analyse.baselines import choose_penalty, filtered_at, fit_reduced_rank, fit_ridge
from rtface.analyse.explained import by_column, variance_explained
from rtface.analyse.permutation import against_shuffled_trials
from rtface.analyse.splits import Split, stretches
from rtface.core.records import FloatArray
from rtface.learn.encoder.optimise import RECIPES, EncoderTraining
from rtface.learn.encoder.scoring import predict
from rtface.networks.build import build_encoder
from rtface.networks.temporal_kernels import bumps

FOLDS, GAP, HELD = 5, 3, 0.2
DRIFT = 25
"""Trials over which a unit's mean is taken off."""

FEWEST_SPIKES = 0.2
"""Spikes a sample below which a unit is left out."""

SMALL: dict[str, Any] = {"units": 12, "fast_bumps": 5, "linear_bumps": 6, "hidden": 16, "latents": 32}
"""For hundreds of samples; the defaults are for ten thousand."""


@dataclass(frozen=True, eq=False)
class Trials:
    """Traces (trials * bins, D) at 50 Hz, frames (trials, moments) and activity (trials, moments, N) at them."""

    inputs: FloatArray
    frames: NDArray[np.int64]
    activity: FloatArray
    encoders: dict[str, dict[str, Any]]
    window: int
    block: int


def read_trials(folder: Path) -> Trials:
    """Read the recording of 425 trials; activity is the square root of the counts, which evens out their variance."""
    with np.load(folder / "ibl_56956777_trials.npz") as kept:
        traces, counts = kept["behavior_tr"].astype(np.float64), kept["spike_counts"]
    trials, bins, columns = traces.shape
    frames = (np.arange(trials) * bins + 55)[:, None]
    active = _active(counts[:, None])
    encoders = {
        "causal encoder": {"name": "causal", "fast_taps": 16, "slow_taps": 40, **SMALL}
        | {"slow_frames": [0.0, 4.0, 12.0, 30.0]},
        "Facemap's network, causal": {"name": "facemap", "taps": 51, "look_ahead": 0},
        "Facemap's network": {"name": "facemap", "taps": 89},
    }
    activity = _without_drift(np.sqrt(counts[:, None, active]))
    return Trials(_scored(traces.reshape(-1, columns)), frames, activity, encoders, 55, 25)


def read_segment(folder: Path) -> Trials:
    """Read the 30 trials with the wheel; activity is the square root of the counts of the last 100 ms."""
    with np.load(folder / "ibl_braindelphi_session_segment.npz") as kept:
        speed, start = kept["wheel_velocity_20ms"].astype(np.float64), kept["trial_start"]
        times, units = kept["spike_times"], kept["spike_clusters"].astype(np.int64)
    trials, bins = speed.shape
    moments = np.arange(24, bins, 5)
    counts = np.zeros((trials, len(moments), units.max() + 1), np.float32)
    for trial, begin in enumerate(start):
        for place, moment in enumerate(moments):
            end = begin + 0.02 * (moment + 1)
            first, last = np.searchsorted(times, [end - 0.1, end])
            np.add.at(counts[trial, place], units[first:last], 1)
    active = _active(counts)
    frames = np.arange(trials)[:, None] * bins + moments
    encoders = {
        "causal encoder": {"name": "causal", "fast_taps": 10, "slow_taps": 15, **SMALL}
        | {"slow_frames": [0.0, 4.0, 12.0], "units": 8},
        "Facemap's network, causal": {"name": "facemap", "taps": 25, "look_ahead": 0},
    }
    activity = _without_drift(np.sqrt(counts[:, :, active]))
    return Trials(_scored(speed.reshape(-1, 1)), frames, activity, encoders, 24, 10)


def _active(counts: NDArray[Any]) -> NDArray[np.bool_]:
    """Return which units (trials, moments, N) fire in every part of the session: others were lost or found in it."""
    rates = [part.mean(axis=(0, 1)) for part in np.array_split(counts, FOLDS)]
    active: NDArray[np.bool_] = np.min(rates, axis=0) > FEWEST_SPIKES
    return active


def _without_drift(activity: NDArray[np.floating[Any]]) -> FloatArray:
    """Take each unit's mean over the trials round each off: it wanders through the session for reasons of its own."""
    drift = uniform_filter1d(activity.mean(axis=1), DRIFT, axis=0)
    return np.asarray(activity - drift[:, None], np.float32)


def _scored(traces: NDArray[np.float64]) -> FloatArray:
    """z-score by median and quartiles, which needs no trial's neurons; unknown values are at the median."""
    middle = np.nanmedian(traces, axis=0)
    spread = np.maximum(np.nanstd(traces, axis=0), 1e-9)
    return np.asarray(np.clip(np.nan_to_num((traces - middle) / spread), -6, 6), np.float32)


Method = Callable[[FloatArray, Split, Split], FloatArray]


def encoder_method(trials: Trials, architecture: dict[str, Any], epochs: int, seed: int = 0) -> Method:
    """Return what trains an encoder on a fold's trials and predicts the others."""
    flat = trials.frames.ravel()

    def fit(values: FloatArray, split: Split, held: Split) -> FloatArray:
        name = architecture["name"]
        network = build_encoder(
            {**architecture, "inputs": trials.inputs.shape[1], "outputs": values.shape[1]}, seed
        )
        recipe = replace(
            RECIPES[name], epochs=epochs, samples=50, patience=8, seed=seed, averaging=0.98, weight_decay=0.1
        )
        recipe = replace(recipe, learning_rate=1e-3, noise=0.1 if name == "causal" else 0.0)
        training = EncoderTraining(network, trials.inputs, flat, values, held, recipe)
        while not training.finished:
            training.step()
        return predict(training.kept(), trials.inputs, flat[split.test])

    return fit


def line_method(trials: Trials, rank: int | None) -> Method:
    """Return what fits a ridge regression, of a rank, from the traces under causal filters."""
    features = filtered_at(trials.inputs, trials.frames.ravel(), bumps(8, trials.window))

    def fit(values: FloatArray, split: Split, held: Split) -> FloatArray:
        penalty = choose_penalty(features, values, held, rank)
        x, y = features[split.train], values[split.train]
        line = fit_ridge(x, y, penalty) if rank is None else fit_reduced_rank(x, y, rank, penalty)
        return line.predict(features[split.test])

    return fit


def cross_predict(trials: Trials, method: Method) -> tuple[FloatArray, FloatArray]:
    """Return z-scored activity and its prediction, fold by fold, each from trials that are not near it."""
    count, moments, units = trials.activity.shape
    actual = np.empty((count, moments, units), np.float32)
    predicted = np.empty_like(actual)
    for fold in np.array_split(np.arange(count), FOLDS):
        near = np.arange(max(0, fold[0] - GAP), min(count, fold[-1] + GAP + 1))
        train = np.setdiff1d(np.arange(count), near)
        held_trials = np.concatenate([part[-max(1, round(HELD * len(part))) :] for part in stretches(train)])
        learnt = np.setdiff1d(train, held_trials)
        mean = trials.activity[train].mean(axis=(0, 1))
        spread = np.maximum(trials.activity[train].std(axis=(0, 1)), 1e-6)
        values = ((trials.activity - mean) / spread).astype(np.float32)
        split = Split(_samples(train, moments), _samples(fold, moments))
        held = Split(_samples(learnt, moments), _samples(held_trials, moments))
        said = method(values.reshape(-1, units), split, held)
        actual[fold], predicted[fold] = values[fold], said.reshape(len(fold), moments, units)
    return actual, predicted


def _samples(trials: Sequence[int] | NDArray[np.int64], moments: int) -> NDArray[np.int64]:
    return (np.asarray(trials)[:, None] * moments + np.arange(moments)).ravel()


def judge_trials(trials: Trials, methods: dict[str, Method], shuffles: int) -> dict[str, Any]:
    """Return for each method what it explains and the p of the permutation test."""
    told: dict[str, Any] = {
        "trials": len(trials.activity),
        "samples": trials.frames.size,
        "units": trials.activity.shape[2],
        "shuffles": shuffles,
    }
    for name, method in methods.items():
        actual, predicted = cross_predict(trials, method)
        test = against_shuffled_trials(actual, predicted, block=trials.block, shuffles=shuffles)
        columns = actual.reshape(-1, actual.shape[2]), predicted.reshape(-1, actual.shape[2])
        told[name] = {
            "correlation": round(test.observed, 4),
            "shuffled_mean": round(float(test.null.mean()), 4),
            "shuffled_sd": round(float(test.null.std()), 4),
            "p": round(test.p, 5),
            "variance_explained": round(variance_explained(*columns), 4),
            "best_tenth_of_units": round(float(np.percentile(by_column(*columns), 90)), 4),
        }
    return told


def methods_of(trials: Trials, epochs: int) -> dict[str, Method]:
    """Return all methods of a recording."""
    lines = {"ridge": line_method(trials, None), "reduced rank 4": line_method(trials, 4)}
    return lines | {
        name: encoder_method(trials, architecture, epochs) for name, architecture in trials.encoders.items()
    }


def main() -> None:
    """Judge every method on both recordings and write the result."""
    parser = parser_of(__doc__)
    parser.add_argument("data", type=Path, help="the folder ibl_behaviour_and_spikes")
    parser.add_argument("--shuffles", type=int, default=9999)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "encoder_ibl.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    result: dict[str, Any] = {}
    for name, read in (("trials", read_trials), ("segment", read_segment)):
        trials = read(options.data)
        result[name] = judge_trials(trials, methods_of(trials, options.epochs), options.shuffles)
        print(json.dumps({name: result[name]}, indent=2), flush=True)
    write(options.out, result)


if __name__ == "__main__":
    main()
