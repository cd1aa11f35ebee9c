"""An encoder in the whole service: predictions to a client, rules and record, and a replay that is the same to the bit."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from support.arming import arm
from support.encoders import short_encoder
from support.waits import wait_until

from rtface.bench.agreed import ensure_parity
from rtface.client import Client
from rtface.config.rigfile import load_rig
from rtface.core.check import Check
from rtface.core.errors import ControlError, EngineError
from rtface.encode.stream import StreamingEncoder
from rtface.live.check_rig import check_rig
from rtface.live.service import Service
from rtface.offline.replay.rules import replay_rules
from rtface.record.seal.cipher import read_key
from rtface.record.session.entries import BaselineEntry, DecisionEntry, GateReplyEntry, HashesEntry
from rtface.record.session.reader import read_session
from rtface.record.session.verify import verify

LONG_S = 20.0
FREE = "tcp://127.0.0.1:*"
NAMES = ("nose(tip)", "eye(back)", "mouth")
RULES = """\
features:
  nose: {kind: position, point: nose(tip), min_score: 0}
rules:
  high: {when: neural.pc1 > LIMIT, repeat: true, refractory_ms: 150, min_score: 0, max_age_ms: 10000,
         max_gap_frames: 1000, pulse: {width_ms: 5}}
  there: {when: neural.state == 1 and neural.strange < 1000, min_score: 0, max_age_ms: 10000, max_gap_frames: 1000,
          pulse: {width_ms: 5}}
"""


def rig_file(tmp_path: Path, engine: str, **settings: Any) -> Path:
    """A camera of 40 frames a second before an encoder of 20."""
    short_encoder(tmp_path / "enc", NAMES)
    path = tmp_path / "rig.yaml"
    whole = {
        "camera": {"kind": "simulated", "width": 96, "height": 80, "rate_hz": 40},
        "engine": engine,
        "backend": {"name": "openvino"},
        "publish": {"keypoints": FREE, "control": FREE},
        "encoder": {"path": "enc", "outputs": 2, "neurons": [1, 4]},
        **settings,
    }
    path.write_text(yaml.safe_dump(whole), encoding="utf-8")
    return path


def test_a_client_gets_what_the_encoder_makes_of_the_keypoints(test_engine: str, tmp_path: Path) -> None:
    rig = load_rig(rig_file(tmp_path, test_engine))
    with (
        Service(rig) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        assert service.neural is not None
        client.hello()
        assert client.status().loop == {}
        poses, said = {}, []
        while len(said) < 25:
            keypoints = client.next(LONG_S)
            assert keypoints is not None
            poses[keypoints.frame_id] = keypoints
            said += client.neural()
        assert client.missed_neural == 0
        bundle = service.neural.bundle
    for message in said:
        assert message.model == bundle.sha256
        assert message.frame_id is not None
        assert message.age_ns is not None
        assert message.age_ns > 0
    assert any(message.neurons is not None for message in said)
    assert any(message.neurons is None for message in said)
    assert any(message.warm for message in said)
    both = [message for message in said if message.frame_id in poses]
    assert len(both) > 10
    for message in both:
        assert message.frame_id is not None
        assert message.exposure_ns == poses[message.frame_id].stamps.exposure_ns


def recorded_rig(engine: str, folder: Path, monkeypatch: pytest.MonkeyPatch, rules: str) -> Path:
    """A rig with rules that is recorded, and engines of its own."""
    engines = folder / "engines"
    shutil.copytree(os.environ["RTFACE_ENGINES"], engines)
    monkeypatch.setenv("RTFACE_ENGINES", str(engines))
    path = rig_file(
        folder,
        engine,
        rules="rules.yaml",
        session={"folder": "sessions", "min_free_gb": 0},
        arming={"frame_timeout_ms": 5000},
    )
    path.with_name("rules.yaml").write_text(rules, encoding="utf-8")
    return path


def test_rules_on_neural_values_are_recorded_and_replayed_to_the_bit(
    test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = recorded_rig(test_engine, tmp_path, monkeypatch, RULES.replace("LIMIT", "-1000"))
    rig = load_rig(path)
    with Service(rig.model_copy(update={"session": None, "rules": None, "encoder": None})) as service:
        ensure_parity(service.engine, rig.backend, rig.camera)
    with (
        Service(rig) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        arm(client)
        fired = 0
        while fired < 3:
            event = client.next_event(LONG_S)
            assert event is not None
            fired += event.kind == "decision" and event.details["action"] == "fire"
        messages = client.neural()
        folder = Path(client.status().loop["session"])
        assert service.neural is not None
        bundle = service.neural.bundle
    session = read_session(folder)
    said = session.configuration
    assert said is not None
    neural = ("neural.pc1", "neural.pc2", "neural.state", "neural.strange")
    assert said.given == (*neural, "picture.same", "view.ok")
    assert said.features[-len(said.given) :] == said.given
    assert len(said.units) == len(said.features)
    assert [each.sha256["encoder"] for each in session.of(HashesEntry)] == [bundle.sha256]
    first = said.features.index(neural[0])
    values = session.features["values"][:, first : first + len(neural)]
    assert np.isfinite(values).all(axis=1).any()
    # A stream of our own over the recorded poses: what rules saw at each frame, and what was published.
    stream, expected = StreamingEncoder(bundle, said.keypoints, 40.0), {}
    pc1 = np.nan
    for pose, seen in zip(session.poses, values, strict=True):
        found = stream.step(pose["xy"], pose["score"], int(pose["exposure_ns"]), int(pose["frame_id"]))
        if found is not None:
            expected[found.frame_id] = found.outputs[:2].copy()
            pc1 = found.outputs[0] if found.warm else np.nan
        np.testing.assert_array_equal(seen[0], pc1)
    assert len(messages) > 5
    for message in messages:
        np.testing.assert_array_equal(message.outputs, expected[message.frame_id])
    fires = [each for each in session.of(DecisionEntry) if each.action == "fire"]
    assert {each.inputs[0][0] for each in fires} <= {"neural.pc1", "neural.state"}
    replayed = replay_rules(folder)
    assert replayed.identical, replayed.first
    assert replayed.frames == len(session.features)


BLINDED = """\
features:
  nose: {kind: position, point: nose(tip), min_score: 0}
baseline: {seconds: 1, min_frames: 10, min_score: 0}
rules:
  high: {when: neural.pc1 > baseline - 1000 sd and nose.x > baseline - 1000, repeat: true, refractory_ms: 50, min_score: 0,
         max_age_ms: 10000, max_gap_frames: 1000, ignore_light_ms: 0, pulse: {width_ms: 5},
         schedule: {kind: mixed, sham: 0.5, block: 2, seed: 1, blind: true}}
"""


def test_a_blinded_session_against_its_own_baseline(
    test_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The baseline is waited for, taken anew, and replayed; what was light is sealed, and whole once it is opened."""
    path = recorded_rig(test_engine, tmp_path, monkeypatch, BLINDED)
    assert "neural.pc1, nose.x over the first 1 s of frames while disarmed" in check(path)["rules"].text
    rig = load_rig(path)
    with Service(rig.model_copy(update={"session": None, "rules": None, "encoder": None})) as service:
        ensure_parity(service.engine, rig.backend, rig.camera)
    with (
        Service(rig) as service,
        Client(service.keypoints_address, service.control_address, timeout_s=LONG_S) as client,
    ):
        client.baseline("Ada")
        (against,) = [each for each in client.self_test()["findings"] if each["what"] == "baseline"]
        assert against["verdict"] == "fail"
        assert "of the 1 s of the baseline are missing" in against["text"]
        wait_until(lambda: client.status().loop["baseline"]["complete"])
        loop = client.status().loop
        assert set(loop["baseline"]["limits"]) == {
            "neural.pc1 > baseline - 1000 sd",
            "nose.x > baseline - 1000",
        }
        assert None not in loop["baseline"]["limits"].values()
        arm(client)
        trials = 0
        while trials < 12:
            event = client.next_event(LONG_S)
            assert event is not None, client.status().loop
            trials += event.kind == "decision" and event.details["action"] == "trial"
        with pytest.raises(ControlError, match="disarm first"):
            client.baseline("Ada")
        folder = Path(loop["session"])
    session = read_session(folder)
    assert session.is_sealed
    assert {each.action for each in session.decisions if each.pulse is not None} == {"trial"}
    for opened in (session, read_session(folder, read_key(folder))):
        found = verify(opened, blinded=opened is session)
        assert [each for each in found if each.verdict != "whole"] == []
    assert {each.action for each in opened.decisions if each.pulse is not None} == {"fire", "sham"}
    assert opened.of(GateReplyEntry)
    assert len(opened.of(BaselineEntry)) >= 1
    for key in (None, read_key(folder)):
        replayed = replay_rules(folder, key=key)
        assert replayed.identical, replayed.first
        assert replayed.baselines == len(opened.of(BaselineEntry))


def check(path: Path) -> dict[str, Check]:
    return {finding.what: finding for finding in check_rig(path)}


def test_the_check_says_what_the_encoder_is_and_what_does_not_fit(test_engine: str, tmp_path: Path) -> None:
    path = rig_file(tmp_path, test_engine, rules="rules.yaml")
    rules = path.with_name("rules.yaml")
    rules.write_text(RULES.replace("LIMIT", "1.5"), encoding="utf-8")
    found = check(path)
    assert found["encoder"].verdict == "ok"
    assert "enc: 4 components at 20 Hz, look-ahead 0 s, 3 states" in found["encoder"].text
    assert "neural.pc1 ... neural.strange" in found["encoder"].text
    assert found["rules"].verdict == "ok"
    rules.write_text(RULES.replace("LIMIT", "1.5").replace("max_age_ms: 10000", "max_age_ms: 20"))
    assert found["rules"].fix == ""
    found = check(path)
    assert found["rules"].verdict == "warn"
    assert "high, there: neural values are up to 50 ms old" in found["rules"].text
    rules.write_text(RULES.replace("neural.pc1 > LIMIT", "neural.pc9 > 1"))
    assert "neural.pc9" in check(path)["rules"].text
    settings = yaml.safe_load(path.read_text())
    settings["camera"]["paced"] = False
    path.write_text(yaml.safe_dump(settings))
    found = check(path)
    assert (found["encoder"].verdict, found["encoder"].fix) == ("warn", "camera.paced: true")
    settings["camera"]["rate_hz"] = 10
    path.write_text(yaml.safe_dump(settings))
    found = check(path)
    assert found["encoder"].verdict == "fail"
    assert "encoder.json: frame_rate_hz: 10 frames a second are too few for 20" in found["encoder"].text
    assert "rules" not in found
    with pytest.raises(EngineError, match="too few"), Service(load_rig(path)):
        pass


def test_the_demo_shows_simulated_neurons_beside_the_keypoints(rtface: Any, test_engine: str) -> None:
    done = rtface("demo", "--encoder", "--engine", test_engine, "--seconds", "3", "--rate", "60")
    assert done.returncode == 0, done.stderr
    assert "SIMULATED neurons, made up from a simulated mouse: no prediction of any brain" in done.stdout
    assert "pc8" in done.stdout
    assert "simulated-mouse: age" in done.stdout
    assert "SIMULATED, 24 components of 400 neurons" in done.stderr
