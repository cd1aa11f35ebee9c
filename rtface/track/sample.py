"""A few frames of a parity record and what the reference found in them: what each start is held against.

A network that was verified once may be computed by other algorithms at the next start: torch searches for the fastest
convolutions, TensorRT for RTX compiles on the card. The record's figures cannot tell; its frames can.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import EngineError
from rtface.core.files import written_whole
from rtface.core.records import Crop, FloatArray, Image

SAMPLED = 4
"""Frames: enough to see another algorithm on 60 points, few enough to be run in the time of a start."""

_QUIETEST = 0.75
"""The share of the frames, by their largest shift, that a sample is taken from: in the others rounding decides a point."""


@dataclass(frozen=True, slots=True)
class ParitySample:
    """Frames of a recording, and their keypoints by the float reference.

    Attributes
    ----------
    frames : ndarray, shape (n, height, width), uint8
        Whole camera frames.
    crop : Crop
        The part of them that the network was shown.
    xy : ndarray, shape (n, K, 2), float32
        By the reference, in camera pixels.
    score : ndarray, shape (n, K), float32
        By the reference.
    """

    frames: NDArray[np.uint8]
    crop: Crop
    xy: FloatArray
    score: FloatArray

    def moved(self, frame: Image, crop: Crop) -> Image:
        """Return one of the frames with its face in a crop of the same size elsewhere; what leaves comes in opposite."""
        return np.ascontiguousarray(np.roll(frame, (crop.y - self.crop.y, crop.x - self.crop.x), (0, 1)))


def choose_frames(shift: NDArray[np.float64]) -> list[int]:
    """Choose which of the frames of a comparison make its sample.

    Parameters
    ----------
    shift : ndarray, shape (n, K)
        Of each keypoint in each frame.

    Returns
    -------
    list of int
        At most `SAMPLED` rows, evenly over those that moved little, in the order of the frames.
    """
    order = np.argsort(shift.max(axis=1), kind="stable")
    quiet = order[: max(1, round(len(order) * _QUIETEST))]
    places = np.linspace(0, len(quiet) - 1, min(SAMPLED, len(quiet))).round().astype(int)
    return sorted(int(quiet[place]) for place in places)


def write_sample(sample: ParitySample, record: Path) -> str:
    """Keep a sample beside its record, in place of an earlier one, and return its hash; `OSError` if that cannot be.

    The record must be written afterwards: until then the old one finds its frames, or none.
    """
    buffer, box = io.BytesIO(), sample.crop
    crop = np.array([box.x, box.y, box.width, box.height], np.int32)
    np.savez_compressed(buffer, frames=sample.frames, crop=crop, xy=sample.xy, score=sample.score)
    sha256 = hashlib.sha256(buffer.getbuffer()).hexdigest()
    with written_whole(_file_of(record, sha256)) as fresh:
        fresh.write_bytes(buffer.getbuffer())
    return sha256


def forget_others(record: Path, sha256: str | None) -> None:
    """Remove the samples of earlier records of one name."""
    for path in record.parent.glob(f"{record.stem}-*.npz"):
        if sha256 is None or path != _file_of(record, sha256):
            path.unlink(missing_ok=True)


def read_sample(record: Path, sha256: str) -> ParitySample:
    """Return the sample of a record.

    Raises
    ------
    EngineError
        It is gone, or is not what was written.
    """
    path = _file_of(record, sha256)
    try:
        data = path.read_bytes()
        if hashlib.sha256(data).hexdigest() != sha256:
            raise EngineError(f"the frames of a parity record, {path}, are damaged or were changed")
        with np.load(io.BytesIO(data), allow_pickle=False) as kept:
            return ParitySample(kept["frames"], _box(kept["crop"]), kept["xy"], kept["score"])
    except OSError as error:
        raise EngineError(
            f"the frames of a parity record, {path}, cannot be read: {error.strerror}"
        ) from error
    except (BadZipFile, KeyError, ValueError, TypeError) as error:
        raise EngineError(f"the frames of a parity record, {path}, are damaged: {error}") from error


def _file_of(record: Path, sha256: str) -> Path:
    return record.with_name(f"{record.stem}-{sha256[:16]}.npz")


def _box(numbers: NDArray[np.int32]) -> Crop:
    x, y, width, height = map(int, numbers)
    return Crop(x, y, width, height)
