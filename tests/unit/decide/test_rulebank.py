"""The rules of a session: each reason to withhold, each command, each record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from support.feature_runs import MS, measured, rule, rule_bank

from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.errors import UsageError
from rtface.core.features import NEVER_NS
from rtface.core.records import Pulse
from rtface.decide.errors import RulesError
from rtface.decide.rulebank import GRACE_NS, PUNCTUAL_NS, RuleBank


class Rig:
    """Frames each 5 ms, decided on 3 ms after exposure."""

    def __init__(self, made: RuleBank, *, armed: bool = True) -> None:
        self.bank, self.frame_id, self.now_ns = made, 0, 0
        self.decisions: list[Decision] = made.arm(0) if armed else []

    def show(
        self, *values: float, score: float = 1.0, frames: int = 1, age_ms: float = 3, step_ms: float = 5,
        skip: int = 0, exposures: Sequence[int] | None = None, extra: Any = None,
    ) -> list[Decision]:  # fmt: skip
        """Show frames; return the decisions of these alone."""
        found: list[Decision] = []
        for _ in range(frames):
            self.frame_id += 1 + skip
            self.now_ns += round(step_ms * MS)
            exposure_ns = self.now_ns - round(age_ms * MS)
            rests_on = exposure_ns if exposures is None else exposures
            found += self.bank.frame(
                self.frame_id, exposure_ns, self.now_ns, measured(values, rests_on, score), extra
            )
        self.decisions += found
        return found


def short(decisions: Sequence[Decision]) -> list[tuple[str, str]]:
    return [(each.action.value, each.reason.value) for each in decisions]


def test_a_rule_that_holds_fires_once_with_all_that_it_rests_on() -> None:
    rig = Rig(rule_bank(("x", "y"), whisk=rule(when="x > 5 and y < 1")))
    assert rig.show(4, 0) == []
    (fired,) = rig.show(6.5, 0.25, score=0.75)
    assert fired == Decision(
        rule="whisk",
        frame_id=2,
        now_ns=10 * MS,
        session_ns=10 * MS,
        state_before=RuleStatus.ARMED,
        state_after=RuleStatus.FIRING,
        action=Action.FIRE,
        reason=Reason.RULE,
        pulse=Pulse(10 * MS, 10 * MS, 1, 1.0),
        trial=0,
        inputs=(("x", 6.5, 0.75, 3 * MS), ("y", 0.25, 0.75, 3 * MS)),
    )
    assert short(rig.bank.ended(rig.now_ns + 10 * MS, "whisk")) == [("none", "ended")]
    assert rig.show(6.5, 0.25, step_ms=100) == [rig.bank and rig.decisions[-1]]
    assert short(rig.decisions[-1:]) == [("none", "rested")]
    assert rig.show(7, 0, frames=20) == []  # the same request, served
    assert short(rig.show(0, 0) + rig.show(6, 0)) == [("fire", "rule")]


def test_a_rule_that_repeats_requests_again_and_records_what_holds_it_up() -> None:
    rig = Rig(rule_bank(whisk=rule(repeat=True, refractory_ms=20)))
    assert short(rig.show(6)) == [("fire", "rule")]
    assert short(rig.show(6, frames=3)) == [("withhold", "firing")]
    assert short(rig.bank.ended(rig.now_ns, "whisk")) == [("none", "ended")]
    assert short(rig.show(6, frames=3)) == [("withhold", "refractory")]
    assert short(rig.show(6)) == [("none", "rested"), ("fire", "rule")]


def test_a_request_while_another_pulse_runs_waits_unless_it_is_released() -> None:
    rig = Rig(rule_bank(whisk=rule(refractory_ms=50)))
    rig.show(6)
    rig.show(0)
    assert short(rig.show(6)) == [("withhold", "firing")]
    rig.bank.ended(rig.now_ns, "whisk")
    assert short(rig.show(6)) == [("withhold", "refractory")]
    assert short(rig.show(0)) == []
    assert short(rig.show(6)) == [("withhold", "refractory")]
    assert short(rig.show(6, step_ms=50)) == [("none", "rested"), ("fire", "rule")]


@pytest.mark.parametrize(
    ("settings", "frame", "reason"),
    [
        ({}, {"score": 0.49}, "low_score"),
        ({}, {"age_ms": 20.1, "step_ms": 100}, "stale"),
        ({}, {"age_ms": -0.1, "step_ms": 100}, "stale"),
        ({"max_age_ms": 100}, {"exposures": [-91 * MS]}, "stale"),
        ({}, {"exposures": [NEVER_NS]}, "stale"),
        ({}, {"skip": 1}, "gap"),
        ({"max_gap_frames": 2}, {"skip": 3}, "gap"),
        ({"windows": [[1, 2], [3, 4]]}, {}, "window"),
    ],
)
def test_what_speaks_against_a_frame(settings: dict[str, Any], frame: dict[str, Any], reason: str) -> None:
    rig = Rig(rule_bank(("x",), whisk=rule(**settings)))
    rig.show(0)
    (withheld,) = rig.show(6, **frame)
    assert short([withheld]) == [("withhold", reason)]
    assert withheld.pulse is withheld.trial is None
    assert withheld.inputs[0][:2] == ("x", 6.0)
    assert (withheld.state_before, withheld.state_after) == (RuleStatus.ARMED, RuleStatus.WITHHELD)


def test_a_score_that_is_no_number_is_low() -> None:
    rig = Rig(rule_bank((), ("x",), whisk=rule()))
    rig.show(extra=measured([0.0], 2 * MS))
    assert short(rig.show(extra=measured([6.0], 7 * MS, float("nan")))) == [("withhold", "low_score")]


@pytest.mark.parametrize(
    ("settings", "frame"),
    [
        ({"min_score": 0.49}, {"score": 0.49}),
        ({"min_score": 1}, {"score": 1}),
        ({}, {"age_ms": 20, "step_ms": 100}),
        ({}, {"age_ms": 0}),
        ({"max_gap_frames": 2}, {"skip": 2}),
        ({"windows": [[0, 0.01], [0.01, 2]]}, {}),
    ],
)
def test_the_limits_themselves_are_allowed(settings: dict[str, Any], frame: dict[str, Any]) -> None:
    rig = Rig(rule_bank(whisk=rule(**settings)))
    rig.show(0)
    assert short(rig.show(6, **frame)) == [("fire", "rule")]


def test_a_held_request_is_recorded_again_when_the_reason_changes_only() -> None:
    rig = Rig(rule_bank(whisk=rule()))
    said = (
        rig.show(6, score=0.1, frames=5) + rig.show(6, age_ms=30, step_ms=100, frames=5) + rig.show(6, skip=2)
    )
    assert short(said) == [("withhold", "low_score"), ("withhold", "stale"), ("withhold", "gap")]
    assert short(rig.show(6)) == [("fire", "rule")]


def test_a_value_that_cannot_be_known_may_be_a_request() -> None:
    rig = Rig(rule_bank(("x", "y"), whisk=rule(when="x > 5 and y > 5")))
    nan = float("nan")
    assert short(rig.show(nan, 6)) == [("withhold", "unknown_value")]
    assert short(rig.show(nan, 0)) == [("none", "released")]  # false whatever x is
    assert short(rig.show(nan, 6, score=0.2)) == [("withhold", "low_score")]
    assert short(rig.show(6, 6)) == [("fire", "rule")]


def test_a_rule_does_not_hold_through_a_long_time_in_which_nothing_is_known() -> None:
    nan = float("nan")
    rig = Rig(rule_bank(whisk=rule(release="x < 3", pulse={"width_ms": 1}, max_age_ms=20)))
    assert short(rig.show(6, score=0.1)) == [("withhold", "low_score")]
    rig.show(nan, score=0.1, frames=4)  # 15 ms
    assert short(rig.show(4)) == [("fire", "rule")]
    rig.bank.ended(rig.now_ns, "whisk")
    rig.show(0, frames=2)
    rig.show(6, score=0.1)
    rig.show(nan, score=0.1, frames=6)  # 25 ms
    assert short(rig.show(4)) == [("none", "released")]
    assert short(rig.show(6)) == [("fire", "rule")]
    rig.bank.ended(rig.now_ns, "whisk")
    rig.show(nan, frames=9)
    assert [
        each for each in rig.show(6, frames=3) if each.action is Action.FIRE
    ] == []  # still the same request


def test_a_request_held_up_for_too_long_does_not_fire() -> None:
    rig = Rig(rule_bank(whisk=rule(max_delay_ms=20)))
    assert short(rig.show(6, score=0)) == [("withhold", "low_score")]
    assert rig.show(6, score=0, frames=4) == []
    assert short(rig.show(6, frames=3)) == [("withhold", "late")]
    rig.show(0)
    rig.show(6, score=0)
    rig.show(6, score=0, frames=3)
    assert short(rig.show(6)) == [("fire", "rule")]


def test_a_rate_is_kept_over_any_stretch() -> None:
    rig = Rig(rule_bank(whisk=rule(max_rate={"count": 2, "per_s": 0.1}, pulse={"width_ms": 1})))
    fired, withheld = [], 0
    for _ in range(200):
        for each in rig.show(6) + rig.show(0):
            if each.action is Action.FIRE:
                fired.append(each.now_ns)
                rig.bank.ended(rig.now_ns + MS, "whisk")
            withheld += each.reason is Reason.RATE
    assert len(fired) > 30
    assert withheld > 30
    assert all(third - first >= 100 * MS for first, third in zip(fired, fired[2:], strict=False))
    assert any(third - first < 110 * MS for first, third in zip(fired, fired[2:], strict=False))


def test_a_rule_has_only_so_many_pulses() -> None:
    rig = Rig(rule_bank(whisk=rule(max_pulses=2, pulse={"width_ms": 1})))
    for _ in range(5):
        rig.show(6)
        rig.bank.ended(rig.now_ns, "whisk")
        rig.show(0)
    assert [each.reason for each in rig.decisions if each.action is Action.WITHHOLD] == [Reason.SPENT] * 3
    assert [each.trial for each in rig.decisions if each.action is Action.FIRE] == [0, 1]


def test_there_is_one_light_and_the_higher_priority_has_it() -> None:
    rig = Rig(rule_bank(low=rule(), high=rule(priority=1), same=rule()))
    said = rig.show(6)
    assert [(each.rule, each.reason.value) for each in said] == [
        ("high", "rule"),
        ("low", "busy"),
        ("same", "busy"),
    ]
    rig.bank.ended(rig.now_ns, "high")
    assert [(each.rule, each.action.value) for each in rig.show(6)] == [
        ("high", "none"),
        ("low", "fire"),
    ]


def test_frames_that_are_not_newer_are_gaps_and_count_for_nothing() -> None:
    made = rule_bank(whisk=rule(dwell_ms=10))
    made.arm(0)
    made.frame(10, 10 * MS, 11 * MS, measured([6], 10 * MS))
    for frame_id, exposure_ms in ((10, 10), (9, 5), (12, 10)):
        assert made.frame(frame_id, exposure_ms * MS, 12 * MS, measured([6], 10 * MS)) == []
    assert short(made.frame(11, 20 * MS, 21 * MS, measured([6], 20 * MS))) == [("fire", "rule")]
    made.ended(30 * MS, "whisk")
    made.frame(12, 30 * MS, 31 * MS, measured([0], 30 * MS))
    made.frame(13, 40 * MS, 41 * MS, measured([6], 40 * MS))
    made.frame(14, 50 * MS, 51 * MS, measured([6], 50 * MS, 0.1))
    assert short(made.frame(14, 50 * MS, 52 * MS, measured([6], 50 * MS))) == [("withhold", "gap")]


def test_a_camera_that_counts_anew_is_one_gap() -> None:
    rig = Rig(rule_bank(whisk=rule(max_gap_frames=5)))
    rig.show(0, frames=100)
    rig.frame_id = 0
    assert short(rig.show(6)) == [("withhold", "gap")]
    assert short(rig.show(6)) == [("fire", "rule")]


def test_missing_frames_begin_the_dwell_time_anew() -> None:
    rig = Rig(rule_bank(whisk=rule(dwell_ms=20)))
    assert rig.show(6, frames=4) == []
    assert rig.show(6, skip=1) == []
    assert rig.show(6, frames=3) == []
    assert short(rig.show(6)) == [("fire", "rule")]


def test_frames_that_may_show_the_light_are_not_looked_at() -> None:
    rig = Rig(rule_bank(whisk=rule(ignore_light_ms=10, pulse={"width_ms": 50}), other=rule(when="x < -5")))
    rig.show(6)
    (seen,) = rig.show(-9)  # by the rule that looks at all frames
    assert (seen.rule, seen.reason) == ("other", Reason.BUSY)
    rig.show(0, frames=9)
    rig.bank.ended(rig.now_ns, "whisk")  # at 55 ms: frames exposed up to 65 ms are ignored
    assert short(rig.show(0)) == [("none", "rested")]
    assert (
        rig.show(0) + rig.show(6) == []
    )  # exposed at 62 and 67 ms: for this rule the first request still holds
    rig.show(0)
    assert short(rig.show(6)) == [("fire", "rule")]


def test_hysteresis_dwell_and_release() -> None:
    rig = Rig(
        rule_bank(
            whisk=rule(
                when=...,
                value="x",
                on_above=5,
                off_below=3,
                dwell_ms=10,
                release_ms=10,
                pulse={"width_ms": 1},
            )
        )
    )
    assert rig.show(6, frames=2) + rig.show(5) + rig.show(6, frames=2) == []
    assert short(rig.show(6)) == [("fire", "rule")]
    rig.bank.ended(rig.now_ns, "whisk")
    rig.show(4, frames=10)
    rig.show(2, frames=2)
    assert rig.show(6, frames=5) == []  # released for 5 ms only
    rig.show(2, frames=3)
    assert short(rig.show(6, frames=3)) == [("fire", "rule")]


def test_disarming_and_faults_end_the_light_and_nothing_fires_until_it_is_armed_again() -> None:
    rig = Rig(rule_bank(whisk=rule(refractory_ms=100)))
    rig.show(6)
    assert short(rig.bank.disarm(rig.now_ns, Reason.EMERGENCY)) == [("cancel", "emergency")]
    rig.show(0)
    assert short(rig.show(6, frames=2)) == [("withhold", "disarmed")]
    assert rig.bank.clear(rig.now_ns) == []
    (armed,) = rig.bank.arm(rig.now_ns)
    assert armed.state_after is RuleStatus.REFRACTORY
    assert short(rig.show(6)) == [("withhold", "refractory")]
    assert short(rig.show(6, step_ms=100)) == [("none", "rested"), ("fire", "rule")]
    assert short(rig.bank.fault(rig.now_ns, Reason.CAMERA_LOST)) == [("cancel", "camera_lost")]
    assert rig.bank.arm(rig.now_ns) == []
    assert not rig.bank.armed
    rig.show(0, step_ms=200)
    assert short(rig.show(6)) == [("withhold", "fault")]
    assert short(rig.bank.clear(rig.now_ns)) == [("none", "operator")]
    assert (rig.bank.armed, rig.bank.faulted) == (False, False)
    assert short(rig.show(6)) == [("withhold", "disarmed")]


def test_an_end_that_is_not_reported_in_time_is_a_fault_of_all_rules() -> None:
    rig = Rig(rule_bank(whisk=rule(), other=rule(when="x > 100")))
    rig.show(6)
    due_ns = rig.now_ns + 10 * MS
    assert rig.bank.tick(due_ns + GRACE_NS) == []
    said = rig.bank.tick(due_ns + GRACE_NS + 1)
    assert [(each.rule, each.action.value, each.reason.value) for each in said] == [
        ("whisk", "cancel", "no_end"),
        ("other", "none", "no_end"),
    ]
    assert rig.bank.faulted


def test_the_end_is_due_after_the_light_really_began() -> None:
    rig = Rig(rule_bank(whisk=rule()))
    rig.show(6)
    began_ns = rig.now_ns + 30 * MS
    assert rig.bank.began(began_ns, "whisk") == []
    rig.bank.began(began_ns + 5 * MS, "whisk")  # said twice
    assert rig.bank.tick(began_ns + 10 * MS + GRACE_NS) == []
    assert short(rig.bank.tick(began_ns + 10 * MS + GRACE_NS + 1)) == [("cancel", "no_end")]


def test_the_late_end_of_an_earlier_pulse_does_not_end_this_one() -> None:
    rig = Rig(rule_bank(whisk=rule()))
    rig.show(6)
    rig.bank.disarm(rig.now_ns)
    rig.bank.arm(rig.now_ns)
    rig.show(0)
    rig.show(6)
    assert rig.bank.ended(rig.now_ns, "whisk", trial=0) == []
    assert rig.bank.states == {"whisk": RuleStatus.FIRING}
    assert short(rig.bank.ended(rig.now_ns, "whisk", trial=1)) == [("none", "ended")]


def test_time_that_goes_back_is_a_fault() -> None:
    rig = Rig(rule_bank(whisk=rule()))
    rig.show(6)
    assert short(rig.bank.tick(rig.now_ns - 1)) == [("cancel", "clock")]
    assert rig.bank.faulted


def test_a_sham_is_timed_as_a_pulse_and_nobody_need_say_that_it_ended() -> None:
    rig = Rig(
        rule_bank(
            whisk=rule(schedule={"kind": "mixed", "sham": 1, "seed": 0, "blind": True}, refractory_ms=20)
        )
    )
    (sham,) = rig.show(6)
    assert (sham.action, sham.reason, sham.pulse) == (
        Action.SHAM,
        Reason.SCHEDULE,
        Pulse(10 * MS, 10 * MS, 1, 1.0),
    )
    assert sham.public().action is Action.TRIAL
    assert rig.bank.ended(rig.now_ns, "whisk") == []
    assert short(rig.show(0, frames=2)) == [("none", "ended")]
    assert short(rig.show(0, frames=4)) == [("none", "rested")]


def test_a_catch_leaves_the_trial_out_and_rests() -> None:
    rig = Rig(rule_bank(whisk=rule(schedule={"kind": "mixed", "catch": 1, "seed": 0}, refractory_ms=20)))
    (catch,) = rig.show(6)
    assert (catch.action, catch.pulse, catch.trial) == (Action.CATCH, None, 0)
    assert rig.bank.states == {"whisk": RuleStatus.REFRACTORY}
    assert short(rig.show(0, frames=4)) == [("none", "rested")]


def test_yoked_pulses_come_at_their_times_whatever_the_face_does_and_limits_hold() -> None:
    times = [0.050, 0.100, 0.105, 0.2, 0.3]
    schedule = {"kind": "yoked", "times_s": times, "seed": 0}
    made = rule_bank(whisk=rule(schedule=schedule, windows=[[0, 0.25]], max_gap_frames=100))
    rig = Rig(made)
    fired = []
    for _ in range(80):
        for each in rig.show(0 if rig.now_ns < 150 * MS else 6):
            if each.action is Action.FIRE:
                fired.append(each.session_ns)
                made.ended(rig.now_ns + 1, "whisk") if each.now_ns != 100 * MS else None
        if rig.now_ns == 110 * MS:
            made.ended(rig.now_ns, "whisk")
    assert fired == [50 * MS, 100 * MS, 200 * MS]
    withheld = [each.reason.value for each in rig.decisions if each.action is Action.WITHHOLD]
    assert withheld == ["firing", "schedule", "firing", "schedule", "window", "window"]


def test_a_yoked_time_without_a_frame_is_withheld_not_caught_up() -> None:
    made = rule_bank(whisk=rule(schedule={"kind": "yoked", "times_s": [0.05, 0.06], "seed": 0}))
    made.arm(0)
    assert made.tick(60 * MS + PUNCTUAL_NS - 10 * MS) == []
    assert short(made.tick(50 * MS + PUNCTUAL_NS + 1)) == [("withhold", "late")]
    now_ns = 70 * MS + PUNCTUAL_NS
    assert short(made.frame(0, now_ns, now_ns, measured([0], now_ns)))[0] == ("withhold", "late")


def test_a_rule_s_truth_can_be_used_by_others() -> None:
    made = rule_bank(
        ("x", "y"),
        both=rule(when="rule.moves == 1 and y > 5"),
        moves=rule(when="x > 5", pulse=..., dwell_ms=10, refractory_ms=0),
    )
    rig = Rig(made)
    assert made.states.keys() == {"both"}
    assert rig.show(6, 6, frames=2) == []
    (fired,) = rig.show(6, 6, score=0.75)
    assert fired.inputs == (("rule.moves", 1.0, 0.75, 3 * MS), ("y", 6.0, 0.75, 3 * MS))
    rig.bank.ended(rig.now_ns, "both")
    rig.show(0, 6)
    rig.show(6, 6, frames=2)
    assert short(rig.show(float("nan"), 6)) == [("withhold", "unknown_value")]


def test_further_values_are_named_beside_the_features() -> None:
    made = rule_bank(
        ("x",), ("neural.pc1", "neural.state"), n=rule(when="neural.pc1 > 1.5 and neural.state == 3")
    )
    rig = Rig(made)
    assert short(rig.show(0)) == [("withhold", "low_score")]  # never known
    (fired,) = rig.show(0, extra=measured([2.0, 3.0], 6 * MS, [0.9, 0.8]))
    assert fired.inputs == (("neural.pc1", 2.0, 0.9, 4 * MS), ("neural.state", 3.0, 0.8, 4 * MS))
    with pytest.raises(UsageError, match="1 features and 2 further values"):
        rig.show(0, extra=measured([2.0], 6 * MS))


def test_the_session_s_time_begins_with_the_first_arming_or_before() -> None:
    made = rule_bank(whisk=rule())
    assert made.session_ns(5) is None
    made.arm(100)
    made.disarm(200)
    made.arm(300)
    assert made.session_ns(400) == 300
    other = rule_bank(whisk=rule())
    other.begin(50)
    other.arm(100)
    assert other.session_ns(400) == 350


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"a": rule(when="rule.b == 1"), "b": rule(when="rule.a == 1")}, "circle: a -> b -> a"),
        ({"a": rule(when="rule.a == 0")}, "circle: a -> a"),
        ({"a": rule(when="z > 1")}, r"rules.a.when: no feature is called z"),
        ({"a": rule(release="x >")}, r"rules.a.release: .*column 4"),
        ({"a": rule(when=..., value="x > 1", on_above=2)}, r"rules.a.value: "),
        ({"a b": rule()}, "rules.a b: a rule's name"),
    ],
)
def test_rules_that_cannot_work_are_refused(rules: dict[str, Any], message: str) -> None:
    with pytest.raises(RulesError, match=message):
        rule_bank(**rules)


def test_two_values_of_one_name_are_refused() -> None:
    with pytest.raises(RulesError, match="x is the name of two values"):
        rule_bank(("x",), ("x",))


def test_a_word_about_no_rule_is_an_error() -> None:
    made = rule_bank(whisk=rule(), lends=rule(pulse=...))
    for name in ("wisk", "lends"):
        with pytest.raises(UsageError, match=f"called {name}"):
            made.ended(0, name)


def test_a_view_shows_what_withholds_a_rule_and_its_values_beside_its_condition() -> None:
    rig = Rig(rule_bank(("x", "y"), whisk=rule(when="x > 5 and y < 1", min_score=0.9)))
    assert rig.bank.views["whisk"].values == ()
    rig.show(6.5, 0.25, score=0.75)
    view = rig.bank.views["whisk"]
    assert (view.when, view.withheld) == ("x > 5 and y < 1", Reason.LOW_SCORE)
    assert view.values == (("x", 6.5), ("y", 0.25))
    rig.show(4, float("nan"))
    assert rig.bank.views["whisk"].as_dict() == {
        "when": "x > 5 and y < 1",
        "withheld": None,
        "values": {"x": 4.0, "y": None},
    }
