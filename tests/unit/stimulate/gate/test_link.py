from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_gate import FakeGate

from rtface.core.clock import NS_PER_MS as MS
from rtface.core.clock import NS_PER_S, NS_PER_US
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.gate import codes, protocol
from rtface.stimulate.gate.codes import Kind
from rtface.stimulate.gate.framing import encode
from rtface.stimulate.gate.link import LATEST_FIRE_NS, GateLink, Timing
from rtface.stimulate.gate.requests import TRIES, Answer
from rtface.stimulate.gate.translate import to_message

TIMING = Timing(heartbeat_ns=10 * MS, answer_ns=20 * MS, silence_ns=200 * MS, liveness_ns=100 * MS)
WAY_NS = 100 * NS_PER_US
SHORT = Pulse(5 * MS, 5 * MS, 1, 1.0)


class Rig:
    """The link to a fake gate over a line that takes 0.1 ms each way, in time that moves as it is told.

    `device_us` maps the host's time to the gate's.
    """

    def __init__(self, timing: Timing = TIMING) -> None:
        self.now_ns = 5 * NS_PER_S
        self.device_us: Callable[[int], int] = lambda ns: (ns - 4 * NS_PER_S) // NS_PER_US
        self.reports: list[Report] = []
        self.gate = FakeGate()
        self.link = GateLink(timing, self.reports.append)
        self.alive = True
        self._coming: list[tuple[int, bytes]] = []

    def greet(self) -> None:
        welcome = self.ask(protocol.Hello())
        assert isinstance(welcome, protocol.Welcome)
        self.ask(protocol.GetLimits())

    def arm(self) -> None:
        self.greet()
        self.ask(protocol.Arm(self.gate.welcome.token))
        assert self.link.state is OutputState.ARMED
        self.reports.clear()

    def ask(self, message: protocol.Message) -> Answer:
        answer: Future[Answer] = Future()
        self.link.request(message, answer, self.now_ns)
        self.run(1)
        return answer.result(0)

    def fire(self, number: int = 1, pulse: Pulse = SHORT) -> None:
        self.link.fire(number, pulse, self.now_ns, self.now_ns)

    def say(self, data: bytes) -> None:
        """The gate sends something unasked."""
        self._coming.append((self.now_ns + WAY_NS, data))

    def us(self) -> int:
        return self.device_us(self.now_ns)

    def run(self, ms: float) -> None:
        end_ns = self.now_ns + round(ms * MS)
        while True:
            if self.alive:
                self.link.alive_ns = self.now_ns
            self._flush()
            due = [at for at, _ in self._coming]
            if self.link.due_ns is not None:
                due.append(max(self.link.due_ns, self.now_ns + 1))
            next_ns = min([*due, end_ns])
            if next_ns >= end_ns:
                self.now_ns = end_ns
                return
            self.now_ns = next_ns
            ready = [data for at, data in self._coming if at <= self.now_ns]
            self._coming = [(at, data) for at, data in self._coming if at > self.now_ns]
            for data in ready:
                self.link.received(data, self.now_ns)
            self.link.tick(self.now_ns)

    def _flush(self) -> None:
        if self.link.failure is not None:
            return
        if outgoing := self.link.requests.outgoing:
            self.link.wrote(len(outgoing), self.now_ns)
            at_gate_ns = self.now_ns + WAY_NS
            if answer := self.gate.take(outgoing, self.device_us(at_gate_ns)):
                self._coming.append((at_gate_ns + WAY_NS, answer))

    def of(self, number: int | None) -> list[OutputEvent]:
        return [each.event for each in self.reports if each.number == number]

    def first(self, happening: OutputEvent) -> Report:
        return next(each for each in self.reports if each.event is happening)


def test_the_gates_reasons_have_the_same_names_here() -> None:
    for reason in codes.Reason:
        assert OutputReason(reason.name.lower()).name == reason.name


def test_heartbeats_keep_absolute_time_while_the_caller_lives() -> None:
    rig = Rig()
    rig.greet()
    before = rig.gate.times(protocol.Heartbeat)
    rig.run(1000)
    assert rig.gate.times(protocol.Heartbeat) - before == 100
    assert rig.gate.times(protocol.GetStatus) == 0


def test_heartbeats_end_with_the_callers_signs_of_life_and_come_back_with_them() -> None:
    rig = Rig()
    rig.arm()
    rig.alive = False
    rig.run(95)
    assert not rig.reports
    rig.run(15)
    assert rig.first(OutputEvent.SILENT).reason is OutputReason.HOST_SILENT
    assert isinstance(rig.gate.carried_out[-1], protocol.Disarm)
    assert rig.link.state is OutputState.DISARMED
    beats = rig.gate.times(protocol.Heartbeat)
    rig.run(1000)
    assert rig.gate.times(protocol.Heartbeat) == beats
    assert 15 <= rig.gate.times(protocol.GetStatus) <= 25, "the line is still watched, by questions"
    assert [each.event for each in rig.reports].count(OutputEvent.SILENT) == 1
    rig.alive = True
    rig.run(100)
    assert rig.gate.times(protocol.Heartbeat) >= beats + 9
    assert rig.link.state is OutputState.DISARMED


def test_a_caller_that_was_never_alive_gets_no_heartbeat() -> None:
    rig = Rig()
    rig.alive = False
    rig.greet()
    rig.run(500)
    assert rig.gate.times(protocol.Heartbeat) == 0
    assert rig.gate.times(protocol.GetStatus) > 0


def test_a_lost_answer_is_asked_for_again_and_the_pulse_fires_once() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.lose_answers = 1
    rig.fire()
    rig.run(50)
    seqs = [seq for seq, message in rig.gate.received if isinstance(message, protocol.Pulse)]
    assert len(seqs) == 2
    assert len(set(seqs)) == 1
    assert rig.gate.carried_out.count(to_message(SHORT)) == 1
    assert rig.of(1) == [OutputEvent.SENT, OutputEvent.LIGHT_ON, OutputEvent.ACK]
    assert rig.first(OutputEvent.ACK).details["tries"] == 2


def test_a_pulse_whose_first_try_was_lost_is_refused_rather_than_fired_late() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.lose_requests = 1
    rig.fire()
    rig.run(50)
    assert rig.of(1) == [OutputEvent.SENT, OutputEvent.REFUSED]
    assert rig.first(OutputEvent.REFUSED).reason is OutputReason.STALE
    assert to_message(SHORT) not in rig.gate.carried_out


@pytest.mark.parametrize("question", [protocol.GetLimits(), protocol.GetStatus(), protocol.Hello()])
def test_a_lost_question_is_asked_anew(question: protocol.Message) -> None:
    rig = Rig()
    rig.greet()
    rig.gate.lose_requests = 1
    answer: Future[Answer] = Future()
    rig.link.request(question, answer, rig.now_ns)
    rig.run(250)
    assert not isinstance(answer.result(0), protocol.Nak)


def test_a_command_that_is_never_answered_is_given_up_after_its_tries() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.lose_answers = TRIES
    rig.link.command(protocol.Cancel(), 4, rig.now_ns, rig.now_ns)
    began_ns = rig.now_ns
    rig.run(100)
    assert rig.gate.times(protocol.Cancel) == TRIES
    assert rig.of(4) == [OutputEvent.SENT, OutputEvent.TIMEOUT]
    timeout = rig.first(OutputEvent.TIMEOUT)
    assert timeout.reason is OutputReason.NO_ANSWER
    assert timeout.t_ns - began_ns == TRIES * TIMING.answer_ns


def test_who_waits_for_an_answer_that_never_comes_gets_an_error() -> None:
    rig = Rig()
    rig.greet()
    rig.gate.lose_answers = TRIES
    answer: Future[Answer] = Future()
    rig.link.request(protocol.Clear(1), answer, rig.now_ns)
    rig.run(599)
    assert not answer.done()
    rig.run(2)
    with pytest.raises(OutputError, match="no_answer"):
        answer.result(0)


def test_an_answer_after_giving_up_is_still_told() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.lose_answers = TRIES
    rig.gate.send_events = False
    rig.fire()
    rig.run(70)
    assert rig.of(1) == [OutputEvent.SENT, OutputEvent.TIMEOUT]
    seq = next(seq for seq, message in rig.gate.received if isinstance(message, protocol.Pulse))
    rig.say(rig.gate.take(encode(to_message(SHORT), seq, rig.gate.nonce), rig.us()))
    rig.run(1)
    assert rig.of(1)[-1] is OutputEvent.ACK
    assert rig.first(OutputEvent.ACK).details["late"]


def test_a_second_answer_changes_nothing() -> None:
    rig = Rig()
    rig.arm()
    rig.fire()
    rig.run(1)
    seq = next(seq for seq, message in rig.gate.received if isinstance(message, protocol.Pulse))
    rig.say(rig.gate.take(encode(to_message(SHORT), seq, rig.gate.nonce), rig.us()))
    rig.run(1)
    assert rig.of(1).count(OutputEvent.ACK) == 1


def test_a_gate_that_falls_silent_is_lost_and_spoken_to_no_more() -> None:
    rig = Rig()
    rig.arm()
    rig.fire()
    rig.run(5)
    rig.gate.silent = True
    began_ns = rig.now_ns
    rig.run(150)
    assert OutputEvent.LOST not in rig.of(1)
    rig.run(100)
    lost = rig.first(OutputEvent.LOST)
    assert lost.number == 1
    assert lost.reason is OutputReason.NO_ANSWER
    assert lost.state is rig.link.state is OutputState.FAULT
    assert TIMING.silence_ns <= lost.t_ns - began_ns <= TIMING.silence_ns + 15 * MS
    received = len(rig.gate.received)
    rig.gate.silent = False
    rig.fire(9)
    rig.link.command(protocol.Stop(), 10, rig.now_ns, rig.now_ns)
    rig.run(500)
    assert len(rig.gate.received) == received
    assert rig.of(9) == rig.of(10) == [OutputEvent.REFUSED]
    rig.say(rig.gate.event(Kind.STATE, rig.us()))
    rig.link.received(rig.gate.take(encode(protocol.GetStatus(), 99, rig.gate.nonce), rig.us()), rig.now_ns)
    assert rig.link.state is OutputState.FAULT


def test_a_gate_that_starts_anew_is_lost() -> None:
    rig = Rig()
    rig.arm()
    rig.say(rig.gate.event(Kind.BOOT, 0, value=int(codes.ResetCause.WATCHDOG)))
    rig.run(1)
    lost = rig.first(OutputEvent.LOST)
    assert lost.reason is OutputReason.RESET
    assert lost.details == {"error": "watchdog"}


def test_its_boot_before_the_greeting_is_no_loss() -> None:
    rig = Rig()
    rig.say(b"\x12garbage of a boot loader\0" + rig.gate.event(Kind.BOOT, 0))
    rig.run(1)
    rig.greet()
    assert rig.link.failure is None
    assert not [each for each in rig.reports if each.event is OutputEvent.NOISE]


def test_garbage_is_counted_and_reported_but_not_for_each_byte() -> None:
    rig = Rig()
    rig.arm()
    for _ in range(20):
        rig.say(b"\x99\x98\x97\0")
        rig.run(1)
    rig.run(200)
    rig.say(b"\x99\0")
    rig.run(1)
    noise = [each.details["pieces"] for each in rig.reports if each.event is OutputEvent.NOISE]
    assert noise == [1, 20, 21]
    assert rig.link.state is OutputState.ARMED


def test_an_echo_of_the_hosts_own_words_is_noise() -> None:
    rig = Rig()
    rig.arm()
    rig.say(encode(protocol.Heartbeat(), 3, rig.gate.nonce))
    rig.run(1)
    assert rig.first(OutputEvent.NOISE).details == {"pieces": 1}


@given(st.lists(st.binary(max_size=90), max_size=20))
def test_no_bytes_are_an_exception_or_arm_anything(pieces: list[bytes]) -> None:
    rig = Rig()
    rig.greet()
    for piece in pieces:
        rig.say(piece + b"\0")
        rig.run(1)
    assert rig.link.state is OutputState.DISARMED


def test_a_state_that_the_gate_came_to_by_itself_is_reported_once_with_its_reason() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.state = codes.State.STOPPED
    rig.say(rig.gate.event(Kind.STATE, rig.us(), codes.Reason.STOP_PIN))
    rig.run(100)
    states = [(each.state, each.reason) for each in rig.reports if each.event is OutputEvent.STATE]
    assert states == [(OutputState.STOPPED, OutputReason.STOP_PIN)]


def test_a_state_whose_event_was_lost_is_learned_from_the_next_heartbeat() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.state = codes.State.DISARMED
    rig.run(20)
    assert rig.first(OutputEvent.STATE).state is OutputState.DISARMED


def test_a_train_whose_end_was_never_told_ends_when_the_gate_says_that_nothing_runs() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.send_events = False
    rig.fire()
    rig.run(5)
    rig.gate.state = codes.State.ARMED
    rig.run(15)
    assert OutputEvent.TRAIN_ENDED not in rig.of(1)
    rig.run(30)
    assert rig.first(OutputEvent.TRAIN_ENDED).details == {"presumed": True}
    rig.fire(2)
    rig.run(1)
    assert OutputEvent.ACK in rig.of(2)


def test_a_pulse_that_waited_too_long_in_this_process_is_not_sent() -> None:
    rig = Rig()
    rig.arm()
    rig.link.fire(1, SHORT, rig.now_ns - LATEST_FIRE_NS - 1, rig.now_ns)
    rig.run(1)
    assert rig.first(OutputEvent.REFUSED).reason is OutputReason.STALE
    assert rig.gate.times(protocol.Pulse) == 0


def test_a_new_greeting_voids_what_still_waits() -> None:
    rig = Rig()
    rig.arm()
    rig.fire()
    rig.ask(protocol.Hello())
    assert rig.first(OutputEvent.TIMEOUT).reason is OutputReason.NEW_HELLO
    assert rig.gate.times(protocol.Pulse) == 0


LIMITS = protocol.DEFAULT_LIMITS


@pytest.mark.parametrize(
    ("pulse", "refusal"),
    [
        (Pulse(20 * MS, 20 * MS, 1, 1.0), None),
        (Pulse(20 * MS + 600, 20 * MS, 1, 1.0), OutputReason.TOO_LONG),
        (Pulse(20 * NS_PER_US, 0, 1, 1.0), None),
        (Pulse(19 * NS_PER_US, 0, 1, 1.0), OutputReason.BAD_VALUE),
        (Pulse(5 * MS, 15 * MS, 65535, 0.001), None),
        (Pulse(5 * MS, 15 * MS, 65536, 1.0), OutputReason.BAD_VALUE),
        (Pulse(5 * MS, 15 * MS - 600, 2, 1.0), OutputReason.BAD_VALUE),
        (Pulse(5 * MS, 601 * NS_PER_S, 2, 1.0), OutputReason.BAD_VALUE),
        (Pulse(5 * MS, 0, 1, float("nan")), OutputReason.BAD_VALUE),
        (Pulse(-5 * MS, 0, 1, 1.0), OutputReason.BAD_VALUE),
    ],
)
def test_what_the_gate_would_refuse_is_not_sent(pulse: Pulse, refusal: OutputReason | None) -> None:
    rig = Rig()
    rig.arm()
    rig.fire(1, pulse)
    rig.run(1)
    if refusal is None:
        assert rig.gate.times(protocol.Pulse) == 1
    else:
        assert rig.first(OutputEvent.REFUSED).reason is refusal
        assert rig.gate.times(protocol.Pulse) == 0


def test_more_light_than_the_limits_allow_is_not_sent() -> None:
    rig = Rig()
    rig.gate.limits = replace(LIMITS, max_amplitude=100, amplitude_wired=1)
    rig.arm()
    rig.fire(1, Pulse(5 * MS, 0, 1, 0.396))
    assert rig.first(OutputEvent.REFUSED).reason is OutputReason.TOO_STRONG
    rig.fire(2, Pulse(5 * MS, 0, 1, 0.393))
    rig.run(1)
    assert rig.gate.times(protocol.Pulse) == 1


@given(st.floats(0, 1, exclude_min=True))
def test_amplitudes_map_to_1_to_255_in_their_order(amplitude: float) -> None:
    mapped = to_message(Pulse(5 * MS, 0, 1, amplitude)).amplitude
    assert 1 <= mapped <= 255
    assert abs(mapped - amplitude * 255) <= 1
    assert to_message(Pulse(5 * MS, 0, 1, amplitude / 2)).amplitude <= mapped


@pytest.mark.parametrize("drift", [0.0, 4e-3, -4e-3], ids=["exact", "fast resonator", "slow resonator"])
def test_the_gates_times_are_mapped_to_the_hosts(drift: float) -> None:
    rig = Rig()
    rig.device_us = lambda ns: round((ns - 4 * NS_PER_S) * (1 + drift)) // NS_PER_US
    rig.arm()
    rig.run(3000)
    for number in range(1, 20):
        rig.run(137)
        began_ns = rig.now_ns
        rig.fire(number)
        rig.run(3)
        rig.say(rig.gate.pulse_over(rig.us()))
        rig.run(3)
        on = next(
            each for each in rig.reports if each.number == number and each.event is OutputEvent.LIGHT_ON
        )
        assert on.host_ns is not None
        assert abs(on.host_ns - (began_ns + WAY_NS)) < 50 * NS_PER_US
        assert on.t_ns == began_ns + 2 * WAY_NS
    assert rig.link.reporter.clock.jumps == 0


def test_a_clock_that_stood_still_is_fitted_anew() -> None:
    rig = Rig()
    rig.arm()
    rig.run(500)
    rig.device_us = lambda ns: (ns - 4 * NS_PER_S - 300 * MS) // NS_PER_US
    rig.run(500)
    assert rig.link.reporter.clock.jumps == 1
    began_ns = rig.now_ns
    rig.fire()
    rig.run(1)
    on = rig.first(OutputEvent.LIGHT_ON)
    assert on.host_ns is not None
    assert abs(on.host_ns - (began_ns + WAY_NS)) < 50 * NS_PER_US
    assert rig.first(OutputEvent.CLOCK).details["round_trip_ns"] == 2 * WAY_NS


def test_each_greeting_begins_a_conversation_and_no_frame_of_another_counts() -> None:
    rig = Rig()
    rig.arm()
    old = rig.gate.nonce
    rig.greet()
    assert rig.link.requests.nonce == rig.gate.nonce != old
    armed = protocol.Status(codes.State.ARMED, codes.Reason.NONE, codes.Inputs(0), 0, 0, 0, 0, 0, rig.us())
    rig.reports.clear()
    rig.say(encode(armed, 3, old))
    rig.run(1)
    assert rig.link.state is OutputState.DISARMED


def test_a_gate_that_another_host_has_greeted_is_lost() -> None:
    rig = Rig()
    rig.arm()
    rig.gate.nonce += 1
    rig.run(30)
    assert rig.link.failure is OutputReason.FOREIGN
    assert rig.link.state is OutputState.FAULT


def test_a_gate_that_waits_for_a_greeting_has_begun_anew() -> None:
    rig = Rig()
    rig.arm()
    nobody = protocol.Nak(
        protocol.Heartbeat.TYPE, codes.Reason.NO_HELLO, codes.State.DISARMED, 0, 0, rig.us()
    )
    rig.say(encode(nobody, 1, rig.gate.nonce))
    rig.run(1)
    assert rig.link.failure is OutputReason.RESET


def test_numbers_go_on_beyond_sixteen_bits() -> None:
    rig = Rig()
    rig.arm()
    rig.link.requests._seq = 0xFFF0
    rig.run(300)
    assert max(seq for seq, _ in rig.gate.received) > 0x1_0000
    assert rig.link.state is OutputState.ARMED
