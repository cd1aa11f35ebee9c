"""A sealed session: nothing of light and sham in the clear, everything of it once it is opened, and opening is written down."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import stat
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.changed_log import changed, events
from support.recorded_loop import RULES, Loop, record_loop
from support.session_parts import made_report, records
from typer.testing import CliRunner

from rtface.cli.app import app
from rtface.core.errors import DataError, RtfaceError, UsageError
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.offline.replay.rules import replay_rules
from rtface.offline.replay.steps import steps
from rtface.record.seal import openings as openings_module
from rtface.record.seal.cipher import KEY_NAME, make_key, read_key
from rtface.record.seal.openings import OPENINGS_NAME, open_seal, openings
from rtface.record.session import LOG_NAME
from rtface.record.session.animal import earlier_light
from rtface.record.session.coding import decode
from rtface.record.session.entries import (
    CallEntry,
    ConfigurationEntry,
    DecisionEntry,
    Entry,
    GateReplyEntry,
    PulseCommandEntry,
    SealedEntry,
)
from rtface.record.session.reader import read_session
from rtface.record.session.summary import summarise
from rtface.record.session.tables import write_tables
from rtface.record.session.verify import verify

Run = Callable[..., tuple[int, str]]
FRAMES = 2000
DRAWN: dict[str, Any] = json.loads(RulesFile.model_validate(RULES).of_session(4711).model_dump_json())


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("plain"), FRAMES, DRAWN, alike_ns=ALIKE_NS)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Loop:
    return record_loop(tmp_path_factory.mktemp("sealed"), FRAMES, DRAWN, alike_ns=ALIKE_NS, sealed=True)


@pytest.fixture
def run() -> Run:
    """Run a command; return its exit code and what it printed."""

    def call(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})
        if isinstance(result.exception, RtfaceError):
            return result.exception.exit_code, str(result.exception)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output

    return call


@pytest.fixture
def sealed(recorded: Loop, tmp_path: Path) -> Path:
    """A copy, that may be opened."""
    return Path(shutil.copytree(recorded.folder, tmp_path / "session"))


def key_of(folder: Path) -> bytes:
    return read_key(folder)


def verdicts(folder: Path, key: bytes | None = None) -> dict[str, str]:
    findings = verify(read_session(folder, key), blinded=key is None)
    return {each.check: f"{each.verdict}: {each.text}" for each in findings}


def test_nothing_of_light_and_sham_is_in_the_clear(recorded: Loop) -> None:
    session = read_session(recorded.folder)
    blind = [each for each in session.decisions if each.blind and each.pulse is not None]
    assert {(each.action, each.reason) for each in blind} == {("trial", "rule")}
    assert len(blind) >= 4
    assert not session.of(PulseCommandEntry)
    assert not session.of(GateReplyEntry)
    assert {each.arguments["rule"] for each in session.of(CallEntry) if each.call == "ended"} == {"near"}
    data = (recorded.folder / LOG_NAME).read_bytes()
    for word in (b"light_on", b"train_ended", b"sham\xa6reason", b"4711", b"gate"):
        assert word not in data, word
    assert b'"session_seed": null' in data
    fired = sum(each.action == "fire" for each in session.decisions)  # by the rule that is not blinded
    assert data.count(b"\xa6action\xa4fire") == fired


def test_opened_it_is_as_if_nothing_had_been_sealed(recorded: Loop, plain: Loop) -> None:
    opened, other = read_session(recorded.folder, key_of(recorded.folder)), read_session(plain.folder)

    def told(events: tuple[Entry, ...]) -> list[str]:
        own = (DecisionEntry, PulseCommandEntry, GateReplyEntry, CallEntry)
        return [repr(each) for each in events if isinstance(each, own)]

    assert told(opened.events) == told(other.events)
    assert opened.configuration is not None
    assert other.configuration is not None
    rules = [
        RulesFile.recorded(each.configuration.resolved) for each in (opened, other) if each.configuration
    ]
    assert rules[0] == rules[1]
    assert rules[0].session_seed == 4711
    assert opened.poses.tobytes() == other.poses.tobytes()
    assert opened.features.tobytes() == other.features.tobytes()


def test_opened_its_calls_stand_between_the_frames_that_they_stood_between(
    recorded: Loop, plain: Loop
) -> None:
    def calls(loop: Loop, key: bytes | None) -> list[tuple[Any, ...]]:
        return [
            (each.frame_id, each.now_ns, each.call and each.call.call, [one.number for one in each.decisions])
            for each in steps(loop.folder, key)
        ]

    assert calls(recorded, key_of(recorded.folder)) == calls(plain, None)


def test_it_is_whole_closed_and_opened(recorded: Loop) -> None:
    for key in (None, key_of(recorded.folder)):
        found = verdicts(recorded.folder, key)
        assert {each.partition(":")[0] for each in found.values()} == {"whole"}, found
        assert "seal" in found
    assert "sealed" in verdicts(recorded.folder)["pulses"]
    assert "commanded" in verdicts(recorded.folder, key_of(recorded.folder))["pulses"]


def test_it_replays_closed_and_opened(recorded: Loop) -> None:
    closed = replay_rules(recorded.folder)
    assert closed.identical, closed.first
    assert "trial" in closed.recorded
    assert "sham" not in closed.recorded
    opened = replay_rules(recorded.folder, key=key_of(recorded.folder))
    assert opened.identical, opened.first
    assert opened.recorded["sham"] >= 1
    assert opened.calls > closed.calls


def test_a_replay_of_a_closed_one_finds_what_differs(recorded: Loop, tmp_path: Path) -> None:
    hit = next(each for each in read_session(recorded.folder).decisions if each.action == "trial")

    def withheld(each: DecisionEntry) -> list[DecisionEntry]:
        return [
            dataclasses.replace(each, action="withhold", trial=None) if each.number == hit.number else each
        ]

    report = replay_rules(changed(recorded.folder, tmp_path / "s", events(DecisionEntry, withheld)))
    assert report.decision is not None
    assert report.decision.frame_id == hit.frame_id


def test_times_that_were_drawn_from_a_sealed_seed_are_not_replayed_closed(tmp_path: Path) -> None:
    rules = json.loads(json.dumps(DRAWN))
    rules["rules"]["scattered"] = {
        "pulse": {"width_ms": 5},
        "refractory_ms": 50,
        "schedule": {"kind": "matched", "count": 4, "span_s": [0, 3], "seed": 1, "session_seed": 4711},
    }
    loop = record_loop(tmp_path, 900, rules, alike_ns=ALIKE_NS, sealed=True)
    with pytest.raises(UsageError, match="drawn from a seed that is sealed"):
        replay_rules(loop.folder)
    assert replay_rules(loop.folder, key=key_of(loop.folder)).identical


def test_the_size_of_the_log_does_not_depend_on_what_was_light(tmp_path: Path) -> None:
    sizes, counts = set(), set()
    for sham in (0.0, 1.0):
        rules = json.loads(json.dumps(DRAWN))
        rules["rules"] = {"whisk": rules["rules"]["whisk"]}
        rules["rules"]["whisk"]["schedule"] |= {"sham": sham, "catch": 0.0}
        loop = Loop(tmp_path / str(sham), rules, alike_ns=ALIKE_NS, sealed=True)
        loop.recorder.open()
        loop.call("arm", 10**12 - 1)
        loop.run(600)
        assert loop.recorder.close()
        session = read_session(loop.folder)
        assert any(each.action == "trial" for each in session.decisions)
        counts.add(tuple(sorted((name, n) for name, n in session.counted.items() if name != "sealed")))
        sizes.add(len({len(each.data) for each in _sealed(loop.folder)}))
    assert len(counts) == 1
    assert sizes == {1}


def _sealed(folder: Path) -> list[SealedEntry]:
    found = [decode(each.kind, each.payload) for each in records(folder) if each.kind == SealedEntry.kind]
    return [each for each in found if isinstance(each, SealedEntry)]


def test_all_that_waits_at_the_end_is_written(tmp_path: Path) -> None:
    loop = Loop(tmp_path, DRAWN, alike_ns=ALIKE_NS, sealed=True)
    loop.recorder.open()
    for number in range(3000):  # far more than the blocks that end every log
        loop.recorder.reply(made_report(number, "light_on", 10**12 + 7919 * number), "gate")
    assert loop.recorder.close()
    session = read_session(loop.folder, key_of(loop.folder))
    assert [each.number for each in session.of(GateReplyEntry)] == list(range(3000))
    assert verdicts(loop.folder, key_of(loop.folder))["seal"].startswith("whole")


def test_one_without_a_trial_yet_tells_no_pulses_either(tmp_path: Path) -> None:
    rules = json.loads(json.dumps(DRAWN))
    rules["rules"]["whisk"] |= {"on_above": 1e6, "off_below": 1e5}
    loop = record_loop(tmp_path, 600, rules, alike_ns=ALIKE_NS, sealed=True)
    session = read_session(loop.folder)
    assert any(each.action == "fire" for each in session.decisions)
    assert not any(each.action == "trial" for each in session.decisions)
    assert summarise(session).pulses is None
    (tmp_path / "out").mkdir()
    assert "pulses.csv" not in {path.name for path in write_tables(session, tmp_path / "out")}


def test_a_block_that_was_taken_out_or_changed_is_found(recorded: Loop, tmp_path: Path) -> None:
    taken = changed(
        recorded.folder, tmp_path / "a", events(SealedEntry, lambda each: [] if each.number == 3 else [each])
    )
    shutil.copy(recorded.folder / KEY_NAME, taken)
    assert verdicts(taken)["seal"].startswith("missing: 1 of its blocks: number 3")
    assert "wrong" in verdicts(taken)["totals"]

    def flipped(each: SealedEntry) -> list[SealedEntry]:
        data = bytes([each.data[0] ^ 1]) + each.data[1:]
        return [dataclasses.replace(each, data=data) if each.number == 3 else each]

    other = changed(recorded.folder, tmp_path / "b", events(SealedEntry, flipped))
    with pytest.raises(DataError, match="block 3 of the seal"):
        read_session(other, key_of(recorded.folder))


def test_a_key_that_is_gone_or_another_is_found(sealed: Path) -> None:
    (sealed / KEY_NAME).unlink()
    assert "cannot be read" in verdicts(sealed)["seal"]
    make_key(sealed)
    assert "the key of another session" in verdicts(sealed)["seal"]
    with pytest.raises(DataError, match="not sealed with this key"):
        read_session(sealed, key_of(sealed))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_the_key_is_its_owners_alone(recorded: Loop) -> None:
    assert stat.S_IMODE((recorded.folder / KEY_NAME).stat().st_mode) == 0o600


def test_cut_off_anywhere_each_decision_that_is_left_has_its_secret(recorded: Loop, tmp_path: Path) -> None:
    data = (recorded.folder / LOG_NAME).read_bytes()
    key = key_of(recorded.folder)
    truth = {each.number: each.action for each in read_session(recorded.folder, key).decisions}
    folder = tmp_path / "cut"
    folder.mkdir()
    seen = 0
    for end in range(len(data) // 20, len(data), len(data) // 60):
        (folder / LOG_NAME).write_bytes(data[:end])
        session = read_session(folder, key)
        assert session.state == "truncated"
        left = {each.number: each.action for each in session.decisions}
        assert left.items() <= truth.items()  # none is a `trial`
        seen = max(seen, len(left))
        items = session.unsealed or ()
        assert [each.number for each in items] == list(range(len(items)))
    assert seen > len(truth) / 2


def test_its_light_counts_as_planned_whatever_it_was(recorded: Loop) -> None:
    light = earlier_light(recorded.folder.parent, "nobody", 0)
    assert light.sessions == 0
    session = read_session(recorded.folder)
    assert session.configuration is not None
    pulses = [each.pulse for each in session.decisions if each.action in ("trial", "fire") and each.pulse]
    planned_s = sum(each["on_ns"] * each["count"] for each in pulses) / 1e9

    def owned(each: ConfigurationEntry) -> list[ConfigurationEntry]:
        return [dataclasses.replace(each, rig=json.dumps({"session": {"subject": "M1"}}))]

    changed(recorded.folder, recorded.folder.parent / "m1", events(ConfigurationEntry, owned))
    assert earlier_light(recorded.folder.parent, "M1", 0).seconds == pytest.approx(planned_s)
    shutil.rmtree(recorded.folder.parent / "m1")


def test_only_unblind_opens_and_each_opening_is_written_down(sealed: Path, run: Run) -> None:
    for command in (
        ("session", "show", sealed, "--unblind"),
        ("session", "verify", sealed, "--unblind"),
        ("session", "export", sealed, "--out", sealed.parent / "x", "--unblind"),
        ("replay", sealed, "--unblind"),
    ):
        code, text = run(*command)
        assert code == UsageError.exit_code
        assert "rtface session unblind" in text
    assert not (sealed / OPENINGS_NAME).exists()
    code, text = run("session", "show", sealed)
    assert (code, "are blinded" in text) == (0, True)
    code, text = run("session", "unblind", sealed, "--as", "Ada", "--why", "the study is over")
    assert code == 0
    assert "Ada: rtface session unblind (the study is over)" in text
    code, text = run("session", "show", sealed, "--unblind", "--json")
    assert any(each["action"] == "sham" for each in json.loads(text)["decisions"])
    assert json.loads(text)["pulses"]["lit"] > 0
    assert run("replay", sealed, "--unblind")[0] == 0
    assert run("session", "verify", sealed, "--unblind")[0] == 0
    assert run("session", "verify", sealed)[0] == 0
    code, text = run("session", "export", sealed, "--out", sealed.parent / "x", "--unblind")
    assert (sealed.parent / "x" / "pulses.csv").exists()
    lines = openings(sealed)
    assert [each["what"] for each in lines] == [
        "rtface session unblind",
        "rtface session show --unblind",
        "rtface replay --unblind",
        "rtface session verify --unblind",
        "rtface session export --unblind",
    ]
    assert lines[0]["who"] == "Ada"
    code, text = run("session", "unblind", sealed, "--show", "--json")
    assert len(json.loads(text)["items"]) == 5


def test_a_line_that_is_taken_out_of_the_openings_is_found(sealed: Path) -> None:
    for number in range(3):
        open_seal(sealed, f"Ada {number}", "a test", first=True)
    path = sealed / OPENINGS_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    with pytest.raises(DataError, match="line 2 is not as it was written"):
        open_seal(sealed, "Ada", "a test")


def test_those_who_open_it_at_once_leave_a_line_each(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line names all before it, so that one between reading and writing would shut everybody out for good."""
    others: list[threading.Thread] = []
    now = openings_module.utc

    def another_comes() -> Any:
        if not others:
            others.append(threading.Thread(target=open_seal, args=(sealed, "Eve", "a test")))
            others[0].start()
            others[0].join(0.2)
        return now()

    open_seal(sealed, "Ada", "a test", first=True)
    monkeypatch.setattr(openings_module, "utc", another_comes)
    open_seal(sealed, "Ada", "a test")
    others[0].join()
    assert [each["who"] for each in openings(sealed)] == ["Ada", "Ada", "Eve"]


def test_a_line_that_is_not_written_whole_is_none(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_seal(sealed, "Ada", "a test", first=True)
    write = os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda handle, data: write(handle, data[:10]))
        with pytest.raises(DataError, match="what cannot be written down is not opened"):
            open_seal(sealed, "Eve", "a test")
    assert [each["who"] for each in openings(sealed)] == ["Ada"]
    open_seal(sealed, "Bob", "a test")


def test_what_cannot_be_written_down_is_not_opened(sealed: Path) -> None:
    (sealed / OPENINGS_NAME).mkdir()
    with pytest.raises(DataError, match=r"cannot be (read|written)"):
        open_seal(sealed, "Ada", "a test", first=True)


def test_a_session_without_a_seal_has_none_to_open(plain: Loop, run: Run) -> None:
    code, text = run("session", "unblind", plain.folder)
    assert code == UsageError.exit_code
    assert "has no seal" in text


def test_one_that_is_still_written_is_not_opened(tmp_path: Path, run: Run) -> None:
    loop = Loop(tmp_path, DRAWN, alike_ns=ALIKE_NS, sealed=True)
    loop.recorder.open()
    try:
        code, text = run("session", "unblind", loop.folder)
        assert code == UsageError.exit_code
        assert "still being written" in text
        assert summarise(read_session(loop.folder)).pulses is None
    finally:
        loop.recorder.close()
