"""One suite over every camera: what the acquisition thread may rely on, whatever is behind it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from ctypes.util import find_library
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from rtface.acquire.base import Camera, EndOfStream
from rtface.acquire.factory import make_camera, make_inside, make_outside
from rtface.acquire.genicam import camera as genicam
from rtface.config import (
    AravisCameraSettings,
    CameraSettings,
    GenicamCameraSettings,
    ImagesCameraSettings,
    OpencvCameraSettings,
    SimulatedCameraSettings,
    VideoCameraSettings,
)
from rtface.config.yamlfile import kinds_of
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock, ManualClock
from rtface.core.errors import UsageError
from rtface.core.records import CameraInfo, FrameMeta, Image

WIDTH, HEIGHT = 128, 104
FRAMES = 16
"""More than a test reads, and a process of its own fills ahead of it, before a stop: what waits then is not delivered."""
GIVE_UP_S = 5.0


@dataclass
class Case:
    """How to make one kind of camera, and what it is expected to do."""

    make: Callable[[], Camera]
    ends: bool
    """It delivers `FRAMES` frames, each one, and then ends."""
    mapped: bool
    """It has a clock of its own, which is mapped to the host's."""
    numbered: bool
    """Its frames have numbers that show gaps."""


class FakeCapture:
    """What OpenCV would return for a webcam, with a new picture at each read."""

    def __init__(self, device: int | str, api: int) -> None:
        self._number = itertools.count(1)

    @staticmethod
    def waitAny(captures: list[Any], timeout_ns: int) -> tuple[bool, list[int]]:  # noqa: N802
        return True, [0]

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def getBackendName(self) -> str:  # noqa: N802
        return "V4L2"

    def set(self, key: int, value: float) -> bool:
        return True

    def get(self, key: int) -> float:
        return {cv2.CAP_PROP_FRAME_WIDTH: float(WIDTH), cv2.CAP_PROP_FRAME_HEIGHT: float(HEIGHT)}.get(
            key, 30.0
        )

    def read(self) -> tuple[bool, Image]:
        return True, np.full((HEIGHT, WIDTH, 3), next(self._number) % 256, np.uint8)

    def release(self) -> None:
        pass


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `FRAMES` images, and a video of them beside it."""
    folder = tmp_path_factory.mktemp("stored")
    (folder / "images").mkdir()
    with av.open(str(folder / "video.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=100)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(FRAMES):
            image = np.roll(np.tile(np.arange(20, 20 + WIDTH, dtype=np.uint8), (HEIGHT, 1)), 9 * number, 1)
            cv2.imwrite(str(folder / "images" / f"frame{number}.png"), image)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="gray")))
        container.mux(stream.encode())
    return folder


CASES: dict[str, tuple[Callable[[Path], CameraSettings], bool, Clock]] = {
    "simulated paced": (
        lambda _: SimulatedCameraSettings(width=WIDTH, height=HEIGHT, rate_hz=50, frames=FRAMES),
        True,
        ManualClock(1),
    ),
    "simulated": (
        lambda _: SimulatedCameraSettings(width=WIDTH, height=HEIGHT, paced=False, frames=FRAMES),
        True,
        SYSTEM_CLOCK,
    ),
    "video paced": (
        lambda at: VideoCameraSettings(kind="video", path=at / "video.mp4"),
        True,
        ManualClock(1),
    ),
    "video": (
        lambda at: VideoCameraSettings(kind="video", path=at / "video.mp4", paced=False),
        True,
        SYSTEM_CLOCK,
    ),
    "images paced": (
        lambda at: ImagesCameraSettings(kind="images", path=at / "images", paced=True),
        True,
        ManualClock(1),
    ),
    "images": (lambda at: ImagesCameraSettings(kind="images", path=at / "images"), True, SYSTEM_CLOCK),
    "genicam": (
        lambda _: GenicamCameraSettings(
            kind="genicam", producer=Path("viky"), serial="0", width=WIDTH, height=HEIGHT, rate_hz=20
        ),
        False,
        SYSTEM_CLOCK,
    ),
    "genicam with a clock": (
        lambda _: GenicamCameraSettings(
            kind="genicam", producer=Path("viky"), serial="0", width=WIDTH, height=HEIGHT, rate_hz=20
        ),
        False,
        SYSTEM_CLOCK,
    ),
    "genicam, test producer": (
        lambda _: GenicamCameraSettings(
            kind="genicam", serial="gige-0", width=WIDTH, height=HEIGHT, rate_hz=100
        ),
        False,
        SYSTEM_CLOCK,
    ),
    "aravis": (
        lambda _: AravisCameraSettings(
            kind="aravis", simulated=True, width=WIDTH, height=HEIGHT, rate_hz=100
        ),
        False,
        SYSTEM_CLOCK,
    ),
    "opencv": (lambda _: OpencvCameraSettings(kind="opencv"), False, SYSTEM_CLOCK),
    "outside, simulated": (
        lambda _: SimulatedCameraSettings(width=WIDTH, height=HEIGHT, paced=False, frames=FRAMES),
        True,
        SYSTEM_CLOCK,
    ),
    "outside, test producer": (
        lambda _: GenicamCameraSettings(
            kind="genicam", serial="gige-0", width=WIDTH, height=HEIGHT, rate_hz=100
        ),
        False,
        SYSTEM_CLOCK,
    ),
}
"""How to make each: settings, whether it ends, and the clock; several of a kind may stand here."""
MAPPED = {
    "simulated paced",
    "simulated",
    "genicam with a clock",
    "genicam, test producer",
    "aravis",
    "outside, simulated",
    "outside, test producer",
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, stored: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    settings, ends, clock = CASES[request.param]
    asked = settings(stored)
    outside = request.param.startswith("outside")
    if request.param.endswith("test producer"):
        asked = asked.model_copy(update={"producer": request.getfixturevalue("gentl_producer")})
    if request.param == "aravis" and find_library("aravis-0.8") is None:
        pytest.skip("Aravis is not installed")
    if request.param == "opencv":
        monkeypatch.setattr(cv2, "VideoCapture", FakeCapture)
    if (
        request.param == "genicam with a clock"
    ):  # which viky lacks: one that is an hour behind, and stamps at once
        monkeypatch.setattr(genicam, "_tick_hz", lambda *_: float(NS_PER_S))
        monkeypatch.setattr(genicam, "_stamp_ns", lambda *_: SYSTEM_CLOCK.now_ns() - 3600 * NS_PER_S)

    def make() -> Camera:
        return make_outside(asked) if outside else make_inside(asked, clock)

    return Case(make, ends, request.param in MAPPED, request.param != "opencv")


@pytest.fixture
def camera(case: Case) -> Iterator[Camera]:
    camera = case.make()
    yield camera
    camera.close()


def test_every_kind_of_camera_is_held_to_this(stored: Path) -> None:
    assert {settings(stored).kind for settings, _, _ in CASES.values()} == set(kinds_of(CameraSettings))


def memory(info: CameraInfo) -> Image:
    """Memory for one frame, poisoned so that a pixel that is not written shows."""
    noise = np.random.default_rng(7).integers(0, 256, (info.height, info.width))
    return noise.astype(np.uint8)


def next_frame(camera: Camera, out: Image) -> FrameMeta:
    meta = camera.fill(out, GIVE_UP_S)
    assert meta is not None, "no frame came"
    return meta


def test_says_what_it_delivers(camera: Camera, case: Case) -> None:
    info = camera.open()
    assert (info.width, info.height) == (WIDTH, HEIGHT)
    assert info.exposure_source in {"camera", "arrival"}
    assert info.frames == (FRAMES if case.ends else None)


def test_every_pixel_is_written(camera: Camera, case: Case) -> None:
    """Two cameras write over opposite memory: a pixel that neither writes keeps both values."""
    info = camera.open()
    camera.start()
    first, second = memory(info), 255 - memory(info)
    next_frame(camera, first)
    camera.close()
    other = case.make()
    other.open()
    other.start()
    next_frame(other, second)
    other.close()
    untouched = (first == memory(info)) & (second == 255 - memory(info))
    assert untouched.sum() < 8, "memory shines through, beyond what chance explains"


def test_a_frame_does_not_change_once_it_is_delivered(camera: Camera) -> None:
    info = camera.open()
    camera.start()
    out = memory(info)
    next_frame(camera, out)
    kept = out.copy()
    for _ in range(4):
        next_frame(camera, memory(info))
    np.testing.assert_array_equal(out, kept)
    camera.close()
    np.testing.assert_array_equal(out, kept)


def test_numbers_increase_and_times_are_in_order(camera: Camera) -> None:
    info = camera.open()
    camera.start()
    metas = [next_frame(camera, memory(info)) for _ in range(5)]
    for earlier, later in itertools.pairwise(metas):
        assert later.frame_id > earlier.frame_id
        assert later.exposure_ns >= earlier.exposure_ns
        assert later.arrival_ns >= earlier.arrival_ns
    assert all(meta.arrival_ns >= meta.exposure_ns for meta in metas)
    if info.exposure_source == "arrival":
        assert all(meta.arrival_ns == meta.exposure_ns for meta in metas)


def test_the_map_of_its_clock_gives_the_exposures(camera: Camera, case: Case) -> None:
    for _ in range(2):
        info = camera.open()
        assert camera.clock_line is None, "no frame has come since it was opened"
        camera.start()
        last_ns = 0
        for _ in range(5):
            meta = next_frame(camera, memory(info))
            line = camera.clock_line
            assert (line is not None) == case.mapped
            if line is not None:
                assert meta.camera_ns is not None
                assert meta.camera_ns != meta.exposure_ns
                possible_ns = min(max(line.at(meta.camera_ns), last_ns), meta.arrival_ns)
                assert abs(possible_ns - meta.exposure_ns) < NS_PER_MS
            last_ns = meta.exposure_ns
        camera.close()


def test_losses_begin_at_0(camera: Camera) -> None:
    camera.open()
    assert (camera.lost_at_camera, camera.lost_in_transport) == (0, 0)


def test_whether_its_numbers_show_gaps_is_said(camera: Camera, case: Case) -> None:
    for _ in range(2):
        info = camera.open()
        camera.start()
        for _ in range(3):
            next_frame(camera, memory(info))
        assert camera.transport_known == case.numbered
        status = camera.status
        assert status.problems == ()
        assert status.missed_triggers is None, "no kind counts triggers that it was not told of"
        camera.close()


def test_a_source_that_ends_delivers_all_its_frames_and_says_so_each_time(camera: Camera, case: Case) -> None:
    if not case.ends:
        pytest.skip("this camera never ends")
    info = camera.open()
    camera.start()
    numbers = [next_frame(camera, memory(info)).frame_id for _ in range(FRAMES)]
    assert numbers == list(range(numbers[0], numbers[0] + FRAMES))
    for _ in range(3):
        with pytest.raises(EndOfStream):
            camera.fill(memory(info), GIVE_UP_S)
    assert (camera.lost_at_camera, camera.lost_in_transport) == (0, 0)


def test_stop_and_close_may_come_at_any_time_and_again(camera: Camera) -> None:
    camera.stop()
    camera.close()
    info = camera.open()
    camera.stop()
    camera.start()
    camera.start()
    next_frame(camera, memory(info))
    camera.stop()
    camera.stop()
    camera.close()
    camera.close()
    camera.stop()


def test_it_can_start_again_after_a_stop(camera: Camera) -> None:
    info = camera.open()
    camera.start()
    first = [next_frame(camera, memory(info)).frame_id for _ in range(3)]
    camera.stop()
    camera.start()
    again = [next_frame(camera, memory(info)).frame_id for _ in range(3)]
    numbers = first + again
    assert numbers == sorted(set(numbers)), "a frame number came twice"
    assert camera.lost_in_transport == 0


def test_open_twice_is_refused(camera: Camera) -> None:
    info = camera.open()
    with pytest.raises(UsageError):
        camera.open()
    camera.start()
    next_frame(camera, memory(info))


def test_start_before_open_is_refused(camera: Camera) -> None:
    with pytest.raises(UsageError):
        camera.start()


def test_fill_before_start_and_after_stop_is_refused(camera: Camera) -> None:
    info = camera.open()
    with pytest.raises(UsageError):
        camera.fill(memory(info), 0)
    camera.start()
    camera.stop()
    with pytest.raises(UsageError):
        camera.fill(memory(info), 0)


def test_memory_of_another_shape_or_type_is_refused(camera: Camera) -> None:
    info = camera.open()
    camera.start()
    wrongs: list[Any] = [
        np.empty((info.width, info.height), np.uint8),
        np.empty((info.height, info.width), np.uint16),
        np.empty((info.height, 2 * info.width), np.uint8)[:, ::2],
    ]
    for wrong in wrongs:
        with pytest.raises(UsageError):
            camera.fill(wrong, 0)


def test_after_close_another_can_open(camera: Camera, case: Case) -> None:
    camera.open()
    camera.start()
    camera.close()
    other = case.make()
    info = other.open()
    other.start()
    next_frame(other, memory(info))
    other.close()


def test_waiting_ends_at_the_time_limit() -> None:
    """A clock that only moves while something waits on it: a fill that waited otherwise would never return."""
    for settings in (
        SimulatedCameraSettings(width=WIDTH, height=HEIGHT, rate_hz=1),
        GenicamCameraSettings(kind="genicam", producer=Path("viky"), serial="0", rate_hz=1),
    ):
        clock = ManualClock(1)
        camera = make_camera(settings, clock)
        info = camera.open()
        camera.start()
        out = memory(info)
        while camera.fill(out, 0.25) is not None:
            pass
        before_ns = clock.now_ns()
        assert camera.fill(out, 0.25) is None
        assert clock.now_ns() == before_ns + 250_000_000
        camera.close()
