"""An engine of an engine: fine-tuned on a rig's own frames, with its keypoints kept, renamed, dropped and added.

With 8 frames or more some are held out, spread over the recordings, and tell after how many steps, and how far on the
way from the old weights to the new, the network is best (`rtface.learn.tracker.few_frames`). Then it is trained on all frames,
for as many steps and as far. Where no step helps, the old weights stay. With fewer than 20 frames, an engine that is near
already and no new keypoint, the held-out ones tell only whether to change it at all. There, and where none can be
spared, both numbers are those that served best in `bench/fewshot.py`.

Keypoints that the engine knows and the labels lack are taught by the engine itself: what it finds in the frames is
what is learnt, each point as far as it is sure of it, so that they do not drift while others are learnt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import DataError
from rtface.core.records import Crop
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.keypoint_changes import Keyset
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.run_folder import RunFolder, open_run
from rtface.learn.tracker.few_frames import (
    NEW_STEPS,
    TUNING,
    Look,
    Search,
    Stopped,
    blended,
    few_frames,
    fine_tune,
    teach_new,
)
from rtface.learn.tracker.labelled_frames import FEWEST_TO_CALIBRATE, judge, pictures_of, write_engine_of
from rtface.learn.tracker.optimise import Progress, Recipe
from rtface.learn.tracker.parent_engine import source_of, taught_besides, untouched_guesses
from rtface.learn.tracker.predictions import answer
from rtface.learn.tracker.samples import Picture
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.surgery import with_keypoints
from rtface.track.manifest import KeypointEntry
from rtface.track.store import Engine, check_new
from rtface.track.torch_graph import torch_network

FEWEST_TO_HOLD_OUT = 8
"""Frames below which none is held out."""

FEWEST_TO_CHOOSE = 20
"""Frames below which those held out tell only whether a network that is near already is to be changed at all: chosen
by two or three frames, steps and blend made ten frames' adaptation worse (6.30 to 6.47 px, bench/fewshot.py adapt).
"""

MOST_FRAMES = 100
"""Beyond this `rtface learn train` does better."""

SHARE_HELD_OUT = 0.22
NEW_RATE = 3e-3
"""Learning rate where most keypoints are new."""

_SEARCH_SHARE = 0.45


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
    keyset : Keyset
        What is to become of the keypoints.
    crop : Crop, optional
        The part of every frame that the network is to see.
    minutes : float
        After about these the training is content with what there is.
    recipe : Recipe
        Of the training; its steps are the most there can be. Size and shape are the engine's.
    overwrite : bool
        Replace an engine that is there.
    """

    engine: Engine
    labels: LabelSet
    folder: Path
    run: Path
    keyset: Keyset = Keyset()  # noqa: RUF009  (frozen)
    crop: Crop | None = None
    minutes: float = 5.0
    recipe: Recipe = TUNING
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Adapted:
    """What came out.

    Attributes
    ----------
    engine : Engine
    report : dict
        As in the run's ``report.json``: ``frames``, ``held_out_frames``, ``steps``, ``blend``, ``looks``, ``minutes``,
        ``before`` and ``after`` (as of `rtface.learn.error_summary.error_summary`, on the held-out frames; the latter of a
        network that did not learn from them), ``kept_weights`` and ``untouched_guesses``.
    """

    engine: Engine
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Start:
    """The network that is trained, and what is known of it."""

    network: NetworkWithDecode
    architecture: dict[str, Any]
    names: tuple[str, ...]
    new: tuple[int, ...]
    known: tuple[int, ...]
    recipe: Recipe

    @property
    def family(self) -> str:
        return str(self.architecture["name"])


def adapt(
    order: AdaptRequest,
    *,
    progress: Callable[[str, int], Progress] = lambda what, steps: lambda step, loss: None,
    stop: Callable[[], bool] = lambda: False,
) -> Adapted | None:
    """Fine-tune an engine on labelled frames and write the result as an engine.

    The run's folder keeps checkpoints: the same order goes on from where an earlier one was stopped.

    Parameters
    ----------
    order : Order
    progress : callable
        Called at the start of each part of the training with its name and its steps; returns what is told of it.
    stop : callable
        Asked after each step whether to end.

    Returns
    -------
    Adapted or None
        None where `stop` ended it.

    Raises
    ------
    EngineError
        The engine cannot be trained, or the new one cannot be written.
    DataError
        There are too many frames or no label, or the run's folder holds something else.
    UsageError
        The keypoints cannot be had, or the crop reaches beyond the frames.
    """
    check_new(order.folder, overwrite=order.overwrite)
    began_ns = monotonic_ns()
    parent = source_of(order.engine)
    before = order.keyset.engine_names(parent.manifest.names, order.labels.keypoints)
    labels = order.keyset.label_set(order.labels)
    names = order.keyset.wanted(before, labels.keypoints)
    labels = labels.arranged(names)
    _check_frames(labels)
    manual = pictures_of(labels, order.crop)
    trained = {name for name, entry in zip(before, parent.manifest.keypoints, strict=True) if entry.trained}
    network, architecture = with_keypoints(torch_network(parent), parent.manifest.architecture, before, names)
    new = tuple(place for place, name in enumerate(names) if name not in trained and name in labels.labelled)
    known = tuple(place for place, name in enumerate(names) if name in trained)
    rate = NEW_RATE if len(new) > len(known) else order.recipe.learning_rate
    manifest = parent.manifest
    recipe = replace(
        order.recipe, learning_rate=rate, size=manifest.input.size, square=manifest.resample.square
    )
    start = _Start(network, architecture, names, new, known, recipe)
    run = open_run(order.run, _configuration(order, parent, names, labels, recipe))
    columns = {name: place for place, name in enumerate(before)}
    lacking = [name for name in names if name in trained and name not in labels.labelled]
    untouched = untouched_guesses(order.engine, order.crop, labels, columns)
    pictures = taught_besides(
        order.engine, order.crop, labels, manual, [(names.index(name), columns[name]) for name in lacking]
    )
    held_out = _held_out(labels)
    job = _Job(start, run, progress, stop, began_ns, order.minutes)
    try:
        if held_out:
            found = job.search(pictures, [manual[place] for place in held_out], held_out)
            metrics = _judged(start, found, [manual[place] for place in held_out])
            choice = found.best
            if choice.steps and len(labels) < FEWEST_TO_CHOOSE and not new:
                cautious = few_frames(start.network, manual, recipe, known, new)
                choice = cautious if cautious.blend < 1 else choice
        else:
            choice, metrics = few_frames(start.network, manual, recipe, known, new), {}
        final = job.train(pictures, choice)
    except Stopped:
        return None
    calibrated = bool(metrics.pop("calibrated", False))
    if calibrated:
        final.decode.load_state_dict(found.network.decode.state_dict())
    report = {
        "parent": manifest.name,
        "frames": len(labels),
        "labels": labels.labels,
        "held_out_frames": [labels.frames[place].name for place in held_out],
        "steps": choice.steps,
        "blend": choice.blend,
        "looks": [asdict(look) for look in found.looks] if held_out else [],
        "ended_by_time": job.ended_by_time,
        "kept_weights": choice.steps == 0,
        "new_keypoints": [names[place] for place in new],
        "taught_by_parent": lacking,
        "untouched_guesses": untouched,
        **metrics,
        "minutes": round((monotonic_ns() - began_ns) / NS_PER_S / 60, 2),
    }
    facts = {key: report[key] for key in ("parent", "frames", "labels", "steps", "blend", "taught_by_parent")}
    engine = write_engine_of(
        final,
        order.folder,
        architecture,
        [KeypointEntry(name=name, trained=name in trained or name in labels.labelled) for name in names],
        size=recipe.size,
        square=recipe.square,
        calibrated=calibrated,
        description=f"{manifest.name}, adapted to a rig with {len(labels)} frames",
        licence=f"{manifest.licence}; adapted with labelled frames under their own licence",
        training=facts
        | {"parent_sha256": parent.sha256, "seed": recipe.seed, "recordings": list(labels.videos)},
        metrics={key: report[key] for key in ("before", "after") if key in report},
        overwrite=order.overwrite,
    )
    run.write_report(report | {"engine": engine.manifest.name})
    return Adapted(engine, report)


def _held_out(labels: LabelSet) -> tuple[int, ...]:
    """Return places of frames to hold out; none where there are too few, or where those would have no label."""
    if len(labels) < FEWEST_TO_HOLD_OUT:
        return ()
    places = spread_over_time(labels)
    return places if any(not np.isnan(labels.frames[place].xy).all() for place in places) else ()


def spread_over_time(labels: LabelSet) -> tuple[int, ...]:
    """Return places of frames to hold out, `SHARE_HELD_OUT` of them and at least two, evenly over the recordings.

    Frames count in the order of their recordings' and their own names, which is that of time.
    """
    order = sorted(
        range(len(labels)), key=lambda place: (labels.frames[place].video, labels.frames[place].name)
    )
    count = max(2, round(SHARE_HELD_OUT * len(labels)))
    steps = (np.arange(count) + 0.5) * len(labels) / count
    return tuple(sorted(order[int(step)] for step in steps))


class _Job:
    """The parts of one training, in one run's folder."""

    def __init__(
        self,
        start: _Start,
        run: RunFolder,
        progress: Callable[[str, int], Progress],
        stop: Callable[[], bool],
        began_ns: int,
        minutes: float,
    ) -> None:
        self._start, self._run, self._progress, self._stop = start, run, progress, stop
        self._began_ns, self._limit_ns = began_ns, minutes * 60 * NS_PER_S
        self.ended_by_time = False

    def search(
        self, pictures: Sequence[Picture], judging: Sequence[Picture], held_out: Sequence[int]
    ) -> Search:
        """Train on what is not held out and look at what is."""
        start = self._start
        rest = [picture for place, picture in enumerate(pictures) if place not in set(held_out)]
        before = self._learn_new(rest, "search")
        keep = self._run.folder / "search.looks"
        found = Search(before, judging, start.recipe.size, start.recipe.square, start.known, keep=keep)
        if not found.ended:
            self._tune(before, rest, start.recipe, "search", _SEARCH_SHARE, found.watch)
        return found

    def train(self, pictures: Sequence[Picture], choice: Look) -> NetworkWithDecode:
        """Train on all pictures, for as many steps as were chosen."""
        before = self._learn_new(pictures, "final")
        if choice.steps == 0:
            return before
        recipe = replace(self._start.recipe, steps=choice.steps)
        return blended(before, self._tune(before, pictures, recipe, "final", 0.95), choice.blend)

    def _learn_new(self, pictures: Sequence[Picture], part: str) -> NetworkWithDecode:
        start = self._start
        if not start.new:
            return start.network
        name = f"{part}-new"
        return teach_new(
            start.network,
            start.family,
            pictures,
            start.new,
            start.recipe,
            progress=self._progress(f"{part}: new keypoints", NEW_STEPS),
            checkpoint=self._run.checkpoint(name),
            stop=self._stop,
        )

    def _tune(
        self,
        before: NetworkWithDecode,
        pictures: Sequence[Picture],
        recipe: Recipe,
        part: str,
        share: float,
        watch: Callable[[int, NetworkWithDecode], bool] = lambda steps, network: False,
    ) -> NetworkWithDecode:
        def enough() -> bool:
            late = monotonic_ns() - self._began_ns > share * self._limit_ns
            self.ended_by_time |= late
            return late

        checkpoint = self._run.checkpoint(part)
        try:
            return fine_tune(
                before,
                self._start.family,
                pictures,
                recipe,
                progress=self._progress(part, recipe.steps),
                checkpoint=checkpoint,
                stop=self._stop,
                enough=enough,
                watch=watch,
            )
        finally:
            if checkpoint.exists():
                losses = torch.load(checkpoint, weights_only=True)["losses"]
                self._run.write_losses(part, losses)


def _check_frames(labels: LabelSet) -> None:
    if len(labels) > MOST_FRAMES:
        raise DataError(
            f"{len(labels)} frames are more than adapting is made for ({MOST_FRAMES}): rtface learn train"
        )
    if labels.labels == 0:
        raise DataError("the frames have no label of any keypoint that the engine is to find")


def _configuration(
    order: AdaptRequest, parent: Engine, names: Sequence[str], labels: LabelSet, recipe: Recipe
) -> dict[str, Any]:
    return {
        "verb": "adapt",
        "engine": parent.manifest.name,
        "engine_sha256": parent.sha256,
        "labels_sha256": labels.digest,
        "keypoints": list(names),
        "renames": dict(order.keyset.renames),
        "crop": None if order.crop is None else asdict(order.crop),
        "minutes": order.minutes,
        "recipe": asdict(recipe),
    }


def _judged(start: _Start, found: Search, pictures: Sequence[Picture]) -> dict[str, Any]:
    """Return the errors on the held-out pictures before and after, and whether the scores were calibrated on them."""
    size, square = start.recipe.size, start.recipe.square
    unit = {"frames": len(pictures), "unit": "camera pixels"}
    old = answer(start.network, pictures, size, square=square).camera_distance
    old[:, list(start.new)] = np.nan
    before = unit | error_summary(old, start.names)
    new = answer(found.network, pictures, size, square=square).camera_distance
    labels = int((~np.isnan(new)).sum())
    if labels < FEWEST_TO_CALIBRATE:
        return {"before": before, "after": unit | error_summary(new, start.names), "calibrated": False}
    judged = judge(found.network, pictures, start.names, size, square=square)
    return {"before": before, "after": judged.metrics, "calibrated": judged.calibrated}
