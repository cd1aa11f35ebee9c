"""Labels of another rig by mistake: told before a training, by how keypoints lie to each other and by what an engine finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rtface.config import BackendSettings
from rtface.core.errors import DataError
from rtface.core.geometry import NetworkFrame, whole_frame
from rtface.core.records import KNOWN_VIEW, Crop, FloatArray
from rtface.learn.engines.viewfit import fit_view
from rtface.learn.labels.labelset import LabelledFrame, LabelSet
from rtface.track.pictures import PictureTracker
from rtface.track.store import Engine
from rtface.track.view import FEWEST_POINTS, read_view
from rtface.track.viewcheck import ViewCheck

_SIZE = 256
"""Length that frames are brought to, so that sizes of faces compare as a network sees them."""
_MOST_FRAMES = 12
"""Of a recording that an engine is run on."""
_FAR = 0.5
"""Median distance of labels from what an engine finds in a view that it knows, over the size of the face: not the same frames."""


def odd_recordings(labels: LabelSet, crop: Crop | None) -> list[str]:
    """Return a line for each recording whose labels lie to each other otherwise than those of all others.

    Parameters
    ----------
    labels : LabelSet
    crop : Crop or None
        As the network will be shown.
    """
    if len(labels.videos) < 2:
        return []
    lines = []
    for video in labels.videos:
        here, others = labels.only([video]), labels.without([video])
        names = [name for name in _often_labelled(here) if name in others.labelled]
        if len(names) < FEWEST_POINTS:
            continue
        points = _as_outputs(here.arranged(names).frames, crop)
        rest = _as_outputs(others.arranged(names).frames, crop)
        try:
            view = fit_view(names, rest, points[:0], mirrored=rest * np.array([-1, 1, 1], np.float32))
        except DataError:  # the others differ too much from each other to tell
            continue
        check = ViewCheck(view, tuple(names))
        support = float(np.median([check.support(each)[0] for each in points]))
        if support < view.limit:
            lines.append(
                f"{video}: its labels do not lie to each other as those of the other recordings do ({len(here)} frames, support "
                f"{support:.2f}, at least {view.limit:.2f} is usual): is it of this rig, and are its keypoints named as theirs?"
            )
    return lines


def unknown_to(
    engine: Engine,
    labels: LabelSet,
    crop: Crop | None,
    *,
    columns: Mapping[str, int] | None = None,
    settings: BackendSettings | None = None,
) -> list[str]:
    """Return a line for each recording whose view an engine does not know, or in which it finds a face elsewhere.

    Parameters
    ----------
    engine : Engine
        What is to be adapted; nothing is told of one that keeps no view.
    labels : LabelSet
    crop : Crop or None
    columns : mapping of str to int, optional
        Place of each keypoint among the engine's, by the name that labels have for it; the engine's own names when None.
    settings : BackendSettings, optional
        What runs it.

    Raises
    ------
    BackendError, EngineError
        The engine cannot be run.
    """
    view, manifest = read_view(engine), engine.manifest
    if view is None:
        return []
    if columns is None:
        columns = {name: place for place, name in enumerate(manifest.names)}
    common = [
        name
        for name in labels.labelled
        if name in columns and manifest.names[columns[name]] in view.keypoints
    ]
    places = [columns[name] for name in common]
    lines = []
    with PictureTracker(engine, settings, crop) as tracker:
        for video in labels.videos:
            frames = labels.only([video]).arranged(common).frames
            views, apart = [], []
            for frame in frames[:: -(-len(frames) // _MOST_FRAMES)]:
                pose = tracker.track(frame.image)
                views.append(pose.view_ok)
                size = _size(pose.xy[places])
                if pose.view_ok >= KNOWN_VIEW and size > 0:
                    apart += (np.linalg.norm(pose.xy[places] - frame.xy, axis=1) / size).tolist()
            middle = float(np.median(views))
            if middle < KNOWN_VIEW:
                lines.append(
                    f"{video}: {manifest.name} does not know this view (view {middle:.2f}, {KNOWN_VIEW:g} and more is known): "
                    "its labels have to teach all of it. Are they of this rig, and is the crop the face?"
                )
            elif len(known := [each for each in apart if each == each]) and np.median(known) > _FAR:
                lines.append(
                    f"{video}: {manifest.name} knows this view and finds the keypoints far from their labels, by "
                    f"{np.median(known):.1f} of the face's size in the median: are these the labels of these frames?"
                )
    return lines


def _often_labelled(labels: LabelSet) -> list[str]:
    """Return the keypoints that have a label on at least half of the frames."""
    seen = np.mean([~np.isnan(frame.xy).any(axis=1) for frame in labels.frames], axis=0)
    return [name for name, part in zip(labels.keypoints, seen, strict=True) if part >= 0.5]


def _as_outputs(frames: Sequence[LabelledFrame], crop: Crop | None) -> FloatArray:
    """Return labels as an engine would give them, in pixels of an input: score 1 where there is one, else 0."""
    found = np.zeros((len(frames), len(frames[0].xy), 3), np.float32)
    for row, frame in zip(found, frames, strict=True):
        height, width = frame.image.shape
        seen = NetworkFrame(crop or whole_frame(width, height), _SIZE, True).to_network(frame.xy)
        here = ~np.isnan(seen).any(axis=1)
        row[here, :2], row[here, 2] = seen[here], 1.0
        row[~here, :2] = seen[here].mean(axis=0) if here.any() else 0.0
    return found


def _size(xy: FloatArray) -> float:
    return float(np.sqrt(((xy - xy.mean(axis=0)) ** 2).sum(axis=1).mean())) if len(xy) > 1 else 0.0
