"""A camera that waits for triggers: a pause is a state, for as long as the rig's file says, and no fault."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from support.arming_facts import WELL
from support.manual_loop import CAMERA, ManualLoop, status

from rtface.core.records import TriggerInfo
from rtface.core.status import CameraStatus, PipelineStatus
from rtface.live.loop.status import LoopState
from rtface.live.selftest import self_test

TRIGGER = TriggerInfo("Line0", 40.0, 5.0)
TRIGGERED = replace(CAMERA, rate_hz=40.0, trigger=TRIGGER)


def wait(looped: ManualLoop, seconds: float) -> None:
    """Let time pass without a frame, as the processing thread does."""
    for _ in range(round(seconds * 10)):
        looped.pass_ms(100)
        looped.output.alive()
        looped.loop.idle()


def test_an_armed_loop_waits_over_a_pause_and_goes_on() -> None:
    looped = ManualLoop(camera=TRIGGERED)
    looped.frame(20)
    looped.arm()
    wait(looped, 4.8)
    assert looped.loop.status.state is LoopState.ARMED
    looped.frame(40)
    assert looped.actions() == ["fire"]


def test_a_pause_longer_than_the_longest_ends_it_and_names_the_setting() -> None:
    looped = ManualLoop(camera=TRIGGERED)
    looped.frame(20)
    looped.arm()
    wait(looped, 5.3)
    assert looped.loop.status.state is LoopState.FAULT
    assert "longer than camera.trigger.longest_pause_s 5" in looped.loop.status.why
    assert looped.record.failures == ["camera_lost"]


@pytest.mark.parametrize(
    "camera", [CAMERA, replace(TRIGGERED, trigger=replace(TRIGGER, longest_pause_s=0.0))]
)
def test_without_a_pause_in_the_file_half_a_second_ends_it(camera: object) -> None:
    looped = ManualLoop(camera=camera)  # type: ignore[arg-type]
    looped.frame(20)
    looped.arm()
    wait(looped, 0.8)
    assert looped.loop.status.state is LoopState.FAULT


def test_a_pause_may_be_as_long_as_it_likes() -> None:
    looped = ManualLoop(camera=replace(TRIGGERED, trigger=replace(TRIGGER, longest_pause_s=None)))
    looped.frame(20)
    looped.arm()
    wait(looped, 60)
    assert looped.loop.status.state is LoopState.ARMED


def judged(given: PipelineStatus, trigger: TriggerInfo = TRIGGER) -> tuple[str, str]:
    found = self_test(replace(WELL, camera=replace(TRIGGERED, trigger=trigger), status=given))
    (check,) = (each for each in found.checks if each.what == "frames")
    return check.verdict, check.text


def test_the_rate_of_a_trial_is_what_counts_and_not_that_of_the_last_second() -> None:
    assert judged(replace(status(rate_hz=7.0), camera_hz=40.0)) == (
        "ok",
        "triggered: 40.0 per second, 40 expected",
    )
    assert judged(status(rate_hz=7.0), replace(TRIGGER, rate_hz=None)) == (
        "ok",
        "triggered: their rate is not known yet, irregular",
    )


def test_arming_is_possible_in_a_pause_and_refused_after_one_that_is_too_long() -> None:
    waits = replace(status(rate_hz=0.0), camera_hz=40.0, waits_s=4.0)
    assert judged(waits) == ("ok", "triggered: 40.0 per second, 40 expected; waits for a trigger for 4 s")
    assert judged(replace(waits, waits_s=6.0))[0] == "fail"
    assert judged(replace(waits, waits_s=6.0), replace(TRIGGER, longest_pause_s=None))[0] == "ok"


def test_one_frame_must_have_come() -> None:
    verdict, text = judged(replace(status(rate_hz=0.0), frames=0, camera_hz=math.nan, waits_s=3.0))
    assert (verdict, text) == ("fail", "no frame has come yet")


def test_what_does_not_hold_of_the_camera_blocks_arming() -> None:
    found = self_test(
        replace(WELL, status=replace(status(), camera=CameraStatus(("A is not B", "C is not D"))))
    )
    assert [check.what for check in found.failures] == ["camera"]
    assert found.failures[0].text.startswith("A is not B; C is not D (fake fake 1")


def test_stamps_that_are_not_believed_are_a_warning() -> None:
    found = self_test(replace(WELL, status=replace(status(), camera=CameraStatus(clock="it goes +1%"))))
    assert found.ready
    assert found.checks[0].verdict == "warn"
    assert "cannot be believed: it goes +1%" in found.checks[0].text
