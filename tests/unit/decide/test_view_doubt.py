"""A view that the engine does not know is told from a face that something covers, and neither fires."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.feature_runs import MS, pose

from rtface.core.decision import Action, Reason
from rtface.core.features import VIEW, Features
from rtface.core.records import Pose
from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rules import RulesFile
from rtface.decide.viewdoubt import OCCLUDED_NS, ViewDoubt

NAMES = tuple(f"point{number}" for number in range(8))
FACE = np.random.default_rng(1).uniform(100, 300, (8, 2))
STEP_NS = 10 * MS


def shown(number: int, view_ok: float, xy: Any = FACE, score: Any = 0.9) -> Pose:
    noise = np.random.default_rng(number).normal(0, 0.1, (8, 2))
    return replace(
        pose(np.asarray(xy) + noise, number * STEP_NS, frame_id=number, score=score), view_ok=view_ok
    )


def doubt(last: Pose, *before: Pose, least: float | None = 0.5) -> Reason | None:
    doubts = ViewDoubt(least)
    for each in before:
        doubts.doubt(each, each.view_ok)
    return doubts.doubt(last, last.view_ok)


def seen(*places: int) -> Any:
    score = np.full(8, 0.1)
    score[list(places)] = 0.9
    return score


def test_a_known_view_is_believed_and_so_is_an_engine_that_keeps_none() -> None:
    assert doubt(shown(1, 0.5)) is None
    assert doubt(shown(1, math.nan)) is None
    assert doubt(shown(1, 0.0), least=None) is None


def test_a_view_that_was_never_known_is_unknown() -> None:
    assert doubt(shown(1, 0.49)) is Reason.UNKNOWN_VIEW
    assert doubt(shown(2, 0.49), shown(1, 0.3)) is Reason.UNKNOWN_VIEW


@pytest.mark.parametrize("places", [(0, 1), (0, 1, 2, 3), tuple(range(8))])
def test_points_that_stay_where_they_were_tell_that_something_covers_the_others(
    places: tuple[int, ...],
) -> None:
    assert doubt(shown(2, 0.1, score=seen(*places)), shown(1, 0.9)) is Reason.OCCLUDED


@pytest.mark.parametrize(
    ("xy", "score"),
    [
        (FACE, seen()),
        (FACE, seen(4)),
        (FACE[::-1], 0.9),
        (FACE + 150, 0.9),
        (FACE * 0.4, 0.9),
        (np.vstack([FACE[:1], FACE[1:] + 150]), 0.9),
    ],
    ids=["nothing seen", "one point seen", "elsewhere", "moved", "another size", "one point stays"],
)
def test_another_view_after_a_known_one_is_unknown(xy: Any, score: Any) -> None:
    assert doubt(shown(2, 0.1, xy, score), shown(1, 0.9)) is Reason.UNKNOWN_VIEW


def test_nothing_covers_a_face_for_ever() -> None:
    known, covered = shown(1, 0.9), seen(0, 1, 2)
    last = OCCLUDED_NS // STEP_NS + 1
    between = [shown(number, 0.1, score=covered) for number in range(2, last, 100)]
    assert doubt(shown(last, 0.1, score=covered), known, *between) is Reason.OCCLUDED
    assert doubt(shown(last + 1, 0.1, score=covered), known, *between) is Reason.UNKNOWN_VIEW


def test_a_clock_that_goes_back_covers_nothing() -> None:
    assert doubt(shown(1, 0.1), shown(5, 0.9)) is Reason.UNKNOWN_VIEW


def evaluator(**settings: Any) -> RuleEvaluator:
    spec = RulesFile.model_validate(
        {
            "features": {"at": {"kind": "position", "point": "point0"}},
            "rules": {"rule": {"when": "at.x > 0", "pulse": {"width_ms": 5}, "refractory_ms": 0}},
            **settings,
        }
    )
    made = RuleEvaluator(spec, NAMES, 100.0, extra_names=(VIEW,), frame=(640, 480))
    made.arm(0)
    return made


def told(made: RuleEvaluator, each: Pose, recorded: float | None = None) -> list[tuple[str, str]]:
    """Return what is decided on a pose; as in a replay, whose poses have no view, where one was recorded."""
    extra = None
    if recorded is not None:
        each = replace(each, view_ok=math.nan)
        extra = Features(np.array([recorded]), np.ones(1), np.array([each.frame.exposure_ns]))
    found = made.evaluate(each, each.frame.exposure_ns + MS, extra)
    return [(one.action.value, one.reason.value) for one in found if one.action is not Action.NONE]


@pytest.mark.parametrize("recorded", [False, True])
def test_rules_withhold_by_default_and_name_the_reason(recorded: bool) -> None:
    made = evaluator()

    def tell(number: int, view_ok: float, score: Any = 0.9, xy: Any = FACE) -> list[tuple[str, str]]:
        return told(made, shown(number, view_ok, xy, score), view_ok if recorded else None)

    assert tell(1, 0.2) == [("withhold", "unknown_view")]
    assert tell(2, 0.8) == [("fire", "rule")]
    made.call("ended", 2 * STEP_NS + 7 * MS, rule="rule", trial=0)


def test_no_feature_takes_in_an_unknown_view() -> None:
    made = evaluator()
    told(made, shown(1, 0.9))
    before = made.features.values.copy()
    told(made, shown(2, 0.1, FACE + 50))
    np.testing.assert_array_equal(made.features.values, before)
    told(made, shown(3, 0.9, FACE + 50))
    assert made.features.values[0] == pytest.approx(before[0] + 50, abs=1)


@pytest.mark.parametrize("settings", [{"input": {"min_view": None}}, {"input": None}])
def test_any_view_will_do_where_the_file_says_so(settings: dict[str, Any]) -> None:
    assert told(evaluator(**settings), shown(1, 0.0)) == [("fire", "rule")]


def test_a_file_may_ask_for_more() -> None:
    strict = evaluator(input={"min_view": 0.8})
    assert told(strict, shown(1, 0.79)) == [("withhold", "unknown_view")]
    with pytest.raises(ValueError, match="min_view"):
        evaluator(input={"min_view": 1.5})


def test_an_occluded_face_does_not_fire_either() -> None:
    made = evaluator(rules={"rule": {"when": "at.x > 1000", "pulse": {"width_ms": 5}}})
    told(made, shown(1, 0.9))
    shifted = FACE.copy()
    shifted[5:] += 200
    assert told(made, shown(2, 0.1, shifted, seen(0, 1, 2, 3))) == [("withhold", "occluded")]


def test_a_light_that_blinds_the_camera_is_recorded_as_a_sham_is() -> None:
    """In the clear of a sealed session nothing may tell the two apart, whether the face requests beside them or not."""
    for over in (0, 1000):
        recorded = []
        for lit in (True, False):
            given = {"pulse": {"width_ms": 5}, "ignore_light_ms": 30, "refractory_ms": 0}
            made = evaluator(
                rules={"rule": {"when": "at.x > 0", **given}, "other": {"when": f"at.x > {over}", **given}}
            )
            found = [told(made, shown(1, 0.9))]
            found += [told(made, shown(number, 0.1 if lit else 0.9)) for number in (2, 3)]
            recorded.append(found)
        assert recorded[0] == recorded[1]
        assert ("fire", "rule") in recorded[0][0]


def test_no_frame_of_an_unknown_view_is_of_the_baseline() -> None:
    rules = {"rule": {"when": "at.x > baseline + 3 sd", "pulse": {"width_ms": 5}}}
    made = evaluator(rules=rules, baseline={"seconds": 1, "min_frames": 10})
    made.disarm(0)
    for number in range(300):
        known = number % 30 < 20
        told(made, shown(number, 0.9 if known else 0.1, FACE + (number % 2 if known else 400)))
    assert made.baselines.complete
    mean, sd, _ = made.baselines.spreads()["at.x"]
    assert (mean, sd) == (pytest.approx(FACE[0, 0] + 0.5, abs=0.1), pytest.approx(0.5, abs=0.05))
