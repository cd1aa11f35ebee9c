"""Thresholds relative to a baseline of the session: what is taken, when it is frozen, and what it cannot say."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.feature_runs import MS, measured, rule

from rtface.core.decision import Reason
from rtface.decide.baseline import MAD_TO_SD, Baselines, Spread, constant, spread_of
from rtface.decide.description import thresholds
from rtface.decide.errors import RulesError
from rtface.decide.rulebank import RuleBank
from rtface.decide.rules import BaselineSpec, RuleSpec
from rtface.decide.syntax import ExpressionError, parse

NAMES = ("x", "y", "neural.strange", "neural.state")


def bank(spec: dict[str, Any] | None = None, **rules: RuleSpec) -> RuleBank:
    declared = BaselineSpec(**{"seconds": 1, "min_frames": 10, **(spec or {})})
    return RuleBank(rules, NAMES, baseline=declared)


class Mouse:
    """Shows frames each 5 ms."""

    def __init__(self, made: RuleBank) -> None:
        self.bank, self.frame_id, self.now_ns = made, 0, 0

    def show(
        self, *values: float, score: float = 1.0, step_ms: float = 5, doubt: Reason | None = None
    ) -> list[str]:
        self.frame_id += 1
        self.now_ns += round(step_ms * MS)
        padded = (*values, *[0.0] * (len(NAMES) - len(values)))
        found = self.bank.frame(
            self.frame_id,
            self.now_ns - MS,
            self.now_ns,
            measured(padded, self.now_ns - MS, score),
            doubt=doubt,
        )
        return [each.action.value for each in found]

    def rest(self, seed: int = 0, frames: int = 400) -> list[float]:
        """Show frames of noise until the baseline is complete; return the values."""
        random, shown = np.random.default_rng(seed), []
        while self.bank.baselines.wanted and len(shown) < frames:
            shown.append(float(random.normal(10, 2)))
            self.show(shown[-1])
        return shown


def test_a_threshold_is_that_many_standard_deviations_above_the_mean_before_arming() -> None:
    mouse = Mouse(bank(over=rule(when="x > baseline + 3 sd")))
    shown = mouse.rest()
    assert len(shown) == 201  # a second, from the first frame to the last
    limit = statistics.fmean(shown) + 3 * statistics.stdev(shown)
    (spread,) = mouse.bank.baselines.spreads().values()
    assert spread == (pytest.approx(statistics.fmean(shown)), pytest.approx(statistics.stdev(shown)), 201)
    mouse.bank.arm(mouse.now_ns)
    assert mouse.show(limit - 1e-6) == []
    assert mouse.show(limit + 1e-6) == ["fire"]
    assert mouse.bank.baselines.as_map()["limits"] == {"x > baseline + 3 sd": pytest.approx(limit)}


def test_until_it_is_complete_nothing_that_rests_on_it_is_known() -> None:
    mouse = Mouse(bank(over=rule(when="x > baseline + 3 sd", refractory_ms=0), plain=rule(when="y > 5")))
    mouse.bank.arm(0)
    assert mouse.show(1e6) == ["withhold"]
    assert mouse.bank.views["over"].withheld is Reason.UNKNOWN_VALUE
    assert mouse.show(1e6, 6) == ["fire"]  # another rule is not held up by it
    assert mouse.bank.baselines.missing_s == 1.0
    assert "1.0 of the 1 s of the baseline are missing" in mouse.bank.baselines.against_arming


def test_what_is_shown_while_armed_or_disbelieved_or_lit_is_not_taken() -> None:
    mouse = Mouse(bank(over=rule(when="x > baseline + sd", ignore_light_ms=20), plain=rule(when="y > 5")))
    mouse.show(1)
    mouse.bank.arm(mouse.now_ns)
    assert mouse.show(500, 6)[-1] == "fire"
    mouse.bank.ended(mouse.now_ns, "plain")
    for _ in range(300):
        mouse.show(500)
    assert mouse.show(500, 6)[-1] == "fire"
    mouse.bank.disarm(mouse.now_ns)
    mouse.show(500)  # beside the light
    for _ in range(30):
        mouse.show(500, doubt=Reason.FROZEN)
    assert mouse.bank.baselines.frames == 1
    mouse.now_ns += 100 * MS
    shown = mouse.rest()
    assert mouse.bank.baselines.frames == len(shown) + 1
    assert mouse.bank.baselines.spreads()["x"].mean == pytest.approx(statistics.fmean([1, *shown]))


def test_time_without_frames_does_not_count() -> None:
    mouse = Mouse(bank(over=rule(when="x > baseline")))
    mouse.show(1)
    mouse.show(2, step_ms=60_000)
    assert mouse.bank.baselines.missing_s == 1.0
    mouse.show(3, step_ms=500)
    assert mouse.bank.baselines.missing_s == 0.5


def test_it_stands_until_it_is_taken_anew_and_not_while_armed() -> None:
    mouse = Mouse(bank(over=rule(when="x > baseline + 3 sd")))
    mouse.rest(1)
    first = mouse.bank.baselines.spreads()
    mouse.rest(2)
    for _ in range(300):
        mouse.show(77)
    assert mouse.bank.baselines.spreads() == first
    mouse.bank.arm(mouse.now_ns)
    mouse.bank.baseline(mouse.now_ns)
    assert mouse.bank.baselines.spreads() == first
    mouse.bank.disarm(mouse.now_ns)
    mouse.bank.baseline(mouse.now_ns)
    assert mouse.bank.baselines.wanted
    assert mouse.bank.baselines.spreads() == {}
    mouse.now_ns += 10_000 * MS
    mouse.rest(3)
    assert mouse.bank.baselines.spreads() != first


def test_hysteresis_and_dwell_hold_against_it_as_against_numbers() -> None:
    spec = rule(
        when=...,
        value="x",
        on_above="baseline + 3 sd",
        off_below="baseline + 1 sd",
        dwell_ms=10,
        refractory_ms=1,
    )
    mouse = Mouse(bank(over=spec))
    mouse.rest()
    mean, sd, _ = mouse.bank.baselines.spreads()["x"]
    mouse.bank.arm(mouse.now_ns)
    shown = [mouse.show(mean + 3.5 * sd) for _ in range(3)]
    assert shown == [[], [], ["fire"]]
    mouse.bank.ended(mouse.now_ns, "over")
    for _ in range(5):
        mouse.show(mean + 2 * sd)
    assert mouse.bank.truths == [1.0]
    mouse.show(mean + 0.5 * sd)
    assert mouse.bank.truths == [0.0]


def test_one_that_is_taken_of_a_constant_allows_no_multiple_of_its_sd() -> None:
    made = bank(over=rule(when="x > baseline + 3 sd"), mean=rule(when="y > baseline * 2"))
    mouse = Mouse(made)
    for _ in range(202):
        mouse.show(4, 5)
    assert made.baselines.complete
    (problem,) = made.baselines.problems
    assert "x was 4 on all the 201 frames of the baseline: its sd is 0" in problem
    assert made.baselines.against_arming == problem
    made.arm(mouse.now_ns)
    assert mouse.show(1e9, 9) == ["withhold"]
    assert mouse.show(4, 11) == ["fire"]  # the mean of a constant is known


def test_too_few_frames_on_which_it_is_known_are_named() -> None:
    made = bank({"min_frames": 50}, over=rule(when="x > baseline + 3 sd"))
    mouse = Mouse(made)
    for number in range(202):
        mouse.show(4 + number % 2 if number < 30 else math.nan)
    assert "x was known on 30 of the 201 frames of the baseline, of 50 that" in made.baselines.against_arming
    assert made.baselines.spreads()["x"].frames == 30


def test_a_low_score_is_not_known() -> None:
    made = bank(over=rule(when="x > baseline + 3 sd"))
    mouse = Mouse(made)
    for number in range(202):
        mouse.show(4 + number % 2, score=0.4)
    assert "known on 0 of" in made.baselines.against_arming


@pytest.mark.parametrize(
    ("text", "x", "holds"),
    [
        ("x < baseline - 2 sd", 5.9, True),
        ("x < baseline - 2 sd", 6.1, False),
        ("baseline - sd < x < baseline + sd", 11.9, True),
        ("baseline - sd < x < baseline + sd", 12.1, False),
        ("abs(x - baseline(x)) > 3 * sd(x)", 3.9, True),
        ("abs(x - baseline(x)) > 3 sd(x)", 4.1, False),
        ("(x - baseline(x)) / sd(x) > 2.5", 15.1, True),
        ("x > 1.5 * baseline", 15.1, True),
        ("x > max(baseline, 14)", 13.9, False),
        ("y + 14 < x", 14.1, True),
        ("2 sd < x", 4.1, True),
        ("not x > baseline", 9.0, True),
    ],
)
def test_the_grammar(text: str, x: float, holds: bool) -> None:
    made = bank(over=rule(when=text))
    made.baselines.adopt({"x": Spread(10.0, 2.0, 100)})
    made.baselines.complete = True
    mouse = Mouse(made)
    made.arm(0)
    assert (mouse.show(x) == ["fire"]) is holds


@pytest.mark.parametrize(
    ("text", "problem", "column"),
    [
        ("x > 3 and baseline > 3", "baseline is that of the one name that it is compared with", 11),
        ("abs(x) > baseline", "elsewhere write baseline(NAME)", 10),
        ("x < baseline < y", "is that of the one name", 5),
        ("sd > 1", "sd is that of the one name", 1),
        ("x > baseline(3)", "baseline takes one name", 14),
        ("x > 3 baseline", "baseline is not expected here", 7),
        ("x > 3 sd sd", "sd is not expected here", 10),
    ],
)
def test_what_cannot_be_read_is_named_with_its_place(text: str, problem: str, column: int) -> None:
    with pytest.raises(ExpressionError, match=problem.replace("(", r"\(").replace(")", r"\)")) as raised:
        parse(text)
    assert raised.value.column == column


@pytest.mark.parametrize("text", ["rule.other > baseline", "neural.state > baseline + sd"])
def test_what_is_no_quantity_has_no_baseline(text: str) -> None:
    with pytest.raises(RulesError, match="is no quantity, and has no baseline"):
        bank(over=rule(when=text), other=rule())


def test_without_its_time_no_rule_may_name_one() -> None:
    with pytest.raises(RulesError, match=r"baseline: \{seconds: 60\}"):
        RuleBank({"over": rule(when="x > baseline")}, NAMES)


def test_a_text_for_a_threshold_is_a_number() -> None:
    for text in ("5 and y > 3", "y > 3", ") or (y < 3", "1) or (y < 3", "1) < (3"):
        with pytest.raises(RulesError):
            bank(over=rule(when=..., value="x", on_above=text))
    assert rule(when=..., value="x", on_above="5", off_below=4).on_above == 5.0


@pytest.mark.parametrize(
    ("limits", "problem"),
    [
        ({"on_above": "baseline + 3 sd", "off_below": "baseline + 5 sd"}, "above on_above"),
        ({"on_above": "baseline + 3 sd", "off_below": 1000}, "off_below is 1000, above on_above"),
        ({"on_below": "baseline - 3 sd", "off_above": "baseline - 5 sd"}, "below on_below"),
        ({"on_above": "baseline + 3 sd", "off_below": "baseline + 1 sd"}, ""),
        ({"on_below": "baseline - 3 sd", "off_above": "baseline"}, ""),
        ({"on_above": 1000, "off_below": 900}, ""),
    ],
)
def test_thresholds_that_turn_out_the_wrong_way_round_arm_nothing(
    limits: dict[str, Any], problem: str
) -> None:
    mouse = Mouse(bank(over=rule(when=..., value="x", **limits), other=rule(when="x > baseline + 3 sd")))
    mouse.rest()
    against = mouse.bank.baselines.against_arming
    assert (problem in against) if problem else not against
    assert not problem or against.startswith("over: off_")


def test_neural_values_have_one_under_the_name_that_they_are_recorded_by() -> None:
    made = bank(over=rule(when="neural.ood > baseline + 3 sd"))
    assert made.baselines.names == ("neural.strange",)
    made.baselines.adopt({"neural.strange": Spread(1.0, 0.5, 9)})
    assert made.baselines.as_map()["limits"] == {"neural.ood > baseline + 3 sd": 2.5}
    spread = {"neural.strange": Spread(1.0, 0.5, 9)}
    assert thresholds(rule(when="neural.ood > baseline + 3 sd"), spread) == {"neural.strange": [(2.5, True)]}
    assert thresholds(rule(when="neural.ood > baseline + 3 sd")) == {}


def test_rules_that_name_none_are_as_before() -> None:
    made = bank(over=rule())
    assert (made.baselines.wanted, made.baselines.against_arming, made.baselines.as_map()) == (False, "", {})
    assert made.baselines.missing_s == 0
    assert Baselines().missing_s == 0


finite = st.floats(-1e6, 1e6)


@settings(max_examples=200, deadline=None)
@given(st.lists(finite, min_size=2, max_size=60), st.randoms(use_true_random=False))
def test_the_numbers_are_the_same_in_any_order_and_those_of_the_textbook(
    samples: list[float], random: Any
) -> None:
    mixed = list(samples)
    random.shuffle(mixed)
    for robust in (False, True):
        assert spread_of(samples, robust=robust) == spread_of(mixed, robust=robust)
    mean, sd, count = spread_of(samples)
    assert count == len(samples)
    assert mean == pytest.approx(statistics.fmean(samples), rel=1e-12, abs=1e-9)
    assert sd == pytest.approx(float(np.std(samples, ddof=1)), rel=1e-6, abs=1e-6)
    middle, spread, _ = spread_of(samples, robust=True)
    assert middle == statistics.median(samples)
    assert spread == MAD_TO_SD * float(np.median(np.abs(np.array(samples) - middle)))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(finite, st.just(math.nan)), min_size=60, max_size=60), st.integers(1, 6), st.booleans()
)
def test_a_rule_against_a_baseline_does_what_the_same_rule_against_its_numbers_does(
    values: list[float], factor: int, robust: bool
) -> None:
    text = f"x > baseline + {factor} sd"
    mouse = Mouse(bank({"robust": robust}, over=rule(when=text, dwell_ms=10, refractory_ms=5)))
    mouse.rest()
    spreads = mouse.bank.baselines.spreads()
    limit = constant(parse(text).parts[1], spreads)
    assert limit is not None
    plain = Mouse(bank(over=rule(when=f"x > {limit!r}", dwell_ms=10, refractory_ms=5)))
    plain.frame_id, plain.now_ns = mouse.frame_id, mouse.now_ns
    for each in (mouse, plain):
        each.bank.arm(each.now_ns)
    assert [mouse.show(value) for value in values] == [plain.show(value) for value in values]


def test_robust_leaves_bouts_out() -> None:
    quiet = [10 + 0.1 * (number % 5) for number in range(160)]
    middle, spread, _ = spread_of([*quiet, *[90.0] * 40], robust=True)
    assert middle == pytest.approx(10.3)
    assert spread < 1 < spread_of([*quiet, *[90.0] * 40]).sd
