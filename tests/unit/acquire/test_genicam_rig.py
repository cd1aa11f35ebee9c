"""What a rig sets of a GenICam camera beyond size and rate: triggers, lines, chunks, PTP; on the test producer."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from genicam import genapi
from support.gentl_producer import CUSTOM, GIGE, USB3
from support.paths import DOCS

from rtface.acquire.factory import make_camera
from rtface.acquire.genicam.camera import GenicamCamera
from rtface.acquire.genicam.readings import EVERY_NS
from rtface.acquire.outside.camera import OutsideCamera
from rtface.acquire.outside.passage import AVAILABLE
from rtface.config import GenicamCameraSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.errors import CameraSettingError
from rtface.core.records import CameraInfo, FrameMeta, TriggerInfo
from rtface.core.status import PtpStatus

WIDTH, HEIGHT = 64, 48
GIVE_UP_S = 20.0
SERIALS = (GIGE, USB3, CUSTOM)
"""Cameras whose chunks are laid out in the three ways that there are."""
Open = Callable[..., tuple[GenicamCamera, CameraInfo]]


@pytest.fixture
def opened(gentl_producer: Path) -> Iterator[Open]:
    cameras = []

    def open_camera(
        nodes: Any = None, *, timed: bool = False, **changes: Any
    ) -> tuple[GenicamCamera, CameraInfo]:
        asked = {"serial": CUSTOM, "width": WIDTH, "height": HEIGHT, **changes}
        pacing = {} if timed else {"FramePacing": "OnDemand"}
        settings = {"kind": "genicam", "producer": gentl_producer, "nodes": pacing | (nodes or {}), **asked}
        camera = GenicamCamera(GenicamCameraSettings.model_validate(settings))
        cameras.append(camera)
        return camera, camera.open()

    yield open_camera
    for camera in cameras:
        camera.close()


def taken(camera: GenicamCamera, frames: int) -> list[FrameMeta]:
    out, metas = np.empty((HEIGHT, WIDTH), np.uint8), []
    for _ in range(frames):
        meta = camera.fill(out, GIVE_UP_S)
        assert meta is not None, "no frame came"
        metas.append(meta)
    return metas


def node(camera: GenicamCamera, name: str) -> Any:
    return getattr(camera._acquirer.remote_device.node_map, name)


def test_the_camera_that_the_page_leads_to_can_be_opened(gentl_producer: Path) -> None:
    page = (DOCS / "cameras.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^   ```yaml\n(.*?)^   ```", page, re.DOTALL | re.MULTILINE)
    section = yaml.safe_load(block)["camera"] | {"producer": gentl_producer, "serial": GIGE}
    camera = GenicamCamera(GenicamCameraSettings.model_validate(section))
    try:
        info = camera.open()
    finally:
        camera.close()
    assert info.settings["LineSource[Line1]"] == "ExposureActive"


# Triggers


def test_every_setting_of_a_trigger_is_made_and_read_back(opened: Open) -> None:
    camera, info = opened(
        trigger={
            "source": "Line2",
            "rate_hz": 40,
            "longest_pause_s": 90,
            "activation": "FallingEdge",
            "delay_us": 250,
            "overlap": "ReadOut",
        }
    )
    read = {
        name: info.settings[f"{name}[FrameStart]"]
        for name in ("TriggerMode", "TriggerSource", "TriggerActivation", "TriggerDelay", "TriggerOverlap")
    }
    assert list(read.values()) == ["On", "Line2", "FallingEdge", 250.0, "ReadOut"]
    assert info.trigger == TriggerInfo("Line2", 40.0, 90.0)
    assert info.rate_hz == 40.0, "not the camera's own rate"
    assert info.settings["TriggerSelector"] == node(camera, "TriggerSelector").value == "FrameStart"


def test_a_source_that_the_camera_lacks_is_refused_with_those_that_it_has(opened: Open) -> None:
    with pytest.raises(
        CameraSettingError, match=r"TriggerSource cannot be set to 'Line9' .*Software, Line0, Line1"
    ):
        opened(trigger={"source": "Line9", "rate_hz": 40})


def test_what_the_device_tells_of_itself_is_in_its_status(opened: Open) -> None:
    camera, _ = opened(nodes={"DeviceLinkThroughputLimit": 2_000_000})
    camera.start()
    taken(camera, 1)
    assert camera.status.readings == {
        "temperature_c": 45.5,
        "link_bytes_per_s": 125e6,
        "link_limit_bytes_per_s": 2e6,
        "frames_lost_by_driver": 0,
        "frames_without_buffer": 0,
    }
    assert camera.status.as_map()["readings"]["temperature_c"] == 45.5


def test_they_are_read_now_and_then_and_not_with_each_frame(opened: Open) -> None:
    camera, _ = opened()
    camera.start()
    taken(camera, 1)
    asked: list[str] = []
    readings = camera._readings
    readings._sources = [
        (name, SimpleNamespace(get=lambda each: asked.append(each)), each)
        for name, _, each in readings._sources
    ]
    last_ns = readings._next_ns - EVERY_NS
    readings.look(last_ns + EVERY_NS - 1)
    assert asked == []
    readings.look(last_ns + EVERY_NS)
    assert asked == [
        "DeviceTemperature",
        "DeviceLinkSpeed",
        "DeviceLinkThroughputLimit",
        "StreamLostFrameCount",
    ]
    assert readings.values == {"frames_without_buffer": 0}, (
        "what can no longer be read is not shown as it was"
    )


def test_an_irregular_trigger_promises_no_rate(opened: Open) -> None:
    _, info = opened(trigger={"source": "Line0", "rate_hz": "irregular", "longest_pause_s": None})
    assert (info.rate_hz, info.trigger) == (None, TriggerInfo("Line0", None, None))


def test_an_exposure_longer_than_the_time_between_triggers_is_refused(opened: Open) -> None:
    with pytest.raises(
        CameraSettingError, match="20000 us allows 50 frames per second at most, and 80 are asked for"
    ):
        opened(trigger={"source": "Line0", "rate_hz": 80}, exposure_us=20_000)


def test_software_triggers_are_given_in_trials_at_their_rate(opened: Open) -> None:
    """Of the camera's own clock: three frames 10 ms apart, then 50 ms without one."""
    camera, info = opened(
        timed=True,
        trigger={
            "source": "Software",
            "rate_hz": 100,
            "longest_pause_s": 1,
            "trials": {"frames": 3, "pause_s": 0.05},
        },
        chunks=["frame", "trigger"],
    )
    assert info.rate_hz == 100.0
    camera.start()
    metas = taken(camera, 9)
    stamps = [meta.camera_ns or 0 for meta in metas]
    begins = [stamps[0], stamps[3], stamps[6]]
    for before, after in itertools.pairwise(begins):
        assert after - before > 60 * NS_PER_MS, "as late as it may be on a busy machine, but never early"
    assert [meta.trigger_id for meta in metas] == [meta.frame_id for meta in metas]
    assert camera.lost_in_transport == 0


# Lines


def test_lines_are_set_each_for_itself(opened: Open) -> None:
    camera, info = opened(
        lines=[
            {"selector": "Line1", "mode": "Output", "source": "ExposureActive", "inverter": True},
            {"selector": "Line3", "mode": "Input", "inverter": False},
        ]
    )
    assert [info.settings[f"{name}[Line1]"] for name in ("LineMode", "LineSource", "LineInverter")] == [
        "Output",
        "ExposureActive",
        True,
    ]
    assert [info.settings[f"{name}[Line3]"] for name in ("LineMode", "LineInverter")] == ["Input", False]
    node(camera, "LineSelector").value = "Line1"
    assert node(camera, "LineMode").value == "Output"


def test_a_line_that_does_not_hold_is_named(opened: Open) -> None:
    """It is found when all is read back after the start, and the selector is where it was."""
    camera, _ = opened(lines=[{"selector": "Line1", "mode": "Output"}, {"selector": "Line2"}])
    node(camera, "LineSelector").value = "Line1"
    node(camera, "LineMode").value = "Input"
    node(camera, "LineSelector").value = "Line2"
    with pytest.raises(
        CameraSettingError, match=r"LineMode\[Line1\] was set to 'Output' but reads back 'Input'"
    ):
        camera.start()
    assert node(camera, "LineSelector").value == "Line2"


# Chunks


@pytest.mark.parametrize("serial", SERIALS)
def test_counters_exposure_and_stamp_travel_with_the_frame(opened: Open, serial: str) -> None:
    camera, _ = opened(
        {"FaultStamps": "Missing"},
        serial=serial,
        rate_hz=100,
        exposure_us=1234,
        chunks=["frame", "trigger", "exposure", "timestamp"],
    )
    camera.start()
    metas = taken(camera, 4)
    assert [meta.frame_id for meta in metas] == [1, 2, 3, 4]
    assert [meta.exposure_us for meta in metas] == [1234.0] * 4
    stamps = [meta.camera_ns for meta in metas]
    assert None not in stamps
    assert all(after - before == NS_PER_S // 100 for before, after in itertools.pairwise(stamps))
    assert camera.status.problems == ()


@pytest.mark.parametrize("serial", SERIALS)
def test_a_missed_trigger_is_told_from_a_lost_frame(opened: Open, serial: str) -> None:
    """Pulses each 10 ms and exposures of 15: every second trigger is missed; every fifth frame is lost on its way."""
    camera, _ = opened(
        {"FaultDropEvery": 5},
        serial=serial,
        exposure_us=15_000,
        trigger={"source": "Line0", "rate_hz": "irregular"},
        chunks=["frame", "trigger"],
    )
    camera.start()
    metas = taken(camera, 9)
    assert [meta.frame_id for meta in metas] == [1, 2, 3, 4, 6, 7, 8, 9, 11]
    assert [meta.trigger_id for meta in metas] == [2 * meta.frame_id - 1 for meta in metas]
    assert (camera.lost_at_camera, camera.lost_in_transport) == (0, 2)
    assert camera.status.missed_triggers == 10
    camera.stop()
    camera.start()
    taken(camera, 1)
    assert camera.status.missed_triggers == 10, "counters that begin anew count nothing"


def test_frame_counts_of_chunks_make_up_for_absent_ids(opened: Open) -> None:
    camera, _ = opened({"FaultIds": "Absent", "FaultDropEvery": 3}, chunks=["frame"])
    camera.start()
    assert [meta.frame_id for meta in taken(camera, 4)] == [1, 2, 4, 5]
    assert (camera.lost_in_transport, camera.transport_known) == (1, True)


def test_without_a_count_of_triggers_those_that_were_missed_are_unknown(opened: Open) -> None:
    camera, _ = opened(trigger={"source": "Line0", "rate_hz": 100})
    camera.start()
    (meta,) = taken(camera, 1)
    assert meta.trigger_id is None
    assert camera.status.missed_triggers is None


def test_an_exposure_that_is_another_while_frames_flow_is_a_problem(opened: Open) -> None:
    camera, _ = opened(rate_hz=100, exposure_us=1000, chunks=["exposure"])
    camera.start()
    taken(camera, 2)
    assert camera.status.problems == ()
    node(camera, "ExposureTime").value = 2000.0
    assert taken(camera, 1)[0].exposure_us == 2000.0
    assert camera.status.problems == ("frames are exposed for 2000 us, and 1000 are set",)


def test_a_chunk_that_does_not_come_is_a_problem(opened: Open) -> None:
    camera, _ = opened(chunks=["frame", "trigger"])
    camera.start()
    taken(camera, 1)
    node(camera, "ChunkSelector").value = "CounterValue"
    node(camera, "ChunkEnable").value = False
    taken(camera, 1)
    assert camera.status.problems == ("frames come without their chunk: trigger",)


# PTP


def test_a_clock_that_follows_a_master_is_watched(opened: Open) -> None:
    camera, info = opened({"FaultPtpOffsetNs": -4200}, ptp={"max_offset_us": 5})
    assert info.settings["PtpEnable"] is True
    camera.start()
    taken(camera, 1)
    assert camera.status.ptp == PtpStatus("Slave", -4200)
    assert camera.status.problems == ()


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ({"FaultPtpStatus": "Listening"}, "PTP: the camera's clock follows none (Listening)"),
        ({"FaultPtpStatus": "Faulty"}, "PTP: the camera's clock follows none (Faulty)"),
        ({"FaultPtpOffsetNs": 6000}, "PTP: the camera's clock is 6 us from the master's, and 5 are allowed"),
    ],
)
def test_a_clock_that_does_not_is_a_problem(opened: Open, nodes: dict[str, object], problem: str) -> None:
    camera, _ = opened(nodes, ptp={"max_offset_us": 5})
    camera.start()
    taken(camera, 1)
    assert camera.status.problems == (problem,)


# From a process of its own


@pytest.mark.skipif(not AVAILABLE, reason="this system has no way across processes")
def test_how_a_camera_does_reaches_the_process_that_uses_it(gentl_producer: Path) -> None:
    asked = {
        "serial": CUSTOM,
        "width": WIDTH,
        "height": HEIGHT,
        "exposure_us": 15_000,
        "trigger": {"source": "Line0", "rate_hz": "irregular", "longest_pause_s": 7},
        "chunks": ["frame", "trigger", "exposure"],
        "ptp": {"max_offset_us": 5},
        "nodes": {"FramePacing": "OnDemand", "FaultPtpOffsetNs": 6000},
    }
    settings = GenicamCameraSettings.model_validate({"kind": "genicam", "producer": gentl_producer, **asked})
    camera = make_camera(settings)
    assert isinstance(camera, OutsideCamera)
    try:
        assert camera.open().trigger == TriggerInfo("Line0", None, 7.0)
        camera.start()
        out, metas = np.empty((HEIGHT, WIDTH), np.uint8), []
        while not camera.status.problems or len(metas) < 4:
            meta = camera.fill(out, GIVE_UP_S)
            assert meta is not None
            metas.append(meta)
        assert [meta.trigger_id for meta in metas] == [2 * meta.frame_id - 1 for meta in metas]
        assert {meta.exposure_us for meta in metas} == {15_000.0}
        assert camera.status.problems == (
            "PTP: the camera's clock is 6 us from the master's, and 5 are allowed",
        )
        assert camera.status.ptp == PtpStatus("Slave", 6000)
        assert camera.status.missed_triggers == metas[-1].frame_id - metas[0].frame_id
    finally:
        camera.close()


def test_a_frame_whose_count_does_not_come_is_not_numbered_by_another(opened: Open) -> None:
    """The driver's numbers begin elsewhere: a damaged chunk would seem a million frames lost."""
    camera, _ = opened(
        {
            "FaultIdFirst": 1_000_000,
            "FaultIncompleteEvery": 3,
            "FaultIncompleteFlag": False,
            "FaultIncompleteFill": 0.975,
        },
        chunks=["frame"],
    )
    camera.start()
    assert [meta.frame_id for meta in taken(camera, 7)] == [1, 2, 3, 4, 5, 6, 7]
    assert camera.lost_in_transport == 0


def test_a_trigger_that_is_refused_for_a_moment_is_given_again(opened: Open) -> None:
    trigger = {"source": "Software", "rate_hz": 100}
    camera, _ = opened(trigger=trigger, timed=True)
    camera.start()
    software, refused = camera._software, []
    assert software is not None
    execute = software._execute

    def refuse_once() -> None:
        if not refused:
            refused.append(True)
            raise genapi.AccessException("busy")
        execute()

    software._execute = refuse_once
    taken(camera, 3)
    assert refused


@pytest.mark.parametrize("serial", SERIALS)
@pytest.mark.parametrize("part", [0.99, 0.985, 0.98])
def test_of_chunks_that_are_cut_off_nothing_is_read(opened: Open, serial: str, part: float) -> None:
    cut = {"FaultIncompleteEvery": 2, "FaultIncompleteFlag": False, "FaultIncompleteFill": part}
    wanted = ["frame", "trigger", "exposure", "timestamp"]
    camera, _ = opened(cut, serial=serial, chunks=wanted, exposure_us=1000, buffers=5)
    camera.start()
    metas = taken(camera, 41)  # in buffers that held whole frames before
    assert [meta.frame_id for meta in metas] == list(range(1, 42))
    assert camera.lost_in_transport == 0
    assert {meta.exposure_us for meta in metas[1::2]} == {None}
    assert {meta.exposure_us for meta in metas[::2]} == {1000.0}
    taken(camera, 1)
    assert camera.status.problems == (f"frames come without their chunk: {', '.join(wanted)}",)


def test_what_a_feature_does_not_take_is_said_in_plain_words(opened: Open) -> None:
    for value in (3.5, 10**20):
        with pytest.raises(
            CameraSettingError, match=r"FaultDropEvery cannot be set.*: it does not take a value"
        ):
            opened({"FaultDropEvery": value})
    with pytest.raises(CameraSettingError, match="has no feature '__class__'"):
        opened({"__class__": 1})
