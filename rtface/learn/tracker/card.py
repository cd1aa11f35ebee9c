"""The model card of a network that was trained here: what training, adapting and distilling state alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rtface.learn.engines.bundle import ModelCard
from rtface.learn.tracker.calibration import RADIUS_PX
from rtface.learn.tracker.samples import ROW_STEP
from rtface.track.manifest import KeypointEntry, LevelsSpec, ResampleSpec, ScoreSpec

DECODE = {
    "small": "mean of the probabilities round the peak",
    "facemap": "offsets at the heatmap's peak, as Facemap does",
}


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


def model_card(
    architecture: dict[str, Any],
    entries: Sequence[KeypointEntry],
    *,
    size: int,
    square: bool,
    calibrated: bool,
    description: str,
    licence: str,
    training: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
) -> ModelCard:
    """Return the card of a network that was trained here.

    Parameters
    ----------
    architecture : dict
        What the network was built of.
    entries : sequence of KeypointEntry
        The keypoints, with whether each ever had a label on a real frame.
    size, square
        Longer side of the input in pixels, and whether it is square.
    calibrated : bool
        Whether the scores are probabilities.
    description, licence, training, metrics
        As of `ModelCard`.
    """
    name = str(architecture["name"])
    return ModelCard(
        architecture=architecture,
        keypoints=entries,
        description=description,
        licence=licence,
        decode=DECODE[name],
        score=score_spec(name, calibrated),
        input_size=size,
        resample=ResampleSpec(half_pixel=True, fit="pad" if square else "pad_shorter"),
        normalise=LevelsSpec(row_step=ROW_STEP),
        training=training or {},
        metrics=metrics or {},
    )
