"""Rules over several cameras: each rests on those that it names, the stalest counts, a lost one withholds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtface.core.decision import Action, Decision, Reason, RuleStatus
from rtface.core.errors import UsageError
from rtface.core.records import FrameMeta, Pose, Stamps
from rtface.decide.errors import RulesError
from rtface.decide.multi import MultiEvaluator, RuleCamera
from rtface.decide.rules import RulesFile

MS = 1_000_000
BEGAN_NS = 10**12
CAMERAS = (RuleCamera("left", ("nose", "paw"), 200.0), RuleCamera("right", ("nose",), 100.0))
PULSE = {"width_ms": 5}
FEATURES = {
    "left.nose": {"kind": "position", "point": "nose"},
    "left.paw": {"kind": "position", "point": "paw"},
    "right.nose": {"kind": "position", "point": "nose"},
}
RULES: dict[str, Any] = {
    "features": FEATURES,
    "rules": {
        "of_left": {"when": "left.nose.x > 100", "refractory_ms": 0, "pulse": PULSE},
        "of_both": {"when": "left.nose.x > 100 and right.nose.x > 100", "refractory_ms": 0, "pulse": PULSE},
    },
}
ONLY_BOTH = RULES | {"rules": {"of_both": RULES["rules"]["of_both"]}}
ONLY_LEFT = RULES | {"rules": {"of_left": RULES["rules"]["of_left"]}}


def evaluator(rules: dict[str, Any] = RULES, **changes: Any) -> MultiEvaluator:
    """Rules over `CAMERAS`, armed."""
    changed = {name: rule | changes for name, rule in rules["rules"].items()}
    made = MultiEvaluator(RulesFile.model_validate(rules | {"rules": changed}), CAMERAS)
    made.call("arm", BEGAN_NS)
    return made


def pose(
    camera: str, number: int, exposure_ns: int, x: float, *, score: float = 1.0, view_ok: float = 1.0
) -> Pose:
    """A frame on which all points lie at x; each another picture."""
    points = 2 if camera == "left" else 1
    xy = np.array([[x + 0.001 * number, 50.0 + number % 7]] * points, np.float32)
    return Pose(
        FrameMeta(number, exposure_ns, exposure_ns, camera=camera),
        Stamps(*[exposure_ns] * 6),
        xy,
        np.full(points, score, np.float32),
        np.zeros(points, bool),
        view_ok=view_ok,
    )


class Rig:
    """Feeds an evaluator frames that are 5 ms old when they are decided on."""

    def __init__(self, made: MultiEvaluator) -> None:
        self.made, self.numbers = made, {"left": 0, "right": 0}

    def frame(self, camera: str, t_ms: float, x: float, skip: int = 0, **how: Any) -> list[Decision]:
        self.numbers[camera] += 1 + skip
        exposure_ns = BEGAN_NS + round(t_ms * MS)
        return self.made.evaluate(
            pose(camera, self.numbers[camera], exposure_ns, x, **how), exposure_ns + 5 * MS
        )


def reasons(found: list[Decision], rule: str) -> list[tuple[str, str]]:
    return [(each.action.value, each.reason.value) for each in found if each.rule == rule]


FIRES = [("fire", "rule")]


def test_a_rule_of_one_camera_needs_no_frame_of_the_other() -> None:
    rig = Rig(evaluator(ONLY_LEFT))
    found = rig.frame("left", 0, 200)
    assert reasons(found, "of_left") == FIRES
    assert (found[0].camera, found[0].frame_id) == ("left", 1)


def test_a_rule_of_both_is_decided_with_the_frame_that_completes_it_and_waits_for_neither() -> None:
    rig = Rig(evaluator(ONLY_BOTH))
    assert (
        rig.frame("left", 0, 200) == []
    )  # the other has sent nothing: nothing is known, and nothing withheld
    found = rig.frame("right", 3, 200)
    assert reasons(found, "of_both") == FIRES
    assert found[0].camera == "right"
    ages = {name: age for name, _, _, age in found[0].inputs}
    assert ages == {"left.nose.x": 8 * MS, "right.nose.x": 5 * MS}  # each value its own age


def test_the_stalest_camera_counts() -> None:
    rig = Rig(evaluator(ONLY_BOTH, max_age_ms=20))
    rig.frame("right", 1, 200)
    for at in range(1, 4):
        rig.frame("left", 5 * at, 0)
    assert reasons(rig.frame("left", 20, 200), "of_both") == [
        ("withhold", "stale")
    ]  # the right one's is 24 ms old
    assert reasons(rig.frame("right", 21, 200), "of_both") == FIRES


def test_a_gap_of_either_camera_counts_until_its_next_frame() -> None:
    rig = Rig(evaluator(ONLY_BOTH, max_age_ms=100))
    rig.frame("left", 0, 0)
    rig.frame("right", 0, 0)
    rig.frame("right", 10, 200, skip=3)
    assert reasons(rig.frame("left", 11, 200), "of_both") == [("withhold", "gap")]
    rig.frame("right", 20, 200)
    assert reasons(rig.frame("left", 21, 200), "of_both") == []  # served on the right one's frame
    assert rig.made.states["of_both"] is RuleStatus.FIRING


def test_each_camera_has_a_view_of_its_own() -> None:
    rig = Rig(evaluator(max_age_ms=100))
    rig.frame("left", 0, 0)
    rig.frame("right", 0, 0)
    assert reasons(rig.frame("right", 10, 200, view_ok=0.1), "of_both") == [("withhold", "unknown_view")]
    found = rig.frame("left", 11, 200)
    assert reasons(found, "of_left") == FIRES
    assert rig.made.views["of_both"].withheld is Reason.UNKNOWN_VIEW


def test_dwell_counts_in_what_both_have_shown() -> None:
    rig = Rig(evaluator(ONLY_BOTH, dwell_ms=20, max_age_ms=100))
    rig.frame("right", 0, 200)
    fired = [at for at in range(1, 12) if reasons(rig.frame("left", 5 * at, 200), "of_both") == FIRES]
    assert fired == []  # 55 ms of the left one say nothing of the right one, which has shown one frame
    rig.frame("right", 56, 200)
    assert rig.made.states["of_both"] is RuleStatus.FIRING


def test_a_lost_camera_withholds_what_rests_on_it_and_nothing_else() -> None:
    rig = Rig(evaluator())
    rig.frame("right", 0, 0)
    rig.frame("left", 1, 0)
    lost = rig.made.call("lost", BEGAN_NS + 10 * MS, camera="right")
    assert [(each.rule, each.action, each.reason) for each in lost] == [
        ("of_both", Action.WITHHOLD, Reason.CAMERA_LOST)
    ]
    assert reasons(rig.frame("left", 12, 200), "of_left") == FIRES
    assert rig.made.lost_cameras == ("right",)


def test_light_that_rests_on_a_camera_ends_when_that_is_lost() -> None:
    rig = Rig(evaluator(ONLY_BOTH))
    rig.frame("right", 0, 200)
    assert reasons(rig.frame("left", 1, 200), "of_both") == FIRES
    lost = rig.made.call("lost", BEGAN_NS + 8 * MS, camera="right")
    assert (lost[0].action, lost[0].reason) == (Action.CANCEL, Reason.CAMERA_LOST)
    assert rig.made.states["of_both"] in (RuleStatus.WITHHELD, RuleStatus.REFRACTORY)


def test_a_camera_that_is_back_counts_again_when_somebody_has_armed() -> None:
    rig = Rig(evaluator(ONLY_BOTH))
    made = rig.made
    rig.frame("right", 0, 0)
    rig.frame("left", 1, 0)
    made.call("lost", BEGAN_NS + 10 * MS, camera="right")
    made.call("back", BEGAN_NS + 50 * MS, camera="right")
    rig.frame("right", 60, 200)
    found = rig.frame("left", 61, 200) + rig.frame("right", 70, 200)
    assert not [each for each in found if each.action is Action.FIRE]
    assert made.views["of_both"].withheld is Reason.CAMERA_LOST
    made.call("disarm", BEGAN_NS + 80 * MS)
    made.call("arm", BEGAN_NS + 81 * MS)
    found = rig.frame("left", 82, 200) + rig.frame("right", 83, 200)
    assert [each.action for each in found].count(Action.FIRE) == 1


def test_a_rule_that_names_a_rule_needs_its_cameras_too() -> None:
    rules = RULES | {
        "rules": {
            "seen": {"when": "right.nose.x > 100"},
            "of_both": {"when": "rule.seen == 1 and left.nose.x > 100", "pulse": PULSE},
        }
    }
    made = evaluator(rules)
    assert made.needs["of_both"] == {"left", "right"}
    rig = Rig(made)
    rig.frame("right", 0, 200)
    assert reasons(rig.frame("left", 1, 200), "of_both") == FIRES


def test_a_rule_of_session_time_alone_goes_by_whatever_frame_comes() -> None:
    rules = RULES | {
        "rules": {"timed": {"schedule": {"kind": "yoked", "seed": 1, "times_s": [0.01]}, "pulse": PULSE}}
    }
    rig = Rig(evaluator(rules))
    rig.made.call("lost", BEGAN_NS + MS, camera="left")
    assert reasons(rig.frame("right", 6, 0), "timed") == FIRES


def test_a_baseline_takes_each_frame_of_a_camera_once() -> None:
    rules = {
        "features": FEATURES,
        "baseline": {"seconds": 0.1, "min_frames": 5},
        "rules": {
            "high": {
                "when": "left.nose.x > baseline + 3 sd and right.nose.x > baseline + 3 sd",
                "pulse": PULSE,
            }
        },
    }
    made = MultiEvaluator(RulesFile.model_validate(rules), CAMERAS)
    rig = Rig(made)
    for at in range(21):
        rig.frame("left", 5 * at, 100 + at % 2)
        if at % 2:
            rig.frame("right", 5 * at + 1, 300 + at % 3)
    found = made.baselines.found()
    assert made.baselines.complete
    assert found["values"]["left.nose.x"]["frames"] == 21
    assert found["values"]["right.nose.x"]["frames"] == 10
    assert found["values"]["right.nose.x"]["mean"] == pytest.approx(301, abs=0.1)


def test_what_does_not_fit_is_said_all_at_once() -> None:
    rules = {
        "features": {
            "nose": {"kind": "position", "point": "nose"},
            "middle.nose": {"kind": "position", "point": "nose"},
            "right.paw": {"kind": "position", "point": "paw"},
        }
    }
    with pytest.raises(RulesError) as refused:
        MultiEvaluator(RulesFile.model_validate(rules), CAMERAS)
    text = str(refused.value)
    assert "features.nose: the feature's name must begin with a camera's and a point: left., right." in text
    assert "features.middle.nose" in text
    assert "paw is not a keypoint of this engine" in text


def test_a_camera_that_there_is_not_is_refused() -> None:
    with pytest.raises(UsageError, match="no camera is called 'middle'; there are left, right"):
        evaluator().call("lost", BEGAN_NS + MS, camera="middle")


def test_what_one_light_may_show_in_any_camera_is_withheld() -> None:
    rig = Rig(evaluator(max_age_ms=100, ignore_light_ms=10))
    rig.frame("right", 0, 200)
    found = rig.frame("left", 1, 200)
    assert reasons(found, "of_left") == FIRES
    rig.made.call("ended", BEGAN_NS + 12 * MS, rule="of_left", trial=0)
    rig.frame("right", 14, 200)  # beside the light
    found = rig.frame("left", 40, 200)
    assert ("withhold", "light") in reasons(found, "of_both") or rig.made.views[
        "of_both"
    ].withheld is Reason.LIGHT


def test_what_rests_when_its_camera_is_lost_is_withheld_with_the_reason_once_it_has_rested() -> None:
    rig = Rig(evaluator(ONLY_BOTH, refractory_ms=50))
    rig.frame("right", 0, 200)
    rig.frame("left", 1, 200)
    rig.made.call("ended", BEGAN_NS + 12 * MS, rule="of_both", trial=0)
    assert rig.made.call("lost", BEGAN_NS + 15 * MS, camera="right") == []
    assert reasons(rig.made.call("tick", BEGAN_NS + 30 * MS), "of_both") == []
    found = reasons(rig.made.call("tick", BEGAN_NS + 70 * MS), "of_both")
    assert found == [("none", "rested"), ("withhold", "camera_lost")]
    assert rig.made.call("tick", BEGAN_NS + 80 * MS) == []
