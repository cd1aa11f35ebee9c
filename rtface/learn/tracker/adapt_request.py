"""What is to be adapted, and what the training starts from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rtface.core.clock import NS_PER_S
from rtface.core.errors import DataError
from rtface.core.records import Crop
from rtface.learn.engines.no_face import no_face_pictures
from rtface.learn.labels.keypoint_changes import KeypointChanges
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.evaluation import predict
from rtface.learn.tracker.fine_tune import CHECK_EVERY, NEW_STEPS, TUNING, fine_tune
from rtface.learn.tracker.optimise import Recipe
from rtface.learn.tracker.samples import Picture
from rtface.learn.tracker.step_search import BLENDS
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.surgery import with_keypoints
from rtface.track.manifest import KeypointEntry
from rtface.track.store import Engine, trainable_source
from rtface.track.torch_graph import torch_network

FEWEST_TO_HOLD_OUT = 8
"""Frames below which none is held out."""

MOST_FRAMES = 100
"""Beyond this `rtface learn train` does better."""

_TIMED_STEPS = 8
_TIMED_PICTURES = 2
_ANY_SHAPE = 48, 64
_WRITING_S = 4.0
"""Writing an engine's files, on the machine of bench/results."""

SHARE_HELD_OUT = 0.22
NEW_RATE = 3e-3
"""Learning rate where most keypoints are new."""


@dataclass(frozen=True, slots=True)
class AdaptRequest:
    """What is to be adapted.

    Attributes
    ----------
    engine : Engine
        What to start from; one in f16 or int8 stands for the engine it was exported from.
    labels : LabelSet
        A rig's frames, with their labels' own names.
    folder : Path
        The new engine's; its name is the engine's name.
    run : Path
        The run's folder.
    changes : KeypointChanges
        What is to become of the keypoints.
    crop : Crop, optional
        The part of every frame that the network is to be shown.
    recipe : Recipe
        Of the training; its steps are the most there can be. Size and shape are the engine's.
    overwrite : bool
        Replace an engine that is there.
    mark : str
        Kept in the new engine's manifest, as ``training.attempt``: whoever began this knows its engine by it.
    """

    engine: Engine
    labels: LabelSet
    folder: Path
    run: Path
    changes: KeypointChanges = KeypointChanges()  # noqa: RUF009  (frozen)
    crop: Crop | None = None
    recipe: Recipe = TUNING
    overwrite: bool = False
    mark: str = ""


@dataclass(frozen=True, slots=True)
class AdaptStart:
    """The network that is trained, on what, and what of it is new.

    Attributes
    ----------
    parent : Engine
        Whose weights are trained.
    labels : LabelSet
        The rig's frames, with the new engine's keypoints in its order.
    network : NetworkWithDecode
        With the new engine's keypoints.
    architecture : dict
        What it is built of.
    columns : mapping of str to int
        The parent's keypoints, after renaming, and their places among its outputs.
    new, known : tuple of int
        Places of the keypoints that only the labels have, and of those that the parent was trained on.
    recipe : Recipe
        Of the training.
    """

    parent: Engine
    labels: LabelSet
    network: NetworkWithDecode
    architecture: dict[str, Any]
    columns: Mapping[str, int]
    new: tuple[int, ...]
    known: tuple[int, ...]
    recipe: Recipe

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the new engine's keypoints."""
        return self.labels.keypoints

    @property
    def family(self) -> str:
        """The architecture's name."""
        return str(self.architecture["name"])

    @property
    def unlabelled(self) -> list[str]:
        """Names of the keypoints that the parent was trained on and the labels lack."""
        labelled = self.labels.labelled
        return [self.names[place] for place in self.known if self.names[place] not in labelled]

    @property
    def entries(self) -> list[KeypointEntry]:
        """The new engine's keypoints, each with whether it was ever trained on a label."""
        trained = {*self.labels.labelled, *(self.names[place] for place in self.known)}
        return [KeypointEntry(name=name, trained=name in trained) for name in self.names]


@dataclass(frozen=True, slots=True)
class AdaptPlan:
    """How much there is to do, told before it begins.

    Attributes
    ----------
    steps : int
        The most steps there can be, of all parts together; the search mostly ends earlier.
    seconds_a_step : float
        As just measured on this machine.
    seconds_beside : float
        Of the checks, the judging and the writing, estimated from a few pictures.
    """

    steps: int
    seconds_a_step: float
    seconds_beside: float = 0.0

    @property
    def minutes(self) -> float:
        """The longest it takes, if the machine stays as busy as it is."""
        return (self.steps * self.seconds_a_step + self.seconds_beside) / 60

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self) | {"minutes": round(self.minutes, 2)}


def plan_of(
    start: AdaptStart, pictures: Sequence[Picture], held_out: int, clock: Callable[[], int]
) -> AdaptPlan:
    """Time a few steps of a training that is thrown away, and a few pictures, and count the most that there can be.

    The first step of a process takes many times as long as those after it.
    """

    def seconds(what: Callable[[], object]) -> float:
        began_ns = clock()
        what()
        return (clock() - began_ns) / NS_PER_S

    def tuned(steps: int) -> None:
        fine_tune(start.network, start.family, pictures, replace(start.recipe, steps=steps))

    def found() -> None:
        predict(start.network, pictures[:_TIMED_PICTURES], start.recipe.size, square=start.recipe.square)

    tuned(1)
    a_step = seconds(lambda: tuned(_TIMED_STEPS)) / _TIMED_STEPS
    found()
    a_picture = seconds(found) / len(pictures[:_TIMED_PICTURES])
    checks = -(-start.recipe.steps // CHECK_EVERY) if held_out else 0
    looked_at = checks * len(BLENDS) * (held_out + (len(pictures) if start.labels.distances else 0))
    judged = 4 * len(pictures) + 2 * len(no_face_pictures(*_ANY_SHAPE))
    parts = 2 if held_out else 1
    return AdaptPlan(
        parts * (start.recipe.steps + (NEW_STEPS if start.new else 0)),
        a_step,
        (looked_at + judged) * a_picture + _WRITING_S,
    )


def start_of(request: AdaptRequest) -> AdaptStart:
    """Return what a training starts from.

    Raises
    ------
    EngineError
        The engine cannot be trained.
    DataError
        There are too many frames, or no label.
    UsageError
        The keypoints cannot be had.
    """
    parent = trainable_source(request.engine)
    manifest = parent.manifest
    before = request.changes.engine_names(manifest.names, request.labels.keypoints)
    labels = request.changes.label_set(request.labels)
    names = request.changes.wanted(before, labels.keypoints)
    labels = labels.arranged(names)
    check_frames(labels)
    trained = {name for name, entry in zip(before, manifest.keypoints, strict=True) if entry.trained}
    network, architecture = with_keypoints(torch_network(parent), manifest.architecture, before, names)
    new = tuple(place for place, name in enumerate(names) if name not in trained and name in labels.labelled)
    known = tuple(place for place, name in enumerate(names) if name in trained)
    rate = NEW_RATE if len(new) > len(known) else request.recipe.learning_rate
    recipe = replace(
        request.recipe, learning_rate=rate, size=manifest.input.size, square=manifest.resample.square
    )
    columns = {name: place for place, name in enumerate(before)}
    return AdaptStart(parent, labels, network, architecture, columns, new, known, recipe)


def configuration(request: AdaptRequest, start: AdaptStart) -> dict[str, Any]:
    """Return all that the result depends on, of JSON's types, for `rtface.learn.run_folder.open_run`."""
    return {
        "verb": "adapt",
        "engine": start.parent.manifest.name,
        "engine_sha256": start.parent.sha256,
        "labels_sha256": start.labels.digest,
        "keypoints": list(start.names),
        "renames": dict(request.changes.renames),
        "crop": None if request.crop is None else asdict(request.crop),
        "recipe": asdict(start.recipe),
    }


def held_out_places(labels: LabelSet) -> tuple[int, ...]:
    """Return places of frames to hold out; none where there are too few, or where those would have no label."""
    if len(labels) < FEWEST_TO_HOLD_OUT:
        return ()
    places = spread_over_time(labels)
    return places if any(not np.isnan(labels.frames[place].xy).all() for place in places) else ()


def spread_over_time(labels: LabelSet) -> tuple[int, ...]:
    """Return places of frames to hold out, `SHARE_HELD_OUT` of them and at least two, evenly over the recordings.

    Frames count in the order of their recordings' and their own names, which is that of time.
    """
    in_time = sorted(
        range(len(labels)), key=lambda place: (labels.frames[place].video, labels.frames[place].name)
    )
    count = max(2, round(SHARE_HELD_OUT * len(labels)))
    steps = (np.arange(count) + 0.5) * len(labels) / count
    return tuple(sorted(in_time[int(step)] for step in steps))


def check_frames(labels: LabelSet) -> None:
    """Refuse labels that cannot be adapted to: `DataError` for too many frames, or none with a label."""
    if len(labels) > MOST_FRAMES:
        raise DataError(
            f"{len(labels)} frames are more than adapting is made for ({MOST_FRAMES}): rtface learn train"
        )
    if labels.labels == 0:
        raise DataError("the frames have no label of any keypoint that the engine is to find")
