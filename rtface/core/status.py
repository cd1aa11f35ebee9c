"""What a pipeline says of itself."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from rtface.core.clockfit import ClockLine
from rtface.core.latency import StageSummary
from rtface.core.records import Losses


class PipelineState(StrEnum):
    """What the pipeline is doing.

    ``stopped``: the camera is paused and may be started again. ``ended``: the source delivered its last frame, or
    the pipeline was stopped for good.
    """

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    ENDED = "ended"
    FAILED = "failed"


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
    """

    state: PipelineState
    rate_hz: float
    frames: int
    losses: Losses
    latency: dict[str, StageSummary]
    error: str | None
    camera_clock: ClockLine | None = None
    view_ok: float = math.nan
