"""Frames that rules do not believe: a picture that stands still, values that cannot be, the light's own flash, a paw."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from support.feature_runs import MS, pose

from rtface.core.decision import Action, Reason
from rtface.core.features import Features
from rtface.core.records import Pose
from rtface.decide.errors import RulesError
from rtface.decide.evaluator import SAME_PICTURES, RuleEvaluator
from rtface.decide.rules import RulesFile

POINTS = ("nose", "mouth", "paw")
REST = np.array([(200.0, 150.0), (300.0, 200.0), (210.0, 150.0)])
FEATURES = {
    "nose": {"kind": "position", "point": "nose"},
    "speed": {"kind": "speed", "point": "nose"},
    "whisk": {"kind": "whisking", "point": "nose"},
    "lips": {"kind": "distance", "points": ["nose", "mouth"], "smooth": {"kind": "one_euro"}},
    "paw": {"kind": "groom", "near_px": 20},
}
PULSE = {"on_ms": 20}
STEP_NS = 5 * MS
Show = Callable[[int, bool], Any]


def rules(rule: Mapping[str, Any], **settings: Any) -> RulesFile:
    rule = {"pulse": PULSE, "refractory_ms": 0, **rule}
    return RulesFile.model_validate({"features": FEATURES, "rules": {"rule": rule}, **settings})


def nose_at(shift_px: float) -> Any:
    """Return the face with its nose so far from rest."""
    return REST + np.array([(shift_px, 0), (0, 0), (0, 0)])


class Watch:
    """Frames each 5 ms, decided on 3 ms after exposure; the light goes off when its pulse has ended."""

    def __init__(self, spec: RulesFile, extra_names: tuple[str, ...] = ()) -> None:
        self.evaluator = RuleEvaluator(spec, POINTS, 200.0, extra_names=extra_names, frame=(640, 480))
        self.evaluator.arm(0)
        self.number, self.lit = 0, False
        self.said: list[tuple[int, str, str]] = []
        self._ends: tuple[int, int | None] | None = None
        self._random = np.random.default_rng(0)

    def show(
        self,
        xy: Any = REST,
        *,
        score: Any = 1.0,
        frames: int = 1,
        still: bool = False,
        same: int | None = None,
    ) -> list[tuple[str, str]]:
        """Show a face, with a camera's noise unless it is still; return what was decided, but for changes of state."""
        before = len(self.said)
        for _ in range(frames):
            self.number += 1
            exposure_ns = self.number * STEP_NS
            now_ns = exposure_ns + 3 * MS
            if self._ends is not None and now_ns >= self._ends[0]:
                self.evaluator.call("ended", now_ns, rule="rule", trial=self._ends[1])
                self._ends, self.lit = None, False
            noise = 0 if still else self._random.normal(0, 0.05, (3, 2))
            made: Pose = pose(np.asarray(xy) + noise, exposure_ns, frame_id=self.number, score=score)
            extra = None
            if same is not None:
                extra = Features(np.array([same], float), np.ones(1), np.array([exposure_ns]))
                same += 1
            for each in self.evaluator.evaluate(made, now_ns, extra):
                if each.action is not Action.NONE:
                    self.said.append((self.number, each.action.value, each.reason.value))
                if each.action is Action.FIRE and each.pulse is not None:
                    self._ends, self.lit = (now_ns + each.pulse.duration_ns + 2 * MS, each.trial), True
        return [(action, reason) for _, action, reason in self.said[before:]]

    def flash(self, frames: int, twitch: range, shift_px: float = 12.0) -> Counter[str]:
        """Move the nose in some frames, and wherever the light is on; return what was done and why not."""
        for number in range(frames):
            moved = self.lit or number in twitch
            self.show(nose_at(shift_px if moved else 0))
        return Counter(action if action != "withhold" else reason for _, action, reason in self.said)


@pytest.mark.parametrize(
    "rule",
    [
        {"when": "speed.speed < 5", "dwell_ms": 500, "refractory_ms": 1000, "repeat": True},
        {"when": "speed.speed < 5 or nose.x > 0", "dwell_ms": 200, "repeat": True},
        {"when": "lips.distance > 0", "dwell_ms": 150, "max_age_ms": 60_000, "repeat": True},
    ],
)
def test_a_picture_that_stands_still_never_fires(rule: dict[str, Any]) -> None:
    watch = Watch(rules(rule))
    watch.show(still=True, frames=12_000)
    assert "fire" not in {action for _, action, _ in watch.said}
    assert watch.said[-1][1:] == ("withhold", "frozen")
    believing = Watch(rules(rule, input=None))  # where that is asked for
    believing.show(still=True, frames=1000)
    assert "fire" in {action for _, action, _ in believing.said}


def test_a_picture_stands_still_after_a_time_and_no_longer_once_it_changes() -> None:
    watch = Watch(rules({"when": "nose.x > 250"}))
    assert watch.show(still=True, frames=24) == []
    assert watch.show(still=True) == [("withhold", "frozen")]  # for 120 ms
    assert watch.show(still=True, frames=50) == []
    assert watch.show() == []
    assert watch.show(REST + 60) == [("fire", "rule")]


def test_what_moved_while_the_picture_stood_still_did_not_move_in_one_frame() -> None:
    watch = Watch(rules({"when": "speed.speed > 1000"}))
    watch.show(still=True, frames=60)
    assert watch.show(REST + 30) == [("withhold", "unknown_value")]
    assert ("fire", "rule") not in watch.show(REST + 30, frames=20)


def test_two_frames_alike_are_a_camera_s_slip_at_any_rate() -> None:
    evaluator = RuleEvaluator(
        rules({"when": "nose.x > 250"}, features={"nose": FEATURES["nose"]}), POINTS, 5.0
    )
    evaluator.arm(0)
    said = []
    for number in range(1, 4):
        exposure_ns = number * 200 * MS
        said.append(evaluator.evaluate(pose(REST, exposure_ns, frame_id=number), exposure_ns + 3 * MS))
    assert said[:2] == [[], []]
    assert said[2][0].reason is Reason.FROZEN


def test_the_pixels_tell_where_the_keypoints_do_not() -> None:
    """A network may give other coordinates for the same crop, as the levels are those of the whole frame."""
    spec = rules({"when": "nose.x > 250"})
    watch = Watch(spec, (SAME_PICTURES,))
    assert watch.show(frames=40, same=1) == [("withhold", "frozen")]
    watch = Watch(spec, (SAME_PICTURES,))
    for _ in range(40):
        assert watch.show(same=1) == []
    unknown = Features(
        np.full(1, np.nan), np.zeros(1), np.zeros(1, np.int64)
    )  # as a record has what was not given
    assert watch.evaluator.evaluate(pose(REST, 10**9, frame_id=99), 10**9 + 3 * MS, unknown) is not None


@pytest.mark.parametrize(
    ("xy", "score"),
    [
        ((math.inf, 1), 1.0),
        ((-math.inf, 1), 1.0),
        ((3e38, 1), 1.0),
        ((1290, 1), 1.0),
        ((300, -490), 1.0),
        ((300, 970), 1.0),
        ((300, 1), 7.0),
        ((300, 1), 1.01),
        ((300, 1), math.inf),
        ((300, 1), -0.5),
    ],
)
@pytest.mark.parametrize("when", ["nose.x > 250", "not nose.x < 250", "nose.x < 250 or nose.x >= 250"])
def test_what_cannot_be_withholds(xy: tuple[float, float], score: float, when: str) -> None:
    watch = Watch(rules({"when": when, "min_score": 0}))
    assert watch.show([xy, *REST[1:]], score=[score, 1, 1]) == [("withhold", "implausible")]
    assert watch.show([(300, 1), *REST[1:]]) == [("fire", "rule")]


def test_a_point_that_is_just_outside_or_not_known_is_believed() -> None:
    watch = Watch(rules({"when": "nose.x > 250"}))
    assert watch.show([(700, -20), (math.nan, math.nan), REST[2]], score=[1, 0, math.nan]) == [
        ("fire", "rule")
    ]


def test_no_filter_takes_in_what_cannot_be() -> None:
    watch, clean = (
        Watch(rules({"when": "whisk.amplitude > 1e9"})),
        Watch(rules({"when": "whisk.amplitude > 1e9"})),
    )
    for number in range(400):
        shown = nose_at(8 * math.sin(0.4 * number))
        for each in (watch, clean):
            each.show(REST * 1e30 if each is watch and number == 200 else shown)
    place = watch.evaluator.bank.names.index("whisk.amplitude")
    assert watch.evaluator.features.values[place] == pytest.approx(
        clean.evaluator.features.values[place], rel=0.1
    )


def test_a_rule_that_holds_goes_on_through_a_frame_that_is_not_believed_for_its_greatest_age() -> None:
    watch = Watch(rules({"when": "nose.x > 250", "dwell_ms": 20}))
    assert watch.show(REST + 60, frames=3) == []
    assert watch.show(REST + 60, score=7) == [("withhold", "implausible")]
    assert watch.show(REST + 60, frames=4) == []  # dwell has begun anew
    assert watch.show(REST + 60) == [("fire", "rule")]


@pytest.mark.parametrize("on_ms", [5, 20, 100])
@pytest.mark.parametrize(
    ("when", "shift_px"),
    [
        ("speed.speed > 200", 12),
        ("whisk.amplitude > 3", 12),
        ("nose.x > 206", 12),
        ("nose.x < 194", -12),
        ("lips.distance < 108", 12),
    ],
)
def test_the_light_s_own_flash_is_no_twitch(on_ms: float, when: str, shift_px: float) -> None:
    done = Watch(rules({"when": when, "pulse": {"on_ms": on_ms}})).flash(2000, range(300, 303), shift_px)
    assert done["fire"] == 1
    assert done["cancel"] == 0


def test_what_the_flash_requests_is_withheld_for_the_light() -> None:
    told = Watch(rules({"when": "speed.speed > 200"}))
    assert told.flash(1000, range(300, 303))["light"] == 1
    believed = Watch(rules({"when": "speed.speed > 200"}, input=None))
    assert believed.flash(1000, range(300, 303))["fire"] > 10


def test_the_flash_does_not_end_what_held_before() -> None:
    """A nose that stays where it is asks once; the flash hides it in each light."""
    watch = Watch(rules({"when": "nose.x > 206"}))
    for _ in range(400):
        watch.show(nose_at(0 if watch.lit else 12))
    assert [action for _, action, _ in watch.said].count("fire") == 1


def test_a_sham_withholds_over_the_same_interval_for_the_same_reason() -> None:
    """The same twitches at the same times: the record of the one is that of the other, but for the trial itself."""
    found = []
    for sham in (0, 1):
        watch = Watch(
            rules({"when": "speed.speed > 200", "schedule": {"kind": "mixed", "sham": sham, "seed": 1}})
        )
        watch.lit = False
        for number in range(400):
            moved = number in range(300, 303) or number in (312, 318)
            watch.show(nose_at(12 if moved else 0))
        found.append([(number, reason) for number, action, reason in watch.said if action == "withhold"])
    assert found[0] == found[1]
    assert Reason.LIGHT.value in {reason for _, reason in found[0]}


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ("nose.x > 1", 5),
        ("speed.speed > 1", 10),
        ("whisk.amplitude > 1", 5 + 2e3 / 6 + 30),
        ("lips.distance > 1", 5 + 3e3 / (2 * math.pi * 2)),
        ("nose.x > 1 and speed.speed > 1", 10),
    ],
)
def test_how_long_beside_a_light_follows_from_frames_and_features(when: str, expected: float) -> None:
    written = RuleEvaluator(rules({"when": when}), POINTS, 200.0).rules.rules["rule"].ignore_light_ms
    assert written == pytest.approx(expected, abs=0.01)
    chosen = RuleEvaluator(rules({"when": when, "ignore_light_ms": 3}), POINTS, 200.0)
    assert chosen.rules.rules["rule"].ignore_light_ms == 3
    believing = RuleEvaluator(rules({"when": when}, input=None), POINTS, 200.0)
    assert believing.rules.rules["rule"].ignore_light_ms is None


def test_a_rule_may_ask_for_no_paw_at_the_mouth() -> None:
    at_mouth, away = [REST[0], REST[1], REST[1] + 5], [REST[0], REST[1], REST[1] + 80]
    watch = Watch(rules({"when": "nose.x > 100", "unless": "paw.groom == 1", "repeat": True}))
    assert watch.show(at_mouth) == [("withhold", "unless")]
    assert watch.show(at_mouth, frames=20) == []
    assert watch.show(away) == [("fire", "rule")]
    unseen = Watch(rules({"when": "nose.x > 100", "unless": "paw.groom == 1"}))
    assert unseen.show([REST[0], REST[1], (math.nan, math.nan)], score=[1, 1, 0]) == [
        ("withhold", "unknown_value")
    ]
    (inputs,) = [
        each.inputs
        for each in unseen.evaluator.evaluate(pose(away, 100 * MS, frame_id=2), 103 * MS)
        if each.action is Action.FIRE
    ]
    assert [name for name, *_ in inputs] == ["nose.x", "paw.groom"]


def test_an_exception_that_cannot_be_read_is_named() -> None:
    with pytest.raises(RulesError, match=r"no feature is called paw\.grom") as caught:
        RuleEvaluator(rules({"when": "nose.x > 1", "unless": "paw.grom == 1"}), POINTS, 200.0)
    assert caught.value.each[0].at == ("rules", "rule", "unless")


def test_rules_that_were_recorded_before_believe_every_frame() -> None:
    spec = rules({"when": "nose.x > 1"})
    assert RulesFile.recorded(spec.model_dump_json()) == spec
    before = spec.model_dump(mode="json")
    del before["input"]
    assert RulesFile.recorded(json.dumps(before)).input is None
