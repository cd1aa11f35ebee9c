from __future__ import annotations

import pytest
from support.fakes import FakeCamera

from rtface.acquire.stream import Silence
from rtface.core.clock import NS_PER_S, ManualClock
from rtface.core.errors import CameraLostError
from rtface.core.records import TriggerInfo

LIMIT_NS = 2 * NS_PER_S


def test_a_camera_is_lost_once_it_was_silent_for_longer_than_the_limit() -> None:
    clock = ManualClock(1)
    silence = Silence(FakeCamera(), LIMIT_NS, clock)
    silence.begin(clock.now_ns())
    clock.sleep_until_ns(1 + LIMIT_NS)
    silence.check()
    clock.sleep_until_ns(2 + LIMIT_NS)
    with pytest.raises(CameraLostError, match=r"no frame came for 2 s; .* waits for triggers"):
        silence.check()
    silence.begin(clock.now_ns())
    silence.check()


def test_frames_that_all_come_damaged_are_named_with_what_helps() -> None:
    clock, camera = ManualClock(1), FakeCamera()
    camera.lost_at_camera = 7
    silence = Silence(camera, LIMIT_NS, clock)
    silence.begin(clock.now_ns())
    camera.lost_at_camera = 12
    clock.sleep_until_ns(10 * NS_PER_S)
    with pytest.raises(
        CameraLostError, match=r"5 frames came damaged and none whole; .*packet size.*bandwidth"
    ):
        silence.check()


def test_without_a_limit_a_camera_may_be_silent_for_ever() -> None:
    clock = ManualClock(1)
    silence = Silence(FakeCamera(), None, clock)
    clock.sleep_until_ns(10**6 * NS_PER_S)
    silence.check()


@pytest.mark.parametrize("pause_s", [0.0, 60.0, None])
def test_a_pause_of_the_triggers_is_no_silence(pause_s: float | None) -> None:
    clock = ManualClock(1)
    silence = Silence(FakeCamera(), LIMIT_NS, clock)
    silence.trigger = TriggerInfo("Line0", 100.0, pause_s)
    silence.begin(clock.now_ns())
    assert silence.waits_s() == 0
    clock.sleep_until_ns(1 + LIMIT_NS + round((pause_s or 0) * NS_PER_S))
    silence.check()
    assert silence.waits_s() == pytest.approx(2 + (pause_s or 0))
    clock.sleep_until_ns(10**6 * NS_PER_S)
    if pause_s is None:
        silence.check()
    else:
        with pytest.raises(
            CameraLostError, match=f"for {2 + pause_s:g} s; camera.trigger.longest_pause_s is {pause_s:g}"
        ):
            silence.check()
