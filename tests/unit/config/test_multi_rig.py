"""A rig of several cameras: each checked as one would be, all faults at once, names that mean nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtface.config import BackendSettings, GenicamCameraSettings, Rig, SimulatedCameraSettings
from rtface.config.changing import changed_rig
from rtface.config.multi import MultiRig
from rtface.config.rigfile import load_any_rig, load_rig
from rtface.core.errors import ConfigError, UsageError
from rtface.core.records import Crop


def rig_file(folder: Path, text: str) -> Path:
    path = folder / "rig.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def multi(folder: Path, text: str) -> MultiRig:
    rig = load_any_rig(rig_file(folder, text))
    assert isinstance(rig, MultiRig)
    return rig


def refused(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_any_rig(rig_file(folder, text))
    return str(error.value)


TWO = """\
cameras:
  left: {kind: simulated, seed: 3, crop: {x: 1, y: 2, width: 30, height: 40}, engine: ./eye, cores: [0]}
  right:
    kind: genicam
    producer: vendor.cti
    serial: "7"
    backend: {threads: 2}
engine: default
rules: rules.yaml
backend: {name: openvino}
slots: 9
"""
CLASHING = """\
cameras: {a: {kind: simulated}, b: {kind: simulated}}
publish: {keypoints: "tcp://127.0.0.1:7", pictures: {address: "tcp://127.0.0.1:6"}}
"""


def test_each_camera_is_the_only_one_of_a_rig_of_its_own(tmp_path: Path) -> None:
    rig = multi(tmp_path, TWO)
    left, right = rig.of("left"), rig.of("right")
    assert left.camera == SimulatedCameraSettings(seed=3)
    assert left.fixed_crop == Crop(1, 2, 30, 40)
    assert (left.engine, left.backend) == (str(tmp_path / "eye"), BackendSettings(name="openvino"))
    assert type(right.camera) is GenicamCameraSettings
    assert right.camera.producer == tmp_path / "vendor.cti"
    assert (right.engine, right.backend, right.crop) == ("default", BackendSettings(threads=2), None)
    assert left.slots == right.slots == 9
    assert left.rules == tmp_path / "rules.yaml"


def test_one_camera_of_several_is_asked_for_by_name(tmp_path: Path) -> None:
    path = rig_file(tmp_path, TWO)
    assert load_rig(path, "left") == multi(tmp_path, TWO).of("left")
    with pytest.raises(UsageError, match="there is no camera 'up'; there are: left, right"):
        load_rig(path, "up")
    with pytest.raises(ConfigError, match="line 1: cameras: are several"):
        load_rig(path)
    with pytest.raises(UsageError, match="one, without a name"):
        load_rig(rig_file(tmp_path, "camera: {kind: simulated}"), "left")


def test_a_rig_with_one_camera_is_what_it_was(tmp_path: Path) -> None:
    path = rig_file(tmp_path, "camera: {kind: simulated}")
    rig = load_any_rig(path)
    assert type(rig) is Rig
    assert rig == load_rig(path)
    assert list(Rig.model_fields)[:3] == ["camera", "crop", "engine"]


def test_all_that_is_wrong_is_said_at_once_with_line_and_field(tmp_path: Path) -> None:
    text = refused(
        tmp_path,
        """\
cameras:
  2left: {kind: simulated}
  rule: {kind: simulated}
  right:
    kind: genicam
    serial: "1"
    rate_hz: 10
    trigger: {source: Line0, rate_hz: 100}
  up: {kind: simulatd}
  down: {kind: simulated, seeed: 3, crop: {x: 1}}
engne: default
""",
    )
    for said in (
        "line 2: cameras.2left: a camera's name is made of",
        "line 3: cameras.rule: rule means something else",
        "line 7: cameras.right.rate_hz: triggers begin the exposures",
        "line 9: cameras.up.kind: no camera is called simulatd",
        "line 10: cameras.down.seeed: unknown setting; did you mean seed?",
        "line 10: cameras.down.crop.y",
        "line 11: engne: unknown setting; did you mean engine?",
    ):
        assert said in text, text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "camera: {kind: simulated}\ncameras: {a: {kind: simulated}}",
            "line 1: camera: camera and cameras exclude",
        ),
        ("cameras: {}", "line 1: cameras:"),
        ("cameras: {Eye: {kind: simulated}, eye: {kind: simulated}}", "differ in case alone"),
        (
            'cameras:\n  a: {kind: genicam, serial: "1"}\n  b: {kind: genicam, serial: "1"}',
            "line 3: cameras.b: is the same camera as a: serial 1",
        ),
        (
            "cameras:\n  a: {kind: opencv, device: 0}\n  b: {kind: opencv, device: /dev/video0}",
            "line 3: cameras.b: is the same",
        ),
        (
            'cameras:\n  a: {kind: genicam, serial: "1"}\n  b: {kind: genicam}',
            "line 3: cameras.b: needs serial",
        ),
        (
            "cameras:\n  a: {kind: simulated, width: 100, crop: {x: 90, y: 0, width: 20, height: 20}}",
            "line 2: cameras.a.crop.width: ends at pixel 110, beyond cameras.a.width 100",
        ),
        ("cameras: {a: {kind: simulated}}\nencoder: {path: e}", "line 2: encoder: an encoder predicts"),
        (
            CLASHING,
            "line 2: publish.pictures: pictures of b would be published at tcp://127.0.0.1:7",
        ),
        ("cameras: {a: {kind: simulated}}\ncrop: auto", "line 2: crop: unknown setting"),
    ],
)
def test_what_contradicts_is_refused(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused(tmp_path, text)


@pytest.mark.parametrize(
    ("address", "second"),
    [
        ("tcp://127.0.0.1:5572", "tcp://127.0.0.1:5573"),
        ("tcp://127.0.0.1:*", "tcp://127.0.0.1:*"),
        ("ipc:///tmp/p", "ipc:///tmp/p-1"),
    ],
)
def test_each_cameras_pictures_have_an_address_of_their_own(
    tmp_path: Path, address: str, second: str
) -> None:
    rig = multi(tmp_path, TWO + f"publish: {{pictures: {{address: '{address}'}}}}\n")
    assert rig.picture_addresses == {"left": address, "right": second}
    assert multi(tmp_path, TWO).picture_addresses == {}


def test_a_setting_of_one_camera_is_changed_in_the_files_own_lines(tmp_path: Path) -> None:
    path = rig_file(tmp_path, TWO)
    change = changed_rig(path, {"cameras.right.backend.threads": 3})
    assert "threads: 3" in change.after
    assert change.after.splitlines()[:5] == TWO.splitlines()[:5]
    with pytest.raises(ConfigError, match=r"cameras\.right\.rate_hz"):
        changed_rig(path, {"cameras.right.rate_hz": -1})
