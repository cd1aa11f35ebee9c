"""What ends an armed loop by itself: frames that come late or not at all, and a record in danger."""

from __future__ import annotations

import logging

from rtface.core.budget import BudgetWatch
from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.decision import Reason
from rtface.core.records import TriggerInfo
from rtface.record.session.entries import FaultEntry

Finding = tuple[Reason, str]
"""Why the loop may not stay armed, for machines and for people."""

_log = logging.getLogger(__name__)


class LoopWatch:
    """Watches frames and record; `disk_failed` and `disk_fault` may be used by any thread.

    Parameters
    ----------
    budget : BudgetWatch or None
        Frames over it are a finding.
    frame_timeout_ns : int
        A longer time without a frame is one; of a camera that waits for triggers a time longer than its longest pause, too.

    Attributes
    ----------
    trigger : TriggerInfo or None
        What begins the camera's exposures; set it once the camera is open.
    frame_ns : int
        When the newest frame came; set it.
    disk_fault : FaultEntry or None
        Why the session can no longer be recorded, None while it can.
    """

    def __init__(self, budget: BudgetWatch | None, frame_timeout_ns: int) -> None:
        self._budget = budget
        self._frame_timeout_ns = frame_timeout_ns
        self.trigger: TriggerInfo | None = None
        self.frame_ns = 0
        self.disk_fault: FaultEntry | None = None

    def disk_failed(self, fault: FaultEntry) -> None:
        """Take note that the record is in danger; little room alone is no end of it."""
        if fault.what == "space":
            _log.warning("%s", fault.text)
        elif self.disk_fault is None:
            self.disk_fault = fault

    def reset(self) -> None:
        """Forget the latencies so far."""
        if self._budget is not None:
            self._budget.reset()

    def came(self, now_ns: int, camera: str = "") -> None:
        """Take note of a frame."""
        self.frame_ns = now_ns

    def handled(self, latency_ns: int, camera: str = "") -> Finding | None:
        """Count a frame that was handled so long after its exposure."""
        budget = self._budget
        if budget is not None and budget.add(latency_ns):
            late = f"{budget.late} of the last {budget.frames} frames were late for {budget.text}"
            return Reason.BUDGET, f"the latency budget is missed: {late}"
        return self.disk()

    def idle(self, now_ns: int) -> Finding | None:
        """Find how long no frame has come."""
        return self.silence(now_ns) or self.disk()

    def silence(self, now_ns: int) -> Finding | None:
        """Find that no frame has come for too long."""
        silent_ns = now_ns - self.frame_ns
        if silent_ns <= self._frame_timeout_ns:
            return None
        pause_ns = 0 if self.trigger is None else self.trigger.longest_pause_ns
        if pause_ns is None or silent_ns <= pause_ns:
            return None
        beyond = f", longer than camera.trigger.longest_pause_s {pause_ns / NS_PER_S:g}" if pause_ns else ""
        return Reason.CAMERA_LOST, f"no frame came for {silent_ns / NS_PER_MS:.0f} ms{beyond}"

    def disk(self) -> Finding | None:
        """Find that the session can no longer be recorded."""
        return None if self.disk_fault is None else (Reason.DISK, self.disk_fault.text)
