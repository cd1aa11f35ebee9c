"""Some frames of a camera, to see how they come; one that waits for triggers is waited for."""

from __future__ import annotations

import numpy as np

from rtface.acquire.base import Camera, EndOfStream
from rtface.core.clock import NS_PER_S, Clock
from rtface.core.records import CameraInfo, FrameMeta

_FRAME_S = 2.0
_PAUSE_S = 10.0


def patience_s(info: CameraInfo) -> float:
    """Return for how long to wait for a frame, in seconds: over a pause between trials, if that is not long."""
    if info.trigger is None:
        return _FRAME_S
    pause_s = info.trigger.longest_pause_s
    return _FRAME_S + min(_PAUSE_S, _PAUSE_S if pause_s is None else pause_s)


def some_frames(camera: Camera, info: CameraInfo, most: int, clock: Clock) -> list[FrameMeta]:
    """Start an open camera, take frames, and stop it.

    Parameters
    ----------
    camera : Camera
    info : CameraInfo
        As it was opened.
    most : int
        Frames to take, if they come: none is waited for longer than `patience_s`, and all together for little longer than
        that and a pause.
    clock : Clock
    """
    frame = np.zeros((info.height, info.width), np.uint8)
    found: list[FrameMeta] = []
    camera.start()
    end_ns = clock.now_ns() + round((patience_s(info) + _PAUSE_S) * NS_PER_S)
    try:
        while len(found) < most and (info.trigger is None or len(found) < 2 or clock.now_ns() < end_ns):
            meta = camera.fill(frame, patience_s(info))
            if meta is None:
                break
            found.append(meta)
    except EndOfStream:
        pass
    finally:
        camera.stop()
    return found
