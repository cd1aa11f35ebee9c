from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from support.manual_loop import NETWORK, RULES, ManualLoop, status

from rtface.core.clockfit import ClockLine
from rtface.core.decision import Reason
from rtface.core.errors import CameraLostError, ControlError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.status import Gap
from rtface.live.loop.status import LoopState
from rtface.record.session.entries import FaultEntry


@pytest.fixture
def looped() -> ManualLoop:
    return ManualLoop()


def report(
    event: OutputEvent, reason: OutputReason = OutputReason.NONE, number: int | None = None, **fields: Any
) -> Report:
    return Report(number, event, 10**12, fields.pop("state", OutputState.ARMED), reason, **fields)


def test_nothing_fires_before_somebody_arms(looped: ManualLoop) -> None:
    for x in (0, 40, 40, 0, 40):
        looped.frame(x)
    assert looped.actions() == ["withhold", "withhold"]
    assert looped.record.pulses == []
    assert looped.output.state is OutputState.DISARMED
    assert looped.loop.status.state is LoopState.DISARMED


def test_a_request_fires_and_everything_is_recorded_and_announced(looped: ManualLoop) -> None:
    looped.arm()
    looped.frame(0)
    looped.frame(40)
    assert looped.output.state is OutputState.FIRING
    looped.frame(40)
    assert looped.actions() == ["fire"]
    (decision,) = [each for each in looped.record.decisions if each.action == "fire"]
    assert decision.inputs[0][:2] == ("nose.x", 40.0)
    ((number, command, what),) = looped.record.pulses
    assert looped.record.decisions[number] is decision
    assert what == "fire"
    assert [each.event for each in looped.record.replies if each.number == command] == [
        "sent",
        "ack",
        "light_on",
        "light_off",
        "train_ended",
    ]
    assert [name for name, _ in looped.record.calls] == ["arm", "began", "ended"]
    assert [each["event"] for each in looped.kinds("light")] == ["light_on", "light_off", "train_ended"]
    looped.loop.tick(status())
    assert looped.loop.status.lights == 1
    assert looped.loop.status.counts["fire"] == 1
    assert looped.loop.status.rules == {"right": "refractory"}
    assert (looped.record.poses, looped.record.rows, looped.record.frames) == (3, 3, 3)
    assert looped.record.armings == [("armed", "Ada", "asked for")]


def test_when_each_pose_was_published_is_recorded_after_its_decisions(looped: ManualLoop) -> None:
    looped.arm()
    for x in (0, 40, 40):
        looped.frame(x)
        assert len(looped.record.stamps) == looped.record.poses
    assert [frame_id for frame_id, _ in looped.record.stamps] == [0, 1, 2]
    times = [published_ns for _, published_ns in looped.record.stamps]
    assert times == sorted(times)
    (fired,) = [each.now_ns for each in looped.record.decisions if each.action == "fire"]
    assert times[0] < fired < times[1]


def test_the_map_of_the_camera_s_clock_is_recorded_where_it_has_one(looped: ManualLoop) -> None:
    looped.loop.tick(status())
    assert looped.record.maps == []
    line = ClockLine(1, 2.0, 3e-5)
    looped.loop.tick(replace(status(), camera_clock=line))
    assert looped.record.maps == [("camera", line)]


def test_a_decision_that_cannot_be_recorded_is_not_carried_out(looped: ManualLoop) -> None:
    looped.arm()
    looped.frame(0)
    looped.record.full = True
    looped.frame(40)
    assert "fire" not in [command for _, _, command in looped.record.pulses]
    assert looped.output.state is OutputState.DISARMED
    assert looped.loop.status.state is LoopState.FAULT
    assert looped.record.failures == ["disk"]
    assert not any(each.event is OutputEvent.LIGHT_ON for each in looped.record.replies)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (OutputEvent.LOST, "lost"),
        (OutputEvent.TIMEOUT, "did not answer"),
        (OutputEvent.SILENT, "no sign of life"),
    ],
)
def test_an_output_that_fails_ends_in_fault_with_the_light_off(
    looped: ManualLoop, event: OutputEvent, why: str
) -> None:
    looped.arm()
    looped.frame(40)
    looped.output.says.append(report(event, OutputReason.NO_ANSWER))
    looped.frame(40)
    state = looped.loop.status
    assert state.state is LoopState.FAULT
    assert why in state.why
    assert looped.output.state is OutputState.DISARMED
    assert looped.evaluator.faulted
    assert [each["reason"] for each in looped.kinds("fault")] == ["gate"]
    looped.frame(0)
    looped.frame(40)
    assert looped.actions()[-1] == "withhold"


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (OutputReason.TOO_SOON, LoopState.ARMED),
        (OutputReason.STALE, LoopState.ARMED),
        (OutputReason.WINDOW_FULL, LoopState.ARMED),
        (OutputReason.SESSION_DOSE, LoopState.DISARMED),
        (OutputReason.SESSION_PULSES, LoopState.DISARMED),
        (OutputReason.TOO_LONG, LoopState.FAULT),
        (OutputReason.LIMITS_LOST, LoopState.FAULT),
    ],
)
def test_a_refusal_is_what_it_is(looped: ManualLoop, reason: OutputReason, state: LoopState) -> None:
    looped.arm()
    looped.output.refuses = reason
    looped.frame(40)
    assert looped.evaluator.states["right"] == "firing"
    looped.frame(40)
    assert looped.evaluator.states["right"] != "firing"
    assert looped.loop.status.state is state
    assert looped.evaluator.faulted == (state is LoopState.FAULT)
    assert (looped.output.state is OutputState.ARMED) == (state is LoopState.ARMED)


def test_a_pin_that_stops_the_output_stops_the_loop_until_it_is_cleared(looped: ManualLoop) -> None:
    looped.arm()
    looped.output.stop()
    looped.frame(40)
    assert looped.loop.status.state is LoopState.STOPPED
    assert looped.record.armings[-1][:2] == ("emergency", "gate")
    with pytest.raises(ControlError, match="the output is stopped"):
        looped.loop.standing.cleared("Ada")
    looped.output.clear()
    looped.loop.standing.cleared("Ada")
    assert looped.loop.status.state is LoopState.DISARMED
    looped.frame(0)
    looped.frame(40)
    assert looped.output.state is OutputState.DISARMED
    looped.arm()
    looped.frame(0)
    looped.frame(40)
    assert looped.actions()[-1] == "fire"


def test_time_never_goes_back_for_the_rules(looped: ManualLoop) -> None:
    """What the output says is told to the rules before the frame, at a time of its own."""
    for _ in range(3):
        looped.arm()
        looped.frame(40)
        looped.output.stop()
        looped.frame(0)
        looped.loop.idle()
        looped.output.clear()
        looped.loop.standing.cleared("Ada")
    assert "clock" not in {each.reason for each in looped.record.decisions}


def test_an_end_that_is_heard_late_was_told_in_time(looped: ManualLoop) -> None:
    """A camera of 5 frames a second, or a busy computer, is no missing end of a pulse."""
    looped.arm()
    looped.frame(40)
    looped.pass_ms(190)
    looped.frame(40)
    assert looped.loop.status.state is LoopState.ARMED
    assert [name for name, _ in looped.record.calls] == ["arm", "began", "ended"]


def test_an_end_that_nobody_tells_is_a_fault(looped: ManualLoop) -> None:
    looped.arm()
    looped.output.deaf = True
    looped.frame(40)
    looped.pass_ms(60)
    looped.frame(40)
    assert looped.loop.status.state is LoopState.FAULT
    assert looped.output.state is OutputState.DISARMED


def test_a_switch_that_disarms_the_output_disarms_the_loop(looped: ManualLoop) -> None:
    looped.arm()
    looped.output.disarm("the switch")
    looped.frame(0)
    assert looped.loop.status.state is LoopState.DISARMED
    assert looped.record.armings[-1][1] == "gate"


def test_frames_over_the_budget_end_the_session_s_light() -> None:
    looped = ManualLoop(budget="p99 < 5 ms")
    looped.arm()
    for _ in range(100):
        looped.frame(0)
    looped.frame(0, late_ms=6)
    assert looped.loop.status.state is LoopState.ARMED
    looped.frame(0, late_ms=6)
    assert looped.loop.status.state is LoopState.FAULT
    assert "2 of the last 100 frames were late for p99 < 5 ms" in looped.loop.status.why
    assert looped.output.state is OutputState.DISARMED


def test_frames_over_the_budget_before_arming_are_forgotten() -> None:
    looped = ManualLoop(budget="p99 < 5 ms")
    for _ in range(5):
        looped.frame(0, late_ms=8)
    assert looped.loop.status.state is LoopState.DISARMED
    looped.arm()
    looped.frame(0, late_ms=3)
    assert looped.loop.status.state is LoopState.ARMED


def test_no_frames_no_light(looped: ManualLoop) -> None:
    looped.arm()
    looped.frame(0)
    for _ in range(5):
        looped.pass_ms(99)
        looped.loop.idle()
    assert looped.loop.status.state is LoopState.ARMED
    looped.pass_ms(99)
    looped.loop.idle()
    assert looped.loop.status.state is LoopState.FAULT
    assert "no frame came for" in looped.loop.status.why


def test_a_camera_that_is_lost_and_comes_back_is_recorded_and_only_a_person_arms_again(
    looped: ManualLoop,
) -> None:
    looped.arm()
    looped.frame(40)
    assert looped.output.state is OutputState.FIRING
    lost = Gap(looped.clock.now_ns(), "unplugged", 0)
    looped.loop.gap(lost)
    assert looped.output.state is OutputState.DISARMED
    assert (looped.loop.status.state, looped.loop.status.why) == (LoopState.FAULT, "unplugged")
    back = replace(lost, ended_ns=looped.clock.now_ns(), first_frame_id=2)
    looped.loop.gap(back)
    for _ in range(20):
        looped.frame(0)
        looped.frame(40)
    assert [command for _, _, command in looped.record.pulses] == ["fire", "cancel"], (
        "nothing fires before somebody has cleared and armed"
    )
    assert looped.record.gaps == [lost, back]
    looped.loop.standing.cleared("operator")
    assert looped.loop.status.state is LoopState.DISARMED


def test_a_camera_that_is_lost_leaves_a_disarmed_loop_disarmed(looped: ManualLoop) -> None:
    looped.loop.gap(Gap(looped.clock.now_ns(), "unplugged"))
    assert looped.loop.status.state is LoopState.DISARMED
    assert len(looped.record.gaps) == 1


def test_a_disk_that_fails_disarms_and_one_that_fills_warns(looped: ManualLoop) -> None:
    looped.arm()
    looped.loop.disk_failed(FaultEntry(0, "space", "little room"))
    looped.frame(0)
    assert looped.loop.status.state is LoopState.ARMED
    looped.loop.disk_failed(FaultEntry(0, "write", "disk full"))
    looped.frame(0)
    assert looped.loop.status.state is LoopState.FAULT
    assert looped.loop.status.why == "disk full"


def test_closing_turns_the_light_off_before_anything_else(looped: ManualLoop) -> None:
    looped.arm()
    looped.frame(40)
    assert looped.output.state is OutputState.FIRING
    looped.loop.close(None)
    assert looped.record.closed == "ended"
    assert looped.record.armings[-1] == ("disarmed", "rtface", "the session ended")
    assert OutputEvent.LIGHT_OFF in [each.event for each in looped.record.replies]
    looped.loop.close(None)


def test_a_camera_that_is_lost_is_what_the_record_ends_with(looped: ManualLoop) -> None:
    looped.arm()
    looped.frame(40)
    looped.loop.close(CameraLostError("gone"))
    assert looped.record.failures == ["camera_lost"]
    assert looped.record.closed == "CameraLostError: gone"
    assert looped.record.armings[-1][0] == "fault"


def test_arming_twice_or_without_the_output_is_refused(looped: ManualLoop) -> None:
    with pytest.raises(ControlError, match="the output is disarmed, not armed"):
        looped.loop.standing.armed("Ada", [])
    looped.arm()
    with pytest.raises(ControlError, match="the loop is armed"):
        looped.loop.standing.armed("Ada", [])
    looped.loop.standing.disarmed("Ada", "lunch")
    assert looped.loop.status.state is LoopState.DISARMED
    looped.loop.standing.disarmed("Ada", "again")
    assert len(looped.record.armings) == 2


def test_a_stop_in_a_fault_is_recorded_and_both_are_cleared_together(looped: ManualLoop) -> None:
    looped.arm()
    looped.loop.disk_failed(FaultEntry(0, "write", "disk full"))
    looped.frame(0)
    looped.loop.standing.stopped("Eve", "emergency stop")
    assert looped.loop.status.state is LoopState.STOPPED
    assert looped.record.armings[-1] == ("emergency", "Eve", "emergency stop")
    looped.output.clear()
    looped.loop.standing.cleared("Ada")
    assert looped.loop.status.state is LoopState.DISARMED
    assert not looped.evaluator.faulted
    with pytest.raises(ControlError, match="nothing to clear"):
        looped.loop.standing.cleared("Ada")


def test_rules_in_fault_put_a_disarmed_loop_in_fault(looped: ManualLoop) -> None:
    """A clock that went back is such a fault; nobody can arm before it is cleared."""
    looped.evaluator.fault(looped.clock.now_ns(), Reason.CLOCK)
    looped.frame(0)
    assert looped.loop.status.state is LoopState.FAULT
    assert looped.record.failures == ["error"]
    looped.loop.standing.cleared("Ada")
    assert not looped.evaluator.faulted


def test_rules_in_fault_leave_an_emergency_stop_as_it_is(looped: ManualLoop) -> None:
    looped.loop.standing.stopped("Eve", "emergency stop")
    looped.evaluator.fault(looped.clock.now_ns(), Reason.CLOCK)
    looped.frame(0)
    assert looped.loop.status.state is LoopState.STOPPED
    assert looped.record.failures == []


def test_a_blinded_schedule_tells_nobody_which_trials_are_shams() -> None:
    schedule = {"kind": "mixed", "sham": 0.5, "seed": 3, "blind": True}
    rules = {**RULES, "rules": {"right": {**RULES["rules"]["right"], "schedule": schedule}}}
    looped = ManualLoop(rules)
    looped.arm()
    for _ in range(30):
        looped.frame(40)
        for _ in range(12):
            looped.frame(0)
    acted = {each.action for each in looped.record.decisions}
    assert {"fire", "sham"} <= acted
    assert set(looped.actions()) == {"trial"}
    assert looped.kinds("light") == []
    looped.loop.tick(status())
    state = looped.loop.status
    assert set(state.counts) == {"trial", "none"}
    assert (state.lights, state.latency, state.rules) == (0, {}, {})


def test_a_mark_is_told_and_the_second_s_counts_are_recorded(looped: ManualLoop) -> None:
    looped.loop.mark("Ada", "food", {"n": 1})
    assert looped.kinds("mark") == [{"who": "Ada", "text": "food", "details": {"n": 1}}]
    looped.loop.tick(status())
    assert looped.loop.status.as_map()["state"] == "disarmed"


def test_a_record_that_could_not_be_completed_is_a_fault_of_the_record() -> None:
    for completed in (True, False):
        looped = ManualLoop()
        looped.record.completes = completed
        looped.loop.close(None)
        assert (looped.loop.disk_fault is None) == completed


def test_the_status_says_what_each_rule_waits_for_unless_a_schedule_hides_it() -> None:
    looped = ManualLoop()
    looped.arm()
    looped.frame(40.5, late_ms=200)
    looped.loop.tick(status())
    seen = looped.loop.status.as_map()["seen"]
    assert seen["right"] == {"when": "nose.x > 30", "withheld": "stale", "values": {"nose.x": 40.5}}
    schedule = {"kind": "mixed", "sham": 0.5, "block": 2, "seed": 3, "blind": True}
    hidden = ManualLoop({**RULES, "rules": {"right": {**RULES["rules"]["right"], "schedule": schedule}}})
    hidden.arm()
    hidden.frame(40.5, late_ms=200)
    hidden.loop.tick(status())
    assert hidden.loop.status.as_map()["seen"] == {}


RELATIVE: dict[str, Any] = {
    **RULES,
    "baseline": {"seconds": 0.5, "min_frames": 10},
    "rules": {"right": {**RULES["rules"]["right"], "when": "nose.x > baseline + 3 sd"}},
}


def test_a_baseline_is_taken_recorded_shown_and_decided_by() -> None:
    looped = ManualLoop(RELATIVE)
    looped.loop.tick(status())
    assert looped.loop.status.baseline["missing_s"] == 0.5
    for number in range(60):
        looped.frame(20 + number % 2)
    ((found, _),) = looped.record.baselines
    assert found["values"]["nose.x"]["mean"] == pytest.approx(20.5, abs=0.1)
    assert found["problems"] == []
    looped.loop.tick(status())
    shown = looped.loop.status.as_map()["baseline"]
    assert (shown["complete"], shown["missing_s"]) == (True, 0.0)
    (limit,) = shown["limits"].values()
    looped.arm()
    assert looped.actions() == ["withhold"]  # unknown, and disarmed
    looped.frame(limit - 0.01)
    assert looped.actions() == ["withhold"]
    looped.frame(limit + 0.01)
    assert looped.actions() == ["withhold", "fire"]


def test_it_is_taken_anew_by_whoever_asks_while_disarmed() -> None:
    looped = ManualLoop(RELATIVE)
    for number in range(60):
        looped.frame(20 + number % 2)
    looped.arm()
    with pytest.raises(ControlError, match="disarm first"):
        looped.loop.take_baseline("Ada")
    looped.loop.standing.disarmed("Ada", "lunch")
    looped.loop.take_baseline("Ada")
    assert looped.record.armings[-1] == ("baseline", "Ada", "asked for")
    assert looped.record.calls[-1] == ("baseline", {})
    assert not looped.loop.status.baseline["complete"]
    for number in range(60):
        looped.frame(50 + number % 2)
    first, second = (found["values"]["nose.x"]["mean"] for found, _ in looped.record.baselines)
    assert (round(first), round(second)) == (20, 50)


def test_a_baseline_of_another_crop_does_not_hold() -> None:
    looped = ManualLoop(RELATIVE)
    for number in range(60):
        looped.frame(20 + number % 2)
    assert not looped.loop.baselines.against_arming
    looped.loop.network_changed(NETWORK)
    assert looped.record.armings[-1] == ("baseline", "rtface", "the crop was changed")
    assert looped.record.calls[-1] == ("baseline", {})
    assert "are missing" in looped.loop.baselines.against_arming


def test_there_is_none_to_take_where_no_rule_names_one(looped: ManualLoop) -> None:
    with pytest.raises(ControlError, match="no rule of this service names a baseline"):
        looped.loop.take_baseline("Ada")
