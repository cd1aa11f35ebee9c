"""The settings of a rig made on a GenICam device, in an order in which none undoes another."""

from __future__ import annotations

from collections.abc import Sequence

from rtface.acquire.genicam.nodes import RELATIVE_TOLERANCE, Nodes, Value
from rtface.config import LineSettings, MachineVisionSettings, TriggerSettings
from rtface.config.triggering import ChunkName
from rtface.core.errors import CameraSettingError

USER_SET = "UserSetLoad"
"""The command that replaces all settings by stored ones."""

FRAMES = "FrameStart"
"""What a trigger begins where there is no selector."""
CHUNKS: dict[ChunkName, tuple[str, ...]] = {
    "frame": ("Framecounter", "FrameCounter", "FrameID"),
    "trigger": ("Triggerinputcounter", "TriggerCounter", "TriggerCount", "CounterValue"),
    "exposure": ("ExposureTime",),
    "timestamp": ("Timestamp",),
}
"""What `ChunkSelector` calls each: names of makers, which say more than the standard's, and that one last."""
US_PER_S = 1e6

Step = tuple[str, Value]


def apply(nodes: Nodes, settings: MachineVisionSettings) -> None:
    """Make every setting.

    Raises
    ------
    CameraSettingError
        The device lacks a feature, or refuses a value.
    """
    of_user_set, further = _split(settings.node_steps)
    for step in of_user_set:
        nodes.set(*step)
    nodes.set("PixelFormat", settings.pixel_format)
    _region(nodes, settings)
    _exposure(nodes, settings)
    for line in settings.lines:
        _line(nodes, line)
    if settings.trigger is not None:
        _trigger(nodes, settings.trigger)
    if settings.chunks:
        _chunks(nodes, settings.chunks)
    if settings.ptp is not None:
        nodes.set("PtpEnable", True)
    for step in further:
        nodes.set(*step)


def _region(nodes: Nodes, settings: MachineVisionSettings) -> None:
    """Offsets make room before sizes."""
    for size, offset, new_size, new_offset in (
        ("Width", "OffsetX", settings.width, settings.offset_x),
        ("Height", "OffsetY", settings.height, settings.offset_y),
    ):
        if new_offset is None and new_size is not None:
            new_offset = nodes.get(offset)
        if new_size is not None:
            nodes.set_if_possible(offset, 0)
            nodes.set(size, new_size)
        if new_offset is not None:
            nodes.set(offset, new_offset)


def _exposure(nodes: Nodes, settings: MachineVisionSettings) -> None:
    """Exposure comes before the rate that it limits."""
    if settings.exposure_us is not None:
        nodes.set_if_possible("ExposureAuto", "Off")
        nodes.set("ExposureTime", settings.exposure_us)
    if settings.gain is not None:
        nodes.set_if_possible("GainAuto", "Off")
        nodes.set("Gain", settings.gain)
    if settings.rate_hz is not None:
        nodes.set_if_possible("AcquisitionFrameRateEnable", True)
        nodes.set("AcquisitionFrameRate", settings.rate_hz)


def _line(nodes: Nodes, line: LineSettings) -> None:
    nodes.set("LineSelector", line.selector)
    for name, value in (
        ("LineMode", line.mode),
        ("LineSource", line.source),
        ("LineInverter", line.inverter),
    ):
        if value is not None:
            nodes.set(name, value)


def _trigger(nodes: Nodes, trigger: TriggerSettings) -> None:
    """Triggers are off while their source is set, and on last: some cameras refuse it otherwise."""
    if nodes.has("TriggerSelector") or trigger.selector != FRAMES:
        nodes.set("TriggerSelector", trigger.selector)
    nodes.set_if_possible("TriggerMode", "Off")
    nodes.set("TriggerSource", trigger.source)
    for name, value in (
        ("TriggerActivation", trigger.activation),
        ("TriggerDelay", trigger.delay_us),
        ("TriggerOverlap", trigger.overlap),
    ):
        if value is not None:
            nodes.set(name, value)
    nodes.set("TriggerMode", "On")


def _chunks(nodes: Nodes, chunks: tuple[ChunkName, ...]) -> None:
    nodes.set("ChunkModeActive", True)
    offered = nodes.choices("ChunkSelector")
    for name in chunks:
        nodes.set("ChunkSelector", chunk_feature(name, offered))
        nodes.set("ChunkEnable", True)


def chunk_feature(name: ChunkName, offered: tuple[str, ...]) -> str:
    """Return what a device calls a chunk: the first of its names that is offered, else the standard's."""
    return next((each for each in CHUNKS[name] if each in offered), CHUNKS[name][-1])


def require_possible_rate(nodes: Nodes, settings: MachineVisionSettings, label: str) -> None:
    """Hold the exposure against the rate, which not every device does itself.

    Raises
    ------
    CameraSettingError
        The next exposure would have to begin before the last one ends.
    """
    asked_hz = settings.rate_hz if settings.trigger is None else settings.trigger.expected_hz
    exposure_us = nodes.get("ExposureTime")
    timed = nodes.get("ExposureMode") in (None, "Timed") and nodes.get("ExposureAuto") in (None, "Off")
    if asked_hz is None or not exposure_us or not timed:
        return
    most_hz = US_PER_S / exposure_us
    if asked_hz > most_hz * (1 + RELATIVE_TOLERANCE):
        raise CameraSettingError(
            f"camera {label}: an exposure of {exposure_us:g} us allows {most_hz:.4g} frames per second at most, and "
            f"{asked_hz:g} are asked for"
        )


def _split(steps: Sequence[Step]) -> tuple[Sequence[Step], Sequence[Step]]:
    """Part the features up to the last user set that is loaded, which would undo settings made before it, from the rest."""
    end = max((at for at, (name, _) in enumerate(steps, 1) if name == USER_SET), default=0)
    return steps[:end], steps[end:]
