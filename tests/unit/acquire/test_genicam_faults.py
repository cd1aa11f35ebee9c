"""The GenICam camera on cameras that misbehave: the test producer of `tests/gentl`, a fault at a time.

What is not right yet is marked `xfail(strict=True)` with what must be: whoever makes it right takes the mark away.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.gentl_producer import (
    BUSY,
    CUSTOM,
    GIGE,
    HANGS,
    STATE_VARIABLE,
    USB3,
    number_shown,
    plug_in,
    true_gray,
    true_light,
)

from rtface.acquire.base import Camera
from rtface.acquire.factory import make_camera
from rtface.acquire.genicam.camera import GenicamCamera, list_genicam
from rtface.config import GenicamCameraSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK
from rtface.core.errors import CameraError, CameraLostError, CameraSettingError
from rtface.core.geometry import SensorRegion
from rtface.core.records import FrameMeta, Image

WIDTH, HEIGHT = 64, 48
GIVE_UP_S = 20.0
Start = Callable[..., GenicamCamera]


def settings(producer: Path, *, nodes: Any = None, **changes: Any) -> GenicamCameraSettings:
    asked = {"serial": CUSTOM, "width": WIDTH, "height": HEIGHT, **changes}
    return GenicamCameraSettings(kind="genicam", producer=producer, nodes=nodes or {}, **asked)


@pytest.fixture
def opened(gentl_producer: Path) -> Iterator[Start]:
    """Open a camera with features of the producer's, which are `nodes:` of a rig."""
    cameras = []

    def open_camera(changes: dict[str, Any] | None = None, **nodes: Any) -> GenicamCamera:
        camera = GenicamCamera(settings(gentl_producer, nodes=nodes, **(changes or {})))
        cameras.append(camera)
        camera.open()
        return camera

    yield open_camera
    for camera in cameras:
        camera.close()


@pytest.fixture
def started(opened: Start) -> Start:
    """Start a camera that makes each frame when it is asked for, so that nothing depends on time."""

    def start_camera(changes: dict[str, Any] | None = None, **nodes: Any) -> GenicamCamera:
        camera = opened(changes, **{"FramePacing": "OnDemand", **nodes})
        camera.start()
        return camera

    return start_camera


def memory() -> Image:
    return np.full((HEIGHT, WIDTH), 77, np.uint8)


def take(camera: Camera, out: Image | None = None) -> FrameMeta:
    meta = camera.fill(memory() if out is None else out, GIVE_UP_S)
    assert meta is not None, "no frame came"
    return meta


def taken(camera: Camera, frames: int) -> list[tuple[int, int]]:
    """Take frames, and return of each the number that rtface gives it and the one that its picture shows."""
    out, numbers = memory(), []
    for _ in range(frames):
        meta = take(camera, out)
        numbers.append((meta.frame_id, number_shown(out)))
    return numbers


def both(numbers: list[int]) -> list[tuple[int, int]]:
    return [(number, number) for number in numbers]


# Pictures that are not whole


@pytest.mark.parametrize("flag", [True, False])
def test_only_whole_pictures_are_taken_whether_or_not_the_driver_flags_the_others(
    started: Start, flag: bool
) -> None:
    camera = started(FaultIncompleteEvery=3, FaultIncompleteFlag=flag)
    assert taken(camera, 5) == both([1, 2, 4, 5, 7])
    assert (camera.lost_at_camera, camera.lost_in_transport) == (2, 0)


@pytest.mark.parametrize("part", [0.0, 0.999])
def test_a_picture_of_which_next_to_nothing_is_missing_is_not_whole(started: Start, part: float) -> None:
    camera = started(FaultIncompleteEvery=2, FaultIncompleteFlag=False, FaultIncompleteFill=part)
    assert taken(camera, 3) == both([1, 3, 5])
    assert camera.lost_at_camera == 2


def test_chunks_behind_the_picture_are_no_part_of_it(started: Start) -> None:
    """Of the 3160 bytes of a frame the first 3072 are the picture: 98 of 100 lack a chunk, and no pixel."""
    camera = started(
        ChunkModeActive=True, FaultIncompleteEvery=2, FaultIncompleteFlag=False, FaultIncompleteFill=0.98
    )
    assert taken(camera, 4) == both([1, 2, 3, 4])


def test_damaged_and_dropped_frames_are_counted_each_in_its_place(started: Start) -> None:
    camera = started(FaultIncompleteEvery=4, FaultIncompleteFlag=False, FaultDropEvery=5)
    assert taken(camera, 9) == both([1, 2, 3, 6, 7, 9, 11, 13, 14])
    assert (camera.lost_at_camera, camera.lost_in_transport) == (3, 2)


def test_nothing_but_damaged_frames_does_not_hold_the_reader(started: Start) -> None:
    camera = started(FaultIncompleteEvery=1)
    assert camera.fill(memory(), 0.05) is None
    assert camera.lost_at_camera > 0


def test_a_picture_of_another_size_is_never_taken(started: Start) -> None:
    camera = started(FaultSizeFrom=3)
    assert taken(camera, 2) == both([1, 2])
    with pytest.raises(CameraLostError, match=f"delivered {WIDTH}x{HEIGHT // 2} pixels instead of"):
        take(camera)


@pytest.mark.parametrize("pixel_format", ["Mono8", "Mono10", "Mono12", "Mono14", "Mono16"])
def test_gray_is_exact_in_every_depth_with_padding_and_offset(started: Start, pixel_format: str) -> None:
    camera = started({"pixel_format": pixel_format}, FaultPaddingX=12, FaultImageOffset=64)
    assert taken(camera, 3) == both([1, 2, 3])


@pytest.mark.parametrize("padding", [0, 12])
@pytest.mark.parametrize("pixel_format", ["Mono10p", "Mono12p", "Mono12Packed"])
def test_packed_gray_is_exact(started: Start, pixel_format: str, padding: int) -> None:
    camera = started({"pixel_format": pixel_format}, FaultPaddingX=padding)
    assert taken(camera, 3) == both([1, 2, 3])


@pytest.mark.parametrize("pixel_format", ["Mono10p", "Mono12Packed", "Mono14", "RGB8"])
def test_a_picture_is_whole_by_the_bytes_of_its_own_format(started: Start, pixel_format: str) -> None:
    camera = started(
        {"pixel_format": pixel_format},
        FaultIncompleteEvery=2,
        FaultIncompleteFlag=False,
        FaultIncompleteFill=0.999,
    )
    numbers = [take(camera).frame_id for _ in range(3)]
    assert numbers == [1, 3, 5]
    assert camera.lost_at_camera == 2


def weighted(red: Image, green: Image, blue: Image) -> Image:
    """Mix three colours as OpenCV documents it for 8 bits: 0.299, 0.587 and 0.114 in steps of 2^-15."""
    mixed = (9798 * red.astype(int) + 19235 * green.astype(int) + 3735 * blue.astype(int) + 2**14) >> 15
    return mixed.astype(np.uint8)


@pytest.mark.parametrize("pixel_format", ["RGB8", "BGR8"])
def test_colour_pictures_become_gray(started: Start, pixel_format: str) -> None:
    camera = started({"pixel_format": pixel_format})
    out = memory()
    take(camera, out)
    colours = [(true_light(1, WIDTH, HEIGHT, colour=colour) >> 8).astype(np.uint8) for colour in range(3)]
    np.testing.assert_array_equal(out, weighted(*colours))


@pytest.mark.parametrize("tile", ["RGGB", "GRBG", "GBRG", "BGGR"])
def test_a_mosaic_becomes_gray(started: Start, tile: str) -> None:
    """Each picture is the gray of its own mosaic and of no other, mixed here with the mean of a pixel's neighbours."""
    name = next(f"Bayer{first}8" for first in ("RG", "GR", "GB", "BG") if tile.startswith(first))
    camera = started({"pixel_format": name})
    out = memory()
    take(camera, out)
    seen = np.empty((HEIGHT, WIDTH), int)
    for at, colour in enumerate(tile):
        place = slice(at // 2, None, 2), slice(at % 2, None, 2)
        seen[place] = (true_light(1, WIDTH, HEIGHT, colour="RGB".index(colour)) >> 8)[place]
    for row, column in itertools.product(range(1, HEIGHT - 1), range(1, WIDTH - 1)):
        means = []
        for colour in "RGB":
            distances: dict[int, list[int]] = {}
            for down, across in itertools.product((-1, 0, 1), repeat=2):
                if tile[(row + down) % 2 * 2 + (column + across) % 2] == colour:
                    distances.setdefault(abs(down) + abs(across), []).append(
                        seen[row + down, column + across]
                    )
            means.append(np.mean(distances[min(distances)]))
        assert out[row, column] == int(np.dot(means, [4899, 9617, 1868]) / 2**14 + 0.5)


def test_the_format_that_is_read_is_the_one_that_the_camera_ended_with(started: Start) -> None:
    camera = started(PixelFormat="Mono12p")
    assert taken(camera, 2) == both([1, 2])


def test_a_format_that_cannot_be_read_names_those_that_can(opened: Start) -> None:
    with pytest.raises(
        CameraSettingError, match=r"'YUV422_8' cannot be read; .*Mono8, .*Mono12p, .*BayerRG8"
    ):
        opened({"pixel_format": "YUV422_8"})


def test_a_region_with_offsets_shows_that_part_of_the_sensor(started: Start) -> None:
    camera = started({"offset_x": 20, "offset_y": 10})
    out = memory()
    take(camera, out)
    np.testing.assert_array_equal(out, true_light(1, WIDTH, HEIGHT, left=20, top=10) >> 8)


def test_pixels_are_told_in_those_of_the_sensor(gentl_producer: Path) -> None:
    nodes = {"FramePacing": "OnDemand", "BinningHorizontal": 2, "BinningVertical": 3}
    camera = GenicamCamera(settings(gentl_producer, nodes=nodes, offset_x=20, offset_y=10))
    try:
        info = camera.open()
        camera.start()
        out = memory()
        take(camera, out)
    finally:
        camera.close()
    region = SensorRegion.of(info.settings)
    assert region == SensorRegion(800, 600, 20, 10, 2, 3)
    x, y = np.meshgrid(np.arange(WIDTH, dtype=np.float32), np.arange(HEIGHT, dtype=np.float32))
    on_sensor = region.to_sensor(np.stack([x, y], axis=-1))
    first = (on_sensor - [(2 - 1) / 2, (3 - 1) / 2]).astype(
        int
    )  # this camera shows the first of the pixels that it joins
    light = true_light(1, 800, 600)
    np.testing.assert_array_equal(out, light[first[..., 1], first[..., 0]] >> 8)


# Frame numbers


def test_dropped_frames_are_gaps_of_the_numbers(started: Start) -> None:
    camera = started(FaultDropEvery=4)
    assert taken(camera, 7) == both([1, 2, 3, 5, 6, 7, 9])
    assert (camera.lost_at_camera, camera.lost_in_transport) == (0, 2)
    assert camera.transport_known


@pytest.mark.parametrize(
    ("bits", "skips_zero"), [(8, False), (16, True), (16, False), (24, False), (32, False), (48, False)]
)
@pytest.mark.parametrize("drop_every", [0, 3])
def test_numbers_of_any_width_run_over_without_a_loss_and_with_each_that_is_one(
    started: Start, bits: int, skips_zero: bool, drop_every: int
) -> None:
    first = 2**bits - 5
    camera = started(
        {"serial": GIGE if skips_zero else CUSTOM},
        FaultIdBits=bits,
        FaultIdSkipsZero=skips_zero,
        FaultIdFirst=first,
        FaultDropEvery=drop_every,
    )
    numbers = taken(camera, 8)
    shown = [number for _, number in numbers]
    assert [given - numbers[0][0] for given, _ in numbers] == [number - shown[0] for number in shown]
    assert camera.lost_in_transport == shown[-1] - shown[0] + 1 - len(shown)
    assert camera.transport_known


@pytest.mark.parametrize("ids", ["Absent", "Constant"])
def test_without_numbers_that_count_the_camera_works_and_its_losses_are_unknown(
    started: Start, ids: str
) -> None:
    camera = started(FaultIds=ids, FaultDropEvery=3)
    numbers = taken(camera, 4)
    assert [shown for _, shown in numbers] == [1, 2, 4, 5]
    assert [given - numbers[0][0] for given, _ in numbers] == [0, 1, 2, 3]
    assert not camera.transport_known
    camera.stop()
    camera.start()
    assert taken(camera, 1)[0][0] > numbers[-1][0]
    assert not camera.transport_known


# Time stamps


@pytest.mark.parametrize("stamps", ["Missing", "Zero"])
def test_frames_without_a_stamp_are_exposed_when_they_arrive(started: Start, stamps: str) -> None:
    camera = started(FaultStamps=stamps)
    for _ in range(3):
        meta = take(camera)
        assert meta.camera_ns is None
        assert meta.exposure_ns == meta.arrival_ns


@pytest.mark.parametrize(
    ("serial", "tick_hz"), [(GIGE, 0), (GIGE, 1_000_000), (USB3, 0), (CUSTOM, 125_000_000)]
)
def test_ticks_are_nanoseconds_by_the_devices_own_frequency(
    started: Start, serial: str, tick_hz: int
) -> None:
    camera = started({"serial": serial, "rate_hz": 50}, FaultStamps="TicksOnly", FaultTickHz=tick_hz)
    stamps = [take(camera).camera_ns for _ in range(4)]
    assert None not in stamps
    for before, after in itertools.pairwise(stamps):
        assert abs(after - before - NS_PER_S // 50) <= 2000, "a tick of the coarsest clock, and rounding"


def exposures(camera: GenicamCamera, frames: int) -> list[FrameMeta]:
    """Take frames in their time, and check what holds of all exposures."""
    metas = [take(camera) for _ in range(frames)]
    for before, after in itertools.pairwise(metas):
        assert before.exposure_ns <= after.exposure_ns
    assert all(meta.exposure_ns <= meta.arrival_ns for meta in metas)
    return metas


@pytest.mark.parametrize("step_ns", [3 * NS_PER_S, -3 * NS_PER_S])
def test_after_a_step_of_the_clock_exposures_are_of_the_hosts_time_again(
    started: Start, step_ns: int
) -> None:
    camera = started({"rate_hz": 200}, FramePacing="Timed", FaultStampStepFrom=10, FaultStampStepNs=step_ns)
    began_ns = SYSTEM_CLOCK.now_ns()
    metas = exposures(camera, 40)
    assert metas[0].exposure_ns >= began_ns
    assert metas[-1].exposure_ns > metas[0].exposure_ns, "a step of seconds did not stop time"


def test_a_clock_that_drifts_as_crystals_do_is_followed(started: Start) -> None:
    camera = started({"rate_hz": 200}, FramePacing="Timed", FaultStampDriftPpm=100)
    exposures(camera, 40)


def test_stamps_that_run_over_are_a_step_back(started: Start) -> None:
    """28 bits of nanoseconds run over each 0.27 s: four times in these frames."""
    camera = started({"rate_hz": 200}, FramePacing="Timed", FaultStampBits=28)
    metas = exposures(camera, 240)
    assert sum(after.camera_ns < before.camera_ns for before, after in itertools.pairwise(metas)) >= 3
    elapsed_ns = metas[-1].exposure_ns - metas[0].exposure_ns
    assert elapsed_ns > 2 * 2**28, "time goes on beyond the first time that they run over"


def test_stamps_beyond_63_bits_are_not_believed(started: Start) -> None:
    camera = started(FaultStampBit63=True)
    meta = take(camera)
    assert meta.camera_ns is None
    assert meta.exposure_ns == meta.arrival_ns


def test_a_clock_of_another_rate_is_not_believed(started: Start) -> None:
    """A frequency that is declared wrongly by 1 %: after half a second exposures are wrong by 5 ms."""
    camera = started({"rate_hz": 200}, FramePacing="Timed", FaultStampDriftPpm=10_000)
    metas = exposures(camera, 400)
    assert camera.clock_line is None
    assert metas[-1].exposure_ns == metas[-1].arrival_ns


# Errors, stalls and cameras that are gone


@pytest.mark.parametrize("code", ["Error", "Busy", "ResourceExhausted", "NoData", "Abort"])
def test_a_passing_error_is_no_lost_camera(started: Start, code: str) -> None:
    camera = started(FaultErrorEvery=3, FaultErrorTimes=2, FaultErrorCode=code)
    assert taken(camera, 7) == both([1, 2, 3, 4, 5, 6, 7])
    assert (camera.lost_at_camera, camera.lost_in_transport) == (0, 0)


def test_an_error_that_does_not_pass_is_a_lost_camera(started: Start) -> None:
    camera = started(FaultErrorEvery=3, FaultErrorTimes=10**9, FaultErrorCode="Error")
    taken(camera, 2)
    for _ in range(3):
        with pytest.raises(CameraLostError, match=CUSTOM):
            taken(camera, 100)


def test_a_stall_is_a_wait_with_a_limit_and_not_the_end(started: Start) -> None:
    camera = started({"rate_hz": 100}, FramePacing="Timed", FaultStallAt=4, FaultStallMs=1500)
    assert taken(camera, 3) == both([1, 2, 3])
    assert camera.fill(memory(), 0.01) is None
    assert taken(camera, 3) == both([4, 5, 6])
    assert camera.lost_in_transport == 0


def test_a_camera_that_falls_silent_is_waited_for_with_a_limit(started: Start) -> None:
    camera = started(FaultStallAt=3)
    taken(camera, 2)
    assert camera.fill(memory(), 0.05) is None


def test_a_camera_that_is_unplugged_is_lost_and_comes_back(
    started: Start, gentl_producer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv(STATE_VARIABLE, str(state))
    camera = started(FaultDisconnectAt=3, FaultDisconnectMs=-1)
    taken(camera, 2)
    for _ in range(2):
        with pytest.raises(CameraLostError, match=CUSTOM):
            take(camera)
    camera.stop()
    camera.close()
    assert CUSTOM not in {device.serial for device in list_genicam(gentl_producer)}
    with pytest.raises(CameraError, match=f"no GenICam camera has serial '{CUSTOM}'"):
        camera.open()
    plug_in(state)
    assert CUSTOM in {device.serial for device in list_genicam(gentl_producer)}
    camera.open()
    camera.start()
    assert taken(camera, 1)[0][1] == 1


def test_a_camera_that_another_program_holds_says_so(opened: Start) -> None:
    with pytest.raises(CameraError, match="busy-3 cannot be opened; is another program using it"):
        opened({"serial": BUSY})


def test_heartbeats_go_on_while_the_driver_hangs(gentl_producer: Path) -> None:
    """It holds the interpreter's lock all the while: that of the process in which it runs."""
    nodes = {"FramePacing": "OnDemand", "FaultHangIn": "Fetch", "FaultHangAt": 2, "FaultHangMs": HANG_MS}
    camera = make_camera(settings(gentl_producer, nodes=nodes))
    camera.open()
    try:
        camera.start()
        assert longest_silence_ns(camera) < HANG_MS * NS_PER_MS // 2
    finally:
        camera.close()


HANG_MS = 3000


def longest_silence_ns(camera: Camera) -> int:
    """Return the longest time that another thread, which wakes every 5 ms, did not run while two frames were taken."""
    done, beats = threading.Event(), [SYSTEM_CLOCK.now_ns()]

    def beat() -> None:
        while not done.wait(0.005):
            beats.append(SYSTEM_CLOCK.now_ns())

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        for _ in range(2):
            take(camera)
    finally:
        done.set()
        thread.join()
    return max(after - before for before, after in itertools.pairwise([*beats, SYSTEM_CLOCK.now_ns()]))


ALONE = """
import sys
from pathlib import Path
import numpy as np
from rtface.acquire.factory import make_outside
from rtface.acquire.outside.patience import Patience
from rtface.config import GenicamCameraSettings
from rtface.core.errors import CameraLostError
nodes = {"FramePacing": "OnDemand", **dict(pair.split("=") for pair in sys.argv[3:])}
nodes = {name: int(value) if value.isdigit() else value for name, value in nodes.items()}
settings = GenicamCameraSettings(kind="genicam", producer=Path(sys.argv[1]), serial=sys.argv[2], nodes=nodes)
camera = make_outside(settings)
camera._patience = Patience(open_s=3, start_s=3, fetch_s=3, stop_s=3, close_s=3)
try:
    info = camera.open()
    camera.start()
    out = np.empty((info.height, info.width), np.uint8)
    for _ in range(3):
        camera.fill(out, 1.0)
    camera.stop()
except CameraLostError as error:
    print(error)
camera.close()
print("closed", flush=True)
"""


def alone(producer: Path, *nodes: str, serial: str = CUSTOM) -> str:
    """Use a camera from a process that would hang, or die, with its driver, and return what it printed."""
    command = [sys.executable, "-c", ALONE, str(producer), serial, *nodes]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    return done.stdout


@pytest.mark.parametrize(
    ("serial", "nodes", "doing"),
    [
        (HANGS, [], "opening"),
        (CUSTOM, ["FaultHangIn=Start"], "starting"),
        (CUSTOM, ["FaultHangIn=Fetch"], "waiting for a frame"),
        (CUSTOM, ["FaultHangIn=Stop"], "stopping"),
    ],
    ids=["open", "start", "fetch", "stop"],
)
def test_a_hang_of_the_driver_ends(gentl_producer: Path, serial: str, nodes: list[str], doing: str) -> None:
    said, closed = alone(gentl_producer, *nodes, serial=serial).splitlines()
    assert f"did not return from {doing} within 3 s; its process was killed" in said
    assert closed == "closed"


def test_a_driver_that_aborts_is_a_lost_camera(gentl_producer: Path) -> None:
    said, closed = alone(gentl_producer, "FaultAbortAt=2").splitlines()
    assert "custom-2 was ended by SIGABRT while waiting for a frame" in said
    assert closed == "closed"


def test_two_cameras_of_one_producer_are_used_at_once_each_in_its_process(gentl_producer: Path) -> None:
    nodes = {"FramePacing": "OnDemand"}
    with ExitStack() as opened:
        cameras = []
        for serial in (GIGE, USB3):
            camera = make_camera(settings(gentl_producer, serial=serial, nodes=nodes))
            opened.callback(camera.close)
            assert serial in camera.open().label
            camera.start()
            cameras.append(camera)
        for camera in cameras * 2:
            (number, shown), (following, shown_next) = taken(camera, 2)
            assert shown < shown_next
            assert (number, following) == (shown, shown_next)


# What a rig sets


def test_an_exposure_too_long_for_the_rate_is_refused_where_the_camera_tells_its_rate(opened: Start) -> None:
    with pytest.raises(CameraSettingError, match=r"ResultingFrameRate was set to 100\.0 but reads back 50"):
        opened({"rate_hz": 100, "exposure_us": 20_000})


def test_a_rate_that_the_exposure_does_not_allow_is_said_by_any_camera(started: Start) -> None:
    with pytest.raises(CameraError, match="50"):
        started({"rate_hz": 100, "exposure_us": 20_000}, HasResultingFrameRate=False)


@pytest.mark.parametrize(
    ("fault", "named"),
    [("FaultRateOnceStreaming", "AcquisitionFrameRate"), ("FaultExposureOnceStreaming", "ExposureTime")],
)
def test_a_setting_that_does_not_hold_once_frames_flow_is_said(
    started: Start, fault: str, named: str
) -> None:
    with pytest.raises(CameraError, match=named):
        started({"rate_hz": 100, "exposure_us": 1000}, **{fault: 33})


def test_a_camera_that_waits_for_a_trigger_delivers_one_frame_for_each(opened: Start) -> None:
    camera = opened(FramePacing="OnDemand", TriggerMode="On", TriggerSource="Software")
    camera.start()
    assert camera.fill(memory(), 0.01) is None
    for number in (1, 2):
        camera._acquirer.remote_device.node_map.TriggerSoftware.execute()
        assert taken(camera, 1) == both([number])
        assert camera.fill(memory(), 0.01) is None
    assert camera.lost_in_transport == 0


def test_a_line_with_a_pattern_triggers_as_many_frames_as_it_has_pulses(opened: Start) -> None:
    camera = opened(
        FramePacing="OnDemand",
        TriggerMode="On",
        TriggerSource="Line0",
        LinePatternSlots=5,
        LinePatternBits=0b00101,
    )
    camera.start()
    stamps = []
    for _ in range(5):
        stamps.append(take(camera).camera_ns)
    slots = [(after - before) / (10 * NS_PER_MS) for before, after in itertools.pairwise(stamps)]
    assert slots == pytest.approx([2, 3, 2, 3], abs=1e-3)


def test_two_lines_can_be_set(gentl_producer: Path) -> None:
    camera = GenicamCamera(
        settings(
            gentl_producer,
            nodes=[
                {"LineSelector": "Line1", "LineMode": "Output"},
                {"LineSelector": "Line2"},
                {"LineMode": "Input"},
            ],
        )
    )
    read = camera.open().settings
    camera.close()
    assert [read[name] for name in ("LineMode[Line1]", "LineMode[Line2]", "LineSelector")] == [
        "Output",
        "Input",
        "Line2",
    ]


def test_commands_are_executed_in_their_turn(opened: Start) -> None:
    camera = opened(TimestampReset=True, TimestampLatch=True)
    read = camera._acquirer.remote_device.node_map.TimestampLatchValue.value
    assert 0 <= read < 100 * NS_PER_S, "the clock was set back before it was read"


def test_a_user_set_is_loaded_before_what_the_rig_sets(opened: Start) -> None:
    camera = opened({"gain": 3.0}, UserSetSelector="Default", UserSetLoad=True, ExposureAuto="Continuous")
    nodes = camera._acquirer.remote_device.node_map
    assert (nodes.Width.value, nodes.Gain.value, nodes.ExposureAuto.value) == (WIDTH, 3.0, "Continuous")


def test_a_setting_that_a_user_set_undid_is_an_error(opened: Start) -> None:
    with pytest.raises(CameraSettingError, match=r"Gain was set to 5 but reads back 0\.0"):
        opened(Gain=5, UserSetLoad=True)


@pytest.mark.parametrize("value", [False, 1, "now"])
def test_a_command_is_only_executed(opened: Start, value: object) -> None:
    with pytest.raises(CameraSettingError, match="AcquisitionStop is a command"):
        opened(AcquisitionStop=value)


def test_all_cameras_of_the_producer_are_listed(gentl_producer: Path) -> None:
    found = {device.serial: device.tl_type for device in list_genicam(gentl_producer)}
    assert found == {
        "gige-0": "GEV",
        "usb3-1": "U3V",
        "custom-2": "Custom",
        "busy-3": "GEV",
        "hangs-4": "GEV",
    }


def test_whole_pictures_at_full_rate(started: Start) -> None:
    camera = started({"rate_hz": 200}, FramePacing="Timed")
    out = memory()
    for _ in range(20):
        meta = take(camera, out)
        np.testing.assert_array_equal(out, true_gray(meta.frame_id, WIDTH, HEIGHT))
