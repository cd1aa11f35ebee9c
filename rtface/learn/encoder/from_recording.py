"""An encoder for a recording: from files to a bundle that states what it explains."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.splits import Split, hold_back, stretches
from rtface.analyse.targets import COMPONENTS, Targets, fit_targets
from rtface.core.clock import NS_PER_S, wall_ns
from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.encode.architecture import complete
from rtface.encode.bundle import EncoderBundle, check_new, write_encoder
from rtface.encode.manifest import ONNX_FILE
from rtface.encode.normalise import Normaliser, NormaliseRules, reference
from rtface.learn.encoder.data import Recording, Where, read_recording
from rtface.learn.encoder.export import export_encoder
from rtface.learn.encoder.optimise import RECIPES, EncoderRecipe, EncoderTraining
from rtface.learn.encoder.scoring import judge, judged_samples, peers, predict, split_samples
from rtface.learn.run_folder import open_run
from rtface.learn.tracker.optimise import train
from rtface.networks.encoder import EncoderNetwork
from rtface.networks.encoders import build_encoder

HELD_BACK = 0.15
"""Share of each training stretch that tells when to end."""

NAME = "encoder"

Told = Callable[[int, float], None]
Begin = Callable[[str, int], Told]

_USUAL = 99.9
_SHRUNK = 0.05


def _silent(what: str, steps: int) -> Told:
    return lambda done, loss: None


@dataclass(frozen=True, slots=True)
class EncoderRequest:
    """What is to be fitted.

    Attributes
    ----------
    where : Where
        The recording.
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
        Whether to say what is explainable by peers.
    description, licence : str
    overwrite : bool
        Replace an encoder that is there.
    """

    where: Where
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


@dataclass(frozen=True, eq=False)
class Prepared:
    """A recording as an encoder learns from it.

    Attributes
    ----------
    recording : Recording
    frames : ndarray, shape (S,), int64
        For each neural sample its frame.
    split : Split
    mean, sd : ndarray, shape (D,)
        Reference of the raw inputs, of the training's frames.
    inputs : ndarray, shape (T, D), float32
        Normalised.
    targets : Targets
    values : ndarray, shape (S, C), float32
        Their values at all samples.
    """

    recording: Recording
    frames: NDArray[np.int64]
    split: Split
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    inputs: FloatArray
    targets: Targets
    values: FloatArray


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came out: the encoder, and the report with its figures."""

    bundle: EncoderBundle
    report: dict[str, Any]


def fit_encoder(
    order: EncoderRequest, *, progress: Begin = _silent, stop: Callable[[], bool] = lambda: False
) -> Fitted | None:
    """Fit an encoder, judge it on samples that it did not learn from and write its bundle.

    The run's folder keeps a checkpoint: the same order goes on from where an earlier one was stopped.

    Parameters
    ----------
    order : Order
    progress : callable
        Called with each part of the work and its number of steps; returns what is to be called with the steps done
        and the loss (nan where there is none).
    stop : callable
        Asked after each step of the training whether to end early.

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
    check_new(order.encoder, overwrite=order.overwrite)
    recipe = order.recipe or RECIPES[complete({**order.architecture, "inputs": 1, "outputs": 1})["name"]]
    recording = read_recording(order.where)
    run = open_run(order.run, _configuration(order, recipe, recording))
    window = build_encoder({**order.architecture, "inputs": 1, "outputs": 1}).window
    prepared = prepare(
        recording,
        window,
        split=order.split,
        components=order.components,
        delay_s=order.delay_s,
        rules=order.rules,
        seed=recipe.seed,
        progress=progress,
    )
    architecture = {
        **order.architecture,
        "inputs": prepared.inputs.shape[1],
        "outputs": prepared.targets.count,
    }
    training = training_of(prepared, architecture, recipe)
    train(
        training,
        progress=progress("training", training.steps),
        checkpoint=run.checkpoint(NAME),
        stop=lambda _: stop(),
    )
    run.write_losses(NAME, training.losses)
    if not training.finished:
        return None
    network = training.kept()
    metrics, residual = _judge(network, prepared, order, progress)
    fields = _fields(order, architecture, network, prepared, recipe, training, metrics)
    with tempfile.TemporaryDirectory() as folder:
        exported = Path(folder) / ONNX_FILE
        fields["metrics"]["onnx_difference"] = export_encoder(network, prepared.inputs.shape[1], exported)
        bundle = write_encoder(
            order.encoder,
            fields,
            weights={name: value.numpy() for name, value in network.state_dict().items()},
            inputs={"mean": prepared.mean, "sd": prepared.sd, **_usual(prepared)},
            readout=_readout(prepared.targets, residual),
            files={ONNX_FILE: exported},
            overwrite=order.overwrite,
        )
    report = {"encoder": bundle.manifest.name, "training": fields["training"], "metrics": fields["metrics"]}
    run.write_report(report)
    return Fitted(bundle, report)


def prepare(
    recording: Recording,
    window: int,
    *,
    split: str = "strict",
    components: int = COMPONENTS,
    delay_s: float = 0.0,
    rules: NormaliseRules | None = None,
    seed: int = 0,
    progress: Begin = _silent,
) -> Prepared:
    """Normalise a recording's inputs and find its targets.

    By the strict split all that is fitted, the reference of the inputs, the neurons' means and their components,
    comes from the training samples; by the published one the neurons' come from all, as in the paper.

    Parameters
    ----------
    recording : Recording
    window : int
        The encoder's, in frames.
    split, components, delay_s, rules
        As in `EncoderRequest`.
    seed : int
    progress : callable
        As of `fit_encoder`.

    Raises
    ------
    DataError
        The recording is too short, or neurons have values that are not finite.
    """
    rules = rules or NormaliseRules()
    frames = recording.frames_at(delay_s)
    samples = len(frames)
    parts = split_samples(split, samples, window / recording.frame_rate, recording.neural_rate)
    points = len(recording.keypoints)
    mean, sd = reference(recording.raw[learnt_frames(parts, frames, len(recording.raw))], points, rules)
    told = progress("normalising", len(recording.raw))
    normaliser = Normaliser(rules, points, recording.frame_rate, mean, sd)
    inputs = normaliser.run(recording.raw, lambda done: told(done, float("nan")))
    fitted_on = parts.train if split == "strict" else np.arange(samples)
    begun = progress("components", 1)
    targets = fit_targets(
        recording.neurons,
        fitted_on,
        components,
        seed=seed,
        progress=lambda done, total: begun(done, float("nan")),
    )
    values = targets.of(recording.neurons, np.arange(samples))
    return Prepared(recording, frames, parts, mean, sd, inputs, targets, values)


def learnt_frames(split: Split, frames: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Return which of a recording's frames lie between the samples that are learnt from, shape (length,)."""
    chosen = np.zeros(length, np.bool_)
    for stretch in stretches(split.train):
        first, last = frames[stretch[0]], frames[stretch[-1]]
        chosen[max(first, 0) : max(last, 0) + 1] = True
    return chosen


def training_of(
    prepared: Prepared, architecture: Mapping[str, Any], recipe: EncoderRecipe
) -> EncoderTraining:
    """Return the training of an architecture on a prepared recording, at its start."""
    network = build_encoder(architecture, recipe.seed)
    recording = prepared.recording
    gap = int(np.ceil(network.window / recording.frame_rate * recording.neural_rate)) + 1
    held = hold_back(prepared.split.train, HELD_BACK, gap)
    return EncoderTraining(network, prepared.inputs, prepared.frames, prepared.values, held, recipe)


def _judge(
    network: EncoderNetwork, prepared: Prepared, order: EncoderRequest, progress: Begin
) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """Return the figures of the test samples, and the standard deviation of each output's error on them."""
    recording = prepared.recording
    test = judged_samples(prepared.split, prepared.frames, len(prepared.inputs), network)
    if len(test) < 2:
        raise DataError("no test sample's window lies within the recording: it is too short")
    predicted = predict(network, prepared.inputs, prepared.frames[test])
    told = progress("judging", 2)
    explainable = (
        peers(recording, prepared.split, lambda done, total: told(done, float("nan")))
        if order.explainable
        else None
    )
    metrics = judge(predicted, prepared.targets, recording, test, explainable)
    return metrics, (prepared.values[test] - predicted).std(axis=0)


def _usual(prepared: Prepared) -> dict[str, NDArray[Any]]:
    """Return what tells inputs that are like those trained on from others; see `rtface.encode.bundle.EncoderInputs`."""
    learnt = prepared.inputs[learnt_frames(prepared.split, prepared.frames, len(prepared.inputs))]
    mean = learnt.mean(axis=0, dtype=np.float64)
    covariance = np.cov(learnt.T.astype(np.float64)).reshape(len(mean), len(mean))
    own = np.diag(np.maximum(np.diag(covariance), 1e-3))
    usual = np.linalg.inv(np.linalg.cholesky((1 - _SHRUNK) * covariance + _SHRUNK * own))
    distance = np.sqrt(np.square((learnt - mean) @ usual.T).mean(axis=1))
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


def _configuration(order: EncoderRequest, recipe: EncoderRecipe, recording: Recording) -> dict[str, Any]:
    return {
        "verb": "fit",
        "architecture": dict(order.architecture),
        "sources": {name: source["sha256"] for name, source in recording.sources.items()},
        "inputs": [*recording.keypoints, *recording.extras],
        "rates": [order.where.frame_rate, order.where.neural_rate, order.where.rate],
        "components": order.components,
        "delay_s": order.delay_s,
        "rules": asdict(order.rules),
        "split": order.split,
        "recipe": asdict(recipe),
    }


def _fields(
    order: EncoderRequest,
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
    date = datetime.fromtimestamp(wall_ns() / NS_PER_S, UTC).date().isoformat()
    return {
        "description": order.description
        or f"{whole['name']} encoder of {len(recording.neurons)} neurons, {recording.neural_times.size} samples",
        "created": date,
        "licence": order.licence,
        "architecture": json.loads(json.dumps(whole)),
        "keypoints": recording.keypoints,
        "extras": recording.extras,
        "frame_rate_hz": recording.frame_rate,
        "neural_rate_hz": recording.neural_rate,
        "delay_s": order.delay_s,
        "past_frames": network.past,
        "look_ahead_frames": network.look_ahead,
        "normalise": asdict(order.rules),
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
            "resampled": order.where.rate is not None,
            "seconds": round(float(recording.neural_times[-1] - recording.neural_times[0]), 1),
            "split": order.split,
            "samples": len(prepared.split.train),
            "held_back_share": HELD_BACK,
            "recipe": asdict(recipe),
            "epochs": training.epochs,
            "best_epoch": training.best,
        },
        "metrics": metrics | {"held_back": round(1 - min(training.held_back), 4)},
    }
