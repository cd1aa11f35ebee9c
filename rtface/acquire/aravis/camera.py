"""GigE Vision and USB3 Vision cameras through Aravis."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ctypes import byref, c_int, c_size_t, c_uint64
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtface.acquire.aravis.features import FeatureMap
from rtface.acquire.aravis.library import ABORTED, SUCCESS, Aravis, AravisRefusal, Handler, aravis
from rtface.acquire.framenumbers import FrameNumbers
from rtface.acquire.genicam.formats import FORMATS, DeliveredFormat, GrayReader, depth_of, readable
from rtface.acquire.genicam.nodes import Nodes
from rtface.acquire.genicam.ptp import PtpWatch
from rtface.acquire.genicam.readings import EVERY_NS
from rtface.acquire.genicam.sensor import sensor_facts
from rtface.acquire.genicam.settings import apply, require_possible_rate
from rtface.acquire.genicam.software import SoftwareTrigger
from rtface.acquire.genicam.trouble import PassingTrouble
from rtface.acquire.lifecycle import OrderedCamera
from rtface.acquire.timing.cameraclock import CameraClock
from rtface.config import AravisCameraSettings
from rtface.core.clock import NS_PER_S, NS_PER_US, SYSTEM_CLOCK, Clock
from rtface.core.clockfit import ClockLine
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError
from rtface.core.records import CameraInfo, FrameMeta, Image
from rtface.core.status import CameraStatus

REAL, FAKE = (b"GigEVision", b"USB3Vision"), b"Fake"
"""Names of the library's interfaces."""
_GIGE = "GigEVision"
_CHECK = 1
_INFOS = {"n_resent_packets": "packets_resent", "n_missing_packets": "packets_lost"}
"""What the library calls some readings, and rtface."""


@dataclass(frozen=True, slots=True)
class AravisDevice:
    """A camera that Aravis has found; texts as the device gives them, `protocol` as the library names it."""

    identity: str
    vendor: str
    model: str
    serial: str
    protocol: str


def list_aravis(*, simulated: bool = False) -> list[AravisDevice]:
    """List the cameras that Aravis finds now: it asks on every network interface.

    Parameters
    ----------
    simulated : bool
        Only the library's own simulated camera; no network is asked.
    """
    library = aravis()
    for name in REAL:
        (library.disable_interface if simulated else library.enable_interface)(name)
    (library.enable_interface if simulated else library.disable_interface)(FAKE)
    library.update_device_list()

    def told(what: str, at: int) -> str:
        return (getattr(library, f"get_device_{what}")(at) or b"").decode(errors="replace")

    return [
        AravisDevice(*(told(what, at) for what in ("id", "vendor", "model", "serial_nbr", "protocol")))
        for at in range(library.get_n_devices())
    ]


class AravisCamera(OrderedCamera):
    """A camera behind Aravis; settings, formats, times and losses as of `rtface.acquire.genicam.camera.GenicamCamera`.

    Waiting for a frame does not hold the interpreter's lock. Of frames that wait, the newest is taken.

    Parameters
    ----------
    settings : AravisCameraSettings
        Which camera, and how it is to be set.
    clock : Clock
        What stamps arrivals.
    """

    def __init__(self, settings: AravisCameraSettings, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__("aravis", clock)
        self._settings = settings
        self._label = ""
        self._library: Aravis = None  # type: ignore[assignment]  # loaded when it is needed
        self._camera = self._stream = 0
        self._watch: tuple[int, int] | None = None
        self._lost = False
        self._pixels = FORMATS["Mono8"]
        self._gray: GrayReader
        self._numbers = FrameNumbers()
        self._timing = CameraClock()
        self._incomplete = 0
        self._ptp: PtpWatch | None = None
        self._software: SoftwareTrigger | None = None
        self._trouble = PassingTrouble()
        self._delivered_format: DeliveredFormat
        self._nodes: Nodes | None = None
        self._readings: dict[str, float] = {}
        self._next_reading_ns = 0

        def lost(_device: int, _data: int) -> None:
            self._lost = True

        self._on_loss = Handler(lost)

    @property
    def clock_line(self) -> ClockLine | None:
        """The map that the exposures come from; None before the first time stamp, and while stamps are not believed."""
        return self._timing.line

    @property
    def status(self) -> CameraStatus:
        """What does not hold of its clock and PTP."""
        ptp = self._ptp
        return CameraStatus(
            problems=() if ptp is None or not ptp.problem else (ptp.problem,),
            clock=self._timing.doubt,
            clock_steps=self._timing.steps,
            ptp=None if ptp is None else ptp.status,
            readings=self._readings,
        )

    def _open(self) -> CameraInfo:
        self._library = aravis()
        self._lost = False
        found = _choose(list_aravis(simulated=self._settings.simulated), self._settings.serial)
        self._label = f"{found.vendor} {found.model} {found.serial}".strip()
        try:
            self._camera = self._library.camera_new(found.identity.encode())
        except AravisRefusal as error:
            raise CameraError(
                f"camera {self._label} cannot be opened; is another program using it? {error}"
            ) from error
        device = self._library.camera_get_device(self._camera)
        self._watch = device, self._library.connect(device, "control-lost", self._on_loss)
        self._library.device_set_range_check_policy(device, _CHECK)
        with self._lost_if_it_fails("being set up"):
            return self._configure(found, device)

    def _configure(self, found: AravisDevice, device: int) -> CameraInfo:
        settings, library = self._settings, self._library
        nodes = Nodes(FeatureMap(library, device), self._label, (AravisRefusal,), self._clock)
        readable(settings.pixel_format, nodes.choices("PixelFormat"), self._label)
        apply(nodes, settings)
        read_back = nodes.verify()
        require_possible_rate(nodes, settings, self._label)
        width, height = int(nodes.require("Width")), int(nodes.require("Height"))
        self._pixels = readable(str(nodes.require("PixelFormat")), nodes.choices("PixelFormat"), self._label)
        bits = depth_of(self._pixels, nodes.whole("PixelDynamicRangeMax"))
        self._gray = GrayReader(self._pixels, width, height, bits)
        self._delivered_format = DeliveredFormat(self._label, self._pixels)
        self._numbers = FrameNumbers(leaves_out_zero=found.protocol == _GIGE)
        self._timing = CameraClock()
        self._nodes = nodes
        self._ptp = None if settings.ptp is None else PtpWatch(settings.ptp, nodes)
        trigger = settings.trigger
        self._software = SoftwareTrigger.of(trigger, nodes)
        self._readings, self._next_reading_ns = {}, 0
        self._stream = library.camera_create_stream(self._camera, None, None)
        payload = library.camera_get_payload(self._camera)
        for _ in range(settings.buffers):
            library.stream_push_buffer(self._stream, library.buffer_new_allocate(payload))
        return CameraInfo(
            kind="aravis",
            label=self._label,
            width=width,
            height=height,
            rate_hz=nodes.rate_hz() if trigger is None else trigger.expected_hz,
            frames=None,
            live=True,
            exposure_source="camera",
            settings={
                **read_back,
                "serial": found.serial,
                "vendor": found.vendor,
                "model": found.model,
                "tl_type": found.protocol,
                "gray_shift_bits": bits - 8,
                "buffers": settings.buffers,
                **sensor_facts(nodes),
            },
            trigger=None if trigger is None else trigger.info(),
        )

    def _start(self) -> None:
        self._numbers.restart()
        self._incomplete = 0
        self._trouble.passed()
        self._delivered_format.restart()
        self._take_back()
        with self._lost_if_it_fails("starting"):
            self._library.camera_start_acquisition(self._camera)
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
                self._between_frames(now_ns)
                buffer = self._wait(max(0, deadline_ns - now_ns))
                now_ns = self._clock.now_ns()
                if buffer:
                    try:
                        if self._is_whole(buffer):
                            return self._take(buffer, out, now_ns)
                    finally:
                        self._library.stream_push_buffer(self._stream, buffer)
                if self._lost:
                    raise CameraLostError(f"camera {self._label} was lost: it no longer answers")
                if now_ns >= deadline_ns:
                    return None

    def _between_frames(self, now_ns: int) -> None:
        self._give_triggers(now_ns)
        if self._ptp is not None:
            self._ptp.look(now_ns)
        if now_ns >= self._next_reading_ns:
            self._next_reading_ns = now_ns + EVERY_NS
            self._readings = self._read()

    def _give_triggers(self, now_ns: int) -> None:
        """Give one that is due; a device that refuses it for a moment is not lost."""
        if self._software is None:
            return
        try:
            self._software.give(now_ns)
        except AravisRefusal:
            if self._trouble.lasts(self._clock.now_ns()):
                raise
        else:
            self._trouble.passed()

    def _wait(self, longest_ns: int) -> int:
        """Return the newest buffer that is there within a time, 0 for none; older ones go back to the library."""
        library = self._library
        if self._software is not None:  # whose next trigger must not wait for this one's frame
            longest_ns = min(longest_ns, NS_PER_S // 1000)
        newest = library.stream_timeout_pop_buffer(self._stream, longest_ns // NS_PER_US) or 0
        while newest and (newer := library.stream_try_pop_buffer(self._stream)):
            self._is_whole(newest)  # one that is damaged is counted, though nobody takes it
            library.stream_push_buffer(self._stream, newest)
            newest = newer
        return int(newest)

    def _is_whole(self, buffer: int) -> bool:
        """Return whether all of the picture arrived, and count it where it did not."""
        state = self._library.buffer_get_status(buffer)
        if state == SUCCESS and self._size(buffer)[1] >= self._stored_bytes(buffer):
            return True
        if state != ABORTED:
            self._incomplete += 1
            self.lost_at_camera += 1
        return False

    def _take(self, buffer: int, out: Image, arrival_ns: int) -> FrameMeta:
        library, (height, width) = self._library, self._shape
        delivered = library.buffer_get_image_width(buffer), library.buffer_get_image_height(buffer)
        if delivered != (width, height):
            raise CameraLostError(
                f"camera {self._label} delivered {delivered[0]}x{delivered[1]} pixels instead of {width}x{height}"
            )
        self._delivered_format.require(library.buffer_get_image_pixel_format(buffer))
        memory = (ctypes.c_uint8 * self._stored_bytes(buffer)).from_address(self._size(buffer)[0])
        self._gray.read(np.ctypeslib.as_array(memory), self._padding(buffer), out)
        frame_id, missing = self._numbers.take(library.buffer_get_frame_id(buffer))
        self.transport_known = self._numbers.known
        self.lost_in_transport += max(0, missing - self._incomplete)
        self._incomplete = 0
        camera_ns, exposure_ns = self._timing.take(library.buffer_get_timestamp(buffer) or None, arrival_ns)
        return FrameMeta(frame_id, exposure_ns, arrival_ns, camera_ns)

    def _size(self, buffer: int) -> tuple[int, int]:
        """Return where a buffer's bytes are, and how many."""
        size = c_size_t()
        return self._library.buffer_get_data(buffer, byref(size)) or 0, size.value

    def _padding(self, buffer: int) -> int:
        across, down = c_int(), c_int()
        self._library.buffer_get_image_padding(buffer, byref(across), byref(down))
        return across.value

    def _stored_bytes(self, buffer: int) -> int:
        height, width = self._shape
        return self._pixels.stored_bytes(width, height, self._padding(buffer))

    def _read(self) -> dict[str, float]:
        """Return what the library and the device tell of themselves."""
        library, stream = self._library, self._stream
        counts = [c_uint64() for _ in range(3)]
        library.stream_get_statistics(stream, *map(byref, counts))
        found = {"frames_without_buffer": float(counts[2].value)}
        for at in range(library.stream_get_n_infos(stream)):
            name = (library.stream_get_info_name(stream, at) or b"").decode()
            if name in _INFOS:
                found[_INFOS[name]] = float(library.stream_get_info_uint64(stream, at))
        temperature: Any = None if self._nodes is None else self._nodes.get("DeviceTemperature")
        return found if temperature is None else found | {"temperature_c": float(temperature)}

    def _take_back(self) -> None:
        """Give the library back all buffers that were filled before."""
        while buffer := self._library.stream_try_pop_buffer(self._stream):
            self._library.stream_push_buffer(self._stream, buffer)

    def _stop(self) -> None:
        with suppress(AravisRefusal):
            self._library.camera_stop_acquisition(self._camera)

    def _close(self) -> None:
        watch, self._watch = self._watch, None
        stream, camera, self._stream, self._camera = self._stream, self._camera, 0, 0
        self._nodes = self._software = self._ptp = None
        if watch is not None:
            self._library.disconnect(*watch)
        for each in (stream, camera):
            if each:
                self._library.unref(each)

    @contextmanager
    def _lost_if_it_fails(self, doing: str) -> Iterator[None]:
        try:
            yield
        except AravisRefusal as error:
            raise CameraLostError(f"camera {self._label} was lost while {doing}: {error}") from error


def _choose(devices: list[AravisDevice], serial: str | None) -> AravisDevice:
    """Return the device with a serial number or a name, or the only one."""
    names = ", ".join(each.serial for each in devices)
    if not devices:
        raise CameraError(
            "Aravis found no camera; is it powered, connected, and may you open it? (rtface doctor)"
        )
    if serial is None:
        if len(devices) > 1:
            raise CameraError(f"several cameras found: set camera.serial to one of {names}")
        return devices[0]
    for each in devices:
        if serial in (each.serial, each.identity):
            return each
    raise CameraError(f"no camera that Aravis finds has serial {serial!r}; found: {names}")
