"""The service over a driver that misbehaves: what it takes with it, how long it may, and how the session goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import psutil
import pytest
from support.gentl_producer import CUSTOM, HANGS, STATE_VARIABLE
from support.waits import LONG_S, wait_until

from rtface.client import Client
from rtface.config import GenicamCameraSettings, PublishSettings, Rig, SessionSettings
from rtface.core.errors import CameraLostError, ControlError
from rtface.live.service import Service
from rtface.record.session.entries import GapEntry
from rtface.record.session.reader import read_session
from rtface.record.session.summary import summarise

Start = Callable[..., "Popen[str]"]
FREE = "tcp://127.0.0.1:*"


@pytest.fixture
def rig(test_engine: str, gentl_producer: Path, tmp_path: Path) -> Callable[..., Rig]:
    def make(reconnect_s: float = 600, **nodes: object) -> Rig:
        camera = GenicamCameraSettings(
            kind="genicam",
            producer=gentl_producer,
            serial=CUSTOM,
            width=96,
            height=80,
            rate_hz=100,
            nodes=nodes,  # type: ignore[arg-type]
            reconnect_s=reconnect_s,
        )
        return Rig(
            camera=camera,
            engine=test_engine,
            publish=PublishSettings(keypoints=FREE, control=FREE),
            session=SessionSettings(folder=tmp_path / "sessions", min_free_gb=0),
        )

    return make


def camera_processes() -> list[psutil.Process]:
    return [
        each
        for each in psutil.Process().children()
        if "rtface.acquire.outside.child" in " ".join(each.cmdline())
    ]


def test_a_killed_driver_is_a_gap_that_clients_see_and_the_session_records(
    rig: Callable[..., Rig], tmp_path: Path
) -> None:
    with (
        Service(rig()) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        assert client.next(LONG_S) is not None
        (process,) = camera_processes()
        os.kill(process.pid, signal.SIGKILL)
        lost_event = next_camera_event(client)
        assert lost_event["event"] == "lost"
        back_event = next_camera_event(client)
        assert (back_event["event"], back_event["why"]) == ("back", lost_event["why"])
        assert client.status().gap == {}
        frames = service.pipeline.status().frames
        wait_until(lambda: service.pipeline.status().frames > frames + 20)
    (session,) = (tmp_path / "sessions").iterdir()
    read = read_session(session)
    lost, back = read.of(GapEntry)
    assert (lost.event, back.event) == ("lost", "back")
    assert "was ended by SIGKILL" in lost.why
    assert lost.t_ns == lost.begun_ns == back.begun_ns < back.t_ns
    numbers = [int(pose["frame_id"]) for pose in read.poses]
    assert numbers == sorted(set(numbers)), "a number came twice"
    assert lost.frame_id in numbers
    assert back.frame_id in numbers
    assert back.frame_id >= lost.frame_id + 2
    assert [moment.what for moment in summarise(read).gaps] == ["lost", "back"]


def next_camera_event(client: Client) -> dict[str, object]:
    while (event := client.next_event(LONG_S)) is not None:
        if event.kind == "camera":
            return event.details
    raise AssertionError("no event of the camera came")


def test_while_the_camera_is_gone_nobody_can_arm_and_the_status_says_why(
    rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with (
        Service(rig(FaultDisconnectAt=10, FaultDisconnectMs=-1)) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        wait_until(lambda: bool(client.status().gap))
        status = client.status()
        assert status.state == "stopped"
        assert status.gap["event"] == "lost"
        with pytest.raises(ControlError, match=r"frames: the camera is lost: .*custom-2"):
            client.arm("a test")


def test_a_camera_that_is_unplugged_for_a_while_comes_back(
    rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again and again: it loses contact at each thirtieth frame."""
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with Service(rig(FaultDisconnectAt=30, FaultDisconnectMs=300)) as service:
        wait_until(lambda: service.pipeline.status().frames > 60)
        assert service.pipeline.error is None
    (session,) = (tmp_path / "sessions").iterdir()
    entries = read_session(session).of(GapEntry)
    assert [each.event for each in entries[:2]] == ["lost", "back"]
    assert CUSTOM in entries[0].why


def test_a_camera_that_does_not_come_back_ends_the_service(
    rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STATE_VARIABLE, str(tmp_path / "state"))
    with Service(rig(1, FaultDisconnectAt=10, FaultDisconnectMs=-1)) as service:
        assert service.wait(LONG_S)
        assert isinstance(service.pipeline.error, CameraLostError)
        assert "it did not come back within 1 s" in str(service.pipeline.error)
    assert camera_processes() == []


def written(rig: Rig, folder: Path, **camera: object) -> str:
    asked = json.loads(rig.model_dump_json())
    asked["camera"] |= camera
    path = folder / "rig.yaml"
    path.write_text(json.dumps(asked), encoding="utf-8")
    return str(path)


def test_a_driver_that_hangs_while_it_is_opened_does_not_outlive_the_second_signal(
    rig: Callable[..., Rig], start_rtface: Start, tmp_path: Path
) -> None:
    process = start_rtface("run", written(rig(), tmp_path, serial=HANGS), "--json")
    (camera,) = child_of(process)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    wait_until(lambda: again(process))
    camera.wait(LONG_S)


def again(process: Popen[str]) -> bool:
    """Send the signal anew until it has had its effect: two that come at once can be taken as one."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        return False
    return process.returncode == -signal.SIGTERM


def child_of(process: Popen[str]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    wait_until(
        lambda: (
            process.poll() is not None or bool(found.extend(psutil.Process(process.pid).children()) or found)
        )
    )
    return found


def test_a_driver_that_hangs_when_it_is_stopped_does_not_keep_run_from_ending(
    rig: Callable[..., Rig], start_rtface: Start, tmp_path: Path
) -> None:
    process = start_rtface("run", written(rig(FaultHangIn="Stop"), tmp_path), "--json")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["state"] == "running"
    (camera,) = child_of(process)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=2 * LONG_S)
    assert process.returncode == 0, err
    assert "did not return from stopping within 3 s; its process was killed" in err
    assert not camera.is_running()
