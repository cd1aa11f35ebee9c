"""``rtface engines export`` as a user meets it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import cv2
import pytest
from support.drawn_labels import drawn_engine
from support.spot_engine import SpotNetwork, outlier, spot_engine, spot_frames

pytest.importorskip("onnxruntime")

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def engines(tmp_path: Path, rtface: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "engines"
    monkeypatch.setenv("RTFACE_ENGINES", str(folder))
    (tmp_path / "frames").mkdir()
    for number, image in spot_frames().items():
        cv2.imwrite(str(tmp_path / "frames" / f"{number}.png"), image)
    return folder


def test_an_engine_is_exported_verified_and_used(rtface: Run, engines: Path, tmp_path: Path) -> None:
    spot_engine(engines / "spot")
    done = rtface(
        *("engines", "export", "spot", "--precision", "int8", "--frames", "frames"),
        *("--crop", "8,4,80,70", "--count", "16", "--report", "report.json"),
    )
    assert done.returncode == 0, done.stderr
    assert "spot-int8" in done.stdout
    assert "spot again" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["crop"] == [8, 4, 80, 70]
    assert report["agrees"] is True
    assert report["frames"] + report["calibration"]["frames"] == 12, "every second of 24, at most 16"
    manifest = json.loads((engines / "spot-int8" / "manifest.json").read_text())
    assert manifest["metrics"]["parity"] == report

    verified = rtface(
        *("engines", "verify", "spot-int8", "--backend", "openvino", "--reference", "openvino"),
        *("--frames", "frames"),
    )
    assert verified.returncode == 0, verified.stderr
    assert "spot-int8: openvino" in verified.stdout
    assert "reference: spot: openvino" in verified.stdout
    assert "against spot: shift of 48 keypoints on 24 frames" in verified.stdout
    assert "agrees; limits: median 0.1, p99 1, any point with a score of 0.5 or more 4 px" in verified.stdout
    assert "openvino int8" in rtface("engines", "list").stdout

    tracked = rtface("track", "frames", "--engine", "spot-int8", "--out", "points.csv")
    assert tracked.returncode == 0, tracked.stderr


def test_an_int8_engine_for_tensorrt(rtface: Run, engines: Path) -> None:
    spot_engine(engines / "spot")
    done = rtface(
        *("engines", "export", "spot", "--precision", "int8", "--for", "tensorrt"),
        *("--frames", "frames", "--count", "16", "--json"),
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["engine"] == "spot-int8-tensorrt"
    assert report["parity"]["calibration"]["scheme"].endswith("for TensorRT")

    pointless = rtface(
        *("engines", "export", "spot", "--precision", "f16", "--for", "tensorrt", "--frames", "frames")
    )
    assert pointless.returncode == 2
    assert "TensorRT takes float engines as they are" in pointless.stderr


def test_a_refused_engine_says_why_in_one_line(rtface: Run, engines: Path) -> None:
    network = SpotNetwork()
    for spoilt in ("depthwise", "middle", "last"):  # more than may stay in floating point
        network = outlier(network, spoilt, 1e4)
    spot_engine(engines / "spot", network)
    done = rtface("engines", "export", "spot", "--precision", "int8", "--frames", "frames")
    assert done.returncode == 5
    assert "shifts too far and is refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in engines.iterdir()) == ["spot"]


def test_the_parity_gate_lets_a_sound_engine_through_and_stops_one_that_is_off(
    rtface: Run, engines: Path
) -> None:
    drawn_engine(engines / "sound")
    drawn_engine(engines / "broken", off_by=0.05)
    options = ("--backend", "openvino", "--frames", "frames", "--crop", "8,4,80,70", "--json")
    sound = rtface("engines", "verify", "sound", *options)
    assert sound.returncode == 0, sound.stderr
    record = json.loads(sound.stdout)
    assert record["agrees"] is True
    assert record["reference"]["ran"]["name"] == "torch"
    assert record["frames"]["source"] == "frames"
    assert json.loads(Path(record["path"]).read_text()) == {
        name: value for name, value in record.items() if name not in ("schema", "path")
    }
    assert Path(record["path"]).is_relative_to(engines / "_parity")

    broken = rtface("engines", "verify", "broken", *options)
    assert broken.returncode == 5
    assert json.loads(broken.stdout)["agrees"] is False
    assert "error: broken does not agree with broken and will not be armed" in broken.stderr
    listed = rtface("engines", "list").stdout
    assert "openvino f32" in next(line for line in listed.splitlines() if line.startswith("sound"))
    assert "openvino f32" not in next(line for line in listed.splitlines() if line.startswith("broken"))

    itself = rtface("engines", "verify", "sound", *options, "--reference", "openvino")
    assert itself.returncode == 2
    assert "held against itself" in itself.stderr
    few = rtface("engines", "verify", "sound", *options, "--count", "4")
    assert few.returncode == 8
    assert "too few" in few.stderr
