"""An engine's errors on the labels of a guided way; needs no torch."""

from __future__ import annotations

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.records import Crop
from rtface.learn.engines.accuracy import EngineErrors, measure
from rtface.learn.labels.labelset import LabelSet
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine


def measured_on(
    engine: Engine, ours: tuple[str, ...], labels: LabelSet, crop: Crop | None, settings: BackendSettings
) -> EngineErrors | None:
    """Run an engine on labelled frames; None where they share no keypoint.

    Parameters
    ----------
    engine : Engine
    ours : tuple of str
        Names of its keypoints after renaming, in their order.
    labels : LabelSet
        After renaming.
    crop : Crop or None
    settings : BackendSettings
    """
    own = {new: old for new, old in zip(ours, engine.manifest.names, strict=True) if new in labels.keypoints}
    with PictureTracker(engine, settings, crop) as tracker:
        try:
            return measure(tracker, labels.arranged(list(own)).renamed(own))
        except DataError:
            return None
