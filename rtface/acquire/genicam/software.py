"""Triggers that rtface itself gives a GenICam device, to try a rig without wires."""

from __future__ import annotations

from rtface.acquire.genicam.nodes import Nodes
from rtface.acquire.timing.trials import TriggerTimes
from rtface.config import TriggerSettings
from rtface.config.triggering import SOFTWARE

COMMAND = "TriggerSoftware"


class SoftwareTrigger:
    """Gives triggers in their time, by the thread that waits for frames.

    Parameters
    ----------
    times : TriggerTimes
    nodes : Nodes

    Raises
    ------
    CameraSettingError
        The device takes no software trigger.
    """

    def __init__(self, times: TriggerTimes, nodes: Nodes) -> None:
        self._times, self._execute = times, nodes.command(COMMAND)
        self._began_ns = self._next = 0

    @classmethod
    def of(cls, settings: TriggerSettings | None, nodes: Nodes) -> SoftwareTrigger | None:
        """Return what gives the triggers of a rig; None where they come on a line, or not at all."""
        if settings is None or settings.source != SOFTWARE or settings.expected_hz is None:
            return None
        return cls(TriggerTimes(settings.expected_hz, settings.trials), nodes)

    def begin(self, now_ns: int) -> None:
        """Give the first one now."""
        self._began_ns, self._next = now_ns, 0

    def give(self, now_ns: int) -> None:
        """Give a trigger if one is due: of several that are overdue the last alone."""
        elapsed_ns = now_ns - self._began_ns
        if elapsed_ns < self._times.at_ns(self._next):
            return
        self._execute()
        self._next = max(self._next, self._times.newest(elapsed_ns)) + 1
