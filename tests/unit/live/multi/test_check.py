"""`rtface check` of a rig with several cameras: each question of each, and what they share."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.drawn_labels import drawn_engine

from rtface.core.check import Check
from rtface.live.check_rig import check_rig
from rtface.live.multi import check as multi_check

RIG = """\
cameras:
  left: {{kind: simulated, width: 96, height: 80, rate_hz: 100, frames: 40, engine: sound}}
  right: {{kind: video, path: absent.mp4}}
engine: sound
backend: {{name: openvino, threads: 1}}
publish: {{keypoints: "tcp://127.0.0.1:*", control: "tcp://127.0.0.1:*"}}
session: {{folder: sessions, min_free_gb: 0, frames: lossless}}
rules: rules.yaml
{more}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "engines"))
    drawn_engine(tmp_path / "engines" / "sound")
    (tmp_path / "rules.yaml").write_text("features: {}\nrules: {}\n", encoding="utf-8")
    return tmp_path


def found(folder: Path, text: str) -> dict[str, Check]:
    path = folder / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    return {check.what: check for check in check_rig(path)}


def test_each_camera_is_opened_and_one_that_is_not_there_hides_nothing_of_the_other(folder: Path) -> None:
    checks = found(folder, RIG.format(more=""))
    assert checks["left: camera"].verdict in ("ok", "warn")
    assert checks["left: engine"].verdict in ("ok", "warn")
    assert checks["right: camera"].verdict == "fail"
    assert checks["right: camera"].exit_code == 4
    assert "not held against camera right, which is not there" in checks["rules"].text
    assert {"cores", "output", "record", "video", "ports", "clock"} <= set(checks) | {"output"}
    assert "MB/s before lossless compresses them (left 0.8)" in checks["video"].text


def test_rules_over_all_cameras_are_held_against_each(folder: Path) -> None:
    (folder / "rules.yaml").write_text(
        "features:\n"
        "  left.a: {kind: position, point: nowhere}\n"
        "  up.b: {kind: position, point: nose}\n"
        "rules: {}\n",
        encoding="utf-8",
    )
    text = RIG.format(more="").replace(
        "{kind: video, path: absent.mp4}", "{kind: simulated, width: 96, height: 80}"
    )
    checks = found(folder, text)
    assert checks["rules"].verdict == "fail"
    assert "line 2: features.left.a: nowhere is not a keypoint of this engine" in checks["rules"].text
    assert "line 3: features.up.b: the feature's name must begin with a camera's" in checks["rules"].text


def test_cores_are_said_and_too_few_are_a_warning(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = RIG.format(more="")
    for cores, verdict, said in (
        ((0, 1, 2, 3, 4), "ok", "left 0,1; right 2,3"),
        ((0, 1), "warn", "2 cores for 2 cameras"),
        ((), "ok", "does not bind"),
    ):
        monkeypatch.setattr(multi_check, "own_cores", lambda cores=cores: cores)
        checks = found(folder, text)
        assert (checks["cores"].verdict, said in checks["cores"].text) == (verdict, True)
    monkeypatch.setattr(multi_check, "own_cores", lambda: (0, 1, 2, 3))
    asked = found(folder, text.replace("engine: sound}", "engine: sound, cores: [17]}"))
    assert "there is no core 17 here" in asked["cores"].text
