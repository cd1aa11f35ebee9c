"""A network for a user's own labels, from label files to an engine that states its errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from rtface.core.errors import DataError
from rtface.core.records import FACEMAP_KEYPOINTS, Crop
from rtface.learn.engines.bundle import save_engine
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.learn.plots import draw_errors, draw_reliability
from rtface.learn.resumable import Progress, run_in_folder
from rtface.learn.run_folder import RunFolder, open_run
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.evaluation import Evaluation, evaluate
from rtface.learn.tracker.families import architecture
from rtface.learn.tracker.label_views import odd_recordings
from rtface.learn.tracker.labelled_frames import hold_out, pictures_of
from rtface.learn.tracker.optimise import Recipe, Training
from rtface.learn.tracker.samples import Picture, simulated_pictures, swap_of
from rtface.networks.build import build_network
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import KeypointEntry
from rtface.track.store import Engine, check_new

SIMULATED = 800
"""Simulated mice in a training, unless another number is asked for."""

SHARE_HELD_OUT = 0.15
"""Share of the frames held out, unless something else is asked for."""

_SIMULATED_SEED = 100_000
_NAME = "train"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """What is to be trained.

    Attributes
    ----------
    labels : tuple of Path
        Label sets, as `read_labels` takes them.
    engine : Path
        The engine's folder, whose name is the engine's name.
    run : Path
        The run's folder.
    family : str
        One of `rtface.learn.tracker.families.FAMILIES`.
    keypoints : tuple of str
        What the network is to find, after renaming; all of the labels' keypoints where it is empty.
    renames : mapping of str to str
        Other names for some of the labels' keypoints.
    crop : Crop, optional
        The part of every frame that the network is to be shown.
    held_out : tuple of str, or float
        As of `rtface.learn.tracker.labelled_frames.hold_out`.
    simulated : int
        How many simulated mice to train on besides; they have labels of the keypoints with Facemap's names.
    recipe : Recipe
        Its `square` is set by the family, its augmentation's `swap` by the keypoints' names.
    overwrite : bool
        Replace an engine that is there.
    """

    labels: tuple[Path, ...]
    engine: Path
    run: Path
    family: str = "small"
    keypoints: tuple[str, ...] = ()
    renames: Mapping[str, str] = field(default_factory=dict)
    crop: Crop | None = None
    held_out: tuple[str, ...] | float = SHARE_HELD_OUT
    simulated: int = SIMULATED
    recipe: Recipe = field(default_factory=Recipe)
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Trained:
    """What came out.

    Attributes
    ----------
    engine : Engine
    metrics : dict
        Errors on the held-out frames, as the manifest states them; empty where none was held out.
    untrained : tuple of str
        Keypoints that no frame trained on has a label for: the engine gives NaN for them.
    """

    engine: Engine
    metrics: dict[str, Any]
    untrained: tuple[str, ...]


def train_engine(
    request: TrainRequest,
    *,
    progress: Progress = lambda step, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> Trained | None:
    """Train a network, evaluate and calibrate it on held-out frames and write it as an engine.

    The run's folder keeps a checkpoint: the same request goes on from where an earlier one was stopped.

    Parameters
    ----------
    request : TrainRequest
    progress : callable
        Called with the steps done and the loss.
    stop : callable
        Called after each step; True ends the training early.

    Returns
    -------
    Trained or None
        None where `stop` ended it; the checkpoint lies in the run's folder.

    Raises
    ------
    EngineError
        The engine exists, or its name cannot be one.
    UsageError
        There is no such family.
    DataError
        Labels cannot be read or split, a keypoint is unknown, or the run's folder holds something else.
    """
    check_new(request.engine, overwrite=request.overwrite)
    labels = _labels(request)
    built_of = architecture(request.family, labels.keypoints)
    mirrored = replace(request.recipe.augmentation, swap=swap_of(labels.keypoints))
    recipe = replace(request.recipe, square=built_of["name"] == "facemap", augmentation=mirrored)
    training_set, test_set = hold_out(labels, request.held_out, recipe.seed)
    if not training_set.labels:
        raise DataError("the frames to train on have no label of any of these keypoints")
    for line in odd_recordings(labels, request.crop):
        _log.warning("%s", line)
    pictures, held_out = pictures_of(training_set, request.crop), pictures_of(test_set, request.crop)
    run = open_run(request.run, _configuration(request, labels, recipe))
    simulated = simulated_pictures(request.simulated, _SIMULATED_SEED, keypoints=labels.keypoints)
    whole = build_network(built_of, recipe.seed)
    training = Training(whole.network, built_of["name"], pictures, simulated, recipe)
    whole.network = run_in_folder(run, _NAME, training, progress=progress, stop=stop)
    if not training.finished:
        return None
    evaluation = _evaluate(run, whole, held_out, labels.keypoints, recipe) if test_set.labels else None
    metrics = evaluation.metrics if evaluation else {}
    facts = _facts(request, training_set, test_set, recipe)
    card = model_card(
        built_of,
        [KeypointEntry(name=name, trained=name in training_set.labelled) for name in labels.keypoints],
        size=recipe.size,
        square=recipe.square,
        calibrated=evaluation is not None and evaluation.calibrated,
        description=f"trained on {training_set.labels} labels of {len(training_set)} frames ({request.family})",
        licence="that of the labelled frames",
        training=facts,
        metrics=metrics,
    )
    engine = save_engine(whole, request.engine, card, views=pictures, overwrite=request.overwrite)
    run.write_report({"engine": engine.manifest.name, "training": facts, "metrics": metrics})
    untrained = tuple(entry.name for entry in engine.manifest.keypoints if not entry.trained)
    return Trained(engine, metrics, untrained)


def _labels(request: TrainRequest) -> LabelSet:
    """Read the labels and arrange them as the network's outputs will be."""
    labels = read_labels(*request.labels).renamed(request.renames)
    names = request.keypoints or labels.keypoints
    known = set(labels.keypoints) | (set(FACEMAP_KEYPOINTS) if request.simulated else set())
    if unknown := [name for name in names if name not in known]:
        raise DataError(
            f"there is nothing to train on for the keypoint {unknown[0]!r}: the labels have {', '.join(labels.keypoints)}"
        )
    return labels.arranged(names)


def _configuration(request: TrainRequest, labels: LabelSet, recipe: Recipe) -> dict[str, Any]:
    return {
        "verb": _NAME,
        "family": request.family,
        "keypoints": labels.keypoints,
        "labels_sha256": labels.digest,
        "crop": None if request.crop is None else asdict(request.crop),
        "held_out": request.held_out,
        "simulated": request.simulated,
        "recipe": asdict(recipe),
    }


def _evaluate(
    run: RunFolder,
    network: NetworkWithDecode,
    pictures: Sequence[Picture],
    keypoints: Sequence[str],
    recipe: Recipe,
) -> Evaluation:
    """Evaluate and calibrate a network, with pictures of both in the run's folder."""
    evaluation = evaluate(network, pictures, keypoints, recipe.size, square=recipe.square)
    draw_errors(run.folder / "errors.png", evaluation.predictions.camera_distance, keypoints)
    if evaluation.calibrated:
        draw_reliability(run.folder / "reliability.png", evaluation.metrics["score_reliability"])
    return evaluation


def _facts(
    request: TrainRequest, training_set: LabelSet, test_set: LabelSet, recipe: Recipe
) -> dict[str, Any]:
    """Return how a network was trained, for the record."""
    new = not set(training_set.videos) & set(test_set.videos)
    return {
        "frames": len(training_set),
        "labels": training_set.labels,
        "recordings": training_set.videos,
        "held_out": {
            "frames": len(test_set),
            "recordings": test_set.videos,
            "of_recordings_not_trained_on": new,
        },
        "simulated_mice": request.simulated,
        "crop": None if request.crop is None else asdict(request.crop),
        "seed": recipe.seed,
        "steps": recipe.steps,
        "batch": recipe.batch,
    }
