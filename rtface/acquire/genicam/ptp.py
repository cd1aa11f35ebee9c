"""Whether a GenICam device's clock follows a master's."""

from __future__ import annotations

from rtface.acquire.genicam.nodes import Nodes
from rtface.config import PtpSettings
from rtface.core.clock import NS_PER_S, NS_PER_US
from rtface.core.errors import CameraSettingError
from rtface.core.status import PtpStatus

EVERY_NS = NS_PER_S
FOLLOWS = ("Slave", "Master")
"""States in which the clock is the network's."""


class PtpWatch:
    """Asks a device about once a second, between frames.

    Parameters
    ----------
    settings : PtpSettings
    nodes : Nodes

    Attributes
    ----------
    status : PtpStatus or None
        As it was last read.
    problem : str
        Why the clock cannot be relied on; empty while it can.
    """

    def __init__(self, settings: PtpSettings, nodes: Nodes) -> None:
        self._settings, self._nodes = settings, nodes
        self._next_ns = 0
        self.status: PtpStatus | None = None
        self.problem = "PTP has not been read yet"

    def look(self, now_ns: int) -> None:
        """Read state and offset, where it is time to."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + EVERY_NS
        try:
            self._nodes.begin_if_there("PtpDataSetLatch")
            self.status = PtpStatus(
                str(self._nodes.require("PtpStatus")), self._nodes.whole("PtpOffsetFromMaster")
            )
        except CameraSettingError as error:
            self.status, self.problem = None, str(error)
            return
        self.problem = self._why_not(self.status)

    def _why_not(self, status: PtpStatus) -> str:
        if status.state not in FOLLOWS:
            return f"PTP: the camera's clock follows none ({status.state})"
        most_ns = self._settings.max_offset_us * NS_PER_US
        if status.offset_ns is not None and abs(status.offset_ns) > most_ns:
            return (
                f"PTP: the camera's clock is {status.offset_ns / NS_PER_US:g} us from the master's, and "
                f"{self._settings.max_offset_us:g} are allowed"
            )
        return ""
