"""What the engine that is to be adapted brings: its weights, and what it finds in the frames itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rtface.config import BackendSettings
from rtface.core.errors import EngineError
from rtface.core.records import Crop
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.pseudo_labels import PLAIN, SHIFTS, PseudoLabels, full_score, pseudo_label, weights
from rtface.learn.tracker.samples import Picture
from rtface.track.comparison import exported_from
from rtface.track.manifest import WEIGHTS_FILE
from rtface.track.store import Engine

_UNTOUCHED_PX = 0.01


def source_of(engine: Engine) -> Engine:
    """Return the engine whose weights can be trained: itself, or the one it was exported from.

    Raises
    ------
    EngineError
        There is none, or it is gone or was changed.
    """
    if WEIGHTS_FILE in engine.manifest.files:
        return engine
    if "exported_from" not in engine.manifest.training:
        raise EngineError(
            f"{engine.manifest.name} has no {WEIGHTS_FILE}, so it cannot be trained; adapt an engine that has"
        )
    return source_of(exported_from(engine))


def untouched_guesses(
    engine: Engine, crop: Crop | None, labels: LabelSet, columns: Mapping[str, int]
) -> list[str]:
    """Return the keypoints most of whose labels are what the engine finds, to a hundredth of a pixel."""
    own = [name for name in labels.labelled if name in columns]
    if not own:
        return []
    found = _pseudo_label(engine, crop, labels, PLAIN).xy[:, [columns[name] for name in own]]
    xy = np.stack([frame.xy for frame in labels.arranged(own).frames])
    same = (np.abs(xy - found).max(axis=2) <= _UNTOUCHED_PX).sum(axis=0)
    known = (~np.isnan(xy).any(axis=2)).sum(axis=0)
    return [name for name, equal, all_ in zip(own, same, known, strict=True) if equal > all_ / 2]


def with_pseudo_labels(
    engine: Engine,
    crop: Crop | None,
    labels: LabelSet,
    manual: Sequence[Picture],
    places: Sequence[tuple[int, int]],
) -> list[Picture]:
    """Return the pictures with the parent's pseudo-labels for some keypoints, as pairs of their place and the parent's."""
    if not places:
        return list(manual)
    ours, theirs = (list(each) for each in zip(*places, strict=True))
    found = _pseudo_label(engine, crop, labels, SHIFTS)
    worth = weights(found, full_score(engine, found.score))
    pictures = []
    for picture, points, counts in zip(manual, found.xy, worth, strict=True):
        xy, weight = picture.xy.copy(), picture.weight.copy()
        xy[ours], weight[ours] = points[theirs], counts[theirs]
        pictures.append(replace(picture, xy=xy, weight=weight))
    return pictures


def _pseudo_label(
    engine: Engine, crop: Crop | None, labels: LabelSet, shifts: Sequence[tuple[int, int]]
) -> PseudoLabels:
    frames = {place: frame.image for place, frame in enumerate(labels.frames)}
    return pseudo_label(engine, frames, BackendSettings(), crop, shifts=shifts)
