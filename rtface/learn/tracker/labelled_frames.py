"""Labelled frames as training takes them: as pictures to draw samples from, split into training and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rtface.core.errors import DataError
from rtface.core.records import Crop
from rtface.learn.labels.labelset import LabelSet
from rtface.learn.tracker.samples import Picture, prepare


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
    """Split a label set into frames to train on and frames to test on.

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
    training, test : LabelSet

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
    test = tuple(frame for index, frame in enumerate(labels.frames) if index in chosen)
    return replace(labels, frames=training), replace(labels, frames=test)


def recordings_apart(labels: LabelSet, share: float, seed: int) -> tuple[str, ...]:
    """Return recordings to hold out whole, drawn at random until they have a share of the frames.

    Parameters
    ----------
    labels : LabelSet
    share : float
        Of the frames, 0 to 1; at least one recording where it is above 0, and one at least is left to train on.
    seed : int
        Of the drawing.

    Returns
    -------
    tuple of str
        Their names, sorted; none where there is one recording alone.
    """
    videos = labels.videos
    if share <= 0 or len(videos) < 2:
        return ()
    counts = dict.fromkeys(videos, 0)
    for frame in labels.frames:
        counts[frame.video] += 1
    chosen: list[str] = []
    for place in np.random.default_rng(seed).permutation(len(videos))[:-1]:
        if chosen and sum(counts[name] for name in chosen) >= share * len(labels):
            break
        chosen.append(videos[place])
    return tuple(sorted(chosen))
