"""What the engine that is to be adapted brings: its weights, and what it finds in the frames itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from rtface.config import BackendSettings
from rtface.core.errors import EngineError
from rtface.core.records import Crop, Image
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.pseudo_labels import PLAIN, SHIFTS, Taught, full_score, teach, weights
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
    same, known = np.zeros(len(own), int), np.zeros(len(own), int)
    for places, found in _predict(engine, crop, labels.arranged(own), PLAIN) if own else ():
        xy = np.stack([labels.arranged(own).frames[place].xy for place in places])
        distance = np.abs(xy - found.xy[:, [columns[name] for name in own]]).max(axis=2)
        same += (distance <= _UNTOUCHED_PX).sum(axis=0)
        known += (~np.isnan(xy).any(axis=2)).sum(axis=0)
    return [name for name, equal, all_ in zip(own, same, known, strict=True) if equal > all_ / 2]


def taught_besides(
    engine: Engine,
    crop: Crop | None,
    labels: LabelSet,
    manual: Sequence[Picture],
    places: Sequence[tuple[int, int]],
) -> list[Picture]:
    """Return the pictures with what the parent finds as labels of some keypoints: (their place, the parent's)."""
    if not places:
        return list(manual)
    ours, theirs = (list(each) for each in zip(*places, strict=True))
    pictures = list(manual)
    for frames, found in _predict(engine, crop, labels, SHIFTS):
        worth = weights(found, full_score(engine, found.score))
        for row, frame in enumerate(frames):
            xy, weight = manual[frame].xy.copy(), manual[frame].weight.copy()
            xy[ours], weight[ours] = found.xy[row, theirs], worth[row, theirs]
            pictures[frame] = replace(manual[frame], xy=xy, weight=weight)
    return pictures


def _predict(
    engine: Engine, crop: Crop | None, labels: LabelSet, shifts: Sequence[tuple[int, int]]
) -> list[tuple[list[int], Taught]]:
    return [
        (list(frames), teach(engine, frames, BackendSettings(), crop, shifts=shifts))
        for frames in _by_size(labels)
    ]


def _by_size(labels: LabelSet) -> list[dict[int, Image]]:
    """Return the frames by their places, those of one size together."""
    groups: dict[tuple[int, ...], dict[int, Image]] = {}
    for place, frame in enumerate(labels.frames):
        groups.setdefault(frame.image.shape, {})[place] = frame.image
    return list(groups.values())
