"""Settings changed in the lines of a rig's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from support.commandline import run

from rtface.config.changing import changed_rig, write_rig_change
from rtface.core.errors import ConfigError, UsageError

RIG = """\
# our rig, of Anna and Ben
camera:            # in the box
  kind: genicam
  serial: "22345678"   # the left one

  rate_hz: 200
  nodes: {GammaEnable: false} # off
crop: {x: 100, y: 40, width: 400, height: 400}   # the face
engine: default               # or another
publish:
  keypoints: tcp://127.0.0.1:5570

  # the end
"""


@pytest.fixture
def rig(tmp_path: Path) -> Path:
    path = tmp_path / "rig.yaml"
    path.write_text(RIG, encoding="utf-8")
    return path


def lines_changed(path: Path, **settings: Any) -> tuple[list[str], list[str]]:
    """Return the lines that go and those that come."""
    change = changed_rig(path, {name.replace("__", "."): value for name, value in settings.items()})
    body = change.difference.splitlines()[2:]
    return [line[1:] for line in body if line[0] == "-"], [line[1:] for line in body if line[0] == "+"]


def test_one_line_changes_and_its_remark_stays(rig: Path) -> None:
    assert lines_changed(rig, engine="rig-1") == (
        ["engine: default               # or another"],
        ["engine: rig-1               # or another"],
    )
    crop = {"x": 1, "y": 2, "width": 300, "height": 301, "mirrored": True}
    assert lines_changed(rig, crop=crop)[1] == [
        "crop: {x: 1, y: 2, width: 300, height: 301, mirrored: true}   # the face"
    ]


def test_only_what_differs_in_a_section_changes(rig: Path) -> None:
    camera = {"kind": "genicam", "serial": "1", "rate_hz": 100, "nodes": {"GammaEnable": False}}
    gone, come = lines_changed(rig, camera=camera)
    assert gone == ['  serial: "22345678"   # the left one', "  rate_hz: 200"]
    assert come == ["  serial: '1'   # the left one", "  rate_hz: 100"]
    assert lines_changed(rig, camera={"kind": "simulated"})[1] == ["  kind: simulated"]


def test_a_setting_is_added_behind_the_others_of_its_section(rig: Path) -> None:
    assert lines_changed(rig, rules="rules.yaml") == ([], ["rules: rules.yaml"])
    assert lines_changed(rig, camera__exposure_us=900) == ([], ["  exposure_us: 900"])
    assert lines_changed(rig, session__folder="/data") == ([], ["session: {folder: /data}"])
    assert lines_changed(rig, camera__nodes__Gain=2)[1] == [
        "  nodes: {GammaEnable: false, Gain: 2} # off",
    ]
    assert lines_changed(rig, crop__x=5)[1] == ["crop: {x: 5, y: 40, width: 400, height: 400}   # the face"]


def test_a_setting_is_taken_out(rig: Path) -> None:
    assert lines_changed(rig, crop=None)[0] == ["crop: {x: 100, y: 40, width: 400, height: 400}   # the face"]
    assert lines_changed(rig, encoder=None) == ([], [])


@pytest.mark.parametrize("end", ["", "\n", "\n\n# more"])
def test_a_file_without_a_last_line_end_takes_a_line(rig: Path, end: str) -> None:
    rig.write_text("camera: {kind: simulated}" + end, encoding="utf-8")
    assert yaml.safe_load(changed_rig(rig, {"engine": "x"}).after) == {
        "camera": {"kind": "simulated"},
        "engine": "x",
    }


def test_a_whole_file_in_braces_and_an_empty_setting(rig: Path) -> None:
    rig.write_text("{camera: {kind: simulated}, engine: a}\n", encoding="utf-8")
    assert yaml.safe_load(changed_rig(rig, {"engine": "b", "rules": "r.yaml"}).after) == {
        "camera": {"kind": "simulated"},
        "engine": "b",
        "rules": "r.yaml",
    }
    rig.write_text("camera: {kind: simulated}\nrules:\nengine: a\n", encoding="utf-8")
    assert "rules: r.yaml\nengine: a" in changed_rig(rig, {"rules": "r.yaml"}).after


def test_what_is_no_rig_is_refused_by_name(rig: Path) -> None:
    with pytest.raises(ConfigError, match=r"engin.*did you mean engine"):
        changed_rig(rig, {"engin": "x"})
    with pytest.raises(ConfigError, match="rate_hz"):
        changed_rig(rig, {"camera.rate_hz": "fast"})


def test_lines_in_which_a_change_would_move_another_setting_too_are_refused(rig: Path) -> None:
    rig.write_text("camera: {kind: video, path: &v a.mp4}\nsession: {folder: *v}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="by hand"):
        changed_rig(rig, {"camera.path": "b.mp4"})
    assert rig.read_text(encoding="utf-8").startswith("camera: {kind: video, path: &v a.mp4}")


@pytest.mark.parametrize("name", ["", ".", "engine.", ".engine"])
def test_a_name_that_is_none_is_refused(rig: Path, name: str) -> None:
    with pytest.raises(UsageError, match="name"):
        changed_rig(rig, {name: 1})


def test_it_is_written_whole_and_the_one_before_is_kept(rig: Path) -> None:
    change = changed_rig(rig, {"engine": "rig-1"})
    first = write_rig_change(change)
    assert first is not None
    assert (first.read_text(encoding="utf-8"), rig.read_text(encoding="utf-8")) == (RIG, change.after)
    second = write_rig_change(changed_rig(rig, {"engine": "rig-2"}))
    assert second is not None
    assert (second.name, first.name) == ("rig.yaml.before-2", "rig.yaml.before-1")
    assert {each.name for each in rig.parent.iterdir()} == {rig.name, first.name, second.name}


def test_of_the_files_of_before_the_first_and_the_last_few_are_kept(rig: Path) -> None:
    aside = [write_rig_change(changed_rig(rig, {"engine": f"rig-{number}"})) for number in range(1, 15)]
    kept = {each.name for each in rig.parent.iterdir()} - {rig.name}
    assert kept == {f"rig.yaml.before-{number}" for number in (1, *range(6, 15))}
    assert aside[0] is not None
    assert aside[0].read_text(encoding="utf-8") == RIG
    assert aside[-1] is not None
    assert aside[-1].name == "rig.yaml.before-14", "a number is never given twice while one above it is there"


def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(rig: Path) -> None:
    change = changed_rig(rig, {"engine": "rig-1"})
    rig.write_text(RIG + "# more\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="meanwhile"):
        write_rig_change(change)
    assert rig.read_text(encoding="utf-8") == RIG + "# more\n"


def test_line_ends_of_windows_stay(rig: Path) -> None:
    rig.write_bytes(RIG.replace("\n", "\r\n").encode())
    change = changed_rig(rig, {"engine": "rig-1"})
    assert change.difference.count("\n-") == 1
    write_rig_change(change)
    assert rig.read_bytes() == RIG.replace("engine: default", "engine: rig-1").replace("\n", "\r\n").encode()


def test_a_rig_is_begun(tmp_path: Path) -> None:
    change = changed_rig(tmp_path / "new.yaml", {"camera": {"kind": "video", "path": "a b.mp4"}})
    assert change.before is None
    assert write_rig_change(change) is None
    assert "camera: {kind: video, path: a b.mp4}\n" in (tmp_path / "new.yaml").read_text()
    assert change.difference.startswith("--- /dev/null")


def test_the_command_shows_writes_and_keeps(rig: Path) -> None:
    shown = run("config", "set", rig, "engine=rig-1", "crop=", "--dry-run")
    assert (shown.returncode, rig.read_text(encoding="utf-8")) == (0, RIG)
    assert "+engine: rig-1" in shown.stdout
    assert "-crop:" in shown.stdout
    assert run("config", "set", rig, "engine=rig-1").returncode == 0
    assert "engine: rig-1" in rig.read_text(encoding="utf-8")
    assert (rig.parent / "rig.yaml.before-1").read_text(encoding="utf-8") == RIG
    assert "nothing changes" in run("config", "set", rig, "engine=rig-1").stderr
    assert run("config", "set", rig, "engine").returncode == 2
    assert run("config", "set", rig, "crop={x: 1").returncode == 2
    assert run("config", "set", rig, "no=1").returncode == 3
