"""One recording of a study: its models, their curves, and the report of its population."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.forecast import group_keypoints
from rtface.analyse.populationfile import (
    ActivityPredictions,
    read_latents,
    read_predictions,
)
from rtface.analyse.report import ReportOptions, write_report
from rtface.core.errors import DataError
from rtface.core.records import FloatArray
from rtface.encode.normalise import NormaliseRules
from rtface.learn.encoder.fit_results import (
    LATENTS_FILE,
    PREDICTIONS_FILE,
    recorded_of,
    ridge_of_filters,
    write_results,
)
from rtface.learn.encoder.optimise import EncoderRecipe, within
from rtface.learn.encoder.prepared import prepare
from rtface.learn.encoder.recording import Recording
from rtface.learn.encoder.scoring import explained_by_peers, latents_of
from rtface.learn.resumable import StartProgress
from rtface.learn.study.inputs import BEHAVIOUR, KEYPOINTS, Inputs, inputs_of
from rtface.learn.study.models import (
    Task,
    fit_network,
    judge,
    linear_published,
    linear_tuned,
    null_of,
    predicted_by,
)
from rtface.learn.study.sessions import StudySession
from rtface.learn.study.staging import Staged, stage
from rtface.learn.study.stopping import StoppedError
from rtface.networks.build import build_encoder
from rtface.networks.encoder import EncoderNetwork

TRACES_FILE = "traces.npy"

_FEWEST_NEURONS = 50
_SHARES = (0.125, 0.25, 0.5)
_NAN = float("nan")

Part = Callable[[str, Callable[[], dict[str, Any] | None]], dict[str, Any] | None]


@dataclass(eq=False)
class SessionAnalysis:
    """The analysis of one recording; what its parts were found to be before is not computed again.

    Attributes
    ----------
    session : StudySession
    architecture, recipe, split, components, beside, rules
        As of `StudyRequest` and `NormaliseRules`.
    part : callable
        Returns a part by its name: as it is known, else computed.
    parts_folder : Path
        Keeps traces and checkpoints while they are needed.
    folder : Path
        Where the recording's results go.
    progress, stop : callable
    """

    session: StudySession
    architecture: dict[str, Any]
    recipe: EncoderRecipe
    split: str
    components: int
    beside: tuple[str, ...]
    rules: NormaliseRules
    part: Part
    parts_folder: Path
    folder: Path
    progress: StartProgress
    stop: Callable[[], bool]

    @cached_property
    def staged(self) -> Staged:
        """Its good neurons, in a file of their own."""
        step = self.progress("neurons", self.session.neurons.shape[0])
        return stage(
            self.session.neurons,
            len(self.session.tneural),
            self.parts_folder / TRACES_FILE,
            lambda done, total: step(done, _NAN),
        )

    @cached_property
    def places(self) -> NDArray[np.float64] | None:
        """Places of the good neurons in micrometres, where they are known."""
        return None if self.session.places is None else self.session.places[self.staged.good]

    @cached_property
    def inputs(self) -> Inputs:
        """Its recordings by the kind of input."""
        return inputs_of(self.session, self.staged.traces, self.places, self.beside)

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """What is fitted, by the kind of input; the targets are the same."""
        window, past, ahead = self._window
        tasks: dict[str, Task] = {}
        for kind, recording in self.inputs.recordings.items():
            first = next(iter(tasks.values())).prepared if tasks else None
            prepared = prepare(
                recording,
                window,
                split=self.split,
                components=self.components,
                rules=self.rules,
                seed=self.recipe.seed,
                known=None if first is None else (first.targets, first.values),
                progress=lambda part, steps, kind=kind: self.progress(f"{part}, {kind}", steps),  # type: ignore[misc]
            )
            test = within(prepared.split.test, prepared.frames, len(prepared.inputs), past, ahead)
            if len(test) < 2:
                raise DataError(f"{self.session.name}: too short, no test sample's window lies within it")
            gap = int(np.ceil(window / recording.frame_rate * recording.neural_rate)) + 1
            tasks[kind] = Task(prepared, test, gap)
        return tasks

    @cached_property
    def _window(self) -> tuple[int, int, int]:
        network = build_encoder({**self.architecture, "inputs": 1, "outputs": 1})
        return network.window, network.past, network.look_ahead

    def models(self) -> dict[str, Any]:
        """Return what each model explains, by the kind of input."""
        about = self._need("about", self._about)
        peers = self._need("peers", self._peers)
        models: dict[str, Any] = {}
        for kind in about["inputs"]:
            models[kind] = {"linear": self._need(f"linear-{kind}", lambda kind=kind: self._linear(kind))}  # type: ignore[misc]
            if kind != BEHAVIOUR:
                found = self._need(f"network-{kind}", lambda kind=kind: self._network(kind))  # type: ignore[misc]
                models[kind]["network"] = found
        return {**about, "peers": peers, "models": models}

    def curves(self) -> dict[str, Any]:
        """Return what keypoints explain by number of neurons, by minutes of training, and without groups of keypoints."""
        about = self._need("about", self._about)
        if KEYPOINTS not in about["inputs"]:
            return {}
        curves: dict[str, Any] = {"by_neurons": [], "by_minutes": [], "too_short": [], "without": {}}
        count = about["neurons"]
        for number in sorted({count // 4**power for power in (3, 2, 1)}):
            if number >= _FEWEST_NEURONS:
                curves["by_neurons"].append(
                    self._need(f"neurons-{number}", lambda number=number: self._of_neurons(number))  # type: ignore[misc]
                )
        for share in _SHARES:
            found = self._need(f"minutes-{share:g}", lambda share=share: self._of_minutes(share))  # type: ignore[misc]
            curves["too_short" if "left_out" in found else "by_minutes"].append(found)
        for group in about["groups"] if len(about["groups"]) > 1 else ():
            curves["without"][group] = self._need(
                f"without-{group}",
                lambda group=group: self._without(group),  # type: ignore[misc]
            )
        return curves

    def report(self, options: ReportOptions, command: str) -> dict[str, Any]:
        """Write the report of the population, with the clusters and states of the network from keypoints."""

        def write() -> dict[str, Any]:
            self.progress("clusters and states", 0)
            recording = next(iter(self.inputs.recordings.values()))
            latents = predictions = None
            if (self.folder / PREDICTIONS_FILE).exists():
                predictions = read_predictions(self.folder / PREDICTIONS_FILE, len(self.session.tneural))
                latents = read_latents(self.folder / LATENTS_FILE)
            found = write_report(recorded_of(recording), self.folder, predictions, latents, options, command)
            return {
                "clusters": found.get("clusters"),
                "states": found.get("states"),
                "pictures": found["pictures"],
                "left_out": found["left_out"],
            }

        return self._need("report", write)

    def clean(self) -> None:
        """Remove the traces' file and the checkpoints."""
        for path in (self.parts_folder / TRACES_FILE, *self.parts_folder.glob("*.checkpoint")):
            path.unlink(missing_ok=True)

    def _need(self, name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        found = self.part(name, compute)
        assert found is not None
        return found

    def _about(self) -> dict[str, Any]:
        recordings = self.inputs.recordings
        remarks = [*self.inputs.remarks, *([self.staged.remark] if self.staged.remark else [])]
        names = recordings[KEYPOINTS].keypoints if KEYPOINTS in recordings else ()
        first = next(iter(recordings.values()))
        return {
            "simulated": self.session.simulated,
            "neurons": len(self.staged.traces),
            "dropped": self.staged.dropped,
            "samples": len(self.session.tneural),
            "minutes": float(np.ptp(self.session.tneural)) / 60,
            "rates_hz": [first.frame_rate, first.neural_rate],
            "inputs": list(recordings),
            "keypoints": list(names),
            "film": None if self.session.film is None else [self.session.film.kind, self.session.film.count],
            "groups": group_keypoints(names) if names else {},
            "remarks": remarks,
        }

    def _peers(self) -> dict[str, Any]:
        task = next(iter(self.tasks.values()))
        step = self.progress("what neurons explain of each other", 2)
        minutes = len(task.prepared.split.train) / task.prepared.recording.neural_rate / 60
        found: dict[str, Any] = {"mean": None, "training_minutes": minutes}
        try:
            peers = explained_by_peers(
                task.prepared.recording, task.split, lambda done, total: step(done, _NAN)
            )
        except DataError as error:  # all neurons in one field of the checkerboard
            return found | {"left_out": str(error)}
        return found | {"mean": None if peers is None else peers.mean}

    def _linear(self, kind: str) -> dict[str, Any]:
        self.progress(f"linear, {kind}", 0)
        task = self.tasks[kind]
        published, tuned = linear_published(task), linear_tuned(task)
        null = null_of(task, tuned)
        return {
            "published": judge(task, published),
            "tuned": judge(task, tuned.predicted)
            | {"chosen": {"delay": tuned.delay, "penalty": tuned.penalty}},
            "null": {"shifts": len(null.shifts), "mean": null.together.mean(), "most": null.together.max()},
        }

    def _network(self, kind: str) -> dict[str, Any]:
        task = self.tasks[kind]
        network = self._trained(task, f"network-{kind}", f"network, {kind}")
        predicted = predicted_by(network, task)
        if kind == KEYPOINTS:
            self._write(task, network, predicted)
        return judge(task, predicted)

    def _write(self, task: Task, network: EncoderNetwork, predicted: FloatArray) -> None:
        ridge, null = ridge_of_filters(task.prepared, task.test, task.held, self._window[0])
        predictions = ActivityPredictions(
            task.prepared.values[task.test],
            predicted,
            task.test,
            task.prepared.targets.basis,
            method=f"network ({self.architecture['name']}), keypoints",
            ridge=ridge,
            null=null.by_output,
            null_together=null.together,
        )
        write_results(self.folder, predictions, latents_of(network, task.prepared.inputs))

    def _trained(self, task: Task, name: str, words: str) -> EncoderNetwork:
        steps = self.recipe.epochs * max(1, round(len(task.prepared.split.train) / self.recipe.samples))
        network = fit_network(
            task,
            self.architecture,
            self.recipe,
            self.parts_folder / f"{name}.checkpoint",
            self.progress(words, steps),
            self.stop,
        )
        if network is None:
            raise StoppedError
        return network

    def _both(self, task: Task, name: str, words: str) -> dict[str, Any]:
        """Return what the tuned linear model and the network explain."""
        linear = linear_tuned(task).predicted
        network = self._trained(task, name, words)
        return {"linear": judge(task, linear), "network": judge(task, predicted_by(network, task))}

    def _of_neurons(self, number: int) -> dict[str, Any]:
        random = np.random.default_rng(self.recipe.seed)
        rows = np.sort(random.permutation(len(self.staged.traces))[:number])
        task = self.tasks[KEYPOINTS].neurons(rows)
        return {"neurons": number, **self._both(task, f"neurons-{number}", f"network, {number} neurons")}

    def _of_minutes(self, share: float) -> dict[str, Any]:
        whole = self.tasks[KEYPOINTS]
        samples = round(share * len(whole.prepared.split.train))
        minutes = samples / whole.prepared.recording.neural_rate / 60
        try:
            found = self._both(whole.first(samples), f"minutes-{share:g}", f"network, {minutes:.1f} minutes")
        except DataError as error:  # too short to hold a part back
            return {"minutes": minutes, "left_out": str(error)}
        return {"minutes": minutes, **found}

    def _without(self, group: str) -> dict[str, Any]:
        task = self.tasks[KEYPOINTS]
        recording = task.prepared.recording
        out = set(group_keypoints(recording.keypoints)[group])
        columns = _columns(
            recording, [index for index in range(len(recording.keypoints)) if index not in out]
        )
        return self._both(task.columns(columns), f"without-{group}", f"network without {group}")


def _columns(recording: Recording, points: list[int]) -> list[int]:
    """Return the columns of some keypoints and of what is beside them."""
    extras = range(2 * len(recording.keypoints), recording.raw.shape[1])
    return [column for point in points for column in (2 * point, 2 * point + 1)] + list(extras)
