from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from pydantic import BaseModel, ValidationError
from support.paths import DOCS
from support.rigs import parse_rig

from rtface.config import (
    CropSettings,
    ImagesCameraSettings,
    OutputSettings,
    Rig,
    Section,
    SimulatedCameraSettings,
    UnguardedOutput,
    VideoCameraSettings,
)
from rtface.config.rigfile import load_rig
from rtface.config.yamlfile import kinds_of
from rtface.core.errors import ConfigError
from rtface.core.records import Crop

RIGS = {
    "defaults": "",
    "simulated": "camera: {kind: simulated, frames: 5, faults: {lost: 0.5, disconnect_after: 4}}",
    "video": "camera: {kind: video, path: a.avi, paced: false}\ncrop: {x: 1, y: 2, width: 300, height: 300}",
    "images": "camera: {kind: images, path: pictures}",
    "aravis": "camera: {kind: aravis, simulated: true, width: 640, nodes: [{GainRaw: 2}]}",
    "genicam": "camera: {kind: genicam, producer: viky, nodes: {Gain: 1.5, Reverse: true, Mode: On}}",
    "opencv": "camera: {kind: opencv, device: /dev/video0}",
    "log": "output: {kind: log, path: pulses.jsonl}",
    "gate": "output: {kind: gate, port: /dev/ttyACM0, build: any}",
    "line": "output: {kind: line, port: /dev/ttyACM0, light_on: 'ON {amplitude}', light_off: 'OFF'}",
    "pulsepal": "output: {kind: pulsepal, port: /dev/ttyACM0, allow_unguarded: true, "
    "max_on_ms: 20, min_off_ms: 10, max_pulses: 1000}",
    "encoder": "encoder: {path: monday, states: s.npz, outputs: 4, latents: [3], neurons: [1, 2], publish_hz: 10}",
    "daq": "output: {kind: daq, channel: Dev1/ctr0}",
    "all": "engine: x\nslots: 3\nbackend: {name: torch, threads: 2, device: cuda:0}\n"
    "publish: {keypoints: 'tcp://127.0.0.1:*', control: 'tcp://127.0.0.1:*', keys: keys, features_hz: 0,\n"
    "  pictures: {address: 'tcp://127.0.0.1:*', per_second: 5, quality: 50, width: 320}}\n"
    "latency: {deadline_ms: 5}\nsession: {folder: sessions, frames: lossless, min_free_gb: 5, stall_s: 1}",
    "bridges": "publish: {bridges: [{kind: json, queue: 10}, {kind: osc, udp: ['localhost:9000', '[::1]:9']}, "
    "{kind: lsl, scope: link}, {kind: openephys, line: 5}]}",
}


OUTPUTS = kinds_of(OutputSettings)
CAMERA = SimulatedCameraSettings()


def named(name: str) -> Rig:
    """Return one of `RIGS`, on the simulated mouse where it names no camera."""
    text = RIGS[name]
    camera = "" if "camera:" in text else "\ncamera: {kind: simulated}"
    return parse_rig(text + camera, Path("/rigs/rig.yaml"))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(Rig.model_json_schema())


@pytest.mark.parametrize("name", RIGS)
def test_the_schema_accepts_what_the_rig_resolves_to(name: str) -> None:
    rig = named(name)
    resolved = rig.model_dump(mode="json")
    jsonschema.Draft202012Validator(Rig.model_json_schema()).validate(resolved)
    assert Rig.model_validate(resolved) == rig


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"camera": {"kind": "simulated", "wide": 1}},
        {"colour": 1},
        {"slots": 2},
        {"latency": {"deadline_ms": 0}},
        {"backend": {"name": "tensorflow"}},
        {"crop": {"x": 0}},
    ],
)
def test_the_schema_refuses_what_the_rig_refuses(values: dict[str, Any]) -> None:
    values = values and {"camera": {"kind": "simulated"}} | values
    with pytest.raises(ValidationError):
        Rig.model_validate(values)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(Rig.model_json_schema()).validate(values)


def sections(kind: type[BaseModel] = Section) -> set[type[BaseModel]]:
    return {found for sub in kind.__subclasses__() for found in {sub, *sections(sub)}}


def test_every_section_is_closed_and_frozen() -> None:
    assert len(sections()) >= 11
    for section in sections():
        assert section.model_config.get("extra") == "forbid"
        assert section.model_config.get("frozen") is True
    with pytest.raises(ValidationError, match="frozen"):
        Rig(camera=CAMERA).slots = 9  # type: ignore[misc]


def test_every_setting_is_explained() -> None:
    told_by_their_section = {"kind", "camera", "faults", "backend", "publish", "latency", "output"}
    for section in sections():
        for name, field in section.model_fields.items():
            assert field.description or name in told_by_their_section, f"{section.__name__}.{name}"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(value: float) -> None:
    for values in (
        {"latency": {"deadline_ms": value}},
        {"camera": {"kind": "genicam", "gain": value}},
        {"camera": {"kind": "simulated", "faults": {"late_ms": value}}},
    ):
        with pytest.raises(ValidationError, match="finite number"):
            Rig.model_validate(values)


def test_two_free_ports_are_not_the_same_address() -> None:
    publish = {"keypoints": "tcp://127.0.0.1:*", "control": "tcp://127.0.0.1:*"}
    assert Rig(camera=CAMERA, publish=publish).publish.keypoints == publish["control"]


@pytest.mark.parametrize(
    ("crop", "fits"),
    [
        ((0, 0, 640, 480), True),
        ((100, 80, 540, 400), True),
        ((101, 80, 540, 400), False),
        ((100, 81, 540, 400), False),
    ],
)
def test_a_crop_must_fit_a_camera_whose_size_is_known(crop: tuple[int, int, int, int], fits: bool) -> None:
    x, y, width, height = crop
    settings = CropSettings(x=x, y=y, width=width, height=height)
    assert settings.to_crop().shape == (height, width)
    if fits:
        assert Rig(camera=CAMERA, crop=settings).crop == settings
    else:
        with pytest.raises(ValidationError, match="beyond camera"):
            Rig(camera=CAMERA, crop=settings)
    genicam = {"kind": "genicam", "width": 640, "height": 480}
    for camera in ({"kind": "video", "path": "x"}, {"kind": "genicam"}, genicam):
        values = {"camera": camera, "crop": settings.model_dump()}
        if fits or camera is not genicam:
            Rig.model_validate(values)
        else:
            with pytest.raises(ValidationError, match="beyond camera"):
                Rig.model_validate(values)


def test_files_are_played_at_their_pace_unless_asked_otherwise() -> None:
    assert SimulatedCameraSettings().paced
    assert VideoCameraSettings(kind="video", path=Path("x")).paced


def test_a_rate_is_for_a_video_at_a_pace_but_for_images_in_any_case() -> None:
    video = {"kind": "video", "path": "a.avi", "rate_hz": 100}
    assert VideoCameraSettings.model_validate(video).rate_hz == 100
    with pytest.raises(ValidationError, match="rate_hz"):
        VideoCameraSettings.model_validate({**video, "paced": False})
    images = {"kind": "images", "path": "pictures", "rate_hz": 100, "paced": False}
    assert ImagesCameraSettings.model_validate(images).rate_hz == 100


def test_an_output_without_a_gate_is_not_armed_unless_somebody_says_so() -> None:
    assert Rig(camera=CAMERA).output.kind == "null"
    unguarded = {kind for kind, each in OUTPUTS.items() if issubclass(each, UnguardedOutput)}
    assert set(OUTPUTS) - unguarded == {"null", "log", "gate"}
    for kind in unguarded:
        output = named(kind).output
        assert isinstance(output, UnguardedOutput)
        assert output.allow_unguarded is ("allow_unguarded: true" in RIGS[kind])
    assert not hasattr(named("gate").output, "allow_unguarded")


def test_every_kind_of_camera_and_output_is_here_and_on_its_page() -> None:
    """In `RIGS`, and a row in the first table of its page that begins with `kind`."""
    for section, page in (("camera", "rigs.md"), ("output", "outputs.md")):
        kinds = kinds_of(Rig.model_fields[section].annotation)
        assert {getattr(named(name), section).kind for name in RIGS} == set(kinds)
        table = re.search(r"^\| `?kind`? \|.*\n(?:\|.*\n)+", (DOCS / page).read_text("utf-8"), re.MULTILINE)
        assert table is not None
        assert set(re.findall(r"^\| `(\w+)`", table[0], re.MULTILINE)) - {"kind"} == set(kinds), page


def test_an_output_needs_its_port() -> None:
    with pytest.raises(ConfigError, match=r"output\.port"):
        parse_rig("output: {kind: gate}", Path("/rigs/rig.yaml"))


def test_a_crop_may_be_auto_and_mirrored(tmp_path: Path) -> None:
    path = tmp_path / "rig.yaml"
    path.write_text("camera: {kind: simulated}\ncrop: auto\n")
    assert load_rig(path).crop == "auto"
    path.write_text("camera: {kind: simulated}\ncrop: {x: 1, y: 2, width: 40, height: 30, mirrored: true}\n")
    assert load_rig(path).fixed_crop == Crop(1, 2, 40, 30, True)
    path.write_text("camera: {kind: simulated}\ncrop: automatic\n")
    with pytest.raises(ConfigError, match="line 2: crop"):
        load_rig(path)
