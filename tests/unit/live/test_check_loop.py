from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import rtface.live.check_loop as check_loop_module
from rtface.config import NullOutputSettings, Rig, SimulatedCameraSettings
from rtface.core.check import Check
from rtface.core.clock import ManualClock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputInfo
from rtface.core.records import CameraInfo, Keypoint
from rtface.live.check_loop import check_loop
from rtface.stimulate.null import NullOutput

SKELETON = (Keypoint("nose(tip)"), Keypoint("paw", trained=False), Keypoint("mouth"))
CAMERA = CameraInfo("fake", "fake 1", 64, 48, 200.0, None, True, "camera", {})
RULES = """\
features:
  nose: {kind: position, point: nose(tip)}
rules:
  right: {when: nose.x > 30, pulse: {width_ms: 5}}
"""
SLOW = """\
features: {tip: {kind: speed, point: mouth, max_gap_ms: 4}}
rules: {fast: {when: tip.speed > 9, pulse: {on_ms: 5}}}
"""


def found(
    folder: Path, text: str = RULES, skeleton: Any = SKELETON, camera: Any = CAMERA, **settings: Any
) -> dict[str, Check]:
    rules = folder / "rules.yaml"
    rules.write_text(text, encoding="utf-8")
    rig = Rig.model_validate({"camera": {"kind": "simulated"}, "rules": rules, **settings})
    return {check.what: check for check in check_loop(rig, skeleton, camera, ManualClock(0))}


def test_a_rig_that_decides_nothing_has_nothing_to_check() -> None:
    assert list(check_loop(Rig(camera=SimulatedCameraSettings()), SKELETON, CAMERA, ManualClock(0))) == []


def test_rules_output_and_record_are_looked_at(tmp_path: Path) -> None:
    checks = found(tmp_path, session={"folder": tmp_path / "sessions", "min_free_gb": 0})
    assert {what: check.verdict for what, check in checks.items()} == {
        "rules": "ok",
        "output": "warn",
        "record": "ok",
    }
    assert "right" in checks["rules"].text


@pytest.mark.parametrize(
    ("text", "verdict", "problem"),
    [
        (RULES.replace("nose.x", "nsoe.x"), "fail", "line 4.*nose.x"),
        (RULES.replace("nose(tip)", "nose(top)"), "fail", "nose"),
        (RULES.replace("nose(tip)", "nose(top)").replace("nose.x", "x"), "fail", "line 2.*line 4"),
        (
            RULES.replace("rules:", "  groom: {kind: groom, near_px: 9}\nrules:"),
            "warn",
            "paw: the engine was never trained",
        ),
        (RULES.replace("rules:", "  all: {kind: motion}\nrules:"), "ok", "right"),
        (
            SLOW,
            "warn",
            "rules.fast: tip.speed can never be known at 200 frames/s",
        ),
        (
            RULES.replace("rules:", "  pad: {kind: whisking, point: mouth, band_hz: [6, 120]}\nrules:"),
            "fail",
            "120 Hz cannot be measured at 200",
        ),
    ],
)
def test_rules_are_held_against_engine_and_camera(
    tmp_path: Path, text: str, verdict: str, problem: str
) -> None:
    import re

    check = found(tmp_path, text)["rules"]
    assert check.verdict == verdict
    assert re.search(problem, check.text, re.DOTALL)


def test_without_engine_or_camera_rules_are_only_read(tmp_path: Path) -> None:
    assert found(tmp_path, skeleton=None)["rules"].verdict == "warn"
    assert found(tmp_path, camera=None)["rules"].verdict == "warn"


def test_an_output_that_cannot_be_had_is_named(tmp_path: Path) -> None:
    check = found(tmp_path, output={"kind": "gate", "port": str(tmp_path / "nothing")})["output"]
    assert check.verdict == "fail"
    assert "nothing" in check.text


def test_too_little_room_is_a_failure(tmp_path: Path) -> None:
    check = found(tmp_path, session={"folder": tmp_path, "min_free_gb": 1e9})["record"]
    assert check.verdict == "fail"
    assert "min_free_gb" in check.fix


class Unguarded(NullOutput):
    """An output whose light nothing but this computer turns off; counts how often it was closed, and may not open."""

    def __init__(self, *, opens: bool) -> None:
        super().__init__(NullOutputSettings(), ManualClock(0))
        self.opens, self.closed = opens, 0

    def open(self) -> OutputInfo:
        if not self.opens:
            raise OutputError("no light here")
        return replace(super().open(), drives_light=True)

    def close(self) -> None:
        self.closed += 1
        super().close()


@pytest.mark.parametrize(
    ("what", "settings", "exit_code"),
    [
        ("rules", {"text": RULES.replace("nose.x", "nsoe.x")}, 3),
        ("encoder", {"encoder": {"path": "nowhere"}}, 5),
        ("output", {"output": {"kind": "gate", "port": "nothing"}}, 9),
        ("guard", {}, 9),
        ("record", {"session": {"folder": ".", "min_free_gb": 1e9}}, 8),
    ],
)
def test_each_failure_has_the_exit_code_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, settings: dict[str, Any], exit_code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    if what == "guard":
        monkeypatch.setattr(check_loop_module, "make_output", lambda settings, clock: Unguarded(opens=True))
    check = found(tmp_path, **settings)[what]
    assert (check.verdict, check.exit_code) == ("fail", exit_code)


@pytest.mark.parametrize(
    ("arming", "said"), [({}, False), ({"clients": True}, True), ({"clients": False}, True)]
)
def test_who_may_arm_a_light_should_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arming: dict[str, bool], said: bool
) -> None:
    monkeypatch.setattr(check_loop_module, "make_output", lambda settings, clock: Unguarded(opens=True))
    checks = found(tmp_path, arming=arming)
    assert ("arming" in checks) is not said
    if not said:
        assert checks["arming"].verdict == "warn"
        assert "clients: true" in checks["arming"].fix


@pytest.mark.parametrize("opens", [True, False])
def test_the_output_is_closed_whatever_was_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    output = Unguarded(opens=opens)
    monkeypatch.setattr(check_loop_module, "make_output", lambda settings, clock: output)
    assert (found(tmp_path)["output"].verdict == "fail") is not opens
    assert output.closed == 1
