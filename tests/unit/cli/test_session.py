"""``rtface session`` and ``rtface replay``: what they print and their exit codes."""

from __future__ import annotations

import copy
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.recorded_loop import MS, RULES, Loop, record_loop
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import RtfaceError
from rtface.core.latency import LatencyRecorder
from rtface.record import formats
from rtface.record.session import LOG_NAME
from rtface.record.session.coding import decode, encode
from rtface.record.session.entries import (
    ENTRIES,
    CallEntry,
    ClosedEntry,
    GateReplyEntry,
    LatencyEntry,
    PulseCommandEntry,
)
from rtface.record.session.log import DiskFile, LogWriter
from rtface.record.session.logreader import LogReader
from rtface.record.session.reader import read_session
from rtface.record.session.rows import decode_rows


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
    poses = f"poses{formats.FORMATS[form].endings[0]}"
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
    assert [each["folder"] for each in json.loads(text)["items"]] == [loop.folder.name]
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


def with_another_truth(folder: Path, to: Path) -> Path:
    """Copy a session, its first blinded light made a sham: without command, replies and calls, and with its own totals."""
    to.mkdir()
    session = read_session(folder)
    first = next(each for each in session.decisions if each.blind and each.action == "fire")
    command = next(each for each in session.of(PulseCommandEntry) if each.decision == first.number)
    began = [
        each for each in session.of(CallEntry) if each.call in ("began", "ended") and each.t_ns >= first.t_ns
    ]
    calls = [
        next(each for each in began if each.call == name and each.arguments["rule"] == first.rule)
        for name in ("began", "ended")
    ]
    log, gone = LogWriter(DiskFile(to / LOG_NAME)), Counter[str]()
    for record in LogReader(folder / LOG_NAME):
        entry, payload = (
            decode(record.kind, record.payload) if record.kind in ENTRIES else None,
            record.payload,
        )
        if entry == first:
            payload = encode(replace(first, action="sham", reason="schedule"))
        elif (
            entry == command
            or entry in calls
            or (isinstance(entry, GateReplyEntry) and entry.number == command.number)
        ):
            gone[entry.name] += 1
            continue
        elif isinstance(entry, LatencyEntry):
            stages = {**entry.stages, "light": entry.stages["light"] | {"n": entry.stages["light"]["n"] - 1}}
            payload = encode(replace(entry, stages=stages))
        elif isinstance(entry, ClosedEntry):
            totals = {name: count - gone[name] for name, count in entry.totals.items()}
            payload = encode(replace(entry, totals=totals))
        rows = 1 if entry is not None else len(decode_rows(record.kind, record.payload))
        log.append(record.kind, payload, rows)
    log.commit()
    log.close()
    assert gone["gate"] == 3
    return to


@pytest.mark.parametrize(
    "command",
    [
        ("session", "verify"),
        ("session", "verify", "--json"),
        ("session", "show", "--decisions", "--latency"),
        ("session", "show", "--decisions", "--json"),
        ("session", "list"),
        ("replay",),
        ("replay", "--json"),
    ],
)
def test_nothing_that_is_shown_of_a_blinded_session_depends_on_which_trials_were_light(
    run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    loop = Loop(tmp_path / "made", alike_ns=50 * MS)
    loop.recorder.open()
    loop.call("arm", 10**12 - MS)
    loop.run(600)
    lights = sum(each.action.value == "fire" for each in loop.decisions)
    stage = LatencyRecorder(10**9).summary()["end_to_end"]
    loop.recorder.latency({"end_to_end": stage, "light": replace(stage, n=lights)})
    assert loop.recorder.close()
    name = loop.folder.name
    (tmp_path / "other").mkdir()
    other = with_another_truth(loop.folder, tmp_path / "other" / name)
    shown = []
    for folder in (loop.folder, other):
        if command[0] == "replay":  # a session that was not so differs where it was changed, by design
            code, text = run(*command, loop.folder)
            assert code == 0
            assert "fire" not in text
            assert "sham" not in text
            continue
        code, text = run(*command[:2], folder.parent if "list" in command else folder, *command[2:])
        assert code == 0
        hashes = r"fingerprint.{0,4}[0-9a-f]{64}|[0-9a-f]{16}\.\.\."
        shown.append(re.sub(hashes, "", text.replace(str(folder.parent), "")))
    assert len(set(shown)) <= 1


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_a_replay_that_differs_does_not_say_what_a_blinded_decision_was(
    run: Run, tmp_path: Path, form: tuple[str, ...]
) -> None:
    loop = Loop(tmp_path / "made", alike_ns=50 * MS)
    loop.recorder.open()
    loop.call("arm", 10**12 - MS)
    loop.run(600)
    assert loop.recorder.close()
    changed = with_another_truth(loop.folder, tmp_path / loop.folder.name)
    code, text = run("replay", changed, *form)
    assert code == 1
    assert "a decision differs; --unblind shows how" in text
    assert not re.search(r"\b(fire|sham)\b", text)
    code, text = run("replay", changed, *form, "--unblind")
    assert code == 1
    assert re.search(r"\bfire\b", text)
    assert re.search(r"\bsham\b", text)


COMMANDS = pytest.mark.parametrize("command", [("session", "show"), ("session", "verify"), ("replay",)])


@COMMANDS
def test_several_sessions_have_their_turn_each(loop: Loop, run: Run, command: tuple[str, ...]) -> None:
    code, one = run(*command, loop.folder)
    assert code == 0
    code, two = run(*command, loop.folder, loop.folder)
    assert code == 0
    line = one.strip().splitlines()[0]
    assert two.count(line) == 2 * one.count(line)


@COMMANDS
def test_one_bad_session_keeps_none_from_its_turn(
    loop: Loop, run: Run, tmp_path: Path, command: tuple[str, ...]
) -> None:
    alone, _ = run(*command, tmp_path / "none")
    _, good = run(*command, loop.folder)
    code, text = run(*command, tmp_path / "none", loop.folder)
    assert code == alone != 0
    assert str(tmp_path / "none") in text
    assert good.strip().splitlines()[0] in text
    assert run(*command, loop.folder, tmp_path / "none")[0] == alone
