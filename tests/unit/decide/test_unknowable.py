"""What can never be known at a camera's rate."""

from __future__ import annotations

from typing import Any

import pytest

from rtface.decide.evaluator import RuleEvaluator
from rtface.decide.rules import RulesFile
from rtface.decide.unknowable import never_known, never_known_in_words

POINTS = ("eye(back)", "eye(top)", "eye(front)", "eye(bottom)", "mouth", "lowerlip", "nose(tip)", "paw")
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "position": ({"kind": "position", "point": "mouth"}, "f.x > 1 and f.y > 1"),
    "predicted": (
        {"kind": "position", "point": "mouth", "smooth": {"kind": "kalman"}},
        "f.prediction_error > 1",
    ),
    "velocity": ({"kind": "velocity", "point": "mouth"}, "f.vx > 1 and f.vy > 1"),
    "speed": ({"kind": "speed", "point": "mouth"}, "f.speed > 1"),
    "smooth speed": ({"kind": "speed", "point": "mouth", "smooth": {"kind": "one_euro"}}, "f.speed > 1"),
    "motion": ({"kind": "motion"}, "f.motion > 1"),
    "distance": ({"kind": "distance", "points": ["mouth", "paw"]}, "f.distance > 1"),
    "angle": ({"kind": "angle", "points": ["mouth", "paw"]}, "f.angle > 1"),
    "area": ({"kind": "area", "points": ["mouth", "paw", "nose(tip)"]}, "f.area > 1"),
    "whisking": (
        {"kind": "whisking", "point": "mouth", "band_hz": [1, 3]},
        "f.amplitude > 1 and f.frequency > 1 and f.setpoint > 1",
    ),
    "blink": ({"kind": "blink"}, "f.blink == 1 or f.opening < 1"),
    "lick": ({"kind": "lick", "band_hz": [1, 3]}, "f.lick == 1 and f.gape > 0"),
    "groom": ({"kind": "groom", "near_px": 9}, "f.groom == 1 and f.distance > 1"),
}
MOVING = ("predicted", "velocity", "speed", "smooth speed", "motion", "whisking", "blink", "lick")


def rules(kind: str, **settings: Any) -> RulesFile:
    feature, when = KINDS[kind]
    rule = {"when": when, "pulse": {"on_ms": 5}}
    return RulesFile.model_validate({"features": {"f": feature | settings}, "rules": {"rule": rule}})


def at(rate_hz: float, spec: RulesFile) -> RulesFile:
    return RuleEvaluator(spec, POINTS, rate_hz).rules


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate_hz", [7.0, 15.0, 19.0, 200.0])
def test_every_feature_can_be_known_at_every_rate(kind: str, rate_hz: float) -> None:
    assert never_known(at(rate_hz, rules(kind)), POINTS, rate_hz) == {}


@pytest.mark.parametrize("kind", MOVING)
def test_a_gap_shorter_than_a_frame_leaves_movement_unknown(kind: str) -> None:
    for rate_hz, lacks in ((15.0, True), (25.0, False)):
        found = never_known(at(rate_hz, rules(kind, max_gap_ms=50)), POINTS, rate_hz)
        assert (set(found) == {"rule"}) is lacks
    words = never_known_in_words("rule", ("f.speed",), 15.0)
    assert "f.speed can never be known at 15 frames/s" in words
    assert "max_gap_ms must be above 67" in words


def test_what_a_rule_names_through_others_counts() -> None:
    spec = rules("speed", max_gap_ms=50).model_dump()
    spec["rules"]["lends"] = {"when": "rule.rule == 1"}
    spec["rules"]["excepts"] = {"when": "score(f.speed) >= 0", "unless": "rule.lends == 1"}
    spec["rules"]["none"] = {"when": "1 > 0"}
    found = never_known(at(10.0, RulesFile.model_validate(spec)), POINTS, 10.0)
    assert found == dict.fromkeys(("rule", "lends", "excepts"), ("f.speed",))


@pytest.mark.parametrize(
    ("rate_hz", "expected"), [(None, 50), (500.0, 50), (50.0, 50), (25.0, 100), (10.0, 250), (0.01, 60_000)]
)
def test_the_longest_gap_follows_the_camera_s_rate(rate_hz: float | None, expected: float) -> None:
    written = rules("speed").for_camera(rate_hz).features["f"]
    assert written.max_gap_ms == pytest.approx(expected)
    assert rules("speed", max_gap_ms=50).for_camera(rate_hz).features["f"].max_gap_ms == 50
