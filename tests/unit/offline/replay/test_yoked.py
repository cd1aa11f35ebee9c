"""A session that is yoked to a recorded one: light at the times of the other's device, replayed without the other."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.changed_log import changed, events
from support.recorded_loop import MS, PERIOD_NS, RULES, Loop

from rtface.core.clock import NS_PER_S
from rtface.core.decision import Action, Decision
from rtface.core.errors import ConfigError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.decide.rulebank import ALIKE_NS
from rtface.decide.rules import RulesFile
from rtface.live.rulesfile import Rules
from rtface.offline.replay.rules import replay_rules
from rtface.record.seal.openings import open_seal, openings
from rtface.record.session.entries import CallEntry, ConfigurationEntry, GateReplyEntry
from rtface.record.session.reader import read_session

FRAMES = 1500
LATE_NS = 7 * MS
"""From a decision to the light by the device's clock; the host reads of it later."""
DRAWN: dict[str, Any] = json.loads(RulesFile.model_validate(RULES).of_session(3).model_dump_json())
DRAWN["rules"]["whisk"] |= {"repeat": True, "ignore_light_ms": 0}


class WithDevice(Loop):
    """Its output has a clock of its own, mapped to the host's; each third pulse it refuses."""

    lit_ns: list[int]

    def _fire(self, decision: Decision, number: int) -> None:
        assert decision.pulse is not None
        self.lit_ns = getattr(self, "lit_ns", [])
        self._commands += 1
        command, now_ns = self._commands, decision.now_ns
        self.recorder.pulse(number, command, "gate", "fire", {"pulse": decision.pulse}, now_ns)

        def said(event: OutputEvent, at_ns: int) -> None:
            report = Report(
                command, event, at_ns + 3 * MS, OutputState.ARMED, OutputReason.NONE, at_ns // 1000, at_ns
            )
            self.recorder.reply(report, "gate")

        if command % 3 == 0:
            said(OutputEvent.REFUSED, now_ns + MS)
            self._due.append((now_ns + 4 * MS, "ended", {"rule": decision.rule, "trial": decision.trial}))
            return
        on_ns, ends_ns = now_ns + LATE_NS, now_ns + LATE_NS + decision.pulse.duration_ns
        self.lit_ns.append(on_ns)
        said(OutputEvent.LIGHT_ON, on_ns)
        said(OutputEvent.TRAIN_ENDED, ends_ns)
        self._due.append((on_ns + 3 * MS, "began", {"rule": decision.rule}))
        self._due.append((ends_ns + 3 * MS, "ended", {"rule": decision.rule, "trial": decision.trial}))


def armed(root: Path, rules: dict[str, Any] = DRAWN, *, sealed: bool = False) -> WithDevice:
    """Record a session that is armed from its beginning."""
    loop = WithDevice(root, rules, alike_ns=ALIKE_NS, sealed=sealed)
    loop.recorder.open()
    loop.recorder.arming("armed", "Ada", "asked for", t_ns=10**12 - MS)
    loop.call("arm", 10**12 - MS)
    loop.run(FRAMES)
    assert loop.recorder.close()
    return loop


def yoked_to(source: Path, folder: Path) -> Rules:
    text = yaml.safe_dump(
        {
            "features": RULES["features"],
            "rules": {
                "yoked": {
                    "pulse": {"width_ms": 5},
                    "refractory_ms": 10,
                    "schedule": {"kind": "yoked", "source": str(source), "seed": 1},
                },
                "near": DRAWN["rules"]["near"] | {"max_pulses": 2},
            },
        },
        sort_keys=False,
    )
    folder.mkdir(exist_ok=True)
    (folder / "rules.yaml").write_text(text, encoding="utf-8")
    return Rules(folder / "rules.yaml")


def test_light_comes_at_the_times_of_the_others_device_and_is_replayed_without_it(tmp_path: Path) -> None:
    leader = armed(tmp_path / "leader")
    rules = yoked_to(leader.folder, tmp_path / "rules")
    times_s = [(each - (10**12 - MS)) / NS_PER_S for each in sorted(leader.lit_ns)]
    schedule = rules.spec.rules["yoked"].schedule
    assert schedule is not None
    assert list(getattr(schedule, "times_s", ())) == times_s
    assert any(each.event == "refused" for each in read_session(leader.folder).of(GateReplyEntry))
    session = armed(tmp_path / "yoked", json.loads(rules.spec.model_dump_json()))
    shutil.rmtree(leader.folder)
    fired = [each for each in session.decisions if each.rule == "yoked" and each.action is Action.FIRE]
    assert len(fired) >= 3
    for each in fired:
        assert each.session_ns is not None
        late_ns = min(each.session_ns - at for at in (t * NS_PER_S for t in times_s) if each.session_ns >= at)
        assert late_ns < PERIOD_NS  # the first frame at or after
    report = replay_rules(session.folder)
    assert report.identical, report.first
    assert report.recorded["fire"] > len(fired)
    assert report.calls > 10


def test_a_time_of_the_others_light_that_was_changed_in_the_record_is_found(tmp_path: Path) -> None:
    rules = yoked_to(armed(tmp_path / "leader").folder, tmp_path / "rules")
    session = armed(tmp_path / "yoked", json.loads(rules.spec.model_dump_json()))

    def later(each: ConfigurationEntry) -> list[ConfigurationEntry]:
        resolved = json.loads(each.resolved)
        resolved["rules"]["yoked"]["schedule"]["times_s"][0] += 0.05
        return [dataclasses.replace(each, resolved=json.dumps(resolved))]

    report = replay_rules(changed(session.folder, tmp_path / "s", events(ConfigurationEntry, later)))
    assert report.decision is not None
    assert "yoked" in report.decision.text


def test_a_call_of_its_own_device_that_is_missing_is_found(tmp_path: Path) -> None:
    rules = yoked_to(armed(tmp_path / "leader").folder, tmp_path / "rules")
    session = armed(tmp_path / "yoked", json.loads(rules.spec.model_dump_json()))
    gone: list[CallEntry] = []

    def first_end(each: CallEntry) -> list[CallEntry]:
        if each.call == "ended" and each.arguments["rule"] == "yoked" and not gone:
            gone.append(each)
            return []
        return [each]

    report = replay_rules(changed(session.folder, tmp_path / "s", events(CallEntry, first_end)))
    assert report.decision is not None


def test_a_blinded_session_is_yoked_to_once_it_is_unblinded_and_that_is_written_down(tmp_path: Path) -> None:
    leader = armed(tmp_path / "leader", sealed=True)
    with pytest.raises(ConfigError, match="rtface session unblind"):
        yoked_to(leader.folder, tmp_path / "rules")
    open_seal(leader.folder, "Ada", "rtface session unblind", first=True)
    schedule = yoked_to(leader.folder, tmp_path / "rules").spec.rules["yoked"].schedule
    assert schedule is not None
    assert len(getattr(schedule, "times_s", ())) == len(leader.lit_ns)
    assert [each["what"] for each in openings(leader.folder)] == [
        "rtface session unblind",
        "pulse times for a yoked schedule",
    ]
