"""What a fit leaves beside its encoder, in the run's folder: predictions, latents, a page, and where the recording is.

| file | what it holds |
|---|---|
| ``predictions.npz`` | held-out samples: activity, what encoder and ridge predict of it, the ridge's null |
| ``latents.npy`` | the encoder's latents, frames x latents |
| ``recording.json`` | the recording's files, by which a report of the run finds them |
| ``report.md`` and pictures | loss on held-back samples, traces, variance explained by output |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.baselines import choose_penalty, filtered_at, fit_ridge
from rtface.analyse.explained import by_column, variance_explained
from rtface.analyse.figures import Pictures
from rtface.analyse.populationfile import (
    ActivityPredictions,
    Recorded,
    read_latents,
    read_predictions,
    write_predictions,
)
from rtface.analyse.ridge.shift_null import ShiftNull, explained_when_shifted
from rtface.analyse.splits import Split
from rtface.core.errors import DataError
from rtface.core.files import plain, printable, write_json, written_whole
from rtface.core.records import FloatArray
from rtface.learn.encoder.prepared import Prepared
from rtface.learn.encoder.recording import Recording, RecordingFiles, read_recording
from rtface.networks.temporal_kernels import bumps

PREDICTIONS_FILE, LATENTS_FILE, RECORDING_FILE = "predictions.npz", "latents.npy", "recording.json"
PAGE_FILE = "report.md"

_FILTERS = 10


def ridge_of_filters(
    prepared: Prepared, test: NDArray[np.int64], held: Split, window: int
) -> tuple[FloatArray, ShiftNull]:
    """Return what a ridge regression from causal filters of the inputs predicts of some samples, and its null.

    Parameters
    ----------
    prepared : Prepared
    test : ndarray of int64
        Samples to predict.
    held : Split
        The training samples, split again to choose the penalty.
    window : int
        Frames of the filters.
    """
    split = Split(prepared.split.train, test)
    features = filtered_at(prepared.inputs, np.maximum(prepared.frames, 0), bumps(_FILTERS, window))
    penalty = choose_penalty(features, prepared.values, held)
    line = fit_ridge(features[split.train], prepared.values[split.train], penalty)
    null = explained_when_shifted(features, prepared.values, split, penalty)
    return line.predict(features[split.test]), null


def write_results(folder: Path, predictions: ActivityPredictions, latents: FloatArray) -> None:
    """Write predictions and latents as a report reads them; `DataError` where they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / LATENTS_FILE) as fresh, fresh.open("wb") as file:
            np.save(file, latents)
    except OSError as error:
        raise DataError(f"{folder / LATENTS_FILE} cannot be written: {error.strerror or error}") from error
    write_predictions(folder / PREDICTIONS_FILE, predictions)


def write_fit_page(
    folder: Path,
    recording: Recording,
    predictions: ActivityPredictions,
    held_back: list[float],
    best: int,
    metrics: Mapping[str, Any],
) -> dict[str, Any]:
    """Write a fit's page and pictures into its run's folder and return the figures that it adds.

    Parameters
    ----------
    folder : Path
    recording : Recording
    predictions : ActivityPredictions
        With ridge and null.
    held_back : list of float
        Loss on the held-back samples after each epoch.
    best : int
        The epoch, from 1, whose weights were kept.
    metrics : mapping
        Of the encoder on held-out samples.
    """
    assert predictions.ridge is not None
    assert predictions.null is not None
    assert predictions.null_together is not None
    pictures = Pictures(folder, recording.simulated)
    neurons = predictions.readout is None
    ridge = by_column(predictions.real, predictions.ridge)
    pictures.learning(held_back, best)
    pictures.traces(
        predictions.real,
        predictions.predicted,
        recording.neural_times[predictions.samples],
        "neuron" if neurons else "component",
    )
    pictures.explained(
        by_column(predictions.real, predictions.predicted),
        None,
        predictions.method,
        ridge,
        predictions.null,
        "neuron" if neurons else "principal component of the population",
    )
    together = predictions.null_together
    figures: dict[str, Any] = plain(
        {
            "ridge": variance_explained(predictions.real, predictions.ridge),
            "null": {"shifts": len(together), "mean": together.mean(), "most": together.max()},
        }
    )
    mean, most = figures["null"]["mean"], figures["null"]["most"]
    stamp = "SIMULATED neurons: nothing here was measured in a brain.\n\n" if recording.simulated else ""
    rows = [
        f"| {predictions.method} | {metrics['variance_explained']:.3f} |",
        f"| ridge from causal filters of the same inputs | {figures['ridge']:.3f} |",
        f"| that ridge, of activity moved in time: mean of {len(together)} shifts | {mean:.3f} |",
        f"| the same, at most | {most:.3f} |",
    ]
    verdict = (
        "" if metrics["variance_explained"] > most else "**Not above the null: no sign of a relation.**\n\n"
    )
    text = "\n".join(
        [
            "# Fit of an encoder",
            "",
            f"{stamp}{len(recording.neurons)} neurons; {len(predictions.samples)} held-out samples.",
            "",
            "| variance explained of all outputs, held-out time | |",
            "|---|---|",
            *rows,
            "",
            f"{verdict}![loss on held-back samples](learning.png)",
            "",
            "![recorded and predicted](traces.png)",
            "",
            "![variance explained by output](explained.png)",
            "",
            "Clusters, states and forecast: `rtface analyse report` with this folder.",
            "",
        ]
    )
    (folder / PAGE_FILE).write_text(printable(text), encoding="utf-8")
    return figures


def write_recording_files(folder: Path, files: RecordingFiles) -> None:
    """Write where a run's recording is."""
    kept = {name: _kept(value) for name, value in asdict(files).items()}
    write_json(folder / RECORDING_FILE, kept)


def read_fit(folder: Path) -> tuple[Recorded, ActivityPredictions, FloatArray]:
    """Read what a report needs from a run's folder: the recording, the predictions, the latents.

    Raises
    ------
    DataError
        The folder is not of a fit that ended, or the recording's files are not where they were, or others.
    """
    path = folder / RECORDING_FILE
    if not path.is_file():
        raise DataError(f"{folder} is no run of `rtface encoder fit` that ended: {RECORDING_FILE} is missing")
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        known = {each.name for each in fields(RecordingFiles)}
        files = RecordingFiles(**{name: _given(name, value) for name, value in kept.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is damaged: {error}") from error
    recording = read_recording(files)
    latents = read_latents(folder / LATENTS_FILE)
    if len(latents) != len(recording.raw):
        raise DataError(
            f"{folder / LATENTS_FILE} has {len(latents)} frames, but {files.keypoints} makes {len(recording.raw)}: "
            "it is not what was fitted"
        )
    predictions = read_predictions(folder / PREDICTIONS_FILE, len(recording.neural_times))
    return recorded_of(recording), predictions, latents


def recorded_of(recording: Recording) -> Recorded:
    """Return a recording as a report takes it."""
    points, places = len(recording.keypoints), recording.positions
    return Recorded(
        spks=recording.neurons,
        tcam=recording.frame_times,
        tneural=recording.neural_times,
        xpos=None if places is None else places[:, 0].astype(np.float32),
        ypos=None if places is None else places[:, 1].astype(np.float32),
        simulated=recording.simulated,
        keypoints=recording.raw[:, : 2 * points].reshape(-1, points, 2) if points else None,
        keypoint_names=recording.keypoints,
    )


def _kept(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value.resolve())
    if isinstance(value, dict):
        return {name: _kept(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _given(name: str, value: Any) -> Any:
    if name in ("keypoints", "neurons", "frame_times", "neural_times"):
        return None if value is None else Path(value)
    if name == "extras" and value is not None:
        return {key: None if each is None else Path(each) for key, each in value.items()}
    return value
