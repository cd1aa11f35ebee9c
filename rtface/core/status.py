"""What a pipeline says of itself."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
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
class PtpStatus:
    """How a camera's clock follows a master's, by the Precision Time Protocol.

    Attributes
    ----------
    state : str
        ``Slave``, ``Master``, ``Listening``, ``Uncalibrated``, ``Faulty``, ...
    offset_ns : int or None
        The camera's clock less the master's; None where the camera does not tell.
    """

    state: str
    offset_ns: int | None


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """How a camera does, beside its frames.

    Attributes
    ----------
    problems : tuple of str
        What does not hold of what was asked for; while there is any, nothing is armed.
    clock : str
        Why exposures are times of arrival though the camera has a clock; empty while its stamps are believed.
    clock_steps : int
        How often its clock was set to another time.
    ptp : PtpStatus or None
        None where it is not watched.
    missed_triggers : int or None
        As in `rtface.core.records.Losses`.
    readings : mapping of str to float
        What the device and its driver tell of themselves, by name with its unit (``temperature_c``); what they do not tell is
        not there.
    """

    problems: tuple[str, ...] = ()
    clock: str = ""
    clock_steps: int = 0
    ptp: PtpStatus | None = None
    missed_triggers: int | None = None
    readings: Mapping[str, float] = field(default_factory=dict)

    def as_map(self) -> dict[str, Any]:
        """Return what is worth saying, for messages and the record; empty where all is well."""
        said: dict[str, Any] = {}
        if self.problems:
            said["problems"] = list(self.problems)
        if self.clock:
            said["clock"] = self.clock
        if self.clock_steps:
            said["clock_steps"] = self.clock_steps
        if self.ptp is not None:
            said["ptp"] = {"state": self.ptp.state, "offset_ns": self.ptp.offset_ns}
        if self.readings:
            said["readings"] = dict(self.readings)
        return said


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
    camera : CameraStatus
    camera_hz : float
        Frames per second that the camera exposes, those that were lost included and pauses between trials left out; NaN
        where that is not known yet.
    waits_s : float
        How long a camera that waits for triggers has got none; 0 while frames come.
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
    camera: CameraStatus = CameraStatus()
    camera_hz: float = math.nan
    waits_s: float = 0.0
    gap: Gap | None = None
