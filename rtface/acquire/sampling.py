"""Evenly spaced frames of a recording, or of a rig's camera."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from rtface.acquire.base import Camera, EndOfStream
from rtface.acquire.factory import make_camera
from rtface.config import (
    CameraSettings,
    ImagesCameraSettings,
    SimulatedCameraSettings,
    VideoCameraSettings,
)
from rtface.core.clock import NS_PER_S
from rtface.core.errors import CameraLostError, DataError, UsageError
from rtface.core.records import CameraInfo, FrameMeta, Image

_FILL_S = 1.0
_SILENT_S = 10.0


@contextmanager
def played(settings: CameraSettings) -> Iterator[tuple[CameraInfo, Iterator[tuple[Image, FrameMeta]]]]:
    """Open a camera, and close it at the end; give what it is, and its frames to their end, always in the same memory."""
    camera = make_camera(settings)
    try:
        info = camera.open()
        yield info, _frames(camera, info, np.zeros((info.height, info.width), np.uint8))
    finally:
        camera.stop()
        camera.close()


def _frames(camera: Camera, info: CameraInfo, out: Image) -> Iterator[tuple[Image, FrameMeta]]:
    camera.start()
    silent = 0
    while True:
        try:
            meta = camera.fill(out, _FILL_S)
        except EndOfStream:
            return
        if meta is not None:
            silent = 0
            yield out, meta
            continue
        silent += 1
        if info.live and silent * _FILL_S >= _SILENT_S:
            waits = (
                ""
                if info.trigger is None
                else f": it waits for triggers on {info.trigger.source}, so give some meanwhile"
            )
            raise CameraLostError(f"no frame of camera {info.label} came for {_SILENT_S:g} s{waits}")


def evenly_spaced(recording: CameraSettings, count: int) -> dict[int, Image]:
    """Read a recording once and return frames from its beginning to its end, at equal distances.

    Parameters
    ----------
    recording : VideoCameraSettings or ImagesCameraSettings
        What to play; not paced.
    count : int
        Most frames to return; no fewer than half of them, if the recording has as many.

    Returns
    -------
    dict of int to ndarray, shape (height, width), uint8
        By number, from 0.

    Raises
    ------
    CameraError
        The recording cannot be opened, or is damaged.
    DataError
        It has no frames.
    UsageError
        `count` is below 1.
    """
    if count < 1:
        raise UsageError(f"the number of frames must be 1 or more, not {count}")
    kept: dict[int, Image] = {}
    with played(recording) as (info, frames):
        step = max(1, -(-(info.frames or 0) // count))
        for number, (image, _) in enumerate(frames):
            if number % step:
                continue
            kept[number] = image.copy()
            if len(kept) > count:
                step *= 2
                kept = {each: one for each, one in kept.items() if each % step == 0}
    if not kept:
        raise DataError(f"{info.label} has no frames")
    return kept


def rig_frames(camera: CameraSettings, count: int, seconds: float = 10.0) -> dict[int, Image]:
    """Return frames of a rig's camera: of a recording all along it, of any other over some seconds.

    Parameters
    ----------
    camera : CameraSettings
        Of the rig; one that is simulated is not waited for.
    count : int
        Most frames to return.
    seconds : float
        For how long to watch a camera that does not end.

    Returns
    -------
    dict of int to ndarray, shape (height, width), uint8
        By number, from 0.

    Raises
    ------
    CameraError, DataError, UsageError
        As of `evenly_spaced`.
    """
    if isinstance(camera, VideoCameraSettings | ImagesCameraSettings):
        rate_hz = None if isinstance(camera, VideoCameraSettings) else camera.rate_hz
        return evenly_spaced(
            camera.model_copy(update={"paced": False, "loop": False, "rate_hz": rate_hz}), count
        )
    if isinstance(camera, SimulatedCameraSettings):
        frames = round(seconds * camera.frames_hz)
        return evenly_spaced(camera.model_copy(update={"paced": False, "frames": frames}), count)
    return _watched(camera, count, seconds)


def _watched(settings: CameraSettings, count: int, seconds: float) -> dict[int, Image]:
    kept: dict[int, Image] = {}
    end_ns = 0
    with played(settings) as (info, frames):
        step = max(1, round((info.rate_hz or 0) * seconds / count))
        for number, (image, meta) in enumerate(frames):
            end_ns = end_ns or meta.arrival_ns + round(seconds * NS_PER_S)
            if number % step == 0:
                kept[number] = image.copy()
            if len(kept) == count or meta.arrival_ns >= end_ns:
                break
    return kept
