"""Sessions whose rules rest on a baseline: the recorded numbers decide, and must follow from the recorded frames."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import pytest
from support.changed_log import changed, events, flipped_bit
from support.recorded_loop import MS, PERIOD_NS, RULES, Loop

from rtface.core.decision import Action
from rtface.decide.rules import RulesFile
from rtface.offline.replay.rules import replay_rules
from rtface.record.session.entries import BaselineEntry
from rtface.record.session.reader import read_session
from rtface.record.session.summary import summarise

SECONDS = 2.0
FRAMES = 1500
RELATIVE: dict[str, Any] = copy.deepcopy(RULES)
RELATIVE["baseline"] = {"seconds": SECONDS, "min_frames": 50}
RELATIVE["rules"]["whisk"] |= {"on_above": "baseline + 0.5 sd", "off_below": "baseline - 0.5 sd"}
RELATIVE["rules"]["near"]["when"] = "reach.distance < 30 and neural.pc1 > baseline + 0.5 sd"
"""Also of a neural component, and with hysteresis."""


class Relative(Loop):
    """Records the baseline as the closed loop does, and arms when it is complete."""

    def _take(self, *arguments: Any) -> None:
        taking = self.evaluator.baselines.wanted
        super()._take(*arguments)
        if taking and self.evaluator.baselines.complete:
            self.recorder.baseline(self.evaluator.baselines.found(), arguments[1])


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Relative:
    loop = Relative(tmp_path_factory.mktemp("sessions"), RELATIVE)
    loop.recorder.open()
    again = round(FRAMES * 0.6)

    def watch(number: int, now_ns: int) -> None:
        baselines = loop.evaluator.baselines
        if number == again:
            loop.call("disarm", now_ns, reason="operator")
            loop.call("baseline", now_ns + MS)
        elif not loop.evaluator.armed and baselines.complete:
            loop.call("arm", now_ns)

    loop.run(FRAMES, watch)
    assert loop.recorder.close()
    return loop


def test_a_session_with_a_baseline_that_was_taken_twice_replays_bit_for_bit(session: Relative) -> None:
    report = replay_rules(session.folder)
    assert report.identical, report.first
    assert report.baselines == 2
    fired = {each.rule for each in session.decisions if each.action is Action.FIRE}
    assert fired == {"whisk", "near"}
    first, second = read_session(session.folder).of(BaselineEntry)
    assert set(first.values) == {"pad.amplitude", "neural.pc1"}
    assert first.values != second.values
    assert (first.statistic, first.problems) == ("mean and sd", ())
    assert first.frames == round(SECONDS * 1e9 / PERIOD_NS) + 1
    assert summarise(read_session(session.folder)).state == "closed"


@pytest.mark.parametrize("name", ["mean", "sd"])
def test_a_recorded_number_that_does_not_follow_from_the_frames_is_named(
    session: Relative, tmp_path: Path, name: str
) -> None:
    def other(entry: BaselineEntry) -> list[BaselineEntry]:
        values = {each: dict(value) for each, value in entry.values.items()}
        values["pad.amplitude"][name] *= 1 + 1e-15
        return [dataclasses.replace(entry, values=values)]

    report = replay_rules(changed(session.folder, tmp_path / "s", events(BaselineEntry, other)))
    assert not report.identical
    assert report.first is not None
    assert report.first.what == "baseline"
    assert "by the recorded frames" in report.first.text


def test_the_recorded_numbers_decide(session: Relative, tmp_path: Path) -> None:
    def unreachable(entry: BaselineEntry) -> list[BaselineEntry]:
        values = {each: {**value, "mean": 1e9} for each, value in entry.values.items()}
        return [dataclasses.replace(entry, values=values)]

    report = replay_rules(changed(session.folder, tmp_path / "s", events(BaselineEntry, unreachable)))
    assert report.decision is not None
    assert "was decided and is not" in report.decision.text


def test_one_that_is_not_recorded_is_named(session: Relative, tmp_path: Path) -> None:
    report = replay_rules(changed(session.folder, tmp_path / "s", events(BaselineEntry, lambda entry: [])))
    assert report.baseline is not None
    assert "none is recorded" in report.baseline.text


def test_a_frame_of_the_baseline_that_was_changed_is_named(session: Relative, tmp_path: Path) -> None:
    report = replay_rules(changed(session.folder, tmp_path / "s", flipped_bit(150, 1, 0x00010000)))
    assert report.value is not None
    assert report.value.frame_id == 150
    assert report.baseline is not None
    assert report.first is report.value


def test_other_rules_take_their_own(session: Relative) -> None:
    rules = copy.deepcopy(RELATIVE)
    rules["rules"]["whisk"]["on_above"] = "baseline + 0.4 sd"
    other = replay_rules(session.folder, RulesFile.model_validate(rules))
    assert other.baseline is None
    assert other.decision is not None
