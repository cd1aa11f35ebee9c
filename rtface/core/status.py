"""What a pipeline says of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rtface.core.clockfit import ClockLine
from rtface.core.latency import StageSummary
from rtface.core.records import Losses


class PipelineState(StrEnum):
    """What the pipeline is doing.

    ``stopped``: the camera is paused and may be started again, or it was lost and is being opened anew (`Gap`).
    ``ended``: the source delivered its last frame, or
    the pipeline was stopped for good.
    """

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without a camera: it was lost, and opened anew or not.

    Attributes
    ----------
    begun_ns : int
        When it was known to be lost.
    why : str
        What was lost, and how.
    last_frame_id : int or None
        The last frame before; None if there was none.
    ended_ns : int or None
        When the first frame after it was taken; None while it lasts.
    first_frame_id : int or None
        That frame. Numbers go on from those before, with at least one left out.
    tries : int
        How often it was opened, or tried to be.
    """

    begun_ns: int
    why: str
    last_frame_id: int | None = None
    ended_ns: int | None = None
    first_frame_id: int | None = None
    tries: int = 0

    @property
    def event(self) -> str:
        """What became of the camera: ``lost`` or ``back``."""
        return "lost" if self.ended_ns is None else "back"

    def as_map(self) -> dict[str, Any]:
        """Return plain values, for messages."""
        return {
            "event": self.event,
            "begun_ns": self.begun_ns,
            "why": self.why,
            "last_frame_id": self.last_frame_id,
            "ended_ns": self.ended_ns,
            "first_frame_id": self.first_frame_id,
            "tries": self.tries,
        }


@dataclass(frozen=True, slots=True)
class PipelineStatus:
    """A snapshot of the pipeline.

    Attributes
    ----------
    state : PipelineState
    rate_hz : float
        Poses per second over the last full second; of a live camera, by the times of their exposure.
    frames : int
        Poses since the start.
    losses : Losses
        Frames lost since the start, by place.
    latency : dict of str to StageSummary
        Percentiles by stage.
    error : str or None
        What ended the pipeline, if it was an error.
    camera_clock : ClockLine or None
        How the camera's clock maps to the host's; None where it has none.
    view_ok : float
        Median of `rtface.core.records.Pose.view_ok` over the last full second; NaN before that, without frames in it, and
        from an engine that keeps no view.
    gap : Gap or None
        While the camera is lost and being opened anew.
    """

    state: PipelineState
    rate_hz: float
    frames: int
    losses: Losses
    latency: dict[str, StageSummary]
    error: str | None
    camera_clock: ClockLine | None = None
    view_ok: float = math.nan
    gap: Gap | None = None
