"""One animal's light over the sessions in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.session_parts import START_NS, made_decision

from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.decision import Action
from rtface.core.records import Pulse
from rtface.record.session import LOG_NAME
from rtface.record.session.animal import EarlierLight, earlier_light
from rtface.record.session.coding import encode
from rtface.record.session.entries import (
    ConfigurationEntry,
    DecisionEntry,
    Entry,
    GateReplyEntry,
    OpenedEntry,
    PulseCommandEntry,
)
from rtface.record.session.log import DiskFile, LogWriter
from rtface.record.session.logreader import LogReader

NOW_NS = 1_800_000_000 * NS_PER_S
PULSE = Pulse(100 * NS_PER_MS, 200 * NS_PER_MS, 5, 1.0)
"""Half a second of light."""


def fire(number: int, pulse: Pulse = PULSE, decision: int = -1) -> Entry:
    details = {"on_ns": pulse.on_ns, "period_ns": pulse.period_ns, "count": pulse.count, "amplitude": 1.0}
    return PulseCommandEntry(START_NS, decision, number, "gate", "fire", details)


def reply(number: int, event: str, **details: int) -> Entry:
    return GateReplyEntry(START_NS, number, "gate", event, "armed", "none", None, None, details)


def recorded(
    folder: Path, *entries: Entry, subject: str | None = "M17", hours_ago: float = 1, wall_ns: int = NOW_NS
) -> Path:
    folder.mkdir(parents=True)
    session: dict[str, Any] = {"folder": "sessions"} | ({} if subject is None else {"subject": subject})
    log = LogWriter(DiskFile(folder / LOG_NAME))
    began_ns = wall_ns - round(hours_ago * 3600 * NS_PER_S)
    head = (
        OpenedEntry(START_NS, began_ns, "abc", {}),
        ConfigurationEntry(START_NS, json.dumps({"session": session}), "", ("a",), (True,)),
    )
    for each in (*head, *entries):
        log.append(each.kind, encode(each))
    log.commit()
    log.close()
    return folder


def today(root: Path, subject: str = "M17") -> EarlierLight:
    return earlier_light(root, subject, NOW_NS - 24 * 3600 * NS_PER_S)


def test_what_the_device_reported_is_added_up_over_the_animals_sessions(tmp_path: Path) -> None:
    off = reply(1, "light_off", on_ns=90 * NS_PER_MS)
    recorded(tmp_path / "a", fire(1), off, off, reply(1, "train_ended"))
    recorded(
        tmp_path / "b",
        fire(1),
        reply(1, "refused"),
        fire(2),
        reply(2, "light_off", on_ns=NS_PER_S),
        reply(2, "train_ended"),
    )
    assert today(tmp_path) == EarlierLight(1.18, 2, ())


def test_what_has_no_end_in_the_record_counts_as_planned(tmp_path: Path) -> None:
    recorded(tmp_path / "a", fire(1), reply(1, "light_off", on_ns=90 * NS_PER_MS))
    recorded(tmp_path / "b", fire(1), fire(2), reply(2, "timeout"))
    assert today(tmp_path) == EarlierLight(1.5, 2, ())


def test_other_animals_and_older_sessions_do_not_count(tmp_path: Path) -> None:
    recorded(tmp_path / "a", fire(1), subject="M18")
    recorded(tmp_path / "b", fire(1), subject=None)
    recorded(tmp_path / "c", fire(1), hours_ago=25)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes.txt").write_text("M17")
    assert today(tmp_path) == EarlierLight(0.0, 0, ())
    assert today(tmp_path, "M18") == EarlierLight(0.5, 1, ())
    assert today(tmp_path / "none") == EarlierLight(0.0, 0, ())


def test_blinded_trials_count_the_same_light_or_sham(tmp_path: Path) -> None:
    def trial(number: int, action: Action) -> list[Entry]:
        decision = made_decision(action=action, blind=True, pulse=PULSE)
        found: list[Entry] = [DecisionEntry.of(decision, number)]
        if action is Action.FIRE:
            found += [
                fire(number, decision=number),
                reply(number, "light_off", on_ns=1),
                reply(number, "train_ended"),
            ]
        return found

    sums = set()
    for name, actions in (("a", "ff"), ("b", "fs"), ("c", "ss")):
        kinds = {"f": Action.FIRE, "s": Action.SHAM}
        entries = [each for number, action in enumerate(actions) for each in trial(number, kinds[action])]
        sums.add(today(recorded(tmp_path / name / "x", *entries).parent).seconds)
    assert sums == {1.0}


def test_a_damaged_session_counts_as_far_as_it_is_whole_and_is_named(tmp_path: Path) -> None:
    log = recorded(tmp_path / "torn", fire(1), fire(2)) / LOG_NAME
    written = log.read_bytes().rstrip(b"\0")
    log.write_bytes(written[:-60] + bytes(each ^ 0xFF for each in written[-60:-40]) + written[-40:])
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / LOG_NAME).write_bytes(b"no session's log at all" * 9)
    found = today(tmp_path)
    assert found.seconds >= 0.5
    assert found.unreadable == ("foreign", "torn")


def test_a_session_that_does_not_say_whose_it_is_any_more_counts(tmp_path: Path) -> None:
    log = recorded(tmp_path / "torn", fire(1)) / LOG_NAME
    second = next(each for each in LogReader(log) if each.kind == ConfigurationEntry.kind)
    written = bytearray(log.read_bytes())
    written[second.offset + 30] ^= 0xFF
    log.write_bytes(written)
    assert today(tmp_path) == EarlierLight(0.5, 0, ("torn",))


def test_a_record_that_is_not_what_it_should_be_takes_nothing_else_away(tmp_path: Path) -> None:
    folder = recorded(tmp_path / "odd", fire(1))
    log = LogWriter(DiskFile(tmp_path / "odd.log"))
    for each in LogReader(folder / LOG_NAME):
        log.append(each.kind, each.payload)
    log.append(PulseCommandEntry.kind, b"\xc1")
    log.commit()
    log.close()
    (tmp_path / "odd.log").rename(folder / LOG_NAME)
    assert today(tmp_path) == EarlierLight(0.5, 1, ("odd",))
