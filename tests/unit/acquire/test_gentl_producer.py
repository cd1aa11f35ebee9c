"""The test producer itself, read through harvesters: that it shows, counts and keeps what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from genicam import genapi, gentl
from harvesters.core import Harvester
from numpy.typing import NDArray
from support.gentl_producer import BUSY, CUSTOM, GIGE, HANGS, STATE_VARIABLE, USB3, true_light
from support.waits import wait_until

WIDTH, HEIGHT = 64, 32
GIVE_UP_S = 20.0
Open = Callable[..., Any]


@pytest.fixture
def harvester(gentl_producer: Path) -> Iterator[Harvester]:
    harvester = Harvester()
    harvester.add_file(str(gentl_producer), check_existence=True, check_validity=True)
    harvester.update()
    yield harvester
    harvester.reset()


@pytest.fixture
def opened(harvester: Harvester) -> Open:
    """Open a camera that makes each frame when it is asked for, and set its features, `selector=value` too."""

    def open_camera(serial: str = CUSTOM, **features: object) -> Any:
        acquirer = harvester.create({"serial_number": serial})
        nodes = acquirer.remote_device.node_map
        for name, value in {"Width": WIDTH, "Height": HEIGHT, "FramePacing": "OnDemand", **features}.items():
            getattr(nodes, name).value = value
        return acquirer

    return open_camera


def raw(acquirer: Any) -> tuple[Any, NDArray[np.uint8]]:
    """Return the next buffer's fields, and all that was written of it."""
    with acquirer.fetch(timeout=GIVE_UP_S) as buffer:
        data = np.frombuffer(buffer.raw_buffer, np.uint8, buffer.size_filled).copy()
        return buffer.frame_id, data


def little_endian_bits(data: NDArray[np.uint8], bits: int) -> NDArray[np.int64]:
    """Unpack pixels that lie one behind the other, lowest bit first, by their definition."""
    rows = np.unpackbits(data, bitorder="little").reshape(-1, bits).astype(np.int64)
    return rows @ (1 << np.arange(bits))


def gige_packed(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Unpack Mono12Packed: the middle byte of three has the low bits of both pixels, the first one's lowest."""
    first, middle, last = data.reshape(-1, 3).astype(np.int64).T
    return np.stack([first << 4 | middle & 15, last << 4 | middle >> 4], axis=1).ravel()


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_mono_formats_hold_the_light_in_their_bits(opened: Open, bits: int) -> None:
    acquirer = opened(PixelFormat=f"Mono{bits}")
    acquirer.start()
    for number in (1, 2):
        _, data = raw(acquirer)
        pixels = data.view("<u2") if bits > 8 else data
        np.testing.assert_array_equal(
            pixels.reshape(HEIGHT, WIDTH), true_light(number, WIDTH, HEIGHT) >> 16 - bits
        )


@pytest.mark.parametrize(
    ("name", "bits", "unpack"),
    [
        ("Mono10p", 10, lambda data: little_endian_bits(data, 10)),
        ("Mono12p", 12, lambda data: little_endian_bits(data, 12)),
        ("Mono12Packed", 12, gige_packed),
    ],
)
def test_packed_formats_hold_the_same_as_the_wide_ones(
    opened: Open, name: str, bits: int, unpack: Callable[[NDArray[np.uint8]], NDArray[np.int64]]
) -> None:
    acquirer = opened(PixelFormat=name)
    acquirer.start()
    _, data = raw(acquirer)
    assert data.size == WIDTH * HEIGHT * bits // 8
    np.testing.assert_array_equal(
        unpack(data).reshape(HEIGHT, WIDTH), true_light(1, WIDTH, HEIGHT) >> 16 - bits
    )


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_colours_stand_in_the_order_of_the_name(opened: Open, order: str) -> None:
    acquirer = opened(PixelFormat=f"{order}8")
    acquirer.start()
    _, data = raw(acquirer)
    truth = [true_light(1, WIDTH, HEIGHT, colour="RGB".index(colour)) >> 8 for colour in order]
    np.testing.assert_array_equal(data.reshape(HEIGHT, WIDTH, 3), np.stack(truth, axis=2))


@pytest.mark.parametrize(
    ("name", "tile"),
    [("RG", "RGGB"), ("GR", "GRBG"), ("GB", "GBRG"), ("BG", "BGGR")],
)
def test_a_mosaic_begins_with_the_two_colours_of_its_name(opened: Open, name: str, tile: str) -> None:
    acquirer = opened(PixelFormat=f"Bayer{name}8")
    acquirer.start()
    _, data = raw(acquirer)
    picture = data.reshape(HEIGHT, WIDTH)
    for at, colour in enumerate(tile):
        rows, columns = slice(at // 2, None, 2), slice(at % 2, None, 2)
        truth = true_light(1, WIDTH, HEIGHT, colour="RGB".index(colour)) >> 8
        np.testing.assert_array_equal(picture[rows, columns], truth[rows, columns])


def test_region_and_binning_show_the_sensor_where_they_say(opened: Open) -> None:
    acquirer = opened(BinningHorizontal=2, BinningVertical=4, OffsetX=10, OffsetY=6)
    assert acquirer.remote_device.node_map.WidthMax.value == 400
    assert acquirer.remote_device.node_map.HeightMax.value == 150
    acquirer.start()
    _, data = raw(acquirer)
    truth = true_light(1, WIDTH, HEIGHT, left=10, top=6, binning=(2, 4)) >> 8
    np.testing.assert_array_equal(data.reshape(HEIGHT, WIDTH), truth)


@pytest.mark.parametrize("serial", [GIGE, USB3, CUSTOM])
def test_chunks_of_each_transport_belong_to_their_frame(opened: Open, serial: str) -> None:
    """Triggers come 5 ms apart, three and a pause; the second of each three comes while the sensor is busy."""
    acquirer = opened(
        serial,
        ChunkModeActive=True,
        TriggerMode="On",
        TriggerSource="Line0",
        LinePatternSlots=4,
        LinePatternBits=0b0111,
        LinePatternSlotUs=5000.0,
        ExposureTime=6000.0,
    )
    nodes = acquirer.remote_device.node_map
    acquirer.start()
    seen = []
    for number in range(1, 5):
        with acquirer.fetch(timeout=GIVE_UP_S) as buffer:
            assert nodes.ChunkFrameID.value == buffer.frame_id == number
            assert nodes.ChunkTimestamp.value == buffer.timestamp_ns
            assert nodes.ChunkExposureTime.value == 6000.0
            assert nodes.ChunkLineStatusAll.value & 1, "exposures begin while the line's pulse is high"
            seen.append(nodes.ChunkCounterValue.value)
    assert seen == [1, 3, 4, 6], "triggers are counted, those that were missed too"
    assert nodes.TriggerMissedCount.value == 2


def test_a_chunk_that_is_switched_off_is_not_there(opened: Open) -> None:
    acquirer = opened(ChunkModeActive=True, ChunkSelector="Timestamp", ChunkEnable=False)
    nodes = acquirer.remote_device.node_map
    acquirer.start()
    with acquirer.fetch(timeout=GIVE_UP_S) as buffer:
        assert len(buffer.module.chunk_data_info_list) == 4
        assert nodes.ChunkFrameID.value == 1
        with pytest.raises(genapi.AccessException):
            nodes.ChunkTimestamp.value  # noqa: B018


def test_a_software_trigger_makes_one_frame_each(opened: Open) -> None:
    acquirer = opened(TriggerMode="On", FramePacing="Timed", ExposureTime=100.0)
    nodes = acquirer.remote_device.node_map
    acquirer.start()
    assert acquirer.try_fetch(timeout=0.05) is None
    for number in (1, 2, 3):
        nodes.TriggerSoftware.execute()
        assert raw(acquirer)[0] == number
        assert acquirer.try_fetch(timeout=0.02) is None


def test_the_falling_edge_comes_half_a_slot_later_and_an_inverter_turns_it_round(opened: Open) -> None:
    stamps = {}
    for activation, inverter in (("RisingEdge", 0), ("FallingEdge", 0), ("FallingEdge", 1)):
        acquirer = opened(
            TriggerMode="On",
            TriggerSource="Line0",
            TriggerActivation=activation,
            LineInverter=inverter,
            ChunkModeActive=True,
        )
        acquirer.start()
        with acquirer.fetch(timeout=GIVE_UP_S):
            levels = acquirer.remote_device.node_map.ChunkLineStatusAll.value
        stamps[activation, inverter] = levels & 1
        acquirer.destroy()
    assert stamps == {("RisingEdge", 0): 1, ("FallingEdge", 0): 0, ("FallingEdge", 1): 0}


def test_selected_features_keep_a_value_for_each_line(opened: Open) -> None:
    nodes = opened().remote_device.node_map
    for line, mode in (("Line1", "Output"), ("Line2", "Input"), ("Line3", "Output")):
        nodes.LineSelector.value = line
        nodes.LineMode.value = mode
    read = {}
    for line in nodes.LineSelector.symbolics:
        nodes.LineSelector.value = line
        read[line] = nodes.LineMode.value
    assert read == {"Line0": "Input", "Line1": "Output", "Line2": "Input", "Line3": "Output"}


def test_sizes_are_locked_while_frames_flow(opened: Open) -> None:
    acquirer = opened()
    acquirer.start()
    with pytest.raises(genapi.AccessException):
        acquirer.remote_device.node_map.Width.value = 128
    acquirer.stop()
    acquirer.remote_device.node_map.Width.value = 128


def test_user_sets_hold_settings_and_leave_faults_as_they_are(opened: Open) -> None:
    nodes = opened(FaultDropEvery=3, Gain=7.0).remote_device.node_map
    nodes.UserSetSelector.value = "UserSet1"
    nodes.UserSetSave.execute()
    nodes.UserSetSelector.value = "Default"
    nodes.UserSetLoad.execute()
    assert (nodes.Width.value, nodes.Gain.value, nodes.FaultDropEvery.value) == (640, 0.0, 3)
    nodes.UserSetSelector.value = "UserSet1"
    nodes.UserSetLoad.execute()
    assert (nodes.Width.value, nodes.Gain.value) == (WIDTH, 7.0)


def test_ptp_is_told_once_it_is_latched(opened: Open) -> None:
    nodes = opened(FaultPtpOffsetNs=-250).remote_device.node_map
    assert nodes.PtpStatus.value == "Disabled"
    nodes.PtpEnable.value = True
    assert (nodes.PtpStatus.value, nodes.PtpOffsetFromMaster.value) == ("Slave", 0)
    nodes.PtpDataSetLatch.execute()
    assert nodes.PtpOffsetFromMaster.value == -250
    nodes.FaultPtpStatus.value = "Faulty"
    assert nodes.PtpStatus.value == "Faulty"


def test_the_clock_can_be_latched_and_reset(opened: Open) -> None:
    nodes = opened().remote_device.node_map
    nodes.TimestampLatch.execute()
    before = nodes.TimestampLatchValue.value
    nodes.TimestampReset.execute()
    nodes.TimestampLatch.execute()
    assert 0 <= nodes.TimestampLatchValue.value < before


def test_the_stream_counts_what_found_no_buffer(opened: Open) -> None:
    acquirer = opened(FramePacing="Timed", AcquisitionFrameRate=500.0)
    acquirer.num_buffers = 3
    acquirer.start()
    stream = acquirer.data_streams[0].node_map
    wait_until(lambda: stream.StreamLostFrameCount.value > 0)
    assert [raw(acquirer)[0] for _ in range(3)] == [1, 2, 3], "the oldest are kept"


def test_a_camera_that_another_program_holds_is_refused(harvester: Harvester) -> None:
    with pytest.raises(gentl.AccessDeniedException):
        harvester.create({"serial_number": BUSY})


def test_a_camera_that_hangs_while_it_is_opened(
    harvester: Harvester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_TEST_GENTL_HANG_MS", "1")
    harvester.create({"serial_number": HANGS}).destroy()


TRY = """
import sys
from genicam import gentl
from harvesters.core import Harvester
harvester = Harvester()
harvester.add_file(sys.argv[1])
harvester.update()
try:
    harvester.create({"serial_number": "custom-2"}).destroy()
    print("opened")
except gentl.AccessDeniedException:
    print("refused")
harvester.reset()
"""


def test_two_processes_share_a_camera_only_one_after_the_other(
    gentl_producer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    harvester = Harvester()
    harvester.add_file(str(gentl_producer))
    harvester.update()
    acquirer = harvester.create({"serial_number": CUSTOM})

    def other() -> str:
        command = [sys.executable, "-c", TRY, str(gentl_producer)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ, timeout=60)
        return done.stdout.strip()

    assert other() == "refused"
    acquirer.destroy()
    assert other() == "opened"
    harvester.reset()
