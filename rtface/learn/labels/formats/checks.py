"""What every reader of labels checks, with the file and the line or frame in each message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isinf
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rtface.acquire.picturefile import depth_of, read_page, to_8_bits
from rtface.core.errors import DataError
from rtface.core.files import printable
from rtface.core.records import Image
from rtface.learn.labels.labelset import LabelledFrame, LabelSet


@dataclass(frozen=True, slots=True)
class Row:
    """One labelled frame as a file has it, not yet checked.

    Attributes
    ----------
    where : str
        The file and the line or frame, for messages.
    name, video : str
        As in `LabelledFrame`.
    image : ndarray, shape (height, width), uint8
    xy : ndarray, shape (K, 2), float64
        Pixels of the image; NaN in both coordinates where there is no label.
    """

    where: str
    name: str
    video: str
    image: Image
    xy: NDArray[np.float64]


class Nothing:
    """A row with neither an image nor a label; it is left out and counted."""


NOTHING_THERE = Nothing()

Fault = DataError | Nothing
"""What a reader yields in place of a row."""

_SHOWN = 20


def gather(source: Path, keypoints: Sequence[str], rows: Iterable[Row | Fault]) -> LabelSet:
    """Check frames and return them as a set, with notes on what looks wrong but may be right.

    Raises
    ------
    DataError
        A label lacks one coordinate, is infinite or lies outside its image, a frame is there twice, or a keypoint has
        no name. All faults of the set are in the one message, the first 20 in full.
    """
    if "" in keypoints:
        raise DataError(f"{source}: a keypoint has no name")
    first: dict[tuple[str, str], str] = {}
    frames, faults, empty = [], [], 0
    for row in rows:
        if isinstance(row, Nothing):
            empty += 1
            continue
        try:
            if isinstance(row, DataError):
                raise row
            key = row.video, row.name
            if key in first:
                raise DataError(
                    f"{row.where}: frame {row.name!r} of video {row.video!r} was labelled before, "
                    f"at {first[key]}: a duplicate row"
                )
            first[key] = row.where
            _check_points(row, keypoints)
        except DataError as error:
            faults.append(str(error))
            continue
        name, video = printable(row.name), printable(row.video)
        frames.append(LabelledFrame(name, video, row.image, row.xy.astype(np.float32)))
    if len(faults) == 1:
        raise DataError(faults[0])
    if faults:
        more = f"\n... and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise DataError(f"{source}: {len(faults)} faults:\n" + "\n".join(faults[:_SHOWN]) + more)
    notes = [f"{source}: {empty} rows with neither image nor label are left out"] if empty else []
    notes += _doubtful(source, keypoints, frames)
    return LabelSet(tuple(keypoints), tuple(frames), tuple(notes))


def _doubtful(source: Path, keypoints: Sequence[str], frames: Sequence[LabelledFrame]) -> list[str]:
    """Say which keypoints have labels at (0, 0), or all labels at one place: a line for each of the two."""
    at_zero, at_one = [], []
    for index, keypoint in enumerate(keypoints):
        xy = np.array([frame.xy[index] for frame in frames if not np.isnan(frame.xy[index]).any()]).reshape(
            -1, 2
        )
        zeros = int((xy == 0).all(axis=1).sum())
        if zeros:
            at_zero.append(f"{keypoint} is at (0, 0) in {zeros} of its {len(xy)} labels")
        elif len(xy) >= 3 and (xy == xy[0]).all():
            at_one.append(f"{keypoint} is at ({xy[0, 0]:g}, {xy[0, 1]:g}) in all its {len(xy)} labels")
    notes = []
    if at_zero:
        notes.append(f"{source}: {', '.join(at_zero)}: if that means not seen, leave the cells empty")
    if at_one:
        notes.append(f"{source}: {', '.join(at_one)}")
    return notes


def read_image(path: Path, where: str) -> Image:
    """Return an image file as 8-bit gray, of the same values as the camera that plays images.

    Raises
    ------
    DataError
        The file is missing or no image.
    """
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{where}: the image {path} is missing") from None
    except OSError as error:
        raise DataError(f"{where}: the image {path} cannot be read: {error.strerror}") from error
    image = read_page(data, 0)
    if image is None:
        raise DataError(f"{where}: {path} cannot be read as an image")
    return to_8_bits(image, depth_of([image]), f"{where}: {path}")


def check_size(image: Image, width: int, height: int, where: str) -> None:
    """Raise DataError when an image has another size than its labels were made for."""
    if image.shape != (height, width):
        raise DataError(
            f"{where}: the image has {image.shape[1]}x{image.shape[0]} pixels, its labels are of "
            f"{width}x{height}; use the image that was labelled"
        )


def number(text: str, what: str, where: str) -> float:
    """Return a cell's number, NaN for an empty cell or ``nan``; DataError for any other text."""
    if not text.strip():
        return float("nan")
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{where}: {what} is {text!r}, not a number") from None


def _check_points(row: Row, keypoints: Sequence[str]) -> None:
    height, width = row.image.shape
    for keypoint, (x, y) in zip(keypoints, row.xy.tolist(), strict=True):
        missing = np.isnan([x, y])
        if missing.all():
            continue
        if missing.any():
            raise DataError(f"{row.where}: {keypoint} has {'y but no x' if missing[0] else 'x but no y'}")
        if isinf(x) or isinf(y):
            raise DataError(f"{row.where}: {keypoint} at ({x:g}, {y:g}) is not finite")
        if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
            raise DataError(
                f"{row.where}: {keypoint} at ({x:g}, {y:g}) is outside the image of {width}x{height} pixels"
            )
