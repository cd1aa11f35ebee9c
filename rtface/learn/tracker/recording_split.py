"""Recordings split in time: their beginnings to train on, their ends to test on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rtface.acquire.recording import source_settings
from rtface.acquire.sampling import evenly_spaced
from rtface.config import ImagesCameraSettings, VideoCameraSettings
from rtface.core.errors import DataError
from rtface.core.files import printable
from rtface.core.geometry import check_crop, whole_frame
from rtface.core.records import Crop, Image

HELD_OUT = 0.18
"""Share of a recording, its end, that is tested on."""

GUARD = 0.02
"""Share of it before that which is not used, so that no frame that is trained on neighbours one that is tested on."""

FEWEST_FRAMES = 8


@dataclass(frozen=True, slots=True)
class RecordingSplit:
    """Evenly spaced frames of one recording.

    Attributes
    ----------
    name : str
        Its file's or folder's.
    recording : VideoCameraSettings or ImagesCameraSettings
        How to read it again.
    training, test : dict of int to ndarray, shape (height, width), uint8
        Frames by number, from 0; all of `test` come after all of `training`.
    first : int
        Number of the first frame of the held-out end.
    """

    name: str
    recording: VideoCameraSettings | ImagesCameraSettings
    training: dict[int, Image]
    test: dict[int, Image]
    first: int


def split_recording(path: Path, count: int, crop: Crop | None) -> RecordingSplit:
    """Read a recording once and keep evenly spaced frames of it.

    Parameters
    ----------
    path : Path
        A video file or a folder of images.
    count : int
        Most frames to train on, about; no fewer than half of them, if the recording has as many.
    crop : Crop or None
        What the networks are to be shown; refused here if it reaches beyond the frames.

    Raises
    ------
    CameraError
        The recording cannot be opened, or is damaged.
    DataError
        There is none, or it has fewer than `FEWEST_FRAMES` frames.
    UsageError
        The crop reaches beyond the frames.
    """
    recording = source_settings(path)
    frames = evenly_spaced(recording, max(FEWEST_FRAMES, round(count / (1 - HELD_OUT - GUARD))))
    if len(frames) < FEWEST_FRAMES:
        raise DataError(f"{path} has {len(frames)} frames; {FEWEST_FRAMES} or more are needed")
    height, width = next(iter(frames.values())).shape
    check_crop(crop or whole_frame(width, height), width, height)
    numbers = list(frames)
    total = numbers[-1] + numbers[1] - numbers[0]
    first = round((1 - HELD_OUT) * total)
    last = min(first - 2, round((1 - HELD_OUT - GUARD) * total) - 1)
    return RecordingSplit(
        printable(path.name),
        recording,
        {number: image for number, image in frames.items() if number <= last},
        {number: image for number, image in frames.items() if number >= first},
        first,
    )
