"""``rtface session`` and ``rtface replay``: what they print and their exit codes."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.recorded_loop import RULES, Loop, record_loop
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import RtfaceError
from rtface.record import formats
from rtface.record.session import LOG_NAME
from rtface.record.session.reader import read_session


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sessions"), 700)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Run a command; return its exit code and what it printed."""
    for stream in ("OUT", "ERR"):
        monkeypatch.setattr(f"rtface.cli.terminal.screen.{stream}._width", 200)

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(each) for each in arguments])
        if isinstance(result.exception, RtfaceError):
            return result.exception.exit_code, str(result.exception)
        return result.exit_code, result.output

    return call


Run = Callable[..., tuple[int, str]]


def test_show_says_what_happened(loop: Loop, run: Run) -> None:
    code, text = run("session", "show", loop.folder, "--unblind")
    assert code == 0
    assert loop.folder.name in text
    fires = sum(each.action.value == "fire" for each in loop.decisions)
    assert f"pulses: {fires} commanded, {fires} acknowledged, light on {fires} times" in text
    for expected in (
        "700 (200.0 per second)",
        "fake fake 1, 32x24",
        "operator",
        "start",
        "sha256 rules",
        "sham",
        "closed",
    ):
        assert expected in text
    counted = sum(each.rule == "near" and each.action.value == "fire" for each in loop.decisions)
    assert re.search(rf"fire +rule +{counted}\n", text)


def test_show_keeps_blinded_trials_blind(loop: Loop, run: Run) -> None:
    for more in ((), ("--decisions",), ("--json", "--decisions")):
        _, text = run("session", "show", loop.folder, *more)
        assert "trial" in text
        assert "sham" not in text
        assert "commanded" not in text or "null" in text
    _, text = run("session", "show", loop.folder, "--decisions", "--unblind")
    assert "sham" in text
    assert re.search(r"reach\.distance \d+\.\d+ \(0\.\d\d, \d\.\d\), neural\.pc1", text)


def test_show_as_json_holds_every_decision(loop: Loop, run: Run) -> None:
    _, text = run("session", "show", loop.folder, "--json", "--decisions", "--unblind")
    told = json.loads(text)
    assert [each["action"] for each in told["decisions_listed"]] == [
        each.action.value for each in loop.decisions
    ]
    assert told["state"] == "closed"
    assert sum(each["count"] for each in told["decisions"]) == len(loop.decisions)


def test_verify_ends_with_zero_for_a_whole_session_only(loop: Loop, run: Run, tmp_path: Path) -> None:
    code, text = run("session", "verify", loop.folder)
    assert (code, "is whole" in text) == (0, True)
    assert read_session(loop.folder).fingerprint in text
    whole = (loop.folder / LOG_NAME).read_bytes()
    (tmp_path / LOG_NAME).write_bytes(whole[:-1])
    code, text = run("session", "verify", tmp_path)
    assert (code, "something is missing" in text) == (8, True)
    (tmp_path / LOG_NAME).write_bytes(whole[:3000] + b"x" + whole[3001:])
    code, text = run("session", "verify", tmp_path, "--json")
    told = json.loads(text)
    assert (code, told["whole"]) == (8, False)
    assert "wrong" in {each["verdict"] for each in told["findings"]}


@pytest.mark.parametrize("form", ["rtface", "deeplabcut-csv"])
def test_export_writes_poses_and_tables(loop: Loop, run: Run, tmp_path: Path, form: str) -> None:
    out = tmp_path / "new" / "out"
    code, text = run("session", "export", loop.folder, "--out", out, "--format", form, "--unblind")
    assert code == 0
    files = sorted(each.name for each in out.iterdir())
    poses = f"poses{formats.DEFAULT_ENDINGS[form]}"
    assert files == sorted([poses, "decisions.csv", "pulses.csv", "features.csv"])
    assert all(name in text for name in files)
    table = formats.read(out / poses)
    session = read_session(loop.folder)
    assert table.names == ("nose", "whisker", "paw")
    if form == "rtface":
        assert table.xy.tobytes() == session.poses["xy"].tobytes()
        assert table.frame_id.tolist() == session.poses["frame_id"].tolist()
    assert run("session", "export", loop.folder, "--out", out, "--format", form)[0] == 2
    assert run("session", "export", loop.folder, "--out", out, "--format", form, "--overwrite")[0] == 0


def test_list_shows_each_session_and_names_what_is_none(loop: Loop, run: Run, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / LOG_NAME).write_bytes((loop.folder / LOG_NAME).read_bytes()[:-1])
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / LOG_NAME).write_bytes(b"no log at all, something else")
    code, text = run("session", "list", tmp_path)
    assert code == 0
    assert re.search(r"a +truncated +\d+\.\d +700 +200\.0", text)
    assert "is not the log of a session" in text
    _, text = run("session", "list", loop.folder.parent, "--json")
    assert [each["folder"] for each in json.loads(text)] == [loop.folder.name]
    assert run("session", "list", tmp_path / "nowhere")[0] == 2


def test_replay_ends_with_zero_when_identical_and_one_when_not(loop: Loop, run: Run, tmp_path: Path) -> None:
    code, text = run("replay", loop.folder)
    assert code == 0
    assert "identical, bit for bit" in text
    assert "700 frames" in text
    rules: dict[str, Any] = copy.deepcopy(RULES)
    rules["rules"]["near"]["when"] = "reach.distance < 29 and neural.pc1 > 0.5"
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules, sort_keys=False), encoding="utf-8")
    code, text = run("replay", loop.folder, "--rules", tmp_path / "rules.yaml")
    assert code == 1
    assert "first decision that differs: frame" in text
    assert re.search(r"reach\.distance +29\.\d+", text)
    code, text = run("replay", loop.folder, "--rules", tmp_path / "rules.yaml", "--json")
    told = json.loads(text)["rules"]
    assert (code, told["identical"], told["decision"]["what"]) == (1, False, "decision")


def test_replay_of_nothing_is_refused(loop: Loop, run: Run, tmp_path: Path) -> None:
    assert run("replay", tmp_path)[0] == 8
    code, text = run("replay", loop.folder, "--network", "--engine", "default")
    assert (code, "no recorded frames" in text) == (2, True)
