"""What the loop records into: a session's recorder, or nothing; and what publishes its events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rtface.core.clockfit import ClockLine
from rtface.core.decision import Decision
from rtface.core.features import Features
from rtface.core.latency import StageSummary
from rtface.core.outputs import Report
from rtface.core.records import Crop, FrameMeta, Image, Losses, Pose
from rtface.core.status import CameraStatus, Gap
from rtface.publish.events import EventKind
from rtface.record.session.recorder import SessionRecorder


class NoRecord:
    """Takes what a `SessionRecorder` takes and keeps nothing; good for an output without light."""

    folder = None

    def __init__(self) -> None:
        self._decisions = 0

    def features(
        self,
        frame_id: int,
        now_ns: int,
        features: Features,
        given: Features | None = None,
        camera: str = "",
    ) -> None:
        """See `SessionRecorder`."""

    def call(self, name: str, now_ns: int, **arguments: Any) -> None:
        """See `SessionRecorder`."""

    def decision(self, decision: Decision) -> int:
        """Return the next number."""
        self._decisions += 1
        return self._decisions - 1

    def pulse(
        self, decision: int, number: int, output: str, command: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """See `SessionRecorder`."""

    def output(self, name: str, info: Mapping[str, Any]) -> None:
        """See `SessionRecorder`."""

    def reply(self, report: Report, output: str) -> None:
        """See `SessionRecorder`."""

    def arming(
        self,
        event: str,
        who: str,
        why: str,
        details: Mapping[str, Any] | None = None,
        t_ns: int | None = None,
    ) -> None:
        """See `SessionRecorder`."""

    def baseline(self, found: Mapping[str, Any], t_ns: int) -> None:
        """See `SessionRecorder`."""

    def mark(
        self, who: str, text: str, details: Mapping[str, Any] | None = None, t_ns: int | None = None
    ) -> None:
        """See `SessionRecorder`."""

    def pose(self, pose: Pose) -> None:
        """See `SessionRecorder`."""

    def published(self, frame_id: int, published_ns: int, camera: str = "") -> None:
        """See `SessionRecorder`."""

    def frame(self, image: Image, meta: FrameMeta) -> None:
        """See `SessionRecorder`."""

    def losses(self, losses: Losses, t_ns: int | None = None, camera: str = "") -> None:
        """See `SessionRecorder`."""

    def camera_status(self, status: CameraStatus, camera: str = "") -> None:
        """See `SessionRecorder`."""

    def latency(self, stages: Mapping[str, StageSummary], t_ns: int | None = None, camera: str = "") -> None:
        """See `SessionRecorder`."""

    def clock_fit(self, device: str, line: ClockLine, camera: str = "") -> None:
        """See `SessionRecorder`."""

    def network(self, engine: str, backend: Mapping[str, Any], crop: Crop, camera: str = "") -> None:
        """See `SessionRecorder`."""

    def gap(self, gap: Gap, camera: str = "") -> None:
        """See `SessionRecorder`."""

    def failed(self, what: str, text: str) -> None:
        """See `SessionRecorder`."""

    def close(self, reason: str) -> bool:
        """See `SessionRecorder`."""
        return True


Record = SessionRecorder | NoRecord

Announce = Callable[[EventKind, int, Mapping[str, Any]], None]
"""Publishes an event: its kind, when it happened, and its details."""
