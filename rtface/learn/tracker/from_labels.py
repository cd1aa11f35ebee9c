"""A network for a user's own labels, from label files to an engine that states its errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from rtface.core.errors import BackendError, DataError, UsageError
from rtface.core.records import FACEMAP_KEYPOINTS, Crop
from rtface.learn.engines.bundle import save_engine
from rtface.learn.labels.label_views import odd_recordings
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.set_record import licence_in_words
from rtface.learn.plots import draw_errors, draw_reliability
from rtface.learn.recipes import RECIPES
from rtface.learn.resumable import Progress, run_in_folder
from rtface.learn.run_folder import RunFolder, open_run
from rtface.learn.tracker.card import model_card
from rtface.learn.tracker.evaluation import Evaluation, evaluate
from rtface.learn.tracker.families import architecture
from rtface.learn.tracker.labelled_frames import hold_out, pictures_of, recordings_apart
from rtface.learn.tracker.optimise import Recipe, Training
from rtface.learn.tracker.samples import Picture, simulated_pictures, swap_of
from rtface.networks.build import build_network
from rtface.networks.graph import NetworkWithDecode
from rtface.track.manifest import KeypointEntry
from rtface.track.store import Engine, check_new

SIMULATED = RECIPES["rig"].simulated
"""Simulated mice in a training, unless another number is asked for."""

SHARE_HELD_OUT = RECIPES["rig"].share
"""Share of the frames held out, unless something else is asked for."""

_UNSTATED = ("", "unknown", "none", "not stated", "unlicensed", "no licence", "no license")
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
    whole_recordings : bool
        Whether a share of held-out frames is of whole recordings, where there are several.
    recipe_name : str
        Of the recipe that the options began with, for the record; empty where there is none.
    device : str
        Of the training, as torch names it.
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
    whole_recordings: bool = False
    recipe_name: str = ""
    device: str = "cpu"


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
    announce: Callable[[LabelSet, str], None] = lambda labels, licence: None,
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
    announce : callable
        Called once before the training begins, with the labels and the licence that the engine will be under.

    Returns
    -------
    Trained or None
        None where `stop` ended it; the checkpoint lies in the run's folder.

    Raises
    ------
    EngineError
        The engine exists, or its name cannot be one.
    UsageError
        There is no such family, or no such device.
    BackendError
        The device's memory is too small.
    DataError
        Labels cannot be read or split, a keypoint is unknown, a public set states no licence, or the run's folder holds
        something else.
    """
    check_new(request.engine, overwrite=request.overwrite)
    labels = _labels(request)
    built_of = architecture(request.family, labels.keypoints)
    mirrored = replace(request.recipe.augmentation, swap=swap_of(labels.keypoints))
    recipe = replace(request.recipe, square=built_of["name"] == "facemap", augmentation=mirrored)
    training_set, test_set = hold_out(labels, _held_out(request, labels), recipe.seed)
    if not training_set.labels:
        raise DataError("the frames to train on have no label of any of these keypoints")
    for line in odd_recordings(labels, request.crop):
        _log.warning("%s", line)
    pictures, held_out = pictures_of(training_set, request.crop), pictures_of(test_set, request.crop)
    licence = licence_in_words(labels.origins, "that of the labelled frames")
    device = _device(request.device)
    run = open_run(request.run, _configuration(request, labels, recipe))
    announce(labels, licence)
    simulated = simulated_pictures(request.simulated, _SIMULATED_SEED, keypoints=labels.keypoints)
    whole = build_network(built_of, recipe.seed)
    training = Training(whole.network.to(device), built_of["name"], pictures, simulated, recipe)
    try:
        whole.network = run_in_folder(run, _NAME, training, progress=progress, stop=stop)
    except torch.OutOfMemoryError as error:
        raise BackendError(
            f"{request.device} has too little memory for batches of {recipe.batch}: a smaller --batch with another --run, or "
            "--device cpu"
        ) from error
    if not training.finished:
        return None
    whole.to("cpu")
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
        licence=licence,
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
    if unstated := [each.name for each in labels.origins if each.licence.strip().lower() in _UNSTATED]:
        raise DataError(
            f"the set {unstated[0]} states no licence: nothing may be learnt from it; ask its authors, and fetch it again with "
            "the licence that they name"
        )
    names = request.keypoints or labels.keypoints
    known = set(labels.keypoints) | (set(FACEMAP_KEYPOINTS) if request.simulated else set())
    if unknown := [name for name in names if name not in known]:
        raise DataError(
            f"there is nothing to train on for the keypoint {unknown[0]!r}: the labels have {', '.join(labels.keypoints)}"
        )
    return labels.arranged(names)


def _held_out(request: TrainRequest, labels: LabelSet) -> tuple[str, ...] | float:
    """Return what is held out: whole recordings where that was asked for and there are several."""
    if request.whole_recordings and isinstance(request.held_out, float):
        return recordings_apart(labels, request.held_out, request.recipe.seed) or request.held_out
    return request.held_out


def _device(name: str) -> torch.device:
    """Return the device that a name stands for; `UsageError` where it cannot be used."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"torch cannot train on {name!r}: {str(error).splitlines()[0]}") from error
    return device


def _configuration(request: TrainRequest, labels: LabelSet, recipe: Recipe) -> dict[str, Any]:
    # What earlier versions did not have is left out where it is as it was, so that their runs go on.
    new: dict[str, Any] = {}
    if request.whole_recordings:
        new["whole_recordings"] = True
    if request.device != "cpu":
        new["device"] = request.device
    return new | {
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
    extra: dict[str, Any] = {"recipe": request.recipe_name} if request.recipe_name else {}
    if training_set.origins:
        extra["label_sets"] = [each.origin() for each in training_set.origins]
    if request.device != "cpu":
        extra["device"] = request.device
    return extra | {
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
