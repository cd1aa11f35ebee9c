"""Whole rigs with several cameras: tracked apart, decided on together, recorded in one session."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from support.arming import arm
from support.waits import wait_until

from rtface.bench.agreed import ensure_parity
from rtface.client import Client, Keypoints, PictureSubscriber
from rtface.config.multi import MultiRig
from rtface.config.rigfile import load_any_rig
from rtface.core.clock import NS_PER_S
from rtface.core.errors import ControlError, UsageError
from rtface.core.records import KNOWN_VIEW, Crop
from rtface.live.multi.cores import own_cores, shared_out
from rtface.live.multi.service import MultiService
from rtface.offline.replay.rules import replay_rules
from rtface.record.session.cameras.joining import join_frames
from rtface.record.session.entries import DecisionEntry, GapEntry
from rtface.record.session.reader import Session, read_session
from rtface.record.session.summary import summarise
from rtface.record.session.verify import verify

pytestmark = pytest.mark.timeout(600)  # a process and a compiled network for each camera, on a busy machine

FREE = "tcp://127.0.0.1:*"
SLOW_S = 120.0
OFTEN: dict[str, Any] = {
    "repeat": True,
    "refractory_ms": 50,
    "min_score": 0,
    "max_age_ms": 60000,
    "max_gap_frames": 100000,
    "ignore_light_ms": 0,
    "pulse": {"width_ms": 1},
}
"""Fires on any frame but for the refractory time, and a doubt."""


def simulated(seed: int, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "simulated",
        "width": 320,
        "height": 240,
        "rate_hz": 10,
        "seed": seed,
        "repeat": 40,
        "reconnect_s": 100,
        **changes,
    }


def wait_long(condition: Any) -> None:
    """Wait for what takes long on a busy machine: processes that begin, networks that are compiled."""
    for _ in range(round(SLOW_S / 20)):
        try:
            wait_until(condition)
        except AssertionError:
            continue
        return
    wait_until(condition)


def rig_of(folder: Path, cameras: dict[str, Any], conditions: dict[str, str], **changes: Any) -> MultiRig:
    """Write a rig's file, whose rules fire often on a condition each, and read it."""
    path = folder / "rig.yaml"
    settings = {
        "cameras": cameras,
        "backend": {"name": "openvino", "threads": 1},
        "rules": "rules.yaml",
        "output": {"kind": "log", "path": "light.txt", "liveness_ms": 5000},
        "session": {"folder": "sessions", "min_free_gb": 0, "stall_s": 60},
        "publish": {"keypoints": FREE, "control": FREE},
        "arming": {"frame_timeout_ms": 20000, "any_view": True},
        "silence_s": 30,
        **changes,
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    written = {
        "input": {"frozen_ms": None, "min_view": None},
        "features": {
            f"{name}.nose": {"kind": "position", "point": "nose(tip)", "min_score": 0} for name in cameras
        },
        "rules": {name: OFTEN | {"when": when} for name, when in conditions.items()},
    }
    path.with_name("rules.yaml").write_text(yaml.safe_dump(written), encoding="utf-8")
    rig = load_any_rig(path)
    assert isinstance(rig, MultiRig)
    return rig


@contextmanager
def served(rig: MultiRig) -> Iterator[tuple[MultiService, Client]]:
    with (
        MultiService(rig) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=SLOW_S) as client,
    ):
        client.hello()
        yield service, client


def armed(service: MultiService, rig: MultiRig, client: Client) -> None:
    for name in rig.cameras:
        alone = rig.of(name)
        ensure_parity(service.engines[name], alone.backend, alone.camera)
    for _ in range(20):
        try:
            arm(client)
        except ControlError as error:
            if "view:" not in str(error) and "frames:" not in str(error):
                raise
            client.next(1.0)
            continue
        return
    arm(client)


def disarmed(client: Client) -> None:
    loop = client.status().loop
    assert loop["state"] == "armed", loop["why"]
    client.disarm("test")
    wait_long(lambda: client.status().loop["state"] == "disarmed")


def fired(client: Client, rule: str) -> int:
    return sum(
        event.kind == "decision" and event.details["rule"] == rule and event.details["action"] == "fire"
        for event in client.events()
    )


def fires(client: Client, rule: str) -> None:
    """Wait until a rule fires anew."""
    client.events()

    def has_fired() -> bool:
        client.next(0.2)
        return fired(client, rule) > 0

    wait_long(has_fired)


def whole(folder: Path) -> Session:
    """Read the only session, which must be whole and replay bit for bit."""
    (path,) = (folder / "sessions").iterdir()
    session = read_session(path)
    assert {each.verdict for each in verify(session)} == {"whole"}
    again = replay_rules(path)
    assert again.identical, again.first
    assert again.frames == session.row_count("features") > 0
    return session


@pytest.fixture(scope="module", autouse=True)
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what was found of the engine's parity, which each test needs; wait for a thread that a busy machine lets wait.

    The output's thread reports the end of each of the many pulses; one that comes later than `GRACE_NS` is a fault.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("rtface.live.assembly.GRACE_NS", round(SLOW_S * NS_PER_S))
        patched.setenv("RTFACE_ENGINES", str(tmp_path_factory.mktemp("engines")))
        yield


def test_two_cameras_are_decided_on_together_and_recorded_in_one_session(tmp_path: Path) -> None:
    rules = {
        "of_left": "left.nose.x > -1000",
        "of_both": "left.nose.x > -1000 and right.nose.y > -1000",
    }
    crop = {"x": 20, "y": 0, "width": 300, "height": 240}
    rig = rig_of(tmp_path, {"left": simulated(1), "right": simulated(2, crop=crop)}, rules)
    with served(rig) as (service, client):
        hello = client.hello()
        assert tuple(hello.cameras) == ("left", "right")
        assert hello.cameras["right"].crop == Crop(**crop)
        assert hello.cameras["left"].crop is None
        assert client.names_of("left") == client.names
        with pytest.raises(UsageError, match="there are: left, right"):
            client.names_of("middle")
        seen = {client.next(SLOW_S).camera for _ in range(40)}  # type: ignore[union-attr]
        assert seen == {"left", "right"}
        armed(service, rig, client)
        fires(client, "of_left")
        fires(client, "of_both")
        status = client.status()
        assert {name: each["state"] for name, each in status.cameras.items()} == {
            "left": "running",
            "right": "running",
        }
        assert status.frames <= sum(each["frames"] for each in client.status().cameras.values())
        with pytest.raises(ControlError, match="disarm first"):
            client.set_crop(None, "right")
        disarmed(client)
        client.set_crop(Crop(0, 0, 320, 240), "right")
        with pytest.raises(ControlError, match="which camera"):
            client.set_crop(None)
    session = whole(tmp_path)
    assert session.cameras == ("left", "right")
    by_rule = {each.rule: each.camera_name for each in session.decisions if each.action == "fire"}
    assert set(by_rule) == set(rules)
    assert {each.camera_name for each in session.decisions if each.rule == "of_left" and each.frame_id} == {
        "left"
    }
    for name in session.cameras:
        alone = session.of_camera(name)
        assert len(alone.poses) == len(alone.pose_table().frame_id) > 0
        assert alone.configuration is not None
        assert alone.configuration.features[0] == f"{name}.nose.x"
    summary = summarise(session)
    assert summary.poses == sum(each.poses for each in summary.cameras.values())
    joined = join_frames(session)
    assert joined.by == "exposure"
    assert len(joined.rows) == summary.cameras["left"].poses


def test_a_client_may_take_the_keypoints_of_one_camera_alone(tmp_path: Path) -> None:
    cameras = {"left": simulated(1), "left2": simulated(2)}
    rig = rig_of(tmp_path, cameras, {}, rules=None, output={"kind": "null"}, session=None)
    with (
        MultiService(rig) as service,
        Client(service.keypoints_address, service.control_address, cameras=("left",)) as client,
    ):
        found = [client.next(SLOW_S) for _ in range(10)]
        assert {each.camera for each in found if each is not None} == {"left"}
        assert client.malformed == 0


def test_each_camera_has_pictures_of_its_own_with_its_own_keypoints(tmp_path: Path) -> None:
    cameras = {"left": simulated(1), "right": simulated(2, width=160, height=128)}
    publish = {"keypoints": FREE, "control": FREE, "pictures": {"address": FREE}}
    rig = rig_of(tmp_path, cameras, {}, rules=None, output={"kind": "null"}, session=None, publish=publish)
    with served(rig) as (service, client):
        hello = client.hello()
        assert hello.pictures_address == hello.cameras["left"].pictures_address == service.pictures_address
        for name, width in (("left", 320), ("right", 160)):
            poses: dict[int, Keypoints] = {}
            with PictureSubscriber(hello.cameras[name].pictures_address) as pictures:
                shown = None
                while shown is None or shown.frame_id not in poses:
                    keypoints = client.next(SLOW_S)
                    assert keypoints is not None
                    if keypoints.camera == name:
                        poses[keypoints.frame_id] = keypoints
                    shown = pictures.next(0) or shown
            assert shown.frame_width == width
            assert shown.xy.tobytes() == poses[shown.frame_id].xy.tobytes()
        assert client.status().cameras["right"]["pictures"]["sent"] > 0


def test_four_cameras_are_tracked_at_once(tmp_path: Path) -> None:
    cameras = {name: simulated(seed, rate_hz=4) for seed, name in enumerate(("a", "b", "c", "d"))}
    rules = {"of_two": "a.nose.x > -1000 and d.nose.x > -1000", "of_one": "c.nose.x > -1000"}
    rig = rig_of(tmp_path, cameras, rules)
    with served(rig) as (service, client):
        wait_long(lambda: all(each["frames"] > 10 for each in client.status().cameras.values()))
        pids = {name: seat._camera.pid for name, seat in service.pipeline.seats.items()}
        assert len(set(pids.values())) == 4
        shares = shared_out(list(cameras), {}, own_cores())
        for name, pid in pids.items():
            assert pid is not None
            assert os.sched_getaffinity(pid) == set(shares[name])
    assert not [pid for pid in pids.values() if pid is not None and psutil.pid_exists(pid)]
    session = whole(tmp_path)
    assert all(len(session.of_camera(name).poses) > 10 for name in cameras)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_a_lost_camera_withholds_what_rests_on_it_while_the_other_fires_and_is_back(
    tmp_path: Path, how: signal.Signals
) -> None:
    rules = {
        "of_left": "left.nose.x > -1000",
        "of_both": "left.nose.x > -1000 and right.nose.y > -1000",
        "of_right": "right.nose.x > -1000",
    }
    rig = rig_of(tmp_path, {"left": simulated(1), "right": simulated(2)}, rules)
    with served(rig) as (service, client):
        armed(service, rig, client)
        fires(client, "of_both")
        pid = service.pipeline.seats["right"]._camera.pid
        assert pid is not None
        os.kill(pid, how)
        wait_long(lambda: bool(client.next(0.2)) and "gap" in client.status().cameras["right"])
        fires(client, "of_left")
        loop = client.status().loop
        assert loop["state"] == "armed", loop["why"]
        wait_long(lambda: bool(client.next(0.2)) and client.status().cameras["right"]["state"] == "running")
        fires(client, "of_left")

        def withheld() -> set[str]:
            seen = client.status().loop["seen"]
            return {seen[rule]["withheld"] for rule in ("of_both", "of_right")}

        wait_long(lambda: bool(client.next(0.2)) and withheld() == {"camera_lost"})
        disarmed(client)
        armed(service, rig, client)
        fires(client, "of_both")
    session = whole(tmp_path)
    gaps = [each for each in session.of(GapEntry) if each.camera_name == "right"]
    assert [each.event for each in gaps] == ["lost", "back"]
    during = [each for each in session.of(DecisionEntry) if gaps[0].t_ns <= each.t_ns <= gaps[1].t_ns]
    assert {each.rule for each in during if each.action == "fire"} <= {"of_left"}
    assert {each.rule for each in during if each.reason == "camera_lost"} >= {"of_both", "of_right"}


def test_two_devices_of_a_genicam_producer(gentl_producer: Path, tmp_path: Path) -> None:
    from support.gentl_producer import GIGE, USB3

    camera = {"kind": "genicam", "producer": str(gentl_producer), "rate_hz": 10, "width": 320, "height": 240}
    cameras = {
        "left": camera | {"serial": GIGE, "chunks": ["trigger"]},
        "right": camera | {"serial": USB3, "chunks": ["trigger"]},
    }
    rig = rig_of(tmp_path, cameras, {"both": "left.nose.x > -1000 and right.nose.x > -1000"})
    with served(rig) as (_, client):
        labels = {name: each.camera["label"] for name, each in client.hello().cameras.items()}
        assert GIGE in labels["left"]
        assert USB3 in labels["right"]
        wait_long(lambda: all(each["frames"] > 10 for each in client.status().cameras.values()))
    session = whole(tmp_path)
    assert join_frames(session).by == "trigger"


def test_all_cameras_lost_for_good_end_the_service(tmp_path: Path) -> None:
    cameras = {"left": simulated(1, reconnect_s=0), "right": simulated(2, reconnect_s=0)}
    rig = rig_of(tmp_path, cameras, {}, rules=None, output={"kind": "null"}, session=None)
    with served(rig) as (service, client):
        assert KNOWN_VIEW > 0
        seats = service.pipeline.seats
        for name in ("left", "right"):
            assert seats[name]._camera.pid is not None
            os.kill(seats[name]._camera.pid, signal.SIGKILL)
            if name == "left":
                wait_long(lambda: client.status().cameras["left"]["state"] == "failed")
                assert client.next(SLOW_S) is not None, "the other goes on"
                assert not service.wait(0)
        assert service.wait(SLOW_S)
        assert "was ended by SIGKILL" in str(service.processing.error)


def test_a_camera_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    cameras = {"left": simulated(1), "right": {"kind": "video", "path": "absent.mp4"}}
    rig = rig_of(tmp_path, cameras, {}, rules=None, output={"kind": "null"}, session=None)
    with pytest.raises(Exception, match=r"camera right: .*absent\.mp4"):
        MultiService(rig).open()


def test_frames_of_each_camera_are_recorded_apart_exactly(tmp_path: Path) -> None:
    cameras = {"left": simulated(1, frames=25), "right": simulated(2, frames=15, width=160, height=128)}
    rig = rig_of(
        tmp_path,
        cameras,
        {"both": "left.nose.x > -1000 and right.nose.x > -1000"},
        session={"folder": "sessions", "min_free_gb": 0, "stall_s": 60, "frames": "lossless"},
    )
    with MultiService(rig) as service:
        assert service.wait(SLOW_S)
        assert service.processing.error is None
    session = whole(tmp_path)
    for name in cameras:
        alone = session.of_camera(name)
        assert (session.folder / f"frames-{name}.mkv").is_file()
        assert len(alone.frames) == len(alone.poses) > 0
