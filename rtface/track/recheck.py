"""Whether what runs after a start, or with another crop, still finds what it found when it was verified."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from rtface.core.errors import EngineError
from rtface.core.records import Crop, FloatArray, Image
from rtface.track.backends.base import BackendInfo
from rtface.track.parity import (
    LIMITS,
    ParityRecord,
    ShiftSummary,
    find_parity,
    require_parity,
    verify_command,
)
from rtface.track.sample import ParitySample
from rtface.track.shifts import shifts_of
from rtface.track.store import Engine


@dataclass(frozen=True, slots=True)
class Recheck:
    """How the frames of the parity record came out now.

    Attributes
    ----------
    text : str
        In words; empty where there is no record, or an older one without frames.
    agrees : bool
        False where they came out otherwise, or are damaged: then nothing may be armed.
    """

    text: str = ""
    agrees: bool = True


def recheck(
    engine: Engine,
    info: BackendInfo,
    frame_shape: tuple[int, int],
    crop: Crop,
    find: Callable[[Image], FloatArray],
    wanted: Crop | None = None,
) -> Recheck:
    """Run the frames of the parity record, if it has some for this size of frame and crop, and compare.

    Parameters
    ----------
    engine : Engine
        What runs.
    info : BackendInfo
        What runs it, prepared for:
    frame_shape : tuple of int
        Rows and columns of a camera frame.
    crop : Crop
        The part of it that the network is shown.
    find : callable
        Returns the keypoints of a frame, in pixels of the network's input.
    wanted : Crop, optional
        The same in the camera's frame, where the network is shown a mirrored one.
    """
    command = partial(verify_command, engine, info, wanted or crop)
    try:
        record = find_parity(engine, info).record
    except OSError:  # the engine's own files are gone: it runs on, and there is no record of it
        return Recheck()
    if record is None or not record.agrees or record.sample is None:
        return Recheck()
    try:
        sample = record.read_sample()
    except EngineError as error:
        return Recheck(f"{error}; run: {command()}", False)
    if not _of_one_size(sample, frame_shape, crop):
        box, (rows, cols) = sample.crop, sample.frames.shape[1:]
        return Recheck(
            f"not compared again at this start, with a crop of {crop.width}x{crop.height}: it was verified with "
            f"{box.width}x{box.height} of {cols}x{rows}"
        )
    return _compared(engine, command, record, sample, crop, find)


def require_as_verified(engine: Engine, info: BackendInfo, now: Recheck) -> str:
    """Return in words how an engine agrees with its reference, by its record and by this start.

    Raises
    ------
    EngineError
        As of `require_parity`, or the record's frames come out otherwise now.
    """
    record = require_parity(engine, info)
    if not now.agrees:
        raise EngineError(now.text)
    return f"{record.in_words()}; {now.text}" if now.text else record.in_words()


def _of_one_size(sample: ParitySample, frame_shape: tuple[int, int], crop: Crop) -> bool:
    box = sample.crop
    return sample.frames.shape[1:] == frame_shape and (box.width, box.height) == (crop.width, crop.height)


def _compared(
    engine: Engine,
    command: Callable[[], str],
    record: ParityRecord,
    sample: ParitySample,
    crop: Crop,
    find: Callable[[Image], FloatArray],
) -> Recheck:
    manifest = engine.manifest
    found = np.stack([find(sample.moved(frame, crop)).copy() for frame in sample.frames])
    frame = manifest.network_frame(crop)
    offset = np.array([crop.x - sample.crop.x, crop.y - sample.crop.y], np.float32)
    shifts = shifts_of(
        manifest,
        frame.to_camera(found[..., :2]) - offset,
        found[..., 2],
        sample.xy,
        sample.score,
        frame.scale,
    )
    of_shift, of_score = ShiftSummary.of(shifts.px), ShiftSummary.of(shifts.score)
    figures = f"{len(found)} of the frames: median {of_shift.p50:.3f}, largest {of_shift.max:.2f} px, score {of_score.max:.3f}"
    if LIMITS.allow(of_shift, of_score, ShiftSummary.of_any(shifts.sure_px)):
        return Recheck(f"the same at this start on {figures}")
    return Recheck(
        f"{manifest.name} does not find at this start what it found when it was verified on {record.date}, on {figures} "
        f"(limits: {LIMITS.in_words()}): start again, or run: {command()}",
        False,
    )
