"""What `rtface check` says of the parity gate, of the back ends and of the camera's frames."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from support.drawn_labels import drawn, drawn_engine

from rtface.config import BackendSettings
from rtface.core.check import Check
from rtface.live.check_rig import check_rig
from rtface.track.parity import store_parity
from rtface.track.store import Engine
from rtface.track.verify import verify

RIG = """\
camera: {{kind: simulated, width: 96, height: 80, rate_hz: 200, frames: 40}}
crop: {{x: 8, y: 4, width: 80, height: 70}}
engine: {engine}
backend: {{name: openvino, threads: 1}}
publish: {{keypoints: "tcp://127.0.0.1:*", control: "tcp://127.0.0.1:*"}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    return tmp_path


def findings(folder: Path, engine: str) -> dict[str, Check]:
    rig = folder / "rig.yaml"
    rig.write_text(RIG.format(engine=engine), encoding="utf-8")
    return {finding.what: finding for finding in check_rig(rig)}


def test_an_address_of_pictures_that_is_taken_is_named(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        rig = folder / "rig.yaml"
        pictures = f", pictures: {{address: '{address}'}}}}"
        rig.write_text(RIG.format(engine="nowhere").rstrip().removesuffix("}") + pictures, encoding="utf-8")
        found = {finding.what: finding for finding in check_rig(rig)}["ports"]
    assert (found.verdict, found.exit_code) == ("fail", 7)
    assert f"publish.pictures.address: {address} cannot be bound; it is in use" in found.text


def test_bridges_are_told_of_and_what_one_of_them_lacks_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridges = ", bridges: [{kind: json, address: 'tcp://127.0.0.1:*'}, {kind: lsl}]}"
    rig = folder / "rig.yaml"
    rig.write_text(RIG.format(engine="nowhere").rstrip().removesuffix("}") + bridges, encoding="utf-8")
    monkeypatch.setattr("rtface.core.extras.is_installed", lambda name: True)
    assert {each.what: each for each in check_rig(rig)}["bridges"].text.startswith("json, lsl: ")
    monkeypatch.setattr("rtface.core.extras.is_installed", lambda name: name != "pylsl")
    found = {each.what: each for each in check_rig(rig)}["bridges"]
    assert (found.verdict, found.exit_code) == ("fail", 2)
    assert "pylsl is not installed: pip install '.[lsl]'" in found.text
    assert "bridges" not in findings(folder, "nowhere")


def verified(engine: Engine) -> None:
    frames = {number: frame.image for number, frame in enumerate(drawn(8).frames)}
    _, record = verify(engine, BackendSettings(name="openvino", threads=1), frames, "day1.avi")
    store_parity(record)


def test_an_engine_that_was_never_verified_is_named_with_the_command(folder: Path) -> None:
    drawn_engine(folder / "engines" / "sound")
    found = findings(folder, "sound")
    assert found["parity"].verdict == "ok"
    assert "nothing can be armed with it" in found["parity"].text
    assert found["parity"].fix == (
        "before you arm: rtface engines verify sound --backend openvino --precision f32 --crop 8,4,80,70 --frames VIDEO"
    )
    assert "asked for: openvino" in found["engine"].text


def test_one_that_agrees_and_one_that_does_not(folder: Path) -> None:
    verified(drawn_engine(folder / "engines" / "sound"))
    found = findings(folder, "sound")
    assert (found["parity"].verdict, found["parity"].fix) == ("ok", "")
    assert found["parity"].text.startswith("agrees with sound in f32, 20")
    verified(drawn_engine(folder / "engines" / "broken", off_by=0.05))
    found = findings(folder, "broken")
    assert found["parity"].verdict == "warn"
    assert found["parity"].text.startswith("does not agree with broken")


def test_a_stale_record_is_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rtface.track.backends.openvino import OpenvinoBackend

    verified(drawn_engine(folder / "engines" / "sound"))
    monkeypatch.setattr(OpenvinoBackend, "_device_name", lambda self: "CPU: another one")
    found = findings(folder, "sound")
    assert found["parity"].verdict == "warn"
    assert "device was CPU" in found["parity"].text
    assert "is CPU: another one" in found["parity"].text


def test_an_engine_that_is_not_there_is_a_failure_and_the_other_questions_are_asked(folder: Path) -> None:
    found = findings(folder, "nowhere")
    assert (found["engine"].verdict, found["engine"].exit_code) == ("fail", 5)
    assert "parity" not in found
    assert found["ports"].verdict == "ok"


def test_back_ends_that_could_run_are_told_from_those_that_could_not(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rtface.live.doctor import software
    from rtface.track.backends.factory import PossibleBackend

    made_up = (
        PossibleBackend("tensorrt", True, "no GPU"),
        PossibleBackend("torch", True, "no GPU"),
        PossibleBackend("openvino", False, ""),
    )
    monkeypatch.setattr(software, "possible_backends", lambda: made_up)
    found = findings(folder, "nowhere")["back ends"]
    assert found.verdict == "ok"
    assert found.text == "openvino on the CPU could run here; not tensorrt on a GPU or torch on a GPU: no GPU"
    monkeypatch.setattr(software, "possible_backends", lambda: made_up[:2])
    none = findings(folder, "nowhere")["back ends"]
    assert (none.verdict, none.exit_code) == ("fail", 6)


def test_whether_the_engine_can_tell_a_view_is_said(folder: Path) -> None:
    drawn_engine(folder / "engines" / "sound")
    told = findings(folder, "sound")["view"]
    assert (told.verdict, told.fix) == ("warn", "rtface engines view sound --frames FRAMES")
    assert findings(folder, "default")["view"].verdict == "ok"


def frames_of(folder: Path, producer: Path, nodes: str, more: str = "") -> Check:
    camera = f'{{kind: genicam, producer: "{producer}", serial: gige-0, width: 96, height: 80, nodes: {nodes}{more}}}'
    (folder / "rig.yaml").write_text(f"camera: {camera}\nengine: nowhere\n", encoding="utf-8")
    return next(each for each in check_rig(folder / "rig.yaml") if each.what == "frames")


def test_frames_that_all_come_damaged_are_named_with_what_helps(folder: Path, gentl_producer: Path) -> None:
    found = frames_of(folder, gentl_producer, "{FaultIncompleteEvery: 1, FaultIncompleteFlag: false}")
    assert (found.verdict, found.exit_code) == ("fail", 4)
    assert "frames came damaged and none whole" in found.fix
    assert "packet size" in found.fix


def test_losses_that_frame_numbers_cannot_show_are_not_called_none(
    folder: Path, gentl_producer: Path
) -> None:
    found = frames_of(folder, gentl_producer, "{FaultIds: Constant}")
    assert "0 lost that it tells of; its frames have no numbers that show gaps" in found.text


TRIGGER = ", trigger: {{source: Line0, rate_hz: {}, longest_pause_s: 1}}, chunks: [frame, trigger]"


@pytest.mark.parametrize(
    ("nodes", "rate", "verdict", "said"),
    [
        (
            "{FramePacing: OnDemand}",
            40,
            "warn",
            " triggered frames come per second, and camera.trigger.rate_hz is 40",
        ),
        ("{FramePacing: OnDemand}", "irregular", "ok", "0 lost; 0 triggers missed, triggered"),
        (
            "{LinePatternBits: 0}",
            100,
            "warn",
            "0 frames came within 3 s: the camera waits for triggers on Line0",
        ),
        (
            "{FramePacing: OnDemand, FaultStamps: Missing}",
            "irregular",
            "warn",
            "times of arrival: frames without",
        ),
    ],
)
def test_a_camera_that_waits_for_triggers_is_judged_by_them(
    folder: Path, gentl_producer: Path, nodes: str, rate: object, verdict: str, said: str
) -> None:
    found = frames_of(folder, gentl_producer, nodes, TRIGGER.format(rate))
    assert found.verdict == verdict
    assert said in found.text


def test_a_setting_that_does_not_hold_once_frames_flow_fails(folder: Path, gentl_producer: Path) -> None:
    found = frames_of(folder, gentl_producer, "{FaultRateOnceStreaming: 33}", ", rate_hz: 100")
    assert (found.verdict, found.exit_code) == ("fail", 4)
    assert "AcquisitionFrameRate was set to 100.0 but reads back 33" in found.text
    assert found.text.endswith("now that frames flow")
