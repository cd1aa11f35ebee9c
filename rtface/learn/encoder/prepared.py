"""A recording made ready to train an encoder on: inputs normalised, targets found, samples split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtface.analyse.splits import Split, stretches
from rtface.analyse.targets import COMPONENTS, Targets, fit_targets
from rtface.core.records import FloatArray
from rtface.encode.normalise import Normaliser, NormaliseRules, reference
from rtface.learn.encoder.recording import Recording
from rtface.learn.encoder.scoring import split_samples
from rtface.learn.resumable import StartProgress, no_progress


@dataclass(frozen=True, eq=False)
class Prepared:
    """A recording as an encoder is trained on it.

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


def prepare(
    recording: Recording,
    window: int,
    *,
    split: str = "strict",
    components: int = COMPONENTS,
    delay_s: float = 0.0,
    rules: NormaliseRules | None = None,
    seed: int = 0,
    known: tuple[Targets, FloatArray] | None = None,
    progress: StartProgress = no_progress,
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
    known : tuple of Targets and ndarray, optional
        Targets and their values where they were found before, for the same neurons and split.
    progress : callable
        See `StartProgress`.

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
    mean, sd = reference(recording.raw[training_frames(parts, frames, len(recording.raw))], points, rules)
    normalised = progress("normalising", len(recording.raw))
    normaliser = Normaliser(rules, points, recording.frame_rate, mean, sd)
    inputs = normaliser.run(recording.raw, lambda done: normalised(done, float("nan")))
    fitted_on = parts.train if split == "strict" else np.arange(samples)
    if known is not None:
        return Prepared(recording, frames, parts, mean, sd, inputs, *known)
    decomposed = progress("components", 1)
    targets = fit_targets(
        recording.neurons,
        fitted_on,
        components,
        seed=seed,
        progress=lambda done, total: decomposed(done, float("nan")),
    )
    values = targets.of(recording.neurons, np.arange(samples))
    return Prepared(recording, frames, parts, mean, sd, inputs, targets, values)


def training_frames(split: Split, frames: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    """Return which of a recording's frames lie between the samples that are trained on, shape (length,)."""
    chosen = np.zeros(length, np.bool_)
    for stretch in stretches(split.train):
        first, last = frames[stretch[0]], frames[stretch[-1]]
        chosen[max(first, 0) : max(last, 0) + 1] = True
    return chosen
