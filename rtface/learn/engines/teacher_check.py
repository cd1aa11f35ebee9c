"""Whether a teacher is better than its pupil, by a person's labels: what it teaches is no better than it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rtface.config import BackendSettings
from rtface.core.records import Crop
from rtface.learn.engines.accuracy import measure
from rtface.learn.error_summary import error_summary
from rtface.learn.labels.labelset import LabelSet
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine

TEACHER = "teacher"


def on_labels(
    engines: Mapping[str, Engine], labels: LabelSet, crop: Crop | None, settings: BackendSettings
) -> dict[str, Any] | None:
    """Return how far engines lie from the same labels, in camera pixels.

    Parameters
    ----------
    engines : mapping of str to Engine
        By what they are here; one is the ``teacher``.
    labels : LabelSet
        With the engines' names of keypoints.
    crop : Crop or None
    settings : BackendSettings

    Returns
    -------
    dict or None
        For each of the engines what `error_summary` says of the labels for which all of them gave a place, with the
        engine's ``name``; ``better_than_teacher``, those whose median is below the teacher's. None where labels and all
        engines share no keypoint.
    """
    known = [{each.name for each in engine.manifest.keypoints if each.trained} for engine in engines.values()]
    shared = [name for name in labels.labelled if all(name in names for names in known)]
    if not shared:
        return None
    distances = {}
    for who, engine in engines.items():
        with PictureTracker(engine, settings, crop) as tracker:
            found = measure(tracker, labels.arranged(shared))
        # The columns are in the engine's order; the frames are the same, since the keypoints are.
        order = [found.labels.keypoints.index(name) for name in shared]
        distances[who] = found.distance[:, order]
    lacking = np.any([np.isnan(each) for each in distances.values()], axis=0)
    figures: dict[str, Any] = {
        who: {"name": engines[who].manifest.name, **error_summary(np.where(lacking, np.nan, each), shared)}
        for who, each in distances.items()
    }
    teacher = figures[TEACHER].get("median_px")
    better = [who for who in engines if teacher is not None and figures[who]["median_px"] < teacher]
    return {**figures, "better_than_teacher": better}


def doubts(compared: Mapping[str, Any] | None, who: str, because: str) -> str | None:
    """Say that the teacher is worse than another engine, or None where it is not.

    Parameters
    ----------
    compared : mapping or None
        Of `on_labels`.
    who : str
        The other engine.
    because : str
        What that one is to the teaching, and what to do.
    """
    if compared is None or who not in compared["better_than_teacher"]:
        return None
    teacher, other = compared[TEACHER], compared[who]
    return (
        f"by your labels the teacher {teacher['name']} is worse (median {teacher['median_px']:g} px of {teacher['n']} "
        f"labels) than {other['name']} ({other['median_px']:g} px), {because}"
    )
