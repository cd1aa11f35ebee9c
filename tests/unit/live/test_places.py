from __future__ import annotations

from pathlib import Path

import pytest
from support.commandline import run
from support.documents import items

from rtface.live.doctor.places import VARIABLES, places

RIG = """\
camera: {kind: video, path: mouse.mp4}
engine: default
session: {folder: sessions, frames: none}
rules: rules.yaml
output: {kind: log, path: light.txt}
"""


def test_what_is_used_is_named_with_who_says_so_and_whether_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTFACE_ENGINES", str(tmp_path / "mine"))
    monkeypatch.setenv("RTFACE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mine").mkdir()
    found = {each["what"]: each for each in items(run("where", "--json").stdout)}
    mine = found["engines of this user"]
    assert (mine["path"], mine["given_by"], mine["there"]) == (str(tmp_path / "mine"), "RTFACE_ENGINES", True)
    assert found["proofs of parity"]["path"] == str(tmp_path / "mine" / "_parity")
    assert found["cache: plans of engines for a GPU"]["path"] == str(tmp_path / "cache" / "plans")
    assert not found["cache: plans of engines for a GPU"]["there"]
    assert found["engines that come with rtface"]["there"]
    assert found["variable RTFACE_ENGINES"]["path"] == str(tmp_path / "mine")
    assert not (tmp_path / "cache").exists()


def test_of_a_rig_every_file_and_folder_is_named_by_its_setting(tmp_path: Path) -> None:
    rig = tmp_path / "rig.yaml"
    rig.write_text(RIG, encoding="utf-8")
    (tmp_path / "mouse.mp4").touch()
    found = {each.what: each for each in places(rig, {})}
    assert {
        name: (found[name].path, found[name].there) for name in ("camera.path", "rules", "session.folder")
    } == {
        "camera.path": (str(tmp_path / "mouse.mp4"), True),
        "rules": (str(tmp_path / "rules.yaml"), False),
        "session.folder": (str(tmp_path / "sessions"), False),
    }
    assert found["output.path"].given_by == f"{rig}: output.path"
    assert found["engine"].there
    assert not any(name.startswith("variable") for name in found)


def test_every_variable_that_the_package_reads_is_known() -> None:
    package = Path(__file__).parents[3] / "rtface"
    text = "\n".join(path.read_text(encoding="utf-8") for path in package.rglob("*.py"))
    read = {
        word
        for word in ("RTFACE_ENGINES", "RTFACE_CACHE", "XDG_DATA_HOME", "XDG_CACHE_HOME")
        if f'"{word}"' in text
    }
    assert read <= VARIABLES.keys()


def test_for_a_person_each_has_lines_of_its_own(tmp_path: Path) -> None:
    shown = run("where").stdout
    assert "engines that come with rtface" in shown
    assert run("where", tmp_path / "nowhere.yaml").returncode == 3
