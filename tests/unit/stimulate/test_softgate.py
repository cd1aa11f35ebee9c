from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtface.config import LogOutputSettings, NullOutputSettings
from rtface.core.clock import NS_PER_MS as MS
from rtface.core.clock import ManualClock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.factory import make_output
from rtface.stimulate.null import NullOutput
from rtface.stimulate.softgate import SoftGate, SoftLimits
from rtface.stimulate.softoutput import Action, SoftOutput

LIVENESS_NS = 100 * MS
LIMITS = SoftLimits(max_on_ns=20 * MS, min_off_ns=10 * MS, max_pulses=50)


class Lamp:
    """Notes when it was lit; fails on demand."""

    def __init__(self, *, times_trains: bool = False) -> None:
        self.times_trains = times_trains
        self.lit_ns: int | None = None
        self.spans: list[tuple[int, int]] = []
        self.calls: list[str] = []
        self.broken = False

    def on(self, pulse: Pulse, due_ns: int) -> int:
        self.calls.append("on")
        if self.broken:
            raise OutputError("broken")
        self.lit_ns = due_ns
        return due_ns

    def off(self, due_ns: int) -> int:
        self.calls.append("off")
        if self.broken:
            raise OutputError("broken")
        if self.lit_ns is not None:
            self.spans.append((self.lit_ns, due_ns))
        self.lit_ns = None
        return due_ns


class Rig:
    def __init__(self, lamp: Lamp | None = None, limits: SoftLimits = LIMITS, *, exact: bool = False) -> None:
        self.lamp = lamp or Lamp()
        self.reports: list[Report] = []
        self.gate = SoftGate(self.lamp, limits, LIVENESS_NS, self.reports.append, exact=exact)

    def arm(self, now_ns: int = 0) -> SoftGate:
        self.gate.alive_ns = now_ns
        assert self.gate.arm(now_ns) is OutputReason.NONE
        return self.gate


def test_what_was_due_happens_at_its_time_however_late_one_looks() -> None:
    rig = Rig()
    gate = rig.arm()
    gate.fire(1, Pulse(5 * MS, 20 * MS, 3, 1.0), 1 * MS, 0)
    gate.alive_ns = 10**12
    gate.advance(5000 * MS)
    assert rig.lamp.spans == [(1 * MS, 6 * MS), (21 * MS, 26 * MS), (41 * MS, 46 * MS)]
    assert gate.state is OutputState.ARMED
    assert gate.due_ns == 10**12 + LIVENESS_NS


def test_silence_turns_the_light_off_at_its_time() -> None:
    rig = Rig()
    gate = rig.arm()
    gate.fire(1, Pulse(15 * MS, 30 * MS, 50, 1.0), 0, 0)
    gate.advance(5000 * MS)
    assert rig.lamp.spans[-1] == (90 * MS, 100 * MS)
    silent = next(each for each in rig.reports if each.event is OutputEvent.SILENT)
    assert silent.t_ns == LIVENESS_NS
    assert gate.state is OutputState.DISARMED
    assert gate.due_ns is None


def test_limits_hold() -> None:
    rig = Rig(limits=SoftLimits(20 * MS, 10 * MS, 3, only_full=True))
    gate = rig.arm()
    wanted = {
        1: (Pulse(20 * MS + 1, 0, 1, 1.0), 0, OutputReason.TOO_LONG),
        2: (Pulse(5 * MS, 14 * MS, 2, 1.0), 0, OutputReason.BAD_VALUE),
        3: (Pulse(5 * MS, 0, 1, 0.5), 0, OutputReason.BAD_VALUE),
        4: (Pulse(5 * MS, 15 * MS, 4, 1.0), 0, OutputReason.SESSION_PULSES),
        5: (Pulse(5 * MS, 15 * MS, 2, 1.0), 0, None),
        6: (Pulse(5 * MS, 0, 1, 1.0), 29 * MS, OutputReason.TOO_SOON),
        7: (Pulse(5 * MS, 0, 1, 1.0), 30 * MS, None),
        8: (Pulse(5 * MS, 0, 1, 1.0), 60 * MS, OutputReason.SESSION_PULSES),
    }
    for number, (pulse, now_ns, _) in wanted.items():
        gate.fire(number, pulse, now_ns, now_ns)
    refused = {each.number: each.reason for each in rig.reports if each.event is OutputEvent.REFUSED}
    assert refused == {number: reason for number, (_, _, reason) in wanted.items() if reason}


def test_a_device_that_times_trains_gets_each_once_and_is_made_dark_after_it() -> None:
    rig = Rig(Lamp(times_trains=True))
    gate = rig.arm()
    gate.fire(1, Pulse(5 * MS, 20 * MS, 3, 1.0), 0, 0)
    gate.advance(90 * MS)
    assert rig.lamp.calls == ["on", "off"]
    assert rig.lamp.spans[-1][1] == 50 * MS, "when the device, too, must be through"
    assert [each.t_ns for each in rig.reports if each.event is OutputEvent.LIGHT_OFF] == [
        5 * MS,
        25 * MS,
        45 * MS,
    ]
    gate.fire(2, Pulse(5 * MS, 20 * MS, 3, 1.0), 90 * MS, 0)
    gate.cancel(3, 92 * MS, 0)
    assert rig.lamp.calls == ["on", "off"] * 2


@pytest.mark.parametrize("when", ["on", "off", "cancel"])
def test_a_device_that_fails_is_lost_and_an_attempt_is_made_to_darken_it(when: str) -> None:
    rig = Rig()
    gate = rig.arm()
    rig.lamp.broken = when == "on"
    gate.fire(1, Pulse(5 * MS, 0, 1, 1.0), 0, 0)
    rig.lamp.broken = True
    if when == "off":
        gate.advance(50 * MS)
    elif when == "cancel":
        gate.cancel(2, 1 * MS, 0)
    lost = next(each for each in rig.reports if each.event is OutputEvent.LOST)
    assert lost.number == 1
    assert lost.details == {"error": "broken"}
    assert gate.state is OutputState.FAULT
    assert rig.lamp.calls[-1] == "off"
    gate.advance(10**12)
    gate.alive_ns = 10**12
    assert gate.arm(10**12) is OutputReason.WRONG_STATE
    assert gate.clear(10**12) is OutputReason.WRONG_STATE


class SlowLamp:
    """A lamp of this computer: an edge is made when the computer gets to it, whenever it was due."""

    times_trains = False

    def __init__(self) -> None:
        self.now_ns = 0
        self.edges: list[tuple[str, int]] = []

    def on(self, pulse: Pulse, due_ns: int) -> int:
        self.edges.append(("on", self.now_ns))
        return self.now_ns

    def off(self, due_ns: int) -> int:
        self.edges.append(("off", self.now_ns))
        return self.now_ns

    def spans(self) -> list[tuple[int, int]]:
        """Beginning and end of each light, in nanoseconds."""
        found: list[tuple[int, int]] = []
        began_ns: int | None = None
        for edge, at_ns in self.edges:
            if edge == "on":
                assert began_ns is None
                began_ns = at_ns
            elif began_ns is not None:
                found.append((began_ns, at_ns))
                began_ns = None
        assert began_ns is None, "the light is still on"
        return found


def late_train(stop_ms: int, late_ms: int, *, alive: bool = True) -> tuple[SlowLamp, list[Report], SoftGate]:
    """Run a train of 5 pulses of 5 ms every 20 ms on a computer that stands still once, from `stop_ms` on."""
    lamp, reports = SlowLamp(), []
    gate = SoftGate(lamp, LIMITS, 250 * MS, reports.append)
    gate.alive_ns = 0
    gate.arm(0)
    gate.fire(1, Pulse(5 * MS, 20 * MS, 5, 1.0), 0, 0)
    for ms in [*range(1, stop_ms + 1), *range(stop_ms + late_ms, stop_ms + late_ms + 200)]:
        lamp.now_ns = ms * MS
        if alive:
            gate.alive_ns = ms * MS
        gate.advance(ms * MS)
    return lamp, reports, gate


@pytest.mark.parametrize("alive", [True, False], ids=["alive again first", "silent"])
@pytest.mark.parametrize("late_ms", [45, 60, 10_000])
@pytest.mark.parametrize("stop_ms", [2, 10, 39], ids=["in a pulse", "in a pause", "before a pulse"])
def test_a_late_computer_does_not_finish_its_train(stop_ms: int, late_ms: int, alive: bool) -> None:
    lamp, reports, gate = late_train(stop_ms, late_ms, alive=alive)
    back_ns = (stop_ms + late_ms) * MS
    assert not [at_ns for edge, at_ns in lamp.edges if edge == "on" and at_ns >= back_ns]
    (ended,) = [each for each in reports if each.event is OutputEvent.TRAIN_ENDED]
    assert (ended.reason, ended.t_ns) == (OutputReason.LATE, back_ns)
    lights = [each.t_ns for each in reports if each.event is OutputEvent.LIGHT_ON]
    darks = [each for each in reports if each.event is OutputEvent.LIGHT_OFF]
    assert [(off.t_ns - off.details["on_ns"], off.t_ns) for off in darks] == lamp.spans()
    assert lights == [began_ns for began_ns, _ in lamp.spans()]
    assert all(each.t_ns <= lamp.now_ns for each in reports)
    if alive:
        assert gate.state is OutputState.ARMED


@pytest.mark.parametrize("late_ms", [1, 4, 8, 14, 19])
@pytest.mark.parametrize("stop_ms", [2, 4, 10, 19])
def test_the_shortest_pause_holds_after_the_light_that_happened(stop_ms: int, late_ms: int) -> None:
    lamp, reports, _ = late_train(stop_ms, late_ms)
    spans = lamp.spans()
    assert all(later - ended >= 10 * MS for (_, ended), (later, _) in pairwise(spans))
    (ended,) = [each for each in reports if each.event is OutputEvent.TRAIN_ENDED]
    longest_ns = max(end - begin for begin, end in spans)
    if longest_ns <= 21 * MS:
        assert (len(spans), ended.reason) == (5, OutputReason.COMPLETED)
    else:
        assert (len(spans), ended.reason) == (1, OutputReason.LATE), "longer than the limit"


def test_a_computer_that_stops_while_it_makes_the_light_ends_it_at_once() -> None:
    lamp, reports = SlowLamp(), []
    gate = SoftGate(lamp, LIMITS, 250 * MS, reports.append)
    gate.alive_ns = 0
    gate.arm(0)
    lamp.now_ns = 60 * MS
    gate.fire(1, Pulse(5 * MS, 20 * MS, 5, 1.0), 0, 0)
    assert lamp.edges == [("on", 60 * MS), ("off", 60 * MS)]
    assert [each.reason for each in reports if each.event is OutputEvent.TRAIN_ENDED] == [OutputReason.LATE]


def test_a_single_pulse_that_was_too_long_is_reported_so() -> None:
    lamp, reports = SlowLamp(), []
    gate = SoftGate(lamp, LIMITS, 250 * MS, reports.append)
    gate.alive_ns = 0
    gate.arm(0)
    gate.fire(1, Pulse(5 * MS, 0, 1, 1.0), 0, 0)
    lamp.now_ns = 24 * MS
    gate.advance(lamp.now_ns)
    off, ended = reports[-2:]
    assert (off.reason, off.details["on_ns"]) == (OutputReason.LATE, 24 * MS)
    assert (ended.event, ended.reason) == (OutputEvent.TRAIN_ENDED, OutputReason.LATE)
    gate.fire(2, Pulse(5 * MS, 0, 1, 1.0), 33 * MS, 33 * MS)
    assert reports[-1].reason is OutputReason.TOO_SOON, "10 ms after the light that happened"


class WaitingOutput(SoftOutput):
    """An output whose thread does not run until `run`."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__("the waiting output", clock)
        self.lamp = Lamp()
        self._gate = SoftGate(self.lamp, LIMITS, LIVENESS_NS, self._reports.add)
        self._waiting: list[Action] = []

    def _do(self, action: Action) -> bool:
        self._waiting.append(action)
        return True

    def run(self) -> None:
        assert self._gate is not None
        for action in self._waiting:
            action(self._gate)

    def arm(self) -> None:
        assert self._gate is not None
        self._gate.alive_ns = self._now()
        assert self._gate.arm(self._now()) is OutputReason.NONE


@pytest.mark.parametrize(("waited_ms", "calls"), [(49, ["on"]), (51, []), (10_000, [])])
def test_a_pulse_that_waited_for_its_thread_is_not_fired_late(waited_ms: int, calls: list[str]) -> None:
    clock = ManualClock()
    output = WaitingOutput(clock)
    output.arm()
    number = output.fire(Pulse(5 * MS, 0, 1, 1.0))
    clock.sleep_until_ns(waited_ms * MS)
    assert output._gate is not None
    output._gate.alive_ns = clock.now_ns()
    output.run()
    assert output.lamp.calls == calls
    refused = [each.reason for each in output.reports() if each.number == number]
    assert calls or refused == [OutputReason.STALE]


Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["arm", "fire", "long", "train", "cancel", "disarm", "stop", "clear", "alive", "wait"]
        ),
        st.integers(0, 60),
    ),
    max_size=40,
)


@settings(max_examples=300)
@example(steps=[("alive", 0), ("arm", 31), ("train", 60), ("wait", 21)], times_trains=False)
@given(steps=STEPS, times_trains=st.booleans())
def test_no_sequence_of_calls_lights_what_it_must_not(steps: list[Step], times_trains: bool) -> None:
    lamp = Lamp(times_trains=times_trains)
    rig = Rig(lamp, exact=True)  # every edge is when it is due, however late the next call
    gate, now_ns = rig.gate, 0
    for number, (call, ms) in enumerate(steps):
        now_ns += ms * MS
        gate.advance(now_ns)
        allowed = gate.state is OutputState.ARMED
        on_before = lamp.calls.count("on")
        match call:
            case "arm":
                gate.arm(now_ns)
            case "fire":
                gate.fire(number, Pulse(5 * MS, 0, 1, 1.0), now_ns, now_ns)
            case "long":
                gate.fire(number, Pulse(30 * MS, 0, 1, 1.0), now_ns, now_ns)
            case "train":
                gate.fire(number, Pulse(10 * MS, 25 * MS, 4, 1.0), now_ns, now_ns)
            case "cancel":
                gate.cancel(number, now_ns, now_ns)
            case "disarm":
                gate.disarm(number, now_ns, now_ns, "")
            case "stop":
                gate.stop(number, now_ns, now_ns)
            case "clear":
                gate.clear(now_ns)
            case "alive":
                gate.alive_ns = now_ns
        assert allowed or lamp.calls.count("on") == on_before
        assert call in ("fire", "train") or lamp.calls.count("on") == on_before
        if call in ("cancel", "disarm", "stop"):
            assert lamp.lit_ns is None
        if gate.state is not OutputState.FIRING and not times_trains:
            assert lamp.lit_ns is None
        if gate.state in (OutputState.ARMED, OutputState.FIRING):
            assert now_ns - gate.alive_ns < LIVENESS_NS
    if not times_trains:
        assert all(end - begin <= 20 * MS for begin, end in lamp.spans)
        assert all(later - end >= 10 * MS for (_, end), (later, _) in pairwise(lamp.spans))
    begun = [each.number for each in rig.reports if each.event is OutputEvent.ACK and each.device_us is None]
    ended = [each.number for each in rig.reports if each.event is OutputEvent.TRAIN_ENDED]
    assert len(ended) == len(set(ended))
    assert set(ended) <= set(begun)
    lit = sum(each.event is OutputEvent.LIGHT_ON for each in rig.reports)
    dark = sum(each.event is OutputEvent.LIGHT_OFF for each in rig.reports)
    assert lit - dark in (0, 1)


def test_the_null_output_runs_by_the_clock_that_it_is_given() -> None:
    clock = ManualClock()
    output = NullOutput(NullOutputSettings(liveness_ms=100), clock)
    output.open()
    output.alive()
    output.arm()
    number = output.fire(Pulse(50 * MS, 50 * MS, 1, 0.5))
    clock.sleep_until_ns(90 * MS)
    reports = {each.event: each for each in output.reports() if each.number == number}
    assert reports[OutputEvent.LIGHT_OFF].t_ns == 50 * MS
    assert output.state is OutputState.ARMED
    clock.sleep_until_ns(100 * MS)
    assert output.state is OutputState.DISARMED


def test_the_log_output_names_each_pulse_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    output = make_output(LogOutputSettings(kind="log", path=path))
    output.open()
    output.alive()
    output.arm()
    number = output.fire(Pulse(2 * MS, 2 * MS, 1, 0.25))
    ended: list[Report] = []
    while not any(each.event is OutputEvent.TRAIN_ENDED for each in ended):
        output.alive()
        ended += output.reports()
    output.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["event"] for line in lines] == ["open", "on", "off", "off", "close"]
    assert lines[1]["amplitude"] == 0.25
    on = next(each for each in ended if each.event is OutputEvent.LIGHT_ON)
    assert on.number == number
    assert lines[1]["t_ns"] == on.t_ns
