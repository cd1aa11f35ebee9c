"""Features and thresholds for who looks on: what they say, how often, and only while they are wanted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.manual_loop import RULES, ManualLoop, status

from rtface.core.errors import WireError
from rtface.core.features import Features
from rtface.decide.evaluator import SAME_PICTURES, RuleEvaluator
from rtface.decide.rules import RulesFile
from rtface.live.shown.features import FeatureFeed
from rtface.publish.features import FeaturesMessage

WITH_BASELINE: dict[str, Any] = {
    "baseline": {"seconds": 0.1, "min_frames": 3},
    "features": {"nose": {"kind": "position", "point": "nose(tip)"}},
    "rules": {
        "right": {
            "when": "nose.x > 30",
            "release": "nose.x < 20",
            "unless": "nose.y > 100",
            "pulse": {"width_ms": 5},
        },
        "far": {"when": "nose.x > baseline + 1", "pulse": {"width_ms": 5}},
    },
}


class Shown(ManualLoop):
    features_hz = 1000.0


@pytest.fixture
def looped() -> Shown:
    return Shown(RULES)


def test_the_newest_values_and_why_a_request_is_withheld_stand_side_by_side(looped: Shown) -> None:
    looped.frame(40)
    looped.frame(50, score=0.1)
    first, second = looped.shown
    assert first.names == ("nose.x", "nose.y")
    assert first.units == ("px", "px")
    assert (first.frame_id, first.values.tolist()) == (0, [40, 5])
    assert first.scores.tolist() == pytest.approx([0.9, 0.9])
    rule = {"state": "disarmed", "when": "nose.x > 30", "withheld": "operator", "values": {"nose.x": 40.0}}
    assert first.rules["right"] == rule | {"withheld": first.rules["right"]["withheld"]}
    assert first.rules["right"]["withheld"] is not None
    assert second.rules["right"]["values"] == {"nose.x": None}
    assert np.isnan(second.values[0])
    assert second.exposure_ns - first.exposure_ns > 0


def test_what_is_withheld_while_armed_has_its_reason(looped: Shown) -> None:
    looped.arm()
    looped.frame(0)
    looped.frame(40)
    assert looped.shown[-1].rules["right"]["state"] == "firing"
    for x in (0, 0, 40):
        looped.frame(x)
    assert looped.shown[-1].rules["right"]["withheld"] == "refractory"


@pytest.mark.parametrize(("per_second", "frames"), [(1000.0, 60), (50.0, 30), (10.0, 6), (0.0, 0)])
def test_at_most_so_many_a_second(per_second: float, frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shown, "features_hz", per_second)
    looped = Shown(RULES)
    for _ in range(60):  # 100 a second
        looped.frame(0)
    assert len(looped.shown) == frames


def test_nothing_is_made_while_nobody_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    looped = Shown(RULES)
    looped.features_are_wanted = False
    with monkeypatch.context() as patch:
        patch.setattr("rtface.live.shown.features._message", lambda *each: pytest.fail("made for nobody"))
        looped.frame(0)
    assert looped.shown == []
    looped.features_are_wanted = True
    looped.frame(0)
    assert [each.frame_id for each in looped.shown] == [1]


def test_further_values_that_rules_are_given_are_shown_but_not_the_encoders() -> None:
    sent: list[FeaturesMessage] = []
    extra = ("neural.pc1", "neural.state", SAME_PICTURES, "view.ok")
    evaluator = RuleEvaluator(RulesFile.model_validate(RULES), ("nose(tip)",), 100.0, extra_names=extra)
    looped = ManualLoop(RULES)
    looped.loop.handle = lambda pose: poses.append(pose)  # type: ignore[method-assign]
    poses: list[Any] = []
    looped.loop.published = lambda *rest: None  # type: ignore[method-assign]
    looped.frame(40)
    given = Features(np.array([1.0, 2.0, 3.0, 0.75]), np.array([0.1, 0.2, 1.0, 1.0]), np.zeros(4, np.int64))
    evaluator.evaluate(poses[0], looped.clock.now_ns(), given)
    FeatureFeed(sent.append, lambda: True, 60).publish(evaluator, poses[0], given)
    (message,) = sent
    assert message.names == ("nose.x", "nose.y", SAME_PICTURES, "view.ok")
    assert message.units == ("px", "px", "1", "1")
    assert message.values.tolist() == [40, 5, 3, 0.75]
    assert message.scores.tolist()[2:] == [1, 1]


def test_rules_that_fit_into_no_message_do_not_end_the_loop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(looped: Shown, message: FeaturesMessage) -> None:
        looped.shown.append(message)
        raise WireError("the message would have 70000 bytes")

    monkeypatch.setattr(Shown, "send_features", refuse)
    looped = Shown(RULES)
    for _ in range(3):
        looped.frame(0)
    assert len(looped.shown) == 1
    assert "not published any more: the message would have 70000 bytes" in caplog.text


def test_the_status_has_the_thresholds_those_of_a_baseline_once_it_is_known() -> None:
    looped = ManualLoop(WITH_BASELINE)
    constant = {"nose.x": [[30.0, True], [20.0, False]], "nose.y": [[100.0, False]]}
    assert looped.loop.status.as_map()["thresholds"] == {"right": constant, "far": {}}
    for x in (10, 12, 11, 13, 10) * 4:
        looped.frame(x)
    looped.loop.tick(status())
    mean = looped.loop.status.baseline["values"]["nose.x"]["mean"]
    found = looped.loop.status.as_map()["thresholds"]
    assert found["right"] == constant
    assert found["far"] == {"nose.x": [[pytest.approx(mean + 1), True]]}
    looped.loop.take_baseline("Ada")
    assert looped.loop.status.as_map()["thresholds"]["far"] == {}
