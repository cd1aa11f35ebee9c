"""The GenICam camera on viky, the simulated cameras of the genicam package, and on fakes for what viky lacks."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from genicam import gentl
from numpy.typing import NDArray

from rtface.acquire.genicam import camera as genicam
from rtface.acquire.genicam import gentl as seam
from rtface.acquire.genicam.camera import GenicamCamera, list_genicam
from rtface.acquire.genicam.formats import FORMATS, GrayReader
from rtface.acquire.genicam.survey import list_outside
from rtface.config import GenicamCameraSettings
from rtface.core.clock import SYSTEM_CLOCK
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError
from rtface.core.records import CameraInfo, FrameMeta, Image

VIKY = Path("viky")
S = 1_000_000_000


def settings(**changes: object) -> GenicamCameraSettings:
    merged = {"kind": "genicam", "producer": VIKY, "serial": "0", "width": 200, "height": 160, "rate_hz": 200}
    return GenicamCameraSettings.model_validate({**merged, **changes})


@pytest.fixture
def opened() -> Iterator[Callable[..., tuple[GenicamCamera, CameraInfo]]]:
    cameras = []

    def open_camera(**changes: object) -> tuple[GenicamCamera, CameraInfo]:
        camera = GenicamCamera(settings(**changes))
        cameras.append(camera)
        return camera, camera.open()

    yield open_camera
    for camera in cameras:
        camera.close()


def memory(info: CameraInfo) -> Image:
    return np.empty((info.height, info.width), np.uint8)


def take(camera: GenicamCamera, out: Image) -> FrameMeta:
    meta = camera.fill(out, 5.0)
    assert meta is not None
    return meta


def test_the_cameras_of_a_producer_are_listed() -> None:
    found = list_genicam(VIKY)
    assert [(device.serial, device.model, device.tl_type) for device in found] == [
        ("0", "Viky", "Custom"),
        ("1", "Viky", "Custom"),
        ("2", "Viky", "Custom"),
    ]


def test_settings_are_made_and_read_back(opened: Any) -> None:
    camera, info = opened(
        width=320, height=240, rate_hz=50, nodes={"BouncingBallSize": 30, "GenDCStreamingMode": False}
    )
    assert (info.width, info.height, info.rate_hz, info.live) == (320, 240, 50.0, True)
    assert info.exposure_source == "arrival"
    assert info.settings["BouncingBallSize"] == 30
    assert info.settings["GenDCStreamingMode"] == "Off"
    assert info.settings["PixelFormat"] == "Mono8"
    assert "Viky" in info.label
    camera.start()
    take(camera, memory(info))


def test_the_picture_is_a_black_square_that_moves_on_white(opened: Any) -> None:
    camera, info = opened(nodes={"BouncingBallSize": 20})
    camera.start()
    centres = []
    for _ in range(20):
        out = memory(info)
        take(camera, out)
        rows, columns = np.nonzero(out < 128)
        assert rows.size == 400
        assert set(np.unique(out)) == {0, 255}
        centres.append((rows.mean(), columns.mean()))
    assert len(set(centres)) > 10


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"serial": "77"}, CameraError, ["'77'", "0, 1, 2"]),
        ({"serial": None}, CameraError, ["several", "camera.serial", "0, 1, 2"]),
        ({"width": 5000}, CameraSettingError, ["Width", "5000", "100 to 800"]),
        ({"rate_hz": 999}, CameraSettingError, ["AcquisitionFrameRate", "999", "200"]),
        ({"exposure_us": 100}, CameraSettingError, ["ExposureTime"]),
        ({"gain": 1}, CameraSettingError, ["Gain"]),
        ({"offset_x": 4}, CameraSettingError, ["OffsetX"]),
        ({"nodes": {"NoSuchThing": 1}}, CameraSettingError, ["NoSuchThing"]),
        (
            {"nodes": {"BouncingBallSize": "big"}},
            CameraSettingError,
            ["BouncingBallSize", "'big'", "1 to 40"],
        ),
        ({"nodes": {"GenDCStreamingMode": "Maybe"}}, CameraSettingError, ["GenDCStreamingMode", "Off, On"]),
        ({"pixel_format": "RGBa8"}, CameraSettingError, ["RGBa8", "Mono8"]),
        ({"pixel_format": "Mono12"}, CameraSettingError, ["PixelFormat", "Mono12", "Mono8"]),
        ({"producer": Path("nowhere.cti")}, CameraError, ["nowhere.cti"]),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing_open(
    changes: dict[str, object], error: type[CameraError], words: list[str]
) -> None:
    with pytest.raises(error) as raised:
        GenicamCamera(settings(**changes)).open()
    for word in words:
        assert word in str(raised.value)
    other = GenicamCamera(settings())
    other.open()
    other.close()


def test_a_file_that_is_no_producer_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "fake.cti").write_text("not a library")
    with pytest.raises(CameraError, match=r"fake\.cti"):
        list_genicam(tmp_path / "fake.cti")


def test_producers_are_found_by_the_standard_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import genicam as package

    monkeypatch.setenv(seam.PRODUCERS_VARIABLE, f"{tmp_path}:{Path(package.__file__).parent}")
    assert len(list_genicam()) == 3
    (tmp_path / "._other.cti").write_bytes(b"a companion that macOS left")
    monkeypatch.setenv(seam.PRODUCERS_VARIABLE, str(tmp_path))
    with pytest.raises(CameraError, match=seam.PRODUCERS_VARIABLE):
        list_genicam()


def test_a_broken_producer_among_several_does_not_stand_before_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import genicam as package

    (tmp_path / "a.cti").write_text("none", encoding="utf-8")
    monkeypatch.setenv(seam.PRODUCERS_VARIABLE, f"{tmp_path}:{Path(package.__file__).parent}")
    for lists in (list_genicam, list_outside):
        caplog.clear()
        assert len(lists(None)) == 3
        assert "a.cti cannot be used" in caplog.text
    monkeypatch.setenv(seam.PRODUCERS_VARIABLE, str(tmp_path))
    with pytest.raises(CameraError, match=r"a\.cti cannot be used"):
        list_genicam(None)


def test_ctrl_c_does_what_it_did_before() -> None:
    assert threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT)
    camera = GenicamCamera(settings())
    camera.open()
    assert signal.getsignal(signal.SIGINT) is before
    camera.close()
    assert signal.getsignal(signal.SIGINT) is before


def test_frames_that_a_late_reader_misses_are_counted_by_their_numbers(opened: Any) -> None:
    camera, info = opened(buffers=3)
    camera.start()
    out = memory(info)
    metas = [take(camera, out)]
    SYSTEM_CLOCK.sleep_until_ns(SYSTEM_CLOCK.now_ns() + S // 5)
    metas += [take(camera, out) for _ in range(10)]
    span = metas[-1].frame_id - metas[0].frame_id + 1
    assert camera.lost_in_transport == span - len(metas) > 0
    assert camera.lost_at_camera == 0


def lose_the_device(monkeypatch: pytest.MonkeyPatch, camera: GenicamCamera) -> None:
    """Make harvesters raise what it raises when a camera is unplugged: on each poll, and from its first stop."""

    def gone(*_: object, **__: object) -> None:
        raise gentl.IoException("the device is gone")

    acquirer = camera._acquirer
    for monitor in acquirer._new_buffer_event_monitor_dict.values():
        monkeypatch.setattr(monitor, "update_event_data", gone)
    stops = iter([gone])
    stop = acquirer.stop
    monkeypatch.setattr(acquirer, "stop", lambda: (stop(), next(stops, lambda: None)()))


def test_a_lost_device_is_an_error_and_can_be_closed_and_opened_again(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera, info = opened()
    camera.start()
    take(camera, memory(info))
    lose_the_device(monkeypatch, camera)
    for _ in range(2):
        with pytest.raises(CameraLostError, match="Viky"):
            camera.fill(memory(info), 20.0)
    camera.stop()
    camera.close()
    info = camera.open()
    camera.start()
    take(camera, memory(info))


def test_what_can_be_given_back_is_when_a_lost_device_refuses() -> None:
    def refuse() -> None:
        raise gentl.IoException("the device is gone")

    done: list[str] = []
    acquirers = [SimpleNamespace(destroy=refuse), SimpleNamespace(destroy=lambda: done.append("destroyed"))]
    harvester = SimpleNamespace(
        image_acquirers=acquirers, reset=lambda: done.append(f"reset with {len(acquirers)} acquirers")
    )
    seam.release(harvester)
    assert done == ["destroyed", "reset with 0 acquirers"]


class FakeBuffer:
    """A GenTL buffer of the raw kind, with what real producers give and viky does not."""

    def __init__(
        self,
        number: int,
        pixels: NDArray[Any],
        *,
        padding: int = 0,
        offset: int = 0,
        complete: bool = True,
        ticks: int | None = None,
        pixel_format: int | None = None,
    ) -> None:
        self.frame_id = number
        self.height, self.width = pixels.shape
        self.padding_x, self.image_offset = padding, offset
        lines = pixels.view(np.uint8).reshape(self.height, -1)
        padded = np.pad(lines, ((0, 0), (0, padding)), constant_values=222)
        self.raw_buffer = bytes(offset) + padded.tobytes() + bytes(100)
        self._complete = complete
        if ticks is not None:
            self.timestamp = ticks
        if pixel_format is not None:
            self.pixel_format = pixel_format
        self.queued = 0
        self.parent = SimpleNamespace(queue_buffer=self._queue)

    def is_complete(self) -> bool:
        return self._complete

    def _queue(self, buffer: FakeBuffer, zero: bool) -> None:
        self.queued += 1
        self.raw_buffer = bytes(len(self.raw_buffer))


@pytest.fixture
def feed(opened: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[list[FakeBuffer]], GenicamCamera]:
    """A camera that was opened on viky, and then gets buffers that the test makes."""

    def fed(buffers: list[FakeBuffer]) -> GenicamCamera:
        camera: GenicamCamera = opened(width=100, height=100)[0]
        camera.start()
        waiting = iter(buffers)
        monkeypatch.setattr(genicam, "poll", lambda _: next(waiting, None))
        return camera

    return fed


def ramp(kind: type[np.unsignedinteger[Any]] = np.uint8, factor: int = 1) -> NDArray[Any]:
    return (np.add.outer(np.arange(100), np.arange(100)) * factor).astype(kind)


def test_padding_at_the_ends_of_lines_and_an_offset_are_left_out(feed: Any) -> None:
    buffer = FakeBuffer(1, ramp(), padding=12, offset=64)
    out = np.empty((100, 100), np.uint8)
    assert feed([buffer]).fill(out, 0.0) is not None
    np.testing.assert_array_equal(out, ramp())
    assert buffer.queued == 1


@pytest.mark.parametrize(("bits", "shift"), [(10, 2), (12, 4), (16, 8)])
def test_deeper_pixels_are_scaled_by_a_fixed_shift(feed: Any, bits: int, shift: int) -> None:
    deep = ramp(np.uint16, (2**bits - 1) // 198)
    camera = feed([FakeBuffer(1, deep, padding=6)])
    camera._pixels = FORMATS[f"Mono{bits}"]
    camera._gray = GrayReader(camera._pixels, 100, 100, bits)
    out = np.empty((100, 100), np.uint8)
    assert camera.fill(out, 0.0) is not None
    np.testing.assert_array_equal(out, deep >> shift)


def test_incomplete_frames_count_as_lost_at_the_camera_and_not_again_in_transport(feed: Any) -> None:
    buffers = [FakeBuffer(number, ramp(), complete=number not in {3, 4}) for number in (1, 2, 3, 4, 6)]
    camera = feed(buffers)
    out = np.empty((100, 100), np.uint8)
    numbers: list[int] = []
    while (meta := camera.fill(out, 0.0)) is not None or len(numbers) < 3:
        if meta is not None:
            numbers.append(meta.frame_id)
    assert numbers == [1, 2, 6]
    assert (camera.lost_at_camera, camera.lost_in_transport) == (2, 1)
    assert [buffer.queued for buffer in buffers] == [1] * 5


def test_nothing_but_incomplete_frames_does_not_hold_the_reader(feed: Any) -> None:
    camera = feed(FakeBuffer(number, ramp(), complete=False) for number in range(10**9))
    assert camera.fill(np.empty((100, 100), np.uint8), 0.01) is None
    assert camera.lost_at_camera > 0


def test_a_frame_of_another_size_or_too_short_is_refused(feed: Any) -> None:
    short = FakeBuffer(2, ramp())
    short.raw_buffer = short.raw_buffer[:500]
    camera = feed([FakeBuffer(1, ramp()[:50].copy()), short])
    out = np.empty((100, 100), np.uint8)
    with pytest.raises(CameraLostError, match="100x50 pixels instead of 100x100"):
        camera.fill(out, 0.0)
    with pytest.raises(CameraLostError, match="less than a frame"):
        camera.fill(out, 0.0)


def test_the_devices_time_stamps_become_exposure_times_of_the_host(feed: Any) -> None:
    """Ticks of 8 ns, as GigE Vision cameras have."""
    camera = feed([FakeBuffer(number, ramp(), ticks=125_000_000 + number) for number in range(1, 4)])
    camera._tick_hz = 125e6
    out = np.empty((100, 100), np.uint8)
    assert camera.clock_line is None
    metas = [camera.fill(out, 0.0) for _ in range(3)]
    assert [meta.camera_ns for meta in metas] == [S + 8 * number for number in range(1, 4)]
    assert all(meta.exposure_ns <= meta.arrival_ns for meta in metas)
    assert metas[2].exposure_ns - metas[1].exposure_ns == 8
    assert metas[2].arrival_ns <= SYSTEM_CLOCK.now_ns()
    assert [camera.clock_line.at(meta.camera_ns) for meta in metas] == [meta.exposure_ns for meta in metas]


def test_a_driver_that_cannot_overwrite_is_drained_to_the_newest_frame(feed: Any) -> None:
    buffers = [FakeBuffer(number, ramp()) for number in range(1, 6)]
    camera = feed(buffers)
    camera._drains = True
    meta = camera.fill(np.empty((100, 100), np.uint8), 0.0)
    assert meta is not None
    assert meta.frame_id == 5
    assert [buffer.queued for buffer in buffers] == [1] * 5


def test_pixels_of_another_format_than_before_are_refused(feed: Any) -> None:
    """Of the same size: nothing else would tell."""
    camera = feed(
        [FakeBuffer(n, ramp(), pixel_format=0x0108000C if n == 3 else 0x01080001) for n in (1, 2, 3)]
    )
    out = np.empty((100, 100), np.uint8)
    take(camera, out)
    take(camera, out)
    with pytest.raises(CameraLostError, match=r"another format than before .0x0108000c, before 0x01080001"):
        camera.fill(out, 0.1)


def test_frame_numbers_of_64_bits_that_drivers_give_for_unknown_ones_are_none(feed: Any) -> None:
    camera = feed([FakeBuffer(2**64 - 1, ramp()) for _ in range(3)])
    out = np.empty((100, 100), np.uint8)
    assert [take(camera, out).frame_id for _ in range(3)] == [0, 1, 2]
    assert not camera.transport_known
    assert camera.lost_in_transport == 0


class Raises:
    """A feature that cannot be read."""

    @property
    def symbolics(self) -> tuple[str, ...]:
        raise gentl.IoException("no answer")


@pytest.mark.parametrize("node", [None, Raises(), SimpleNamespace(value=3)])
def test_a_stream_that_does_not_tell_its_mode_is_of_an_unknown_one(node: object) -> None:
    stream = SimpleNamespace(node_map=SimpleNamespace(StreamBufferHandlingMode=node))
    for streams in ([stream], [SimpleNamespace(node_map=None)]):
        assert seam.prefer_newest(SimpleNamespace(data_streams=streams)) == "unknown"


def test_names_of_a_device_can_always_be_written() -> None:
    """genicam gives bytes that are no UTF-8 as lone surrogates."""
    found = seam.describe(SimpleNamespace(property_dict={"serial_number": "7", "vendor": "M\udcfcller"}))
    assert (found.serial, found.vendor, found.model) == ("7", "M?ller", "")
