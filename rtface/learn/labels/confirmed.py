"""Which labels are a network's guesses that a person confirmed where they lay: a file beside ``labels.csv``.

On such a label the network that guessed it is 0 px off, whatever it is worth: errors before and after learning are compared
without them. The page Label writes the file; who copies ``labels.csv`` alone loses nothing but that. An entry has the place
of its label, and counts only while the label lies there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rtface.core.errors import DataError
from rtface.core.files import printable
from rtface.learn.labels.labelset import LabelSet

CONFIRMED_FILE = "confirmed-guesses.json"

_SAME_PX = 1e-3


class ConfirmedGuess(NamedTuple):
    """A label that is a confirmed guess: its recording, frame and keypoint, and where it lies, in pixels of the frame."""

    video: str
    name: str
    keypoint: str
    x: float
    y: float


def confirmed_text(guesses: Iterable[ConfirmedGuess]) -> str:
    """Return the file's text."""
    lines = ",\n".join(printable(json.dumps(list(each), ensure_ascii=False)) for each in guesses)
    return f'{{"confirmed": [\n{lines}\n]}}\n'


def with_confirmed(labels: LabelSet, folder: Path) -> LabelSet:
    """Return a set in which the labels are marked that the file of its folder names; as it is where there is no such file.

    Raises
    ------
    DataError
        The file is damaged.
    """
    file = folder / CONFIRMED_FILE
    if not file.is_file():
        return labels
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
        guesses = [
            ConfirmedGuess(str(video), str(name), str(keypoint), float(x), float(y))
            for video, name, keypoint, x, y in read["confirmed"]
        ]
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{file} is damaged ({error}): delete it, then confirmed guesses count as points that were placed"
        ) from error
    where = {each[:3]: (each.x, each.y) for each in guesses}
    frames = []
    for frame in labels.frames:
        nowhere = (np.nan, np.nan)
        places = [where.get((frame.video, frame.name, keypoint), nowhere) for keypoint in labels.keypoints]
        there = np.array(places, np.float64).reshape(-1, 2)
        same: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = (
            np.abs(frame.xy - there).max(axis=1, initial=0) <= _SAME_PX
        )
        frames.append(replace(frame, confirmed=same))
    return replace(labels, frames=tuple(frames))
