"""Controls: shares, blocks, times; the same seed gives the same session, another seed another."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support.feature_runs import MS, measured, rule, rule_bank

from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.records import Pulse
from rtface.decide.errors import RulesError
from rtface.decide.schedule import Schedule
from rtface.decide.transitions import RuleEvent


def mixed(name: str = "whisk", **settings: Any) -> Schedule:
    return Schedule(name, rule(schedule={"kind": "mixed", "seed": 1, **settings}))


def drawn(made: Schedule, count: int) -> list[RuleEvent]:
    return [made.draw() for _ in range(count)]


def test_without_controls_every_trial_is_light() -> None:
    made = Schedule("whisk", rule())
    assert set(drawn(made, 100)) == {RuleEvent.PASSED}
    assert (made.blind, made.timed, made.times_ns) == (False, False, ())


def test_shares_are_kept_on_average_and_trials_are_independent() -> None:
    events = drawn(mixed(sham=0.3, catch=0.1), 20_000)
    counts = Counter(events)
    expected = {RuleEvent.SHAM: 6000, RuleEvent.CATCH: 2000, RuleEvent.PASSED: 12_000}
    assert stats.chisquare([counts[each] for each in expected], list(expected.values())).pvalue > 0.001
    sham = np.array([each is RuleEvent.SHAM for each in events], float)
    assert abs(np.corrcoef(sham[1:], sham[:-1])[0, 1]) < 0.03


def test_each_block_has_its_exact_share_in_every_order() -> None:
    made = mixed(sham=0.25, catch=0.25, block=4)
    blocks = Counter(tuple(drawn(made, 4)) for _ in range(6000))
    assert all(
        Counter(each) == {RuleEvent.SHAM: 1, RuleEvent.CATCH: 1, RuleEvent.PASSED: 2} for each in blocks
    )
    assert len(blocks) == 12
    assert stats.chisquare(list(blocks.values())).pvalue > 0.001


def test_the_seed_and_the_rule_s_name_are_all_that_chance_rests_on() -> None:
    first = drawn(mixed(sham=0.5), 200)
    assert drawn(mixed(sham=0.5), 200) == first
    assert drawn(mixed(sham=0.5, seed=2), 200) != first
    assert drawn(mixed("other", sham=0.5), 200) != first


def matched(**settings: Any) -> Schedule:
    given = {"kind": "matched", "seed": 5, "span_s": [10, 110], **settings}
    return Schedule("m", rule(schedule=given, pulse={"width_ms": 500}, refractory_ms=500))


def test_matched_times_are_as_many_within_the_span_and_apart_and_spread_evenly() -> None:
    counts = np.zeros(10)
    for seed in range(300):
        times = np.array(matched(count=20, seed=seed).times_ns) / 1e9
        assert len(times) == 20
        assert times[0] >= 10
        assert times[-1] <= 110
        assert np.diff(times).min() >= 1.0 - 1e-6
        counts += np.histogram(times, 10, (10, 110))[0]
    assert stats.chisquare(counts[1:-1]).pvalue > 1e-3  # the first and last have one neighbour alone
    assert matched(count=3).times_ns == matched(count=3).times_ns
    assert matched(count=3).times_ns != matched(count=3, seed=6).times_ns
    assert len(matched(times_s=[1, 2, 3, 4]).times_ns) == 4
    assert len(matched(count=101).times_ns) == 101  # exactly full
    with pytest.raises(RulesError, match=r"rules.m.schedule.span_s: 102 pulses .* take 102 s"):
        matched(count=102)


def test_yoked_times_are_those_of_the_list_in_order() -> None:
    made = Schedule("y", rule(schedule={"kind": "yoked", "times_s": [2.5, 0.1], "seed": 0}))
    assert made.times_ns == (100 * MS, 2500 * MS)
    assert made.timed
    with pytest.raises(RulesError, match="have not been read"):
        Schedule("y", rule(schedule={"kind": "yoked", "source": "other", "seed": 0}))


@pytest.mark.parametrize("blind", [True, False])
def test_what_the_public_sees_tells_light_from_sham_only_where_it_may(blind: bool) -> None:
    made = rule_bank(
        whisk=rule(schedule={"kind": "mixed", "sham": 0.5, "seed": 3, "blind": blind}, pulse={"width_ms": 1})
    )
    said = made.arm(0)
    for index in range(1, 200):
        now_ns = 10 * MS * index
        found = made.frame(index, now_ns, now_ns, measured([6.0 * (index % 2)], now_ns))
        if any(each.action is Action.FIRE for each in found):
            found += made.ended(now_ns + MS, "whisk")
        said += found
    kinds = Counter(each.action for each in said)
    assert kinds[Action.FIRE] > 20
    assert kinds[Action.SHAM] > 20
    public = [each.public() for each in said]
    if not blind:
        assert public == said
        return
    trials = [each for each in public if each.trial is not None]
    assert {(each.action, each.reason, each.pulse, each.state_after) for each in trials} == {
        (Action.TRIAL, Reason.RULE, Pulse(MS, MS, 1, 1.0), RuleStatus.FIRING)
    }
    assert [each for each in public if each.trial is None] == [each for each in said if each.trial is None]


def test_a_decision_is_plain_values_for_messages_and_files() -> None:
    made = Decision("r", 3, 5, None, RuleStatus.ARMED, RuleStatus.FIRING, Action.FIRE, Reason.RULE,
                    Pulse(1, 2, 3, 0.5), 0, (("x", 1.0, 0.5, 7),), True)  # fmt: skip
    assert made.as_dict() == {
        "rule": "r", "frame_id": 3, "now_ns": 5, "session_ns": None, "state_before": "armed",
        "state_after": "firing", "action": "fire", "reason": "rule",
        "pulse": {"on_ns": 1, "period_ns": 2, "count": 3, "amplitude": 0.5},
        "trial": 0, "inputs": [["x", 1.0, 0.5, 7]], "blind": True,
    }  # fmt: skip
