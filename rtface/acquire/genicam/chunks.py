"""What a GenICam device sends with each frame beside the picture: counters, exposure and time stamp."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from rtface.acquire.framenumbers import MOST
from rtface.acquire.genicam.gentl import ChunkReader
from rtface.acquire.genicam.nodes import RELATIVE_TOLERANCE, Nodes
from rtface.acquire.genicam.settings import chunk_feature
from rtface.config.triggering import ChunkName


@dataclass(frozen=True, slots=True)
class ChunkData:
    """The chunks of one frame; None for what was not asked for, or did not come.

    Attributes
    ----------
    frame, trigger : int or None
        The device's counts.
    exposure_us : float or None
        Microseconds.
    stamp_ns : int or None
        Nanoseconds of the device's clock.
    """

    frame: int | None = None
    trigger: int | None = None
    exposure_us: float | None = None
    stamp_ns: int | None = None


class Chunks:
    """Reads the chunks of each frame, and counts the triggers that made no frame.

    Parameters
    ----------
    wanted : tuple of str
        As in the settings.
    nodes : Nodes
    reader : ChunkReader
    exposure_us : float or None
        What the exposure was set to; what is measured is held against it.

    Attributes
    ----------
    missed_triggers : int or None
        Triggers since the start that began no exposure; None where no count of both frames and triggers comes.
    problem : str
        What does not hold of the last frame; empty while all does.
    """

    def __init__(
        self, wanted: tuple[ChunkName, ...], nodes: Nodes, reader: ChunkReader, exposure_us: float | None
    ) -> None:
        self._reader, self._exposure_us = reader, exposure_us
        offered = nodes.choices("ChunkSelector")
        self._read = {name: nodes.reader(f"Chunk{chunk_feature(name, offered)}") for name in wanted}
        self._last: tuple[int, int] | None = None
        self.missed_triggers: int | None = None
        self.problem = ""

    def restart(self) -> None:
        """Expect counters that begin anew."""
        self._last = None
        self._reader.restart()

    def take(self, buffer: Any, frame_number: int | None) -> ChunkData:
        """Read the chunks of a frame.

        Parameters
        ----------
        buffer : Any
            The driver's.
        frame_number : int or None
            The frame's number, where no chunk is to have it.
        """
        if not self._read:
            return ChunkData()
        came = self._reader.attach(buffer)
        found = {name: read() if came else None for name, read in self._read.items()}
        missing = [name for name, value in found.items() if value is None]
        self.problem = f"frames come without their chunk: {', '.join(missing)}" if missing else ""
        data = ChunkData(
            _count(found.get("frame")),
            _count(found.get("trigger")),
            _length(found.get("exposure")),
            _count(found.get("timestamp")),
        )
        self.problem = self.problem or self._wrong_exposure(data.exposure_us)
        self._count(data.frame if "frame" in self._read else frame_number, data.trigger)
        return data

    def _wrong_exposure(self, measured_us: float | None) -> str:
        asked_us = self._exposure_us
        if measured_us is None or asked_us is None:
            return ""
        if math.isclose(measured_us, asked_us, rel_tol=RELATIVE_TOLERANCE, abs_tol=1.0):
            return ""
        return f"frames are exposed for {measured_us:g} us, and {asked_us:g} are set"

    def _count(self, frame: int | None, trigger: int | None) -> None:
        """Count by how much more triggers than frames there were since the frame before."""
        if frame is None or trigger is None:
            return
        if self._last is None:
            self.missed_triggers = self.missed_triggers or 0
        elif frame > self._last[0] and trigger >= self._last[1]:
            self.missed_triggers = (self.missed_triggers or 0) + max(
                0, trigger - self._last[1] - (frame - self._last[0])
            )
        self._last = frame, trigger


def _count(value: Any) -> int | None:
    """Return a device's count, None where it is none."""
    return int(value) if isinstance(value, int | float) and 0 <= value < MOST else None


def _length(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
