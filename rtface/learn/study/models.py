"""The models that a study compares, each fitted to the same samples and judged by the same held-out ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.baselines import (
    PUBLISHED_PENALTY,
    PUBLISHED_RANK,
    choose_penalty,
    fit_reduced_rank,
    smoothed_at,
)
from rtface.analyse.explained import Explainable, by_column, by_neuron, variance_explained
from rtface.analyse.ridge.shift_null import ShiftNull, explained_when_shifted
from rtface.analyse.splits import Split, hold_back
from rtface.analyse.targets import fit_targets
from rtface.analyse.traces import only
from rtface.core.records import FloatArray
from rtface.learn.encoder.from_recording import HELD_BACK, training_of
from rtface.learn.encoder.optimise import EncoderRecipe
from rtface.learn.encoder.prepared import Prepared
from rtface.learn.encoder.scoring import predict
from rtface.learn.resumable import Progress, run_training
from rtface.networks.encoder import EncoderNetwork

PUBLISHED_DELAY = 1
"""Neural samples by which behaviour is older than the neurons that it predicts, of the published linear method."""


@dataclass(frozen=True, eq=False)
class Task:
    """One kind of input of one recording, ready to fit.

    Attributes
    ----------
    prepared : Prepared
    test : ndarray of int64
        The samples that all models are judged by.
    gap : int
        Samples between what is fitted and what is held back to choose by.
    """

    prepared: Prepared
    test: NDArray[np.int64]
    gap: int

    @property
    def split(self) -> Split:
        """What to fit on, what to judge by."""
        return Split(self.prepared.split.train, self.test)

    @property
    def held(self) -> Split:
        """What to fit on, split again to choose penalties."""
        return hold_back(self.prepared.split.train, HELD_BACK, self.gap)

    def columns(self, chosen: list[int]) -> Task:
        """Return the same with some columns of the inputs; each was normalised by itself."""
        recording = self.prepared.recording
        return replace(
            self,
            prepared=replace(
                self.prepared,
                recording=replace(recording, raw=recording.raw[:, chosen]),
                mean=self.prepared.mean[chosen],
                sd=self.prepared.sd[chosen],
                inputs=np.ascontiguousarray(self.prepared.inputs[:, chosen]),
            ),
        )

    def first(self, samples: int) -> Task:
        """Return the same with the first training samples alone, and the targets that they give."""
        train = self.prepared.split.train[:samples]
        return self._with_targets(replace(self.prepared, split=Split(train, self.prepared.split.test)))

    def neurons(self, rows: NDArray[np.int64]) -> Task:
        """Return the same of some neurons."""
        recording = replace(
            self.prepared.recording, neurons=only(self.prepared.recording.neurons, rows), positions=None
        )
        return self._with_targets(replace(self.prepared, recording=recording))

    def _with_targets(self, prepared: Prepared) -> Task:
        neurons = prepared.recording.neurons
        targets = fit_targets(neurons, prepared.split.train, self.prepared.targets.count)
        values = targets.of(neurons, np.arange(len(prepared.frames)))
        return replace(self, prepared=replace(prepared, targets=targets, values=values))


def judge(task: Task, predicted: FloatArray, explainable: Explainable | None = None) -> dict[str, Any]:
    """Return what a prediction of the test samples explains: of all components, of each, of neurons on average.

    Parameters
    ----------
    task : Task
    predicted : ndarray, shape (s, C)
    explainable : Explainable, optional
        What peers explain of the neurons, to normalise by.
    """
    prepared = task.prepared
    actual = prepared.values[task.test]
    neurons = by_neuron(prepared.targets, prepared.recording.neurons, task.test, predicted)
    found: dict[str, Any] = {
        "samples": len(task.test),
        "neurons": len(neurons),
        "variance_explained": variance_explained(actual, predicted),
        "by_output": by_column(actual, predicted).tolist(),
        "neurons_mean": float(np.nanmean(neurons)),
    }
    if explainable is not None:
        found["neurons_normalised"] = explainable.normalise(neurons)
    return found


def linear_published(task: Task) -> FloatArray:
    """Return the prediction of the published linear method: smoothed inputs, rank 128, lambda 1e-6, a sample of delay."""
    moment = _moment(task, PUBLISHED_DELAY)
    values, split = task.prepared.values, task.split
    line = fit_reduced_rank(moment[split.train], values[split.train], PUBLISHED_RANK, PUBLISHED_PENALTY)
    return line.predict(moment[split.test])


@dataclass(frozen=True, eq=False)
class TunedLine:
    """The linear method with what was chosen on held-back samples: `delay` in neural samples, and `penalty`."""

    predicted: FloatArray
    delay: int
    penalty: float


def linear_tuned(task: Task) -> TunedLine:
    """Return the prediction of the linear method with delay (none, or a sample) and penalty chosen on held-back samples."""
    values, split, held = task.prepared.values, task.split, task.held
    found = []
    for delay in (0, PUBLISHED_DELAY):
        moment = _moment(task, delay)
        penalty = choose_penalty(moment, values, held, PUBLISHED_RANK)
        line = fit_reduced_rank(moment[held.train], values[held.train], PUBLISHED_RANK, penalty)
        error = float(np.square(line.predict(moment[held.test]) - values[held.test]).sum())
        found.append((error, delay, penalty))
    _, delay, penalty = min(found)
    moment = _moment(task, delay)
    line = fit_reduced_rank(moment[split.train], values[split.train], PUBLISHED_RANK, penalty)
    return TunedLine(line.predict(moment[split.test]), delay, penalty)


def null_of(task: Task, tuned: TunedLine) -> ShiftNull:
    """Return what the tuned linear method explains of activity that was moved in time."""
    return explained_when_shifted(_moment(task, tuned.delay), task.prepared.values, task.split, tuned.penalty)


def fit_network(
    task: Task,
    architecture: dict[str, Any],
    recipe: EncoderRecipe,
    checkpoint: Path,
    progress: Progress,
    stop: Callable[[], bool],
) -> EncoderNetwork | None:
    """Train a network on a task and return it; None where `stop` ended the training, which leaves a checkpoint."""
    whole = {
        **architecture,
        "inputs": task.prepared.inputs.shape[1],
        "outputs": task.prepared.targets.count,
    }
    training = training_of(task.prepared, whole, recipe)
    run_training(training, progress=progress, checkpoint=checkpoint, stop=stop)
    return training.kept() if training.finished else None


def predicted_by(network: EncoderNetwork, task: Task) -> FloatArray:
    """Return what a network predicts of the test samples."""
    return predict(network, task.prepared.inputs, task.prepared.frames[task.test])


def _moment(task: Task, delay: int) -> FloatArray:
    recording = task.prepared.recording
    per_sample = recording.frame_rate / recording.neural_rate
    frames = np.maximum(recording.frames_at(delay / recording.neural_rate), 0)
    return smoothed_at(task.prepared.inputs, frames, per_sample)
