"""``rtface rules``: what it prints, what it writes, and how it names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.encoders import made_encoder, made_states
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import ConfigError, DataError, UsageError
from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.record import formats
from rtface.record.table import NO_TIME, PoseTable
from rtface.simulate.face import MouseFace

FRAMES = 1600


def call(*arguments: object) -> str:
    result = CliRunner().invoke(app, ["rules", *map(str, arguments)], env={"COLUMNS": "200"})
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture
def example(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(call("example"), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def poses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """True keypoints of a simulated mouse as if tracked: 8 s with a whisking bout and a blink."""
    face = MouseFace(640, 480, 200.0, 0)
    xy = np.stack([face.truth(index) for index in range(FRAMES)])
    score = np.where(np.isnan(xy[..., 0]), 0, 0.9).astype(np.float32)
    times = np.round(np.arange(FRAMES) * 5e6).astype(np.int64)
    unknown = np.full(FRAMES, NO_TIME, np.int64)
    table = PoseTable(
        FACEMAP_KEYPOINTS, (True,) * 15, xy, score, np.zeros(score.shape, np.bool_),
        np.arange(FRAMES, dtype=np.int64), unknown, unknown.copy(), times, source="mouse.mp4",
    )  # fmt: skip
    path = tmp_path_factory.mktemp("poses") / "mouse.rtface.h5"
    formats.write(table, path)
    return path


def test_check_says_what_is_measured_and_each_rule_in_words(example: Path, test_engine: str) -> None:
    said = call("check", example, "--engine", test_engine)
    for part in (
        "pad.amplitude",
        "px/s",
        "whisking_bout",
        "holds when pad.amplitude > 1.5",
        "5 pulses of 5 ms at 20 Hz",
    ):
        assert part in said
    told = json.loads(call("check", example, "--engine", test_engine, "--json"))
    assert told["features"]["pad.frequency"] == "Hz"
    assert list(told["rules"]) == ["calm", "whisking_bout", "blink"]
    assert told["untrained"] == {}


def test_what_a_camera_s_rate_forbids_is_told(example: Path, poses: Path, test_engine: str) -> None:
    example.write_text(
        "features:\n  nose: {kind: speed, point: nose(tip), max_gap_ms: 50}\n  mouth: {kind: speed, point: mouth}\n"
        "rules:\n  fast: {when: nose.speed > 9 and mouth.speed > 9, pulse: {on_ms: 5}}\n",
        encoding="utf-8",
    )
    check = json.loads(call("check", example, "--engine", test_engine, "--rate", "15", "--json"))
    assert check["never_known"] == {"fast": ["nose.speed"]}
    assert "frames within 133.333 ms of a trial's light" in " ".join(check["rules"]["fast"])
    assert "stands still for 120 ms" in check["input"]
    at_200 = json.loads(call("check", example, "--engine", test_engine, "--json"))
    assert at_200["never_known"] == {}
    assert "frames within 10 ms of a trial's light" in " ".join(at_200["rules"]["fast"])
    assert "is always withheld" in refused(example, "check", "--engine", test_engine, "--rate", "15")
    assert json.loads(call("dry-run", example, poses, "--json"))["never_known"] == {}
    assert "is always withheld" in refused(example, "dry-run", str(poses), "--rate", "15")


def refused(example: Path, *arguments: str) -> str:
    result = CliRunner().invoke(
        app, ["rules", arguments[0], str(example), *arguments[1:]], env={"COLUMNS": "200"}
    )
    return result.stderr


def test_check_tells_line_and_nearest_name(example: Path, test_engine: str) -> None:
    example.write_text(
        example.read_text("utf-8").replace("point: nose(tip)", "point: nosetip"), encoding="utf-8"
    )
    with pytest.raises(ConfigError, match=r"rules.yaml: line 14: features.nose: nosetip is not .* nose\(t"):
        call("check", example, "--engine", test_engine)


def test_check_tells_a_rate_that_is_too_low(example: Path, test_engine: str) -> None:
    with pytest.raises(ConfigError, match="30 Hz cannot be measured at 50"):
        call("check", example, "--engine", test_engine, "--rate", 50)


def test_dry_run_over_keypoints_prints_when_and_why_not_and_draws(
    example: Path, poses: Path, tmp_path: Path
) -> None:
    picture = tmp_path / "dry.png"
    said = call("dry-run", example, poses, "--out", picture)
    assert "mouse.mp4: 1600 frames, 8.0 s" in said
    assert "1 trials: 1 fired" in said
    assert picture.stat().st_size > 10_000
    told = json.loads(call("dry-run", example, poses, "--json"))
    (bout,) = told["rules"]["whisking_bout"]["trials"]
    assert 5 < bout["time_s"] < 7
    (blink,) = told["rules"]["blink"]["trials"]
    assert 3 < blink["time_s"] < 4.5
    assert told["rules"]["blink"]["withheld"] == {"unknown_value": 1}  # before the open eye is known
    late = json.loads(call("dry-run", example, poses, "--json", "--latency", 21))
    assert late["rules"]["whisking_bout"]["fired"] == 0


def test_dry_run_films_the_simulated_mouse(example: Path, test_engine: str) -> None:
    told = json.loads(
        call(
            "dry-run", example, "simulated", "--engine", test_engine, "--seconds", 1, "--rate", 100, "--json"
        )
    )
    assert told["frames"] == 100
    assert told["seconds"] == pytest.approx(0.99)
    assert told["source"] == "simulated mouse 0"


def test_dry_run_tracks_a_video(example: Path, test_engine: str, tmp_path: Path) -> None:
    import cv2

    folder = tmp_path / "images"
    folder.mkdir()
    face = MouseFace(96, 80, 100.0, 0)
    for index in range(20):
        image = np.zeros((80, 96), np.uint8)
        face.render(index, image)
        cv2.imwrite(str(folder / f"{index:03}.png"), image)
    text = "features:\n  nose: {kind: speed, point: nose(tip)}\nrules:\n  a: {when: nose.speed > 0, pulse: {width_ms: 5}}\n"
    example.write_text(text, encoding="utf-8")
    told = json.loads(call("dry-run", example, folder, "--engine", test_engine, "--json"))
    assert told["frames"] == 20


def test_what_cannot_be_done_is_told(example: Path, poses: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a picture's name ends in"):
        call("dry-run", example, poses, "--out", tmp_path / "dry.txt")
    with pytest.raises(DataError, match="cannot be written"):
        call("dry-run", example, poses, "--out", tmp_path / "no" / "dry.png")
    with pytest.raises(DataError, match="no such file or folder"):
        call("dry-run", example, tmp_path / "nothing.mp4")
    with pytest.raises(ConfigError, match="cannot be read"):
        call("check", tmp_path / "nothing.yaml")


def test_rules_on_the_state_of_an_encoder_are_checked_and_run_over_a_recording(
    tmp_path: Path, poses: Path
) -> None:
    encoder = made_encoder(tmp_path / "enc", names=("nose(tip)", "mouth", "eye(back)")).folder
    made_states().save(tmp_path / "states.npz")
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n  r: {when: neural.state >= 0, pulse: {on_ms: 5}}\n", encoding="utf-8")
    model = ["--encoder", encoder, "--states", tmp_path / "states.npz"]
    call("check", rules, *model)
    told = json.loads(call("dry-run", rules, poses, *model, "--json"))
    assert told["rules"]["r"]["fired"] > 0
    with pytest.raises(UsageError, match="name the encoder with --encoder"):
        call("dry-run", rules, poses, *model[2:])


RELATIVE = """
features:
  pad: {kind: whisking, point: ["whisker(I)", "whisker(II)", "whisker(III)"]}
baseline: {seconds: 3, min_frames: 100, robust: true}
rules:
  bout:
    value: pad.amplitude
    on_above: baseline + 3 sd
    off_below: baseline + 1 sd
    pulse: {width_ms: 5}
"""


def test_check_says_what_a_baseline_is(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RELATIVE, encoding="utf-8")
    text = call("check", path)
    assert "holds when pad.amplitude > (baseline + 3 sd), until pad.amplitude < (baseline + 1 sd)" in text
    assert "median and 1.4826 x MAD of pad.amplitude over the first 3 s of frames while disarmed" in text
    assert "baseline and sd: median" in json.loads(call("check", path, "--json"))["baseline"]
    path.write_text(RELATIVE.replace("baseline: {", "baselines: {"), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"(?s)line 4: baselines.*line 7: .*a baseline needs its time"):
        call("check", path)


def test_dry_run_takes_its_baseline_from_the_beginning_and_says_so(poses: Path, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RELATIVE, encoding="utf-8")
    text = call("dry-run", path, poses)
    assert "baseline of the first 3.0 s, armed after it: pad.amplitude" in text
    assert "pad.amplitude > baseline + 3 sd: " in text
    run = json.loads(call("dry-run", path, poses, "--json", "--out", tmp_path / "x.png"))
    assert run["armed_s"] == pytest.approx(3.0, abs=0.1)
    assert run["baseline"]["pad.amplitude"]["frames"] > 100
    assert run["rules"]["bout"]["fired"] >= 1
    assert all(each["time_s"] > run["armed_s"] for each in run["rules"]["bout"]["trials"])
    path.write_text(RELATIVE.replace("seconds: 3", "seconds: 30"), encoding="utf-8")
    with pytest.raises(DataError, match=r"too short for the baseline, of which 22\.0 s are missing"):
        call("dry-run", path, poses)


def test_a_fault_beside_a_section_that_holds_no_names_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text(RELATIVE.replace("value:", "valu:") + "input: {frozen_ms: 100}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"line 7: rules\.bout\.valu: unknown setting"):
        call("check", path)
