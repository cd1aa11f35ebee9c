"""An encoder for a recording: from files to a bundle that states what it explains."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.populationfile import ActivityPredictions
from rtface.analyse.splits import hold_back
from rtface.analyse.targets import COMPONENTS, Targets
from rtface.core.errors import DataError
from rtface.encode.architecture import complete
from rtface.encode.bundle import EncoderBundle, check_new, write_encoder
from rtface.encode.manifest import ONNX_FILE
from rtface.encode.normalise import NormaliseRules
from rtface.learn.encoder.export import export_encoder
from rtface.learn.encoder.fit_results import (
    ridge_of_filters,
    write_fit_page,
    write_recording_files,
    write_results,
)
from rtface.learn.encoder.optimise import RECIPES, EncoderRecipe, EncoderTraining, within
from rtface.learn.encoder.prepared import Prepared, prepare, training_frames
from rtface.learn.encoder.recording import Recording, RecordingFiles, read_recording
from rtface.learn.encoder.scoring import explained_by_peers, latents_of, predict, score_prediction
from rtface.learn.engines.bundle import today
from rtface.learn.resumable import StartProgress, no_progress, run_in_folder
from rtface.learn.run_folder import RunFolder, open_run
from rtface.networks.build import build_encoder
from rtface.networks.encoder import EncoderNetwork

HELD_BACK = 0.15
"""Share of each training stretch on which it is found when to end."""

NAME = "encoder"

_USUAL = 99.9
_SHRUNK = 0.05


@dataclass(frozen=True, slots=True)
class EncoderRequest:
    """What is to be fitted.

    Attributes
    ----------
    files : RecordingFiles
        The recording's.
    encoder : Path
        The encoder's folder, whose name is its name.
    run : Path
        The run's folder.
    architecture : mapping
        ``name`` and whatever arguments differ from the defaults, less the widths of input and output.
    components : int
        At most.
    delay_s : float
        How much older than a neural sample the newest frame is that it is predicted from; below 0: younger.
    rules : NormaliseRules
    split : str
        ``strict`` or ``published``; see `rtface.learn.encoder.scoring`.
    recipe : Recipe, optional
        Else that of the architecture.
    explainable : bool
        Whether to state what is explainable by peers.
    description, licence : str
    overwrite : bool
        Replace an encoder that is there.
    """

    files: RecordingFiles
    encoder: Path
    run: Path
    architecture: Mapping[str, Any] = field(default_factory=lambda: {"name": "causal"})
    components: int = COMPONENTS
    delay_s: float = 0.0
    rules: NormaliseRules = field(default_factory=NormaliseRules)
    split: str = "strict"
    recipe: EncoderRecipe | None = None
    explainable: bool = True
    description: str = ""
    licence: str = "that of the recording"
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came out: the encoder, and the report with its figures."""

    bundle: EncoderBundle
    report: dict[str, Any]


def fit_encoder(
    request: EncoderRequest,
    *,
    progress: StartProgress = no_progress,
    stop: Callable[[], bool] = lambda: False,
) -> Fitted | None:
    """Fit an encoder, score it on samples that it was not trained on and write its bundle.

    The run's folder keeps a checkpoint: the same request goes on from where an earlier one was stopped.

    Parameters
    ----------
    request : EncoderRequest
    progress : callable
        See `StartProgress`.
    stop : callable
        Called after each step of the training; True ends it early.

    Returns
    -------
    Fitted or None
        None where `stop` ended it; the checkpoint lies in the run's folder.

    Raises
    ------
    EngineError
        The encoder exists, or its architecture is impossible.
    DataError
        The recording cannot be read or is too short; the file and the field are named.
    """
    check_new(request.encoder, overwrite=request.overwrite)
    recipe = request.recipe or RECIPES[complete({**request.architecture, "inputs": 1, "outputs": 1})["name"]]
    recording = read_recording(request.files)
    run = open_run(request.run, _configuration(request, recipe, recording))
    window = build_encoder({**request.architecture, "inputs": 1, "outputs": 1}).window
    prepared = prepare(
        recording,
        window,
        split=request.split,
        components=request.components,
        delay_s=request.delay_s,
        rules=request.rules,
        seed=recipe.seed,
        progress=progress,
    )
    architecture = {
        **request.architecture,
        "inputs": prepared.inputs.shape[1],
        "outputs": prepared.targets.count,
    }
    training = training_of(prepared, architecture, recipe)
    run_in_folder(run, NAME, training, progress=progress("training", training.steps), stop=stop)
    if not training.finished:
        return None
    network = training.kept()
    test, predicted = _predicted(network, prepared)
    metrics = _score(test, predicted, prepared, request, progress)
    residual = (prepared.values[test] - predicted).std(axis=0)
    metrics |= _results(run, request, training, network, test, predicted, prepared, metrics)
    fields = _fields(request, architecture, network, prepared, recipe, training, metrics)
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / ONNX_FILE
        fields["metrics"]["onnx_difference"] = export_encoder(network, prepared.inputs.shape[1], exported)
        bundle = write_encoder(
            request.encoder,
            fields,
            weights={name: value.numpy() for name, value in network.state_dict().items()},
            inputs={"mean": prepared.mean, "sd": prepared.sd, **_usual(prepared)},
            readout=_readout(prepared.targets, residual),
            files={ONNX_FILE: exported},
            overwrite=request.overwrite,
        )
    report = {"encoder": bundle.manifest.name, "training": fields["training"], "metrics": fields["metrics"]}
    run.write_report(report)
    return Fitted(bundle, report)


def training_of(
    prepared: Prepared, architecture: Mapping[str, Any], recipe: EncoderRecipe
) -> EncoderTraining:
    """Return the training of an architecture on a prepared recording, at its start."""
    network = build_encoder(architecture, recipe.seed)
    recording = prepared.recording
    gap = int(np.ceil(network.window / recording.frame_rate * recording.neural_rate)) + 1
    held = hold_back(prepared.split.train, HELD_BACK, gap)
    return EncoderTraining(network, prepared.inputs, prepared.frames, prepared.values, held, recipe)


def _predicted(network: EncoderNetwork, prepared: Prepared) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the test samples whose windows lie within the recording, and what is predicted of them."""
    test = within(
        prepared.split.test, prepared.frames, len(prepared.inputs), network.past, network.look_ahead
    )
    if len(test) < 2:
        raise DataError("no test sample's window lies within the recording: it is too short")
    return test, predict(network, prepared.inputs, prepared.frames[test])


def _score(
    test: NDArray[np.int64],
    predicted: NDArray[np.float32],
    prepared: Prepared,
    request: EncoderRequest,
    progress: StartProgress,
) -> dict[str, Any]:
    """Return the figures of the test samples."""
    recording = prepared.recording
    scored = progress("scoring", 2)
    explainable = (
        explained_by_peers(recording, prepared.split, lambda done, total: scored(done, float("nan")))
        if request.explainable
        else None
    )
    return score_prediction(predicted, prepared.targets, recording, test, explainable)


def _results(
    run: RunFolder,
    request: EncoderRequest,
    training: EncoderTraining,
    network: EncoderNetwork,
    test: NDArray[np.int64],
    predicted: NDArray[np.float32],
    prepared: Prepared,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Write predictions, latents and page into the run's folder; return the figures of ridge and null."""
    recording = prepared.recording
    gap = int(np.ceil(network.window / recording.frame_rate * recording.neural_rate)) + 1
    held = hold_back(prepared.split.train, HELD_BACK, gap)
    ridge, null = ridge_of_filters(prepared, test, held, network.window)
    predictions = ActivityPredictions(
        prepared.values[test],
        predicted,
        test,
        prepared.targets.basis,
        method=f"encoder {request.encoder.name}",
        ridge=ridge,
        null=null.by_output,
        null_together=null.together,
    )
    write_results(run.folder, predictions, latents_of(network, prepared.inputs))
    found = write_fit_page(run.folder, recording, predictions, training.held_back, training.best, metrics)
    write_recording_files(run.folder, request.files)
    return found


def _usual(prepared: Prepared) -> dict[str, NDArray[Any]]:
    """Return by what out-of-distribution inputs are found; see `rtface.encode.bundle.EncoderInputs`."""
    trained_on = prepared.inputs[training_frames(prepared.split, prepared.frames, len(prepared.inputs))]
    mean = trained_on.mean(axis=0, dtype=np.float64)
    covariance = np.cov(trained_on.T.astype(np.float64)).reshape(len(mean), len(mean))
    own = np.diag(np.maximum(np.diag(covariance), 1e-3))
    usual = np.linalg.inv(np.linalg.cholesky((1 - _SHRUNK) * covariance + _SHRUNK * own))
    distance = np.sqrt(np.square((trained_on - mean) @ usual.T).mean(axis=1))
    return {
        "usual_mean": mean.astype(np.float32),
        "usual": usual.astype(np.float32),
        "usual_limit": np.asarray(np.percentile(distance, _USUAL)),
    }


def _readout(targets: Targets, residual: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {"mean": targets.mean, "sd": targets.sd, "residual_sd": residual}
    if targets.basis is not None:
        arrays["basis"] = targets.basis
    return arrays


def _configuration(request: EncoderRequest, recipe: EncoderRecipe, recording: Recording) -> dict[str, Any]:
    return {
        "verb": "fit",
        "architecture": dict(request.architecture),
        "sources": {name: source["sha256"] for name, source in recording.sources.items()},
        "inputs": [*recording.keypoints, *recording.extras],
        "rates": [request.files.frame_rate, request.files.neural_rate, request.files.rate],
        "components": request.components,
        "delay_s": request.delay_s,
        "rules": asdict(request.rules),
        "split": request.split,
        "recipe": asdict(recipe),
    }


def _fields(
    request: EncoderRequest,
    architecture: Mapping[str, Any],
    network: EncoderNetwork,
    prepared: Prepared,
    recipe: EncoderRecipe,
    training: EncoderTraining,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Return the manifest's fields."""
    recording, targets = prepared.recording, prepared.targets
    whole = complete(architecture)
    return {
        "description": request.description
        or f"{whole['name']} encoder of {len(recording.neurons)} neurons, {recording.neural_times.size} samples",
        "created": today(),
        "licence": request.licence,
        "architecture": json.loads(json.dumps(whole)),
        "keypoints": recording.keypoints,
        "extras": recording.extras,
        "frame_rate_hz": recording.frame_rate,
        "neural_rate_hz": recording.neural_rate,
        "delay_s": request.delay_s,
        "past_frames": network.past,
        "look_ahead_frames": network.look_ahead,
        "normalise": asdict(request.rules),
        "targets": {
            "kind": "neurons" if targets.basis is None else "components",
            "count": targets.count,
            "neurons": len(recording.neurons),
        },
        "latents": whole["latents"],
        "training": {
            "sources": [dict(source) for source in recording.sources.values()],
            "remarks": list(recording.remarks),
            "simulated": recording.simulated,
            "resampled": request.files.rate is not None,
            "seconds": round(float(recording.neural_times[-1] - recording.neural_times[0]), 1),
            "split": request.split,
            "samples": len(prepared.split.train),
            "held_back_share": HELD_BACK,
            "recipe": asdict(recipe),
            "epochs": training.epochs,
            "best_epoch": training.best,
        },
        "metrics": metrics | {"held_back": round(1 - min(training.held_back), 4)},
    }
