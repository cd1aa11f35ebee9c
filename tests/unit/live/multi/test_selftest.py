"""Arming with several cameras: every question of each by its name; a lost one is a warning while something is left."""

from __future__ import annotations

from dataclasses import replace

from support.arming_facts import WELL, status

from rtface.core.status import Gap, PipelineState
from rtface.live.selftest import Circumstances, multi_self_test

CAMERAS = {"left": WELL, "right": WELL}
NEEDS = {"one": {"left"}, "both": {"left", "right"}}


def test_each_camera_is_asked_about_by_its_name_and_the_rig_once() -> None:
    verdict = multi_self_test(CAMERAS, (), NEEDS)
    asked = [check.what for check in verdict.checks]
    for what in ("camera", "frames", "engine", "view", "latency"):
        assert [f"left: {what}" in asked, f"right: {what}" in asked] == [True, True]
    assert asked.count("rules") == asked.count("record") == asked.count("gate") == 1
    assert verdict.ready


def test_what_is_wrong_with_one_camera_keeps_from_arming_and_names_it() -> None:
    slow = replace(WELL, status=replace(WELL.status, rate_hz=1.0))
    verdict = multi_self_test({"left": WELL, "right": slow}, (), NEEDS)
    assert [check.what for check in verdict.failures] == ["right: frames"]


def lost() -> Circumstances:
    return replace(WELL, status=replace(status(), state=PipelineState.STOPPED, gap=Gap(1, "unplugged")))


def test_a_lost_camera_is_a_warning_while_a_rule_can_do_without_it() -> None:
    verdict = multi_self_test({"left": WELL, "right": lost()}, ("right",), NEEDS)
    (check,) = [each for each in verdict.checks if each.what.startswith("right:")]
    assert check.verdict == "warn"
    assert "withheld for that: both" in check.text
    assert verdict.ready


def test_a_lost_camera_that_every_rule_needs_keeps_from_arming() -> None:
    verdict = multi_self_test({"left": lost(), "right": WELL}, ("left",), NEEDS)
    assert [check.what for check in verdict.failures] == ["left: frames"]
    assert "every rule needs it" in verdict.failures[0].text
