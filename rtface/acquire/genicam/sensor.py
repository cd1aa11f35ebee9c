"""Which part of its sensor a GenICam camera delivers."""

from __future__ import annotations

from typing import Any

from rtface.acquire.genicam.nodes import Nodes

_FACTS = {
    "sensor_width": "SensorWidth",
    "sensor_height": "SensorHeight",
    "offset_x": "OffsetX",
    "offset_y": "OffsetY",
    "binning_x": "BinningHorizontal",
    "binning_y": "BinningVertical",
    "decimation_x": "DecimationHorizontal",
    "decimation_y": "DecimationVertical",
    "reverse_x": "ReverseX",
    "reverse_y": "ReverseY",
}
"""What is recorded, as `rtface.core.geometry.SensorRegion` takes it, and the feature that says it."""


def sensor_facts(nodes: Nodes) -> dict[str, Any]:
    """Return the sensor's size, and offsets, binning, decimation and mirroring of the picture, where the device tells them."""
    found = {
        name: nodes.get(feature) if name.startswith("reverse") else nodes.whole(feature)
        for name, feature in _FACTS.items()
    }
    return {
        name: bool(value) if name.startswith("reverse") else value
        for name, value in found.items()
        if value is not None
    }
