"""A look at labels before time is spent on learning them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from rtface.config import BackendSettings
from rtface.core.records import Crop
from rtface.learn.engines.accuracy import EngineErrors
from rtface.learn.guided.measuring import measured_on
from rtface.learn.labels.how_many import FRAMES_TO_LABEL
from rtface.learn.labels.keypoint_changes import KeypointChanges
from rtface.learn.labels.label_views import odd_recordings, unknown_to
from rtface.learn.labels.labelset import LabelSet
from rtface.track.store import Engine

FAR_SHARE = 0.1
"""Median distance between labels and what the engine finds, over its input's size, beyond which something is wrong or new."""

FEW_LABELS = 10
"""Labels of a new keypoint below which it is called few."""

_UNTOUCHED_PX = 0.01


@dataclass(frozen=True, slots=True)
class LabelCheck:
    """What labels hold, and what to think of before learning them.

    Attributes
    ----------
    frames : int
    recordings : dict of str to int
        Frames by recording.
    keypoints : dict of str to int
        Labels by keypoint, after renaming.
    new : tuple of str
        Keypoints that the engine has not.
    distance_px : float or None
        Median distance between labels and what the engine finds before it learns, in camera pixels; None where they
        share no keypoint.
    warnings : tuple of str
        What may be wrong.
    serious : tuple of str
        Those of the warnings that say that labels may be wrong, not just few: to be answered before time is spent.
    """

    frames: int
    recordings: dict[str, int]
    keypoints: dict[str, int]
    new: tuple[str, ...]
    distance_px: float | None
    warnings: tuple[str, ...]
    serious: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it in JSON's types."""
        return asdict(self)


def check_labels(
    labels: LabelSet, engine: Engine, changes: KeypointChanges, crop: Crop | None, settings: BackendSettings
) -> LabelCheck:
    """Look at labels, and at how far they are from what the engine finds.

    Raises
    ------
    UsageError
        A keypoint's name is unknown, it is not said what is to become of one, or the crop reaches beyond a frame.
    DataError
        There are more frames than adapting is made for.
    """
    from rtface.learn.tracker.adapt_request import check_frames

    ours = changes.engine_names(engine.manifest.names, labels.keypoints)
    named = changes.label_set(labels)
    wanted = named.arranged(changes.wanted(ours, named.keypoints))
    check_frames(wanted)
    trained = {name for name, entry in zip(ours, engine.manifest.keypoints, strict=True) if entry.trained}
    counts = {name: wanted.arranged([name]).labels for name in wanted.labelled}
    new = tuple(name for name in wanted.labelled if name not in trained)
    measured = measured_on(engine, ours, named, crop, settings)
    columns = {name: place for place, name in enumerate(ours)}
    views = [
        *odd_recordings(wanted, crop),
        *unknown_to(engine, wanted, crop, columns=columns, settings=settings),
    ]
    wrong = _wrong(engine, measured, told=bool(views))
    serious = (*labels.notes, *views, *wrong)
    return LabelCheck(
        frames=len(wanted),
        recordings={video: len(wanted.only([video])) for video in wanted.videos},
        keypoints=counts,
        new=new,
        distance_px=None if measured is None else _median(measured.distance),
        warnings=(*serious, *_few(wanted, counts, new)),
        serious=serious,
    )


def _few(labels: LabelSet, counts: dict[str, int], new: tuple[str, ...]) -> list[str]:
    """Say what there is too little of."""
    from rtface.learn.tracker.adapt_request import FEWEST_TO_HOLD_OUT

    warnings = []
    if empty := sum(bool(np.isnan(frame.xy).any(axis=1).all()) for frame in labels.frames):
        warnings.append(f"{empty} of {len(labels)} frames have no label: fill them in, or they teach little")
    if len(labels) < FEWEST_TO_HOLD_OUT:
        warnings.append(
            f"{len(labels)} frames are too few to hold any out: how good the engine becomes will not be known; "
            f"label {FRAMES_TO_LABEL}"
        )
    if few := [f"{name} ({counts[name]})" for name in new if counts[name] < FEW_LABELS]:
        warnings.append(f"few labels of a new keypoint, which learns from them alone: {', '.join(few)}")
    return warnings


def _wrong(engine: Engine, measured: EngineErrors | None, *, told: bool) -> list[str]:
    """Say what an engine's own points let one doubt of the labels."""
    warnings: list[str] = []
    if measured is None:
        return warnings
    same = (measured.distance <= _UNTOUCHED_PX).sum(axis=0)
    known = (~np.isnan(measured.distance)).sum(axis=0)
    names = measured.labels.keypoints
    if untouched := [
        name for name, equal, all_ in zip(names, same, known, strict=True) if all_ and equal > all_ / 2
    ]:
        warnings.append(
            f"most labels of {', '.join(untouched)} are exactly what {engine.manifest.name} finds: guesses that nobody "
            "moved teach nothing; move or delete them"
        )
    off = _median(measured.network_distance)
    if not told and off is not None and off > FAR_SHARE * engine.manifest.input.size:
        warnings.append(
            f"{engine.manifest.name} is far from these labels before it learns (median {_median(measured.distance):.0f} px): "
            "are they of this rig, is --crop the face, do the names mean the same? If so, it needs more frames"
        )
    return warnings


def _median(distance: np.ndarray[Any, Any]) -> float | None:
    return None if np.isnan(distance).all() else round(float(np.nanmedian(distance)), 2)
