"""What a GenICam device and its driver tell of their own state: temperature, link, packets sent again, frames lost."""

from __future__ import annotations

from typing import Any

from rtface.acquire.genicam.gentl import or_none
from rtface.acquire.genicam.nodes import Nodes
from rtface.core.clock import NS_PER_S

EVERY_NS = 5 * NS_PER_S
"""A feature of a camera on a network takes milliseconds to read, and meanwhile no frame is taken."""

OF_DEVICE = {
    "temperature_c": ("DeviceTemperature",),
    "link_bytes_per_s": ("DeviceLinkSpeed",),
    "link_limit_bytes_per_s": ("DeviceLinkThroughputLimit",),
}
"""Each reading, and the features that may hold it, the standard's first."""
OF_STREAM = {
    "frames_lost_by_driver": (
        "StreamLostFrameCount",
        "StreamDroppedFrameCount",
        "Statistic_Failed_Buffer_Count",
    ),
    "packets_resent": (
        "StreamPacketResendReceivedPacketCount",
        "StreamPacketResendRequestCount",
        "Statistic_Resend_Packet_Count",
    ),
    "packets_lost": ("StreamMissedPacketCount", "Statistic_Failed_Packet_Count"),
}
"""Likewise, of the driver's stream."""


class Readings:
    """Reads them now and then, between frames.

    Parameters
    ----------
    device, stream : Nodes
        The features of the device, and of the driver's data stream.
    data_stream : genicam.gentl.DataStream
        For what every driver counts.

    Attributes
    ----------
    values : dict of str to float
        As they were last read; only what there is.
    """

    def __init__(self, device: Nodes, stream: Nodes, data_stream: Any) -> None:
        self._data_stream = data_stream
        # What is absent once is not asked for again.
        self._sources = [
            (name, nodes, feature)
            for nodes, table in ((device, OF_DEVICE), (stream, OF_STREAM))
            for name, features in table.items()
            if (feature := next((each for each in features if _number(nodes, each) is not None), None))
        ]
        self._next_ns = 0
        self.values: dict[str, float] = {}

    def look(self, now_ns: int) -> None:
        """Read them, where it is time to."""
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + EVERY_NS
        found = {name: _number(nodes, feature) for name, nodes, feature in self._sources}
        found["frames_without_buffer"] = or_none(self._data_stream, "num_underrun")
        self.values = {name: value for name, value in found.items() if value is not None}


def _number(nodes: Nodes, feature: str) -> float | None:
    value = nodes.get(feature)
    return float(value) if isinstance(value, int | float) else None
