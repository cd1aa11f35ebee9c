"""A whole rig whose camera waits for triggers: armed over the pauses between trials, with one setting alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from support.arming import arm
from support.rigs import FIRING_OFTEN
from support.waits import LONG_S, wait_until

from rtface.bench.agreed import ensure_parity
from rtface.client import Client
from rtface.config import SimulatedCameraSettings
from rtface.config.rigfile import load_rig
from rtface.core.records import KNOWN_VIEW
from rtface.live.service import Service
from rtface.offline.replay.rules import replay_rules
from rtface.record.session.entries import ArmingEntry
from rtface.record.session.reader import read_session
from rtface.record.session.summary import summarise

FREE = "tcp://127.0.0.1:*"
TRIAL, PAUSE_S = 15, 2.0


@pytest.fixture
def rig_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    path = tmp_path / "rig.yaml"
    settings = {
        "camera": {
            "kind": "simulated",
            "width": 320,
            "height": 240,
            "trigger": {
                "source": "Software",
                "rate_hz": 20,
                "longest_pause_s": 60,
                "trials": {"frames": TRIAL, "pause_s": PAUSE_S},
            },
        },
        "backend": {"name": "openvino"},
        "rules": "rules.yaml",
        "output": {"kind": "log", "path": "light.txt", "liveness_ms": 5000},
        "session": {"folder": "sessions", "min_free_gb": 0},
        "publish": {"keypoints": FREE, "control": FREE},
    }
    path.write_text(yaml.safe_dump(settings), encoding="utf-8")
    path.with_name("rules.yaml").write_text(FIRING_OFTEN, encoding="utf-8")
    return path


def newest_trigger(client: Client) -> int:
    message = client.next(LONG_S)
    assert message is not None
    assert message.trigger_id is not None
    return message.trigger_id


def test_a_loop_stays_armed_between_trials_and_decides_in_each(rig_file: Path) -> None:
    """The pause is four times `arming.frame_timeout_ms`, and the camera's own rate is another than its triggers'."""
    rig = load_rig(rig_file)
    assert isinstance(rig.camera, SimulatedCameraSettings)
    assert rig.camera.rate_hz == 200
    with Service(rig) as service:
        ensure_parity(service.engine, rig.backend, rig.camera)
        with Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client:
            assert client.hello().camera["trigger"] == {
                "source": "Software",
                "rate_hz": 20.0,
                "longest_pause_s": 60.0,
            }
            wait_until(lambda: client.status().view_ok >= KNOWN_VIEW)
            arm(client)
            armed_at = newest_trigger(client)
            wait_until(lambda: client.status().camera_status.get("waits_s", 0) >= 1)
            assert client.status().loop["state"] == "armed"
            assert client.self_test()["ready"], "a pause does not keep anybody from arming"
            wait_until(lambda: newest_trigger(client) > armed_at + TRIAL)
            assert client.status().loop["state"] == "armed"
            client.disarm("test")
    (folder,) = (rig_file.parent / "sessions").iterdir()
    session = read_session(folder)
    assert [each.event for each in session.of(ArmingEntry)] == ["armed", "disarmed"]
    fired = {(each.frame_id or 0) // TRIAL for each in session.decisions if each.action == "fire"}
    assert len(fired) >= 2, "light in more than one trial"
    assert session.chunks["trigger_id"].tolist() == session.poses["frame_id"].tolist()
    facts = summarise(session).facts
    assert facts["trigger"] == "Software, 20 per second"
    assert facts["triggers missed"] == "0"
    replayed = replay_rules(folder)
    assert (replayed.value, replayed.decision, replayed.hole) == (None, None, None)
