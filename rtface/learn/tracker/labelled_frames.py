"""From labelled frames to an engine: what training, adapting and distilling have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rtface.core.errors import DataError
from rtface.core.records import Crop
from rtface.learn.engines.bundle import Card, save_engine
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.calibration import RADIUS_PX, Calibration, fit_calibration, reliability
from rtface.learn.tracker.predictions import Answers, answer
from rtface.learn.tracker.samples import ROW_STEP, Picture, prepare
from rtface.networks.graph import NetworkWithDecode
from rtface.networks.small import SmallDecode
from rtface.track.manifest import KeypointEntry, LevelsSpec, ResampleSpec, ScoreSpec
from rtface.track.store import Engine

FEWEST_TO_CALIBRATE = 50
"""Held-out labels below which scores are not called calibrated."""

DECODE = {
    "small": "mean of the probabilities round the peak",
    "facemap": "offsets at the heatmap's peak, as Facemap does",
}


def pictures_of(labels: LabelSet, crop: Crop | None = None) -> list[Picture]:
    """Return a label set's frames as pictures to draw samples from.

    Raises
    ------
    DataError
        The crop reaches beyond a frame; the frame is named.
    """
    pictures = []
    for frame in labels.frames:
        height, width = frame.image.shape
        if crop is not None and (crop.x + crop.width > width or crop.y + crop.height > height):
            raise DataError(f"frame {frame.name} of {width}x{height} pixels is smaller than the crop {crop}")
        pictures.append(prepare(frame.image, frame.xy, crop=crop))
    return pictures


def hold_out(labels: LabelSet, what: Sequence[str] | float, seed: int) -> tuple[LabelSet, LabelSet]:
    """Split a label set into frames to train on and frames to judge by.

    Parameters
    ----------
    labels : LabelSet
    what : sequence of str, or float
        Names of recordings, all of whose frames are held out; or the share of frames to hold out (0: none), drawn
        at random from each recording alike, and so that the share is met even where each has a few frames.
    seed : int
        Of the drawing.

    Returns
    -------
    training, judging : LabelSet

    Raises
    ------
    DataError
        A recording is unknown, or nothing is left to train on.
    """
    if isinstance(what, float):
        random = np.random.default_rng(seed)
        chosen: set[int] = set()
        seen = 0
        for video in labels.videos:
            here = [index for index, frame in enumerate(labels.frames) if frame.video == video]
            seen += len(here)
            chosen |= set(random.permutation(here)[: round(what * seen) - len(chosen)].tolist())
    else:
        if unknown := set(what) - set(labels.videos):
            raise DataError(
                f"no frame is of the recording {sorted(unknown)[0]!r}; there are {', '.join(labels.videos)}"
            )
        chosen = {index for index, frame in enumerate(labels.frames) if frame.video in set(what)}
    if len(chosen) == len(labels):
        raise DataError("all frames are held out: none is left to train on")
    training = tuple(frame for index, frame in enumerate(labels.frames) if index not in chosen)
    judging = tuple(frame for index, frame in enumerate(labels.frames) if index in chosen)
    return LabelSet(labels.keypoints, training), LabelSet(labels.keypoints, judging)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a network is worth on frames that it had not seen.

    Attributes
    ----------
    metrics : dict
        Errors in camera pixels, over all labels and by keypoint; reliability of the scores.
    calibrated : bool
        Whether the network's decode was calibrated on these frames.
    answers : Answers
    """

    metrics: dict[str, Any]
    calibrated: bool
    answers: Answers


def judge(
    network: NetworkWithDecode,
    pictures: Sequence[Picture],
    keypoints: Sequence[str],
    size: int,
    *,
    square: bool = False,
) -> Judgement:
    """Measure a network's errors on held-out pictures and, where there are enough, calibrate its scores by them.

    The stated reliability is cross-fitted: one half of the frames is judged by the calibration of the other.

    Parameters
    ----------
    network : NetworkWithDecode
        Its decode's calibration is replaced.
    pictures : sequence of Picture
    keypoints : sequence of str
    size : int
        Longer side of the network's input in pixels.
    square : bool
        Whether its input is square.
    """
    if isinstance(network.decode, SmallDecode):
        set_calibration(network, Calibration(1.0, np.zeros(len(keypoints), np.float32)))
    answers = answer(network, pictures, size, square=square)
    metrics: dict[str, Any] = {"frames": len(pictures), "unit": "camera pixels"}
    metrics |= error_summary(answers.camera_distance, keypoints)
    labels = int((~np.isnan(answers.distance)).sum())
    calibrated = isinstance(network.decode, SmallDecode) and labels >= FEWEST_TO_CALIBRATE
    if calibrated:
        metrics["score_reliability"] = cross_fitted_reliability(answers)
        set_calibration(network, fit_calibration(answers))
    return Judgement(metrics, calibrated, answers)


def cross_fitted_reliability(answers: Answers) -> dict[str, Any]:
    """Return the reliability of scores whose calibration was fitted on the other half of the frames."""
    halves = [np.arange(len(answers.distance)) % 2 == part for part in (0, 1)]
    scores = np.empty_like(answers.score)
    for here, other in (halves, halves[::-1]):
        fit = fit_calibration(Answers(answers.distance[other], answers.score[other], answers.scale[other]))
        scores[here] = fit.apply(answers.score[here])
    return reliability(scores, answers.distance)


def set_calibration(network: NetworkWithDecode, calibration: Calibration) -> None:
    """Give a network's decode a calibration of its scores."""
    network.decode.load_state_dict(
        {"slope": torch.tensor(calibration.slope), "intercept": torch.from_numpy(calibration.intercept)}
    )


def score_spec(architecture: str, calibrated: bool) -> ScoreSpec:
    """Return what an engine's score means."""
    if calibrated:
        return ScoreSpec(
            definition=f"probability that the point is within {RADIUS_PX:g} pixels of the network's input",
            calibrated=True,
            radius_px=RADIUS_PX,
        )
    if architecture == "facemap":
        definition = "share of the heatmap's mass within 3 cells of its peak"
    else:
        definition = "falls with the spread of the keypoint's map; not fitted on this rig's frames"
    return ScoreSpec(definition=definition, calibrated=False, radius_px=None)


def write_engine_of(
    network: NetworkWithDecode,
    folder: Path,
    architecture: dict[str, Any],
    entries: Sequence[KeypointEntry],
    *,
    size: int,
    square: bool,
    calibrated: bool,
    description: str,
    licence: str,
    training: dict[str, Any],
    metrics: dict[str, Any],
    overwrite: bool = False,
) -> Engine:
    """Write a network that was trained here as an engine.

    Parameters
    ----------
    network : NetworkWithDecode
    folder : Path
        The engine's folder; its name is the engine's name.
    architecture : dict
        What the network was built of.
    entries : sequence of KeypointEntry
        The keypoints, with whether each ever had a label on a real frame.
    size, square
        Longer side of the input in pixels, and whether it is square.
    calibrated : bool
        Whether the scores are probabilities.
    description, licence, training, metrics
        For the manifest.
    overwrite : bool
        Replace an engine that is there.

    Raises
    ------
    EngineError
        The folder exists or cannot be written.
    """
    name = str(architecture["name"])
    card = Card(
        architecture=architecture,
        keypoints=entries,
        description=description,
        licence=licence,
        decode=DECODE[name],
        score=score_spec(name, calibrated),
        input_size=size,
        resample=ResampleSpec(half_pixel=True, fit="pad" if square else "pad_shorter"),
        normalise=LevelsSpec(row_step=ROW_STEP),
        training=training,
        metrics=metrics,
    )
    return save_engine(network, folder, card, overwrite=overwrite)
