"""The whole closed loop: simulated mouse, rules, the gate's firmware in emulation, the record, and its replay."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.arming import arm
from support.commandline import run
from support.emulated_gate import (
    PATIENT,
    PATIENT_LIMITS,
    emulated_gate,
    gate_cycle,
    patient_gate,
    risen,
)
from support.waits import LONG_S, wait_until

from rtface.bench.agreed import ensure_parity
from rtface.client import Client
from rtface.config.rigfile import load_rig
from rtface.core.clock import NS_PER_MS, monotonic_ns
from rtface.core.clockfit import ClockLine
from rtface.core.errors import AddressError, ControlError
from rtface.core.features import Features
from rtface.core.records import Pose
from rtface.decide.features.bank import FeatureBank
from rtface.live.service import Service
from rtface.offline.replay.rules import replay_rules
from rtface.record.session.entries import (
    ArmingEntry,
    ClockFitEntry,
    DecisionEntry,
    GateReplyEntry,
    PulseCommandEntry,
)
from rtface.record.session.reader import read_session
from rtface.record.session.verify import verify
from rtface.stimulate.gate.codes import ABSOLUTE
from rtface.stimulate.gate.emulator import (
    CYCLES_PER_MS,
    CYCLES_PER_US,
    EmulatedGate,
    EmulationLog,
    LightChange,
)

FREE = "tcp://127.0.0.1:*"
DEADMAN_MS = ABSOLUTE["MAX_DEADMAN_MS"]
RULES = """\
features:
  nose: {kind: position, point: nose(tip), min_score: 0}
rules:
  often:
    when: nose.x > -1000
    repeat: true
    refractory_ms: 200
    min_score: 0
    max_age_ms: 10000
    max_gap_frames: 1000
    pulse: PULSE
    schedule: {kind: mixed, sham: SHAM, block: 4, seed: 1}
"""
SHORT = RULES.replace("PULSE", "{frequency_hz: 50, width_ms: 5, duration_ms: 45}").replace("SHAM", "0.25")
LONG = RULES.replace("PULSE", "{frequency_hz: 30, width_ms: 20, duration_ms: 5000}").replace("SHAM", "0")


@pytest.fixture
def gate() -> Iterator[EmulatedGate]:
    with emulated_gate(patient_gate) as made:
        yield made


@pytest.fixture
def rig_file(test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A rig whose engine has been verified, without an output."""
    engines = tmp_path / "engines"
    shutil.copytree(os.environ["RTFACE_ENGINES"], engines)
    monkeypatch.setenv("RTFACE_ENGINES", str(engines))
    path = tmp_path / "rig.yaml"
    settings = {
        "camera": {"kind": "simulated", "width": 96, "height": 80, "rate_hz": 20},
        "engine": test_engine,
        "backend": {"name": "openvino"},
        "rules": "rules.yaml",
        "session": {"folder": "sessions", "frames": "lossless", "min_free_gb": 0},
        "arming": {"frame_timeout_ms": 5000},
        "publish": {"keypoints": FREE, "control": FREE},
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    path.with_name("rules.yaml").write_text(SHORT, encoding="utf-8")
    rig = load_rig(path)
    with Service(rig.model_copy(update={"session": None, "rules": None})) as service:
        ensure_parity(service.engine, rig.backend, rig.camera)
    return path


def with_output(rig_file: Path, **settings: Any) -> Path:
    changed = yaml.safe_load(rig_file.read_text(encoding="utf-8")) | settings
    rig_file.write_text(yaml.safe_dump(changed), encoding="utf-8")
    return rig_file


def stood_still_ns(log: EmulationLog, light: LightChange) -> int:
    """How long the machine kept the emulation from running in its last 200 ms before a light."""
    began = [(cycle, t_ns - cycle * 1000 // CYCLES_PER_US) for cycle, t_ns in log.anchors]
    recent = light.cycle - 200 * CYCLES_PER_MS
    before = [at_ns for cycle, at_ns in began if cycle <= recent] or [began[0][1]]
    return [at_ns for cycle, at_ns in began if cycle <= light.cycle][-1] - before[-1]


def listen(client: Client, kind: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while len(found) < count:
        event = client.next_event(LONG_S)
        assert event is not None, f"{len(found)} of {count} {kind}"
        assert event.kind != "fault", event.details
        if event.kind == kind:
            found.append(event.details)
    return found


def test_every_light_was_decided_commanded_answered_and_seen(gate: EmulatedGate, rig_file: Path) -> None:
    rig = load_rig(
        with_output(
            rig_file, output={"kind": "gate", "port": str(gate.port), "limits": PATIENT_LIMITS, **PATIENT}
        )
    )
    with (
        Service(rig) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        arm(client)
        listen(client, "decision", 12)
        client.mark("test", "half way")
        listen(client, "decision", 12)
        client.disarm("test", "enough")
        assert listen(client, "arming", 1)[0]["state"] == "disarmed"
        loop = client.status().loop
        assert loop["state"] == "disarmed"
        folder = Path(loop["session"])
    lights = risen(gate.light())
    assert not gate.light_is_on
    session = read_session(folder)
    assert session.state == "closed"
    fired = [each for each in session.of(DecisionEntry) if each.action == "fire"]
    shams = [each for each in session.of(DecisionEntry) if each.action == "sham"]
    commands = [each for each in session.of(PulseCommandEntry) if each.command == "fire"]
    assert fired
    assert shams
    assert [each.decision for each in commands] == [each.number for each in fired]
    assert session.configuration is not None
    assert session.configuration.grace_ns == PATIENT["answer_ms"] * NS_PER_MS
    replies = session.of(GateReplyEntry)
    told = [each for each in replies if each.event == "light_on"]
    assert len(told) == len(lights)
    boards = [
        reply.device_us - light.cycle / CYCLES_PER_US for reply, light in zip(told, lights, strict=True)
    ]
    assert max(boards) - min(boards) < 10
    log = gate.read_log()
    for reply, light in zip(told, lights, strict=True):
        assert reply.host_ns is not None
        excused_ns = stood_still_ns(log, light) + reply.t_ns - light.t_ns
        assert abs(reply.host_ns - light.t_ns) < 20_000_000 + excused_ns
    answered = {each.number for each in replies if each.event in ("ack", "refused")}
    assert {each.number for each in commands} <= answered
    assert [each.event for each in session.of(ArmingEntry)] == ["armed", "disarmed"]
    poses = session.poses
    assert (poses["published_ns"] >= poses["decided_ns"]).all()
    fit = session.of(ClockFitEntry)[0]
    line = ClockLine(fit.anchor_ns, fit.offset_ns, fit.slope)
    assert fit.device == "camera"
    assert [line.at(each) for each in poses["camera_ns"].tolist()] == poses["exposure_ns"].tolist()
    for command in ("session verify", "replay", "replay --network"):
        done = run(*command.split(), folder)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_a_host_that_is_killed_in_mid_pulse_leaves_darkness_and_a_record(
    gate: EmulatedGate, rig_file: Path
) -> None:
    rig_file.with_name("rules.yaml").write_text(LONG, encoding="utf-8")
    ports = {"keypoints": f"ipc://{rig_file.parent}/keypoints", "control": f"ipc://{rig_file.parent}/control"}
    with_output(
        rig_file,
        output={"kind": "gate", "port": str(gate.port), "limits": PATIENT_LIMITS, **PATIENT},
        publish=ports,
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "rtface", "run", str(rig_file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with Client(ports["keypoints"], ports["control"], timeout_s=LONG_S) as client:
            arm(client)
            events = listen(client, "light", 20)
            assert events[0]["event"] == "light_on"
            folder = Path(client.status().loop["session"])
            process.kill()
            process.wait(LONG_S)
    finally:
        process.kill()
        process.wait(LONG_S)
    log = gate.read_log()
    while (log := gate.read_log()).light[-1].cycle + 200 * CYCLES_PER_MS > _now_cycle(log):
        pass
    last_byte = log.delivered[-1][0]
    assert not log.light[-1].ttl
    assert log.light[-1].cycle - last_byte <= (DEADMAN_MS + 1) * CYCLES_PER_MS
    session = read_session(folder)
    assert session.state == "truncated"
    assert [each.event for each in session.of(ArmingEntry)] == ["armed"]
    assert {each.verdict for each in verify(session)} == {"whole", "missing"}
    assert (session.poses["published_ns"][:-1] >= session.poses["decided_ns"][:-1]).all()
    assert any(each.event == "light_on" for each in session.of(GateReplyEntry))


def _now_cycle(log: Any) -> int:
    """Return the newest cycle that the emulation is known to have reached."""
    cycle, t_ns = log.anchors[-1]
    return int(cycle + (monotonic_ns() - t_ns) * 16 // 1000)


def test_a_camera_that_shows_one_picture_again_and_again_never_fires(rig_file: Path) -> None:
    """New frames, numbers and times, and the same pixels: withheld from the first, recorded, and replayed the same."""
    camera = {"kind": "simulated", "width": 96, "height": 80, "rate_hz": 20, "repeat": 1}
    with (
        Service(load_rig(with_output(rig_file, camera=camera))) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        arm(client)
        withheld = listen(client, "decision", 1)
        while client.status().frames < 60:
            client.next(LONG_S)
        folder = Path(client.status().loop["session"])
    assert {each["reason"] for each in withheld if each["action"] == "withhold"} <= {"frozen", "disarmed"}
    session = read_session(folder)
    decisions = session.of(DecisionEntry)
    assert "frozen" in {each.reason for each in decisions}
    assert not {each.action for each in decisions} & {"fire", "sham"}
    said = session.configuration
    assert said is not None
    same = session.features["values"][:, said.features.index("picture.same")]
    assert same.max() > 20
    again = replay_rules(folder)
    assert again.identical
    assert again.frames == len(session.features)


def test_an_engine_that_was_never_verified_is_not_armed(
    rig_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rtface.track.parity.parity_folder", lambda: tmp_path / "elsewhere")
    with (
        Service(load_rig(rig_file)) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        told = client.self_test()
        assert not told["ready"]
        (engine,) = [each for each in told["findings"] if each["what"] == "engine"]
        assert engine["verdict"] == "fail"
        assert "rtface engines verify" in engine["text"]
        with pytest.raises(ControlError, match="rtface engines verify"):
            client.arm("test")


def test_a_service_without_rules_says_that_it_decides_nothing(test_engine: str) -> None:
    from rtface.config import PublishSettings, Rig, SimulatedCameraSettings

    rig = Rig(
        camera=SimulatedCameraSettings(width=96, height=80, rate_hz=50),
        engine=test_engine,
        publish=PublishSettings(keypoints=FREE, control=FREE),
    )
    with (
        Service(rig) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        assert client.status().loop == {}
        with pytest.raises(ControlError, match="decides nothing") as caught:
            client.arm("test")
        assert caught.value.code == "no_loop"


def test_the_crop_stays_and_the_camera_s_stop_disarms_while_armed(rig_file: Path) -> None:
    with (
        Service(load_rig(rig_file)) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        arm(client)
        with pytest.raises(ControlError, match="disarm first"):
            client.set_crop(None)
        client.stop()
        assert client.status().loop["state"] == "disarmed"
        client.set_crop(None)


def kill_thread(name: str) -> None:
    """Have a thread of this process end by what no code of it foresees, wherever it is."""
    (thread,) = (each for each in threading.enumerate() if each.name == name)
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(
    "name",
    [
        "rtface-gate",
        "rtface-record",
        "rtface-acquire",
        "rtface-process",
        "rtface-control",
        "rtface-control-work",
    ],
)
def test_a_thread_that_is_killed_while_armed_ends_the_light_and_the_arming(
    gate: EmulatedGate, rig_file: Path, name: str
) -> None:
    output = {"kind": "gate", "port": str(gate.port), "limits": PATIENT_LIMITS, **PATIENT}
    with (
        Service(load_rig(with_output(rig_file, output=output))) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        arm(client)
        listen(client, "light", 2)
        folder = Path(client.status().loop["session"])
        assert service.arming.state()["state"] == "armed"
        kill_thread(name)
        if name in ("rtface-control", "rtface-control-work"):  # it wakes, and ends, with the next command
            with (
                suppress(AddressError),
                Client(service.keypoints_address, service.control_address, timeout_s=0.2) as another,
            ):
                another.mark("test", "anybody there?")
        wait_until(lambda: service.arming.state()["state"] != "armed")
        wait_until(lambda: not gate.light_is_on)
        lights = len(risen(gate.light()))
        began = gate.read_log().delivered[-1][0]
        wait_until(lambda: gate_cycle(gate) > began + 1_000 * CYCLES_PER_MS)
        assert len(risen(gate.light())) == lights, "no light after it"
    assert read_session(folder).damage == ()


def test_an_exception_in_a_feature_while_armed_ends_the_light(
    gate: EmulatedGate, rig_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = {"kind": "gate", "port": str(gate.port), "limits": PATIENT_LIMITS, **PATIENT}

    def broken(bank: FeatureBank, pose: Pose) -> Features:
        raise ZeroDivisionError("a feature")

    with (
        Service(load_rig(with_output(rig_file, output=output))) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        arm(client)
        listen(client, "light", 2)
        folder = Path(client.status().loop["session"])
        monkeypatch.setattr(FeatureBank, "update", broken)
        wait_until(lambda: service.arming.state()["state"] != "armed")
        wait_until(lambda: not gate.light_is_on)
        lights = len(risen(gate.light()))
        began = gate_cycle(gate)
        wait_until(lambda: gate_cycle(gate) > began + 1_000 * CYCLES_PER_MS)
        assert len(risen(gate.light())) == lights
    assert read_session(folder).damage == ()
