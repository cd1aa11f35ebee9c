"""``rtface cameras``: what each camera can be set to, asked apart, and a section that a rig can open it by."""

from __future__ import annotations

import shutil
import subprocess
from functools import partial
from pathlib import Path

import pytest
import yaml
from support.commandline import run
from support.documents import items
from support.gentl_producer import CUSTOM, HANGS

from rtface.acquire import discovery
from rtface.acquire.factory import make_camera
from rtface.acquire.genicam.survey import list_outside, survey
from rtface.config.rigfile import load_rig
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import CameraError


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the camera that hangs be opened after all, at once, and no other be given up on a busy machine."""
    monkeypatch.setenv("RTFACE_TEST_GENTL_HANG_MS", "1")
    monkeypatch.setattr(discovery, "survey", partial(survey, patience_s=100.0))


def rigs_lines(printed: str, serial: str) -> list[str]:
    return [line for line in printed.splitlines() if line.startswith("camera: {") and serial in line]


def test_the_section_that_is_printed_opens_the_camera_as_it_is_set(
    gentl_producer: Path, soon: None, tmp_path: Path
) -> None:
    done = run("cameras", "--producer", gentl_producer)
    assert done.returncode == 0, done.stderr
    (line,) = rigs_lines(done.stdout, CUSTOM)
    (tmp_path / "rig.yaml").write_text(line, encoding="utf-8")
    camera = make_camera(load_rig(tmp_path / "rig.yaml").camera)
    try:
        info = camera.open()
    finally:
        camera.close()
    assert (info.width, info.height, info.settings["serial"]) == (640, 480, CUSTOM)
    assert (info.settings["AcquisitionFrameRate"], info.settings["ExposureTime"]) == (100.0, 1000.0)


def test_what_a_camera_can_be_set_to_is_listed_and_who_cannot_be_opened_says_so(
    gentl_producer: Path, soon: None
) -> None:
    found = {
        each["settings"]["serial"].strip("'"): each
        for each in items(run("cameras", "--producer", gentl_producer, "--json").stdout)
        if each["kind"] == "genicam"
    }
    features = {each["name"]: each for each in found["gige-0"]["features"]}
    assert (features["Width"]["value"], features["Width"]["low"], features["Width"]["high"]) == (640, 16, 800)
    assert "Mono12p" in features["PixelFormat"]["choices"]
    assert features["TriggerSource"]["choices"] == ["Software", "Line0", "Line1", "Line2", "Line3"]
    assert (features["DeviceTemperature"]["value"], features["DeviceTemperature"]["writable"]) == (
        45.5,
        False,
    )
    assert features["GevSCPSPacketSize"]["value"] == 1500
    assert found["gige-0"]["in_rig"]["exposure_us"] == 1000
    assert "another program" in found["busy-3"]["why_none"]
    assert found["busy-3"]["features"] == []


def test_names_opens_nothing(gentl_producer: Path) -> None:
    found = items(run("cameras", "--producer", gentl_producer, "--names", "--json").stdout)
    assert {frozenset(each) for each in found} == {frozenset({"kind", "label", "settings"})}
    assert sum(each["kind"] == "genicam" for each in found) == 5


def test_a_driver_that_hangs_is_given_up(gentl_producer: Path) -> None:
    found = survey(HANGS, gentl_producer, patience_s=0.5)
    assert (found.features, found.why_none) == ([], "its driver did not answer within 0.5 s")


def test_a_producer_that_hangs_while_it_looks_for_cameras_is_given_up(
    gentl_producer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began_ns = monotonic_ns()
    assert CUSTOM in {device.serial for device in list_outside(gentl_producer, patience_s=100.0)}
    enough_s = 3 * (monotonic_ns() - began_ns) / NS_PER_S
    monkeypatch.setenv("RTFACE_TEST_GENTL_LIST_HANG_MS", "3600000")
    with pytest.raises(CameraError, match=r"^its driver did not answer within [\d.]+ s$"):
        list_outside(gentl_producer, patience_s=enough_s)


def test_a_driver_that_aborts_ends_only_the_process_that_asked(gentl_producer: Path, tmp_path: Path) -> None:
    source, driver = tmp_path / "aborts.c", tmp_path / "aborts.cti"
    source.write_text(
        "#include <stdlib.h>\n__attribute__((constructor)) static void at_once(void) { abort(); }\n",
        encoding="utf-8",
    )
    compiler = shutil.which("gcc") or shutil.which("cc")
    assert compiler is not None, "the producer was compiled, too"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(driver), str(source)], check=True, timeout=60)
    assert survey("0", driver).why_none == "its driver ended the process that asked (signal 6)"
    with pytest.raises(CameraError, match=r"ended the process that asked \(signal 6\)"):
        list_outside(driver)


def test_a_driver_that_writes_to_standard_output_does_not_spoil_the_answer(
    gentl_producer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_TEST_GENTL_CHATTY", "1")
    assert CUSTOM in {device.serial for device in list_outside(gentl_producer, patience_s=100.0)}
    found = survey(CUSTOM, gentl_producer, patience_s=100.0)
    assert (found.why_none, found.rig_settings()["width"]) == ("", 640)


def test_a_producer_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nowhere.cti" in survey("0", tmp_path / "nowhere.cti").why_none


def test_a_path_that_yaml_would_take_apart_is_quoted(
    gentl_producer: Path, tmp_path: Path, soon: None
) -> None:
    awkward = tmp_path / "it's {a}, or: b.cti"
    awkward.symlink_to(gentl_producer)
    lines = rigs_lines(run("cameras", "--producer", awkward).stdout, "")
    assert len(lines) == 4
    assert [yaml.safe_load(line)["camera"]["producer"] for line in lines] == [str(awkward)] * 4
