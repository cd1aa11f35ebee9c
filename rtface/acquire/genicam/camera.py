"""Machine-vision cameras through GenTL producers.

No call of genicam releases Python's interpreter lock, not even while it waits, so nothing here waits inside it:
frames are polled for, with sleeps between (`POLL_NS`), and other threads run on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from rtface.acquire.framenumbers import FrameNumbers
from rtface.acquire.genicam.chunks import ChunkData, Chunks
from rtface.acquire.genicam.formats import FORMATS, DeliveredFormat, GrayReader, depth_of, readable
from rtface.acquire.genicam.gentl import (
    HANDLING_MODES,
    ChunkReader,
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
from rtface.acquire.genicam.nodes import Nodes
from rtface.acquire.genicam.ptp import PtpWatch
from rtface.acquire.genicam.readings import Readings
from rtface.acquire.genicam.sensor import sensor_facts
from rtface.acquire.genicam.settings import apply, require_possible_rate
from rtface.acquire.genicam.software import SoftwareTrigger
from rtface.acquire.genicam.trouble import PassingTrouble
from rtface.acquire.lifecycle import OrderedCamera
from rtface.acquire.timing.cameraclock import CameraClock
from rtface.config import GenicamCameraSettings
from rtface.core.clock import NS_PER_S, NS_PER_US, SYSTEM_CLOCK, Clock
from rtface.core.clockfit import ClockLine
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError
from rtface.core.records import CameraInfo, FrameMeta, Image
from rtface.core.status import CameraStatus

POLL_NS = 500 * NS_PER_US


def list_genicam(producer: Path | None = None, useless: list[str] | None = None) -> list[GenicamDevice]:
    """List the cameras that a producer finds now.

    A producer serves one owner in a process: while a `GenicamCamera` is open on it, it lists nothing.

    Parameters
    ----------
    producer : Path or None
        As in `GenicamCameraSettings`.
    useless : list of str or None
        Gets, of several producers, why some cannot be used; logged when None.

    Raises
    ------
    CameraError
        There is no such producer, or it cannot be loaded.
    """
    harvester = harvest(producer, useless)
    try:
        return [describe(device) for device in harvester.device_info_list]
    finally:
        release(harvester)


class GenicamCamera(OrderedCamera):
    """A camera behind a GenTL producer.

    Every setting is read back after all were made; integers, enumerations and strings must be equal, floating
    point values (rate, exposure, gain, float nodes) within 1 %. A device that gives the rate at which it will really
    deliver is held to the rate asked for, too. All is read back again once frames flow.

    Where the device declares a clock, exposure times are its time stamps mapped to the host's clock
    (`CameraClock`), and arrivals while these cannot be believed. Losses: a
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
        self._pixels = FORMATS["Mono8"]
        self._gray: GrayReader
        self._tick_hz: float | None = None
        self._drains = False
        self._numbers = FrameNumbers()
        self._timing = CameraClock()
        self._incomplete = 0
        self._chunks_count = False
        self._delivered_format: DeliveredFormat
        self._nodes: Nodes | None = None
        self._chunks: Chunks | None = None
        self._ptp: PtpWatch | None = None
        self._readings: Readings | None = None
        self._software: SoftwareTrigger | None = None
        self._trouble = PassingTrouble()

    @property
    def clock_line(self) -> ClockLine | None:
        """The map that the exposures come from; None before the first time stamp, and while stamps are not believed."""
        return self._timing.line

    @property
    def status(self) -> CameraStatus:
        """What does not hold of its chunks, its clock and PTP."""
        chunks, ptp = self._chunks, self._ptp
        found = ("" if chunks is None else chunks.problem, "" if ptp is None else ptp.problem)
        return CameraStatus(
            problems=tuple(filter(None, found)),
            clock="" if self._tick_hz is None else self._timing.doubt,
            clock_steps=self._timing.steps,
            ptp=None if ptp is None else ptp.status,
            missed_triggers=None if chunks is None else chunks.missed_triggers,
            readings={} if self._readings is None else self._readings.values,
        )

    def _start(self) -> None:
        self._numbers.restart()
        self._incomplete = 0
        self._chunks_count = False
        if self._chunks is not None:
            self._chunks.restart()
        self._trouble.passed()
        with self._lost_if_it_fails("starting"):
            self._acquirer.start()
        if self._nodes is not None:
            try:
                self._nodes.verify_streaming()
            except CameraSettingError:
                self._stop()
                raise
        if self._software is not None:
            self._software.begin(self._clock.now_ns())

    def _fill(self, out: Image, timeout_s: float) -> FrameMeta | None:
        deadline_ns = self._clock.now_ns() + round(timeout_s * NS_PER_S)
        with self._lost_if_it_fails("waiting for a frame"):
            while True:
                now_ns = self._clock.now_ns()
                if self._ptp is not None:
                    self._ptp.look(now_ns)
                if self._readings is not None:
                    self._readings.look(now_ns)
                buffer = self._poll_until_it_passes(now_ns)
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
        self._nodes = None
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
        readable(settings.pixel_format, nodes.choices("PixelFormat"), self._label)
        apply(nodes, settings)
        read_back = nodes.verify()
        require_possible_rate(nodes, settings, self._label)
        try:
            self._acquirer.num_buffers = settings.buffers
        except ValueError as error:
            least = self._acquirer.min_num_buffers
            raise CameraSettingError(
                f"camera {self._label}: buffers {settings.buffers} are too few, its driver needs {least}"
            ) from error
        width, height = int(nodes.require("Width")), int(nodes.require("Height"))
        self._pixels = readable(str(nodes.require("PixelFormat")), nodes.choices("PixelFormat"), self._label)
        bits = depth_of(self._pixels, nodes.whole("PixelDynamicRangeMax"))
        self._gray = GrayReader(self._pixels, width, height, bits)
        self._delivered_format = DeliveredFormat(self._label, self._pixels)
        self._tick_hz = _tick_hz(self._acquirer, nodes, found.tl_type)
        mode = prefer_newest(self._acquirer)
        self._drains = mode not in HANDLING_MODES
        self._numbers = FrameNumbers(leaves_out_zero=found.tl_type == "GEV")
        self._timing = CameraClock()
        self._nodes = nodes
        reader = ChunkReader(self._acquirer, found.tl_type)
        self._chunks = (
            Chunks(settings.chunks, nodes, reader, settings.exposure_us) if settings.chunks else None
        )
        self._ptp = None if settings.ptp is None else PtpWatch(settings.ptp, nodes)
        stream = self._acquirer.data_streams[0]
        of_stream = Nodes(stream.node_map, self._label, vendor_errors(), self._clock)
        self._readings = Readings(nodes, of_stream, stream)
        trigger = settings.trigger
        self._software = SoftwareTrigger.of(trigger, nodes)
        rate_hz = nodes.rate_hz() if trigger is None else trigger.expected_hz
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
                "gray_shift_bits": bits - 8,
                "buffers": settings.buffers,
                "stream_mode": mode,
                **sensor_facts(nodes),
            },
            trigger=None if trigger is None else trigger.info(),
        )

    def _poll_until_it_passes(self, now_ns: int) -> Any | None:
        """Give a trigger that is due, and return the next filled buffer; None without one, or if the driver fails a moment."""
        try:
            if self._software is not None:
                self._software.give(now_ns)
            buffer = self._poll()
        except vendor_errors():
            if self._trouble.lasts(self._clock.now_ns()):
                raise
            return None
        self._trouble.passed()
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
        number = or_none(buffer, "frame_id")
        sent = ChunkData() if self._chunks is None else self._chunks.take(buffer, number)
        if sent.frame is not None and not self._chunks_count:  # these numbers are not the driver's
            self._chunks_count = True
            self._numbers.restart()
        frame_id, missing = self._numbers.take(sent.frame if self._chunks_count else number)
        self.transport_known = self._numbers.known
        self.lost_in_transport += max(0, missing - self._incomplete)
        self._incomplete = 0
        camera_ns, exposure_ns = None, arrival_ns
        if self._tick_hz is not None:
            camera_ns, exposure_ns = self._timing.take(
                _stamp_ns(buffer, self._tick_hz) or sent.stamp_ns, arrival_ns
            )
        return FrameMeta(frame_id, exposure_ns, arrival_ns, camera_ns, sent.trigger, sent.exposure_us)

    def _is_whole(self, buffer: Any) -> bool:
        """Return whether all of the picture arrived: not every driver says so of a buffer that it filled in part."""
        if not buffer.is_complete():
            return False
        filled = or_none(buffer, "size_filled")
        return filled is None or filled >= self._offset(buffer) + self._stored_bytes(buffer)

    def _stored_bytes(self, buffer: Any) -> int:
        """Return how many bytes the picture has, the padding at the ends of its lines with it."""
        height, width = self._delivered(buffer)
        return self._pixels.stored_bytes(width, height, or_none(buffer, "padding_x") or 0)

    def _delivered(self, buffer: Any) -> tuple[int, int]:
        """Return rows and columns, by the driver if it says so."""
        return or_none(buffer, "height") or self._shape[0], or_none(buffer, "width") or self._shape[1]

    @staticmethod
    def _offset(buffer: Any) -> int:
        return or_none(buffer, "image_offset") or 0

    def _copy(self, buffer: Any, out: Image) -> None:
        """Copy the picture, without the padding at the ends of its lines, as 8-bit gray."""
        delivered, shape = self._delivered(buffer), self._shape
        if delivered != shape:
            raise CameraLostError(
                f"camera {self._label} delivered {delivered[1]}x{delivered[0]} pixels instead of {shape[1]}x{shape[0]}"
            )
        self._delivered_format.require(or_none(buffer, "pixel_format"))
        size, offset = self._stored_bytes(buffer), self._offset(buffer)
        try:
            data = np.frombuffer(buffer.raw_buffer, np.uint8, size, offset)
        except ValueError as error:
            raise CameraLostError(f"camera {self._label} delivered less than a frame: {error}") from error
        self._gray.read(data, or_none(buffer, "padding_x") or 0, out)

    @contextmanager
    def _lost_if_it_fails(self, doing: str) -> Iterator[None]:
        try:
            yield
        except vendor_errors() as error:
            raise CameraLostError(f"camera {self._label} was lost while {doing}: {error}") from error


def _tick_hz(acquirer: Any, nodes: Nodes, tl_type: str) -> float | None:
    """Ticks per second of the device's clock, or None for a device that declares none."""
    declared = or_none(acquirer.device, "timestamp_frequency") or nodes.get("GevTimestampTickFrequency")
    if declared:
        return float(declared)
    return float(NS_PER_S) if tl_type == "U3V" else None


def _stamp_ns(buffer: Any, tick_hz: float) -> int | None:
    """Return a frame's time stamp, None where there is none."""
    stamp_ns: int | None = or_none(buffer, "timestamp_ns")
    if not stamp_ns:
        ticks = or_none(buffer, "timestamp")
        stamp_ns = ticks * NS_PER_S // round(tick_hz) if ticks else None
    return stamp_ns or None
