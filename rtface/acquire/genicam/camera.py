"""Machine-vision cameras through GenTL producers.

No call of genicam releases Python's interpreter lock, not even while it waits, so nothing here waits inside it:
frames are polled for, with sleeps between (`POLL_NS`), and other threads run on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from rtface.acquire.framenumbers import FrameNumbers
from rtface.acquire.genicam.gentl import (
    HANDLING_MODES,
    GenicamDevice,
    choose,
    describe,
    give_back,
    harvest,
    keeping_sigint,
    or_none,
    poll,
    prefer_newest,
    release,
    vendor_errors,
)
from rtface.acquire.genicam.nodes import Nodes, Value
from rtface.acquire.lifecycle import OrderedCamera
from rtface.config import GenicamCameraSettings
from rtface.core.clock import NS_PER_S, NS_PER_US, SYSTEM_CLOCK, Clock
from rtface.core.clockfit import ClockFit, ClockLine
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError
from rtface.core.records import CameraInfo, FrameMeta, Image

POLL_NS = 500 * NS_PER_US
PASSING_NS = NS_PER_S // 2
"""Errors of a driver that go on for longer are a lost camera; a shorter trouble of the transport passes."""
USER_SET = "UserSetLoad"
"""The command that replaces all settings by stored ones."""
END_OF_TIME_NS = 2**63
"""No clock has run for these 292 years: a stamp beyond them is a device's error."""
SHIFTS = {"Mono8": 0, "Mono10": 2, "Mono12": 4, "Mono14": 6, "Mono16": 8}
"""Pixel formats that can be read, and by how many bits each is shifted down to 8 bits."""


def list_genicam(producer: Path | None = None) -> list[GenicamDevice]:
    """List the cameras that a producer finds now.

    A producer serves one owner in a process: while a `GenicamCamera` is open on it, it lists nothing.

    Parameters
    ----------
    producer : Path or None
        As in `GenicamCameraSettings`.

    Raises
    ------
    CameraError
        There is no such producer, or it cannot be loaded.
    """
    harvester = harvest(producer)
    try:
        return [describe(device) for device in harvester.device_info_list]
    finally:
        release(harvester)


class GenicamCamera(OrderedCamera):
    """A camera behind a GenTL producer.

    Every setting is read back after all were made; integers, enumerations and strings must be equal, floating
    point values (rate, exposure, gain, float nodes) within 1 %. A device that gives the rate at which it will really
    deliver is held to the rate asked for, too.

    Where the device declares a clock, exposure times are its time stamps mapped to the host's clock
    (`ClockFit`); a frame without a stamp then has ``camera_ns`` None and its arrival as exposure. Losses: a
    buffer that arrives incomplete, by its flag or by the size that was filled, counts as lost at the camera, any other gap
    in the frame numbers in transport. A device without frame numbers works; what it loses is unknown.

    Parameters
    ----------
    settings : GenicamCameraSettings
        Which camera, and how it is to be set.
    clock : Clock
        What stamps arrivals and waits between polls.
    """

    def __init__(self, settings: GenicamCameraSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__("genicam", clock)
        self._settings = settings
        self._harvester: Any = None
        self._acquirer: Any = None
        self._label = ""
        self._shift = 0
        self._tick_hz: float | None = None
        self._drains = False
        self._numbers = FrameNumbers()
        self._fit = ClockFit()
        self._incomplete = 0
        self._failing_since_ns: int | None = None

    @property
    def clock_line(self) -> ClockLine | None:
        """The map that the exposures come from; None before the first time stamp."""
        return self._fit.line

    def _start(self) -> None:
        self._numbers.restart()
        self._incomplete = 0
        self._failing_since_ns = None
        with self._lost_if_it_fails("starting"):
            self._acquirer.start()

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        deadline_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
        with self._lost_if_it_fails("waiting for a frame"):
            while True:
                buffer = self._poll_until_it_passes()
                now_ns = self._clock.now_ns()
                if buffer is not None:
                    try:
                        if self._is_whole(buffer):
                            return self._take(buffer, out, now_ns)
                        self._incomplete += 1
                        self.lost_at_camera += 1
                    finally:
                        give_back(buffer)
                if now_ns >= deadline_ns:
                    return None
                if buffer is None:
                    self._clock.sleep_until_ns(min(now_ns + POLL_NS, deadline_ns))

    def _stop(self) -> None:
        with suppress(*vendor_errors()):
            self._acquirer.stop()

    def _close(self) -> None:
        harvester, self._harvester, self._acquirer = self._harvester, None, None
        if harvester is not None:
            release(harvester)

    def _open(self) -> CameraInfo:
        settings = self._settings
        self._harvester = harvest(settings.producer)
        device = choose(self._harvester.device_info_list, settings.serial)
        found = describe(device)
        self._label = f"{found.vendor} {found.model} {found.serial}".strip()
        with keeping_sigint():
            try:
                self._acquirer = self._harvester.create(device)
            except vendor_errors() as error:
                raise CameraError(
                    f"camera {self._label} cannot be opened; is another program using it? {error}"
                ) from error
        try:
            return self._configure(found)
        except vendor_errors() as error:
            raise CameraLostError(f"camera {self._label} failed while it was set up: {error}") from error

    def _configure(self, found: GenicamDevice) -> CameraInfo:
        settings = self._settings
        nodes = Nodes(self._acquirer.remote_device.node_map, self._label, vendor_errors(), self._clock)
        if settings.pixel_format not in SHIFTS:
            offered = [name for name in nodes.choices("PixelFormat") if name in SHIFTS]
            raise CameraSettingError(
                f"camera {self._label}: pixel_format {settings.pixel_format!r} cannot be read; "
                f"possible with this camera: {', '.join(offered) or 'none'}"
            )
        of_user_set, further = _split(settings.nodes)
        for name, value in of_user_set.items():
            nodes.set(name, value)
        nodes.set("PixelFormat", settings.pixel_format)
        _apply(nodes, settings)
        for name, value in further.items():
            nodes.set(name, value)
        read_back = nodes.verify()
        try:
            self._acquirer.num_buffers = settings.buffers
        except ValueError as error:
            least = self._acquirer.min_num_buffers
            raise CameraSettingError(
                f"camera {self._label}: buffers {settings.buffers} are too few, its driver needs {least}"
            ) from error
        width, height = int(nodes.require("Width")), int(nodes.require("Height"))
        self._shift = SHIFTS[settings.pixel_format]
        self._tick_hz = _tick_hz(self._acquirer, nodes, found.tl_type)
        mode = prefer_newest(self._acquirer)
        self._drains = mode not in HANDLING_MODES
        self._numbers = FrameNumbers(leaves_out_zero=found.tl_type == "GEV")
        self._fit = ClockFit()
        rate_hz = nodes.rate_hz()
        return CameraInfo(
            kind="genicam",
            label=self._label,
            width=width,
            height=height,
            rate_hz=rate_hz,
            frames=None,
            live=True,
            exposure_source="camera" if self._tick_hz else "arrival",
            settings={
                **read_back,
                "serial": found.serial,
                "vendor": found.vendor,
                "model": found.model,
                "tl_type": found.tl_type,
                "gray_shift_bits": self._shift,
                "buffers": settings.buffers,
                "stream_mode": mode,
            },
        )

    def _poll_until_it_passes(self) -> Any | None:
        """Return the next filled buffer, or None if there is none now, or the driver fails for a moment."""
        try:
            buffer = self._poll()
        except vendor_errors():
            now_ns = self._clock.now_ns()
            if self._failing_since_ns is None:
                self._failing_since_ns = now_ns
            if now_ns - self._failing_since_ns > PASSING_NS:
                raise
            return None
        self._failing_since_ns = None
        return buffer

    def _poll(self) -> Any | None:
        """Return the next filled buffer, or None if there is none now."""
        buffer = poll(self._acquirer)
        if buffer is None or not self._drains:
            return buffer
        waiting = [buffer]
        with suppress(*vendor_errors()):  # the next call finds out whether it passes
            while len(waiting) < self._settings.buffers and (buffer := poll(self._acquirer)) is not None:
                waiting.append(buffer)
        for older in waiting[:-1]:
            give_back(older)
        return waiting[-1]

    def _take(self, buffer: Any, out: Image, arrival_ns: int) -> FrameMeta:
        self._copy(buffer, out)
        frame_id, missing = self._numbers.take(or_none(buffer, "frame_id"))
        self.transport_known = self._numbers.known
        self.lost_in_transport += max(0, missing - self._incomplete)
        self._incomplete = 0
        camera_ns = None if self._tick_hz is None else _stamp_ns(buffer, self._tick_hz)
        exposure_ns = arrival_ns if camera_ns is None else self._fit.to_host(camera_ns, arrival_ns)
        return FrameMeta(frame_id, exposure_ns, arrival_ns, camera_ns)

    def _is_whole(self, buffer: Any) -> bool:
        """Return whether all of the picture arrived: not every driver says so of a buffer that it filled in part."""
        if not buffer.is_complete():
            return False
        filled = or_none(buffer, "size_filled")
        height = or_none(buffer, "height") or self._shape[0]
        return filled is None or filled >= self._offset(buffer) + self._stride(buffer) * height

    def _stride(self, buffer: Any) -> int:
        """Return the bytes of a line, with the padding at its end."""
        width = or_none(buffer, "width") or self._shape[1]
        return width * self._depth + (or_none(buffer, "padding_x") or 0)

    @staticmethod
    def _offset(buffer: Any) -> int:
        return or_none(buffer, "image_offset") or 0

    @property
    def _depth(self) -> int:
        """Bytes of a pixel."""
        return 1 if self._shift == 0 else 2

    def _copy(self, buffer: Any, out: Image) -> None:
        """Copy the picture, without the padding at the ends of its lines, as 8-bit gray."""
        height, width = self._shape
        delivered = or_none(buffer, "height") or height, or_none(buffer, "width") or width
        if delivered != self._shape:
            raise CameraLostError(
                f"camera {self._label} delivered {delivered[1]}x{delivered[0]} pixels instead of {width}x{height}"
            )
        stride = self._stride(buffer)
        try:
            data = np.frombuffer(buffer.raw_buffer, np.uint8, stride * height, self._offset(buffer))
        except ValueError as error:
            raise CameraLostError(f"camera {self._label} delivered less than a frame: {error}") from error
        lines = data.reshape(height, stride)[:, : width * self._depth]
        if self._shift == 0:
            np.copyto(out, lines)
        else:
            deep = np.ascontiguousarray(lines).view("<u2")
            np.right_shift(deep, self._shift, out=out, casting="unsafe")

    @contextmanager
    def _lost_if_it_fails(self, doing: str) -> Iterator[None]:
        try:
            yield
        except vendor_errors() as error:
            raise CameraLostError(f"camera {self._label} was lost while {doing}: {error}") from error


def _apply(nodes: Nodes, settings: GenicamCameraSettings) -> None:
    """Make every setting: offsets make room before sizes, and exposure comes before the rate that it limits."""
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
    if settings.exposure_us is not None:
        nodes.set_if_possible("ExposureAuto", "Off")
        nodes.set("ExposureTime", settings.exposure_us)
    if settings.gain is not None:
        nodes.set_if_possible("GainAuto", "Off")
        nodes.set("Gain", settings.gain)
    if settings.rate_hz is not None:
        nodes.set_if_possible("AcquisitionFrameRateEnable", True)
        nodes.set("AcquisitionFrameRate", settings.rate_hz)


def _split(nodes: Mapping[str, Value]) -> tuple[dict[str, Value], dict[str, Value]]:
    """Part the features up to one that loads a user set, which would undo settings made before it, from those after it."""
    names = list(nodes)
    end = names.index(USER_SET) + 1 if USER_SET in nodes else 0
    return {name: nodes[name] for name in names[:end]}, {name: nodes[name] for name in names[end:]}


def _tick_hz(acquirer: Any, nodes: Nodes, tl_type: str) -> float | None:
    """Ticks per second of the device's clock, or None for a device that declares none."""
    declared = or_none(acquirer.device, "timestamp_frequency") or nodes.get("GevTimestampTickFrequency")
    if declared:
        return float(declared)
    return float(NS_PER_S) if tl_type == "U3V" else None


def _stamp_ns(buffer: Any, tick_hz: float) -> int | None:
    """Return a frame's time stamp, None where there is none or one that no clock has."""
    stamp_ns: int | None = or_none(buffer, "timestamp_ns")
    if not stamp_ns:
        ticks = or_none(buffer, "timestamp")
        stamp_ns = ticks * NS_PER_S // round(tick_hz) if ticks else None
    return stamp_ns if stamp_ns and stamp_ns < END_OF_TIME_NS else None
