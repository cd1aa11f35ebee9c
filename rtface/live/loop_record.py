"""What the loop records into: a session's recorder, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from rtface.core.clockfit import ClockLine
from rtface.core.decision import Decision
from rtface.core.features import Features
from rtface.core.latency import StageSummary
from rtface.core.outputs import Report
from rtface.core.records import Crop, FrameMeta, Image, Losses, Pose


class Record(Protocol):
    """What of `rtface.record.session.recorder.SessionRecorder` is needed here; no method waits but `close`."""

    @property
    def folder(self) -> Path | None:
        """Where it is; None for no record."""

    def features(self, frame_id: int, now_ns: int, features: Features, given: Features | None = None) -> None:
        """Record what the rules saw of a frame, and when."""

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """Record a call of the rules that no frame made, before the decisions that come of it."""

    def decision(self, decision: Decision) -> int:
        """Record a decision; return its number, -1 where it could not be recorded."""

    def pulse(
        self, decision: int, number: int, output: str, command: str, details: Mapping[str, Any] = ...
    ) -> None:
        """Record a command that is handed to an output."""

    def output(self, name: str, info: Mapping[str, Any]) -> None:
        """Record what an output says of itself."""

    def reply(self, report: Report, output: str) -> None:
        """Record what an output answered, or reported by itself."""

    def arming(
        self, event: str, who: str, why: str, details: Mapping[str, Any] = ..., t_ns: int | None = None
    ) -> None:
        """Record who allowed or forbade stimulation."""

    def mark(self, who: str, text: str, details: Mapping[str, Any] = ..., t_ns: int | None = None) -> None:
        """Record a remark."""

    def pose(self, pose: Pose) -> None:
        """Record a pose."""

    def published(self, frame_id: int, published_ns: int) -> None:
        """Record when a pose, which is recorded already, had been published."""

    def frame(self, image: Image, meta: FrameMeta) -> None:
        """Record a frame, where frames are recorded."""

    def losses(self, losses: Losses) -> None:
        """Record the counts of lost frames."""

    def latency(self, stages: Mapping[str, StageSummary]) -> None:
        """Record the percentiles so far."""

    def clock_fit(self, device: str, line: ClockLine) -> None:
        """Record how a device's clock maps to the host's."""

    def network(self, engine: str, backend: Mapping[str, Any], crop: Crop) -> None:
        """Record what finds the keypoints from here on."""

    def failed(self, what: str, text: str) -> None:
        """Record a fault of the rig."""

    def close(self, reason: str) -> bool:
        """Complete the record; True when all was written."""


class NoRecord:
    """Keeps nothing; good for an output without light."""

    folder = None

    def __init__(self) -> None:
        self._decisions = 0

    def features(self, frame_id: int, now_ns: int, features: Features, given: Features | None = None) -> None:
        """See `Record`."""

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """See `Record`."""

    def decision(self, decision: Decision) -> int:
        """Return the next number."""
        self._decisions += 1
        return self._decisions - 1

    def pulse(
        self, decision: int, number: int, output: str, command: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """See `Record`."""

    def output(self, name: str, info: Mapping[str, Any]) -> None:
        """See `Record`."""

    def reply(self, report: Report, output: str) -> None:
        """See `Record`."""

    def arming(
        self,
        event: str,
        who: str,
        why: str,
        details: Mapping[str, Any] | None = None,
        t_ns: int | None = None,
    ) -> None:
        """See `Record`."""

    def mark(
        self, who: str, text: str, details: Mapping[str, Any] | None = None, t_ns: int | None = None
    ) -> None:
        """See `Record`."""

    def pose(self, pose: Pose) -> None:
        """See `Record`."""

    def published(self, frame_id: int, published_ns: int) -> None:
        """See `Record`."""

    def frame(self, image: Image, meta: FrameMeta) -> None:
        """See `Record`."""

    def losses(self, losses: Losses) -> None:
        """See `Record`."""

    def latency(self, stages: Mapping[str, StageSummary]) -> None:
        """See `Record`."""

    def clock_fit(self, device: str, line: ClockLine) -> None:
        """See `Record`."""

    def network(self, engine: str, backend: Mapping[str, Any], crop: Crop) -> None:
        """See `Record`."""

    def failed(self, what: str, text: str) -> None:
        """See `Record`."""

    def close(self, reason: str) -> bool:
        """See `Record`."""
        return True
