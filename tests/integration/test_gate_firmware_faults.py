"""Everything that can go wrong while the light is on, on the real firmware in emulation, judged by the chip's cycles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from support.gate_host import GateHost, damaged, gate_host, limits_of, ms, need_simavr, proposal, us

from bench.gate.proof import received
from rtface.stimulate.gate.codes import Inputs, Kind, Reason, ResetCause, State
from rtface.stimulate.gate.emulator import CYCLES_PER_US
from rtface.stimulate.gate.framing import encode
from rtface.stimulate.gate.protocol import (
    Ack,
    Arm,
    Cancel,
    Clear,
    Disarm,
    Event,
    GetLimits,
    GetStatus,
    Heartbeat,
    Hello,
    Limits,
    Nak,
    Pulse,
    Status,
    Stop,
    Welcome,
)

LONG = limits_of(max_on_us=400_000, window_on_us=10_000_000)
TIMSK0, TIMSK1, EICRA, EIMSK = 0x6E, 0x6F, 0x69, 0x3D
MEMORY = range(0x100, 0x900)


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


def firing(gate: GateHost, beat_ms: float = 30) -> None:
    """Bring the light on for 400 ms, `beat_ms` of them with heartbeats."""
    gate.arm()
    gate.fire(400_000)
    gate.beat(beat_ms)
    assert gate.gate.log.light_is_on


def test_power_on_is_dark_and_disarmed() -> None:
    with gate_host() as gate:
        gate.gate.run_ms(200)
        assert gate.light == []
        (boot,) = gate.events(Kind.BOOT)
        assert (boot.state, boot.value) == (State.DISARMED, ResetCause.POWER_ON)
        assert gate.hello().state is State.DISARMED


def test_silence_puts_the_light_out_within_the_dead_man_s_time() -> None:
    for deadman in (20, 50, 200):
        with gate_host(limits_of(max_on_us=400_000, window_on_us=10_000_000, deadman_ms=deadman)) as gate:
            firing(gate)
            gate.gate.run_ms(250)
            beats = [r.cycle for r in received(gate.gate.log) if isinstance(r.message, Heartbeat)]
            dark = ms(gate.light[0].off - beats[-1])
            assert deadman - 3 < dark <= deadman
            (end,) = gate.events(Kind.PULSE_ENDED)
            assert end.reason is Reason.SILENCE
            assert gate.status().state is State.DISARMED


def test_heartbeats_that_wait_in_the_queue_count_from_when_they_came() -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        for _ in range(18):
            gate.say(Heartbeat())
        gate.gate.run_ms(100)
        (flash,) = gate.light
        beats = [r.cycle for r in received(gate.gate.log) if isinstance(r.message, Heartbeat)]
        assert 30 < ms(flash.off - beats[-1]) <= 50


@pytest.mark.parametrize("message", [GetStatus(), Pulse(100, 0, 1, 1)])
def test_nothing_but_a_heartbeat_keeps_the_light_on(message: GetStatus | Pulse) -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        for _ in range(12):
            gate.say(message)
            gate.gate.run_ms(5)
        assert not gate.gate.log.light_is_on


@pytest.mark.parametrize("back", [0, 1, 5, 0x7FFF, 0x8000, 0x8001, 0x10000, 99_000])
def test_a_heartbeat_that_is_not_new_keeps_nothing_alive(back: int) -> None:
    with gate_host(LONG) as gate:
        gate.seq = 100_000
        firing(gate)
        stale = gate.seq - back
        last = gate.gate.cycle
        for _ in range(6):
            answer = gate.ask(Heartbeat(), stale)
            assert isinstance(answer, Nak)
            assert answer.reason is Reason.STALE
            gate.gate.run_ms(7)
        assert ms(gate.light[0].off - last) <= 50


@pytest.mark.parametrize("at", [0x7FFF, 0xFFFF, 0x7FFF_FFFF])
def test_sequence_numbers_only_grow(at: int) -> None:
    with gate_host(LONG) as gate:
        gate.seq = at - 15
        firing(gate, beat_ms=300)
        assert gate.seq > at
        assert gate.gate.log.light_is_on
        gate.beat(110)


def test_after_the_last_sequence_number_nothing_is_new() -> None:
    with gate_host(LONG) as gate:
        gate.seq = 0xFFFF_FFFF - 10
        gate.arm()
        gate.seq = 0xFFFF_FFFF - 1
        gate.say(Heartbeat())
        gate.gate.run_ms(3)
        assert gate.reason(Pulse(1_000, 0, 1, 255), 0) is Reason.STALE
        assert gate.reason(Pulse(1_000, 0, 1, 255), 0x8000_0000) is Reason.STALE


@pytest.mark.parametrize(
    ("send", "reason", "within_ms"),
    [
        (lambda gate: gate.gate.send_bytes(damaged(Heartbeat(), gate.seq + 1)), Reason.BAD_FRAME, 1),
        (lambda gate: gate.gate.send_bytes(b"\x01\0"), Reason.BAD_FRAME, 1),
        (lambda gate: gate.gate.send_bytes(bytes(range(1, 200)) + b"\0"), Reason.BAD_FRAME, 3),
        (lambda gate: gate.say(Status(State.ARMED, Reason.NONE, Inputs(0), 0, 0, 0, 0, 0, 0)), Reason.BAD_FRAME, 1),
        (lambda gate: gate.gate.garble(0x55), Reason.LINE_ERROR, 0.1),
        (lambda gate: gate.gate.garble(0), Reason.BAD_FRAME, 0.1),
        (lambda gate: gate.say(Disarm()), Reason.DISARMED_BY_HOST, 1),
        (lambda gate: gate.say(Stop()), Reason.STOPPED_BY_HOST, 1),
        (lambda gate: gate.say(Cancel()), Reason.CANCELLED, 1),
        (lambda gate: gate.say(Hello()), Reason.NEW_HELLO, 1),
        (lambda gate: gate.say(Disarm(), 0), Reason.DISARMED_BY_HOST, 1),
        (lambda gate: gate.say(Stop(), 0), Reason.STOPPED_BY_HOST, 1),
        (lambda gate: gate.gate.stop_switch(open=True), Reason.STOP_PIN, 1.1),
        (lambda gate: gate.gate.arm_switch(on=False), Reason.ARM_SWITCH, 1.1),
    ],
)  # fmt: skip
def test_what_ends_a_pulse_ends_it_at_once(
    send: Callable[[GateHost], object], reason: Reason, within_ms: float
) -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        before = len(gate.gate.log.delivered)
        now = gate.gate.cycle
        send(gate)
        gate.gate.run_ms(20)
        bytes_since = gate.gate.log.delivered[before:]
        arrived = bytes_since[-1][0] if bytes_since else now
        (flash,) = gate.light
        assert ms(flash.off - arrived) <= within_ms
        assert gate.events(Kind.PULSE_ENDED)[0].reason is reason
        gate.gate.send_bytes(b"\0")
        status = gate.ask(GetStatus())
        assert isinstance(status, Status)
        stopped = {Reason.STOPPED_BY_HOST: State.STOPPED, Reason.STOP_PIN: State.STOPPED}
        expected = State.ARMED if reason is Reason.CANCELLED else stopped.get(reason, State.DISARMED)
        assert (status.state, status.reason) == (expected, reason)


def test_a_line_error_is_not_kept_waiting_by_the_bytes_before_it() -> None:
    """Whole frames, without a pause between them: what is answered by a refusal leaves the light on."""
    with gate_host(LONG) as gate:
        firing(gate)
        for _ in range(3):
            gate.say(proposal(LONG))
        gate.gate.garble(0x51)
        gate.gate.run_ms(20)
        (error,) = [cycle for cycle, _, garbled in gate.gate.log.delivered if garbled]
        (flash,) = gate.light
        assert 0 < ms(flash.off - error) <= 0.03


def test_a_line_error_at_any_moment_of_a_pulse_s_beginning_leaves_no_light() -> None:
    """The byte is complete from 40 us before the edge to 20 us after it."""
    began = 0
    for before_us in np.arange(40, -20, -0.7):
        with gate_host(LONG) as gate:
            gate.arm()
            gate.fire(300, 12_000, 2)
            edge = gate.light[0].on + 12_000 * CYCLES_PER_US
            gate.say(Heartbeat())
            gate.gate.run(edge - round((before_us + 10) * CYCLES_PER_US) - gate.gate.cycle)
            gate.gate.garble(0x51)
            gate.gate.run_ms(5)
            (error,) = [cycle for cycle, _, garbled in gate.gate.log.delivered if garbled]
            assert abs(us(edge - error) - before_us) < 2
            assert all(us(flash.off - error) <= 30 for flash in gate.light)
            began += len(gate.light) - 1
    assert 0 < began < 80, "some before the pulse, some after its beginning"


def test_a_cable_that_is_pulled_is_silence() -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        last = gate.gate.cycle
        gate.gate.cable(plugged=False)
        gate.beat(100)
        assert ms(gate.light[0].off - last) <= 50
        gate.gate.cable(plugged=True)
        assert gate.state is State.DISARMED


@pytest.mark.parametrize("cause", [ResetCause.EXTERNAL, ResetCause.BROWN_OUT, ResetCause(0)])
def test_a_reset_puts_the_light_out_and_the_session_goes_on(cause: ResetCause) -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        now = gate.gate.cycle
        gate.gate.reset(cause)
        gate.gate.run_ms(100)
        assert gate.light[0].off == now
        assert len(gate.light) == 1
        welcome = gate.hello()
        assert (welcome.state, welcome.reset_cause, welcome.resets) == (State.DISARMED, cause, 1)
        assert gate.status().pulses == 1


@pytest.mark.parametrize("between_ms", [0.002, 0.01, 0.05, 0.1, 0.3, 1, 3])
def test_a_button_that_bounces_is_not_taken_for_new_power(between_ms: float) -> None:
    """A second reset comes while the start after the first is under way."""
    with gate_host(LONG) as gate:
        firing(gate)
        gate.say(Stop())
        gate.gate.run_ms(3)
        for _ in range(3):
            gate.gate.reset()
            gate.gate.run_ms(between_ms)
        gate.gate.run_ms(20)
        welcome = gate.hello()
        assert (welcome.state, welcome.reset_cause) == (State.STOPPED, ResetCause.EXTERNAL)
        assert welcome.resets > 0
        assert gate.status().pulses == 1


@pytest.mark.parametrize("between_ms", [0.002, 0.01, 0.05])
def test_power_that_comes_with_a_bounce_is_new_power(between_ms: float) -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        gate.gate.power_cycle()
        gate.gate.run_ms(between_ms)
        gate.gate.reset()
        gate.gate.run_ms(20)
        welcome = gate.hello()
        assert welcome.state is State.DISARMED
        assert ResetCause.POWER_ON in welcome.reset_cause
        assert gate.status().pulses == 0


def test_power_off_puts_the_light_out() -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        now = gate.gate.cycle
        gate.gate.power_cycle()
        gate.gate.run_ms(100)
        assert [flash.off for flash in gate.light] == [now]
        assert gate.hello().resets == 0


@pytest.mark.parametrize("interrupts", [True, False])
def test_the_watchdog_ends_a_program_that_hangs(interrupts: bool) -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        hung = gate.gate.cycle
        gate.gate.hang(interrupts)
        gate.gate.run_ms(40)
        assert ms(gate.light[0].off - hung) <= 17
        welcome = gate.hello()
        assert (welcome.state, welcome.reset_cause) == (State.DISARMED, ResetCause.WATCHDOG)
        assert gate.status().pulses == 1


def test_a_millisecond_s_interrupt_that_stops_ends_in_a_reset_however_busy_the_main_loop() -> None:
    """Without it nobody watches switches and silence; the main loop alone does not feed the watchdog."""
    with gate_host(LONG, judged=False) as gate:
        firing(gate)
        now = gate.gate.cycle
        gate.gate.poke(TIMSK0, 0)
        gate.beat(30, every=2)
        assert ms(gate.light[0].off - now) <= 17
        assert gate.hello().reset_cause is ResetCause.WATCHDOG


def test_a_program_that_strays_to_its_start_is_dark_and_keeps_its_session() -> None:
    with gate_host(LONG, judged=False) as gate:
        firing(gate)
        lost = gate.gate.cycle
        gate.gate.stray()
        gate.gate.run_ms(20)
        (flash,) = gate.light
        assert ms(flash.off - lost) < 0.01
        welcome = gate.hello()
        assert (welcome.state, welcome.reset_cause, welcome.resets) == (State.DISARMED, ResetCause(0), 1)
        assert gate.status().pulses == 1


def test_an_interrupt_that_nobody_asked_for_is_dark_and_ends_in_a_reset() -> None:
    with gate_host(LONG, judged=False) as gate:
        firing(gate)
        now = gate.gate.cycle
        gate.gate.poke(EICRA, 1)
        gate.gate.poke(EIMSK, 1)
        gate.gate.stop_switch(open=True)
        gate.gate.stop_switch(open=False)
        gate.gate.run_ms(40)
        (flash,) = gate.light
        assert ms(flash.off - now) < 0.05
        assert gate.hello().reset_cause is ResetCause.WATCHDOG


def test_a_stop_outlives_a_program_that_hangs() -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        gate.gate.hang(interrupts=True)
        gate.gate.stop_switch(open=True)
        gate.gate.run_ms(2)
        gate.gate.stop_switch(open=False)
        gate.gate.run_ms(40)
        assert gate.hello().state is State.STOPPED


def test_an_end_that_the_timer_forgets_is_a_fault_until_power_off() -> None:
    with gate_host(judged=False) as gate:
        gate.arm()
        gate.fire(5_000)
        gate.gate.poke(TIMSK1, 0)
        gate.beat(20)
        (flash,) = gate.light
        assert flash.us <= 8_100
        assert gate.events(Kind.PULSE_ENDED)[0].reason is Reason.BACKSTOP
        assert gate.state is State.FAULT
        welcome = gate.hello()
        assert gate.reason(Arm(welcome.token)) is Reason.WRONG_STATE
        assert gate.reason(Clear(gate.hello().token)) is Reason.WRONG_STATE
        gate.gate.reset()
        gate.gate.run_ms(20)
        assert gate.hello().state is State.FAULT
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        assert gate.hello().state is State.DISARMED


def test_memory_that_a_reset_has_lost_is_a_fault() -> None:
    with gate_host() as gate:
        for address in MEMORY:
            gate.gate.poke(address, 0x5A)
        gate.gate.reset(ResetCause.WATCHDOG)
        gate.gate.run_ms(20)
        assert gate.hello().state is State.FAULT
        assert gate.status().reason is Reason.MEMORY


@pytest.mark.parametrize("copy", [0, 1, 2])
def test_a_session_s_record_is_kept_twice(copy: int) -> None:
    """The third is the one in use, which a reset clears anyway."""
    with gate_host(LONG) as gate:
        firing(gate)
        memory = bytes(gate.gate.peek(at) for at in MEMORY)
        magic = bytes.fromhex("31477472")
        records = [MEMORY[at] for at in range(len(memory)) if memory.startswith(magic, at)]
        assert len(records) == 3
        gate.gate.poke(records[copy] + 5, 0x77)
        gate.gate.reset()
        gate.gate.run_ms(20)
        assert gate.hello().state is State.DISARMED
        assert gate.status().pulses == 1


def test_a_stack_that_grows_too_far_is_a_fault() -> None:
    with gate_host(LONG, judged=False) as gate:
        firing(gate)
        found = [
            at for at in MEMORY[:-4]
            if bytes(gate.gate.peek(at + i) for i in range(4)) == bytes.fromhex("3c5ac3a5")
        ]  # fmt: skip
        assert len(found) == 1, "the guard is not where the heap would begin"
        gate.gate.poke(found[0] + 2, 0)
        gate.beat(5)
        assert not gate.gate.log.light_is_on
        assert gate.events(Kind.PULSE_ENDED)[0].reason is Reason.MEMORY
        assert gate.state is State.FAULT


def test_the_stack_leaves_memory_to_spare() -> None:
    """The emulator fills memory with chance at power-on: what still holds it was never used."""
    with gate_host(LONG) as gate:
        gate.gate.power_cycle()
        before = [gate.gate.peek(at) for at in MEMORY]
        gate.gate.run_ms(20)
        firing(gate)
        gate.gate.send_bytes(damaged(Heartbeat(), 1) * 9)
        gate.beat(20, every=0.5)
        gate.gate.run_ms(30)
        assert gate.reason(proposal(limits_of(counter=2))) is Reason.NONE
        after = [gate.gate.peek(at) for at in MEMORY]
    longest = run = 0
    for was, now in zip(before, after, strict=True):
        run = run + 1 if was == now else 0
        longest = max(longest, run)
    assert longest > 400


def test_the_switches_are_asked_again_before_each_pulse() -> None:
    with gate_host(limits_of(min_off_us=1_000)) as gate:
        gate.arm()
        gate.fire(300, 1_700, 50)
        gate.beat(5)
        while not gate.gate.log.light_is_on:
            gate.gate.run(160)
        while gate.gate.log.light_is_on:
            gate.gate.run(160)
        had = len(gate.light)
        gate.gate.run_ms(1.35)
        assert not gate.gate.log.light_is_on, "the next pulse is due in some 50 microseconds"
        gate.gate.stop_switch(open=True)
        gate.gate.run_ms(5)
        assert len(gate.light) == had
        assert gate.hello().state is State.STOPPED


def test_a_stop_holds_until_it_is_cleared_by_token_with_the_switch_closed() -> None:
    with gate_host() as gate:
        gate.gate.stop_switch(open=True)
        gate.gate.run_ms(2)
        welcome = gate.hello()
        assert (welcome.state, welcome.inputs) == (State.STOPPED, Inputs.STOP_OPEN | Inputs.ARM_SWITCH_ON)
        assert gate.reason(Clear(welcome.token)) is Reason.STOP_PIN
        gate.gate.stop_switch(open=False)
        gate.gate.run_ms(2)
        assert gate.reason(Clear(welcome.token)) is Reason.BAD_TOKEN
        gate.gate.reset()
        gate.gate.run_ms(20)
        welcome = gate.hello()
        assert welcome.state is State.STOPPED
        assert gate.reason(Arm(welcome.token)) is Reason.WRONG_STATE
        assert gate.reason(Clear(welcome.token)) is Reason.NONE
        assert gate.reason(Arm(welcome.token)) is Reason.BAD_TOKEN
        gate.arm()
        gate.fire(1_000)
        gate.beat(5)
        assert len(gate.light) == 1


def test_nothing_is_armed_without_its_switch() -> None:
    with gate_host() as gate:
        gate.gate.arm_switch(on=False)
        gate.gate.run_ms(2)
        assert gate.reason(Arm(gate.hello().token)) is Reason.ARM_SWITCH
        assert gate.state is State.DISARMED


def test_a_token_arms_once_and_only_the_newest() -> None:
    with gate_host() as gate:
        old = gate.hello().token
        new = gate.hello().token
        assert old != new
        assert gate.reason(Arm(old)) is Reason.BAD_TOKEN
        assert gate.reason(Arm(new)) is Reason.BAD_TOKEN
        token = gate.hello().token
        assert gate.reason(Arm(token)) is Reason.NONE
        assert gate.reason(Disarm()) is Reason.NONE
        assert gate.reason(Arm(token)) is Reason.BAD_TOKEN
        assert gate.state is State.DISARMED


def test_a_session_that_is_played_back_fires_nothing() -> None:
    with gate_host() as gate:
        gate.arm()
        gate.fire(5_000)
        gate.beat(60)
        tape = bytes(byte for _, byte, _ in gate.gate.log.delivered)
        fired = len(gate.light)
        assert fired == 1
        for _ in range(2):
            gate.gate.send_bytes(tape)
            gate.gate.run_ms(60)
            assert len(gate.light) == fired
            gate.gate.reset()
            gate.gate.run_ms(20)
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        gate.gate.send_bytes(tape)
        gate.gate.run_ms(60)
        assert len(gate.light) == fired


def test_before_a_hello_only_what_makes_safer_is_done() -> None:
    with gate_host() as gate:
        for message in (Heartbeat(), Arm(0), Pulse(1_000, 0, 1, 255), Clear(0), GetStatus()):
            assert gate.reason(message) is Reason.NO_HELLO
        assert gate.reason(Disarm()) is Reason.NONE
        assert gate.reason(Stop()) is Reason.NONE
        assert gate.hello().state is State.STOPPED


def test_a_command_that_is_sent_again_is_carried_out_once() -> None:
    with gate_host() as gate:
        gate.arm()
        gate.gate.cable(plugged=False)
        gate.gate.cable(plugged=True)
        pulse = Pulse(2_000, 0, 1, 255)
        seq = gate.say(pulse)
        gate.gate.run_ms(3)
        first, *rest = [gate.ask(pulse, seq) for _ in range(4)]
        assert isinstance(first, Ack)
        assert (first.repeated, first.value) == (1, 1)
        assert all(isinstance(a, Ack) and a.repeated == 1 and a.time_us == first.time_us for a in rest)
        gate.beat(40)
        assert len(gate.light) == 1
        late = gate.ask(pulse, seq)
        assert isinstance(late, Ack)
        assert late == first
        assert gate.reason(pulse, gate.seq - 3) is Reason.STALE
        assert len(gate.light) == 1


def test_a_refusal_that_is_asked_for_again_stays_one() -> None:
    with gate_host() as gate:
        gate.arm()
        seq = gate.say(Pulse(25_000, 0, 1, 255))
        gate.gate.run_ms(3)
        answer = gate.ask(Pulse(5_000, 0, 1, 255), seq)
        assert isinstance(answer, Nak)
        assert (answer.reason, answer.repeated) == (Reason.TOO_LONG, 1)
        assert gate.light == []


def test_a_flood_leaves_the_light_off_and_the_gate_answering() -> None:
    with gate_host(LONG) as gate:
        firing(gate)
        gate.gate.send_bytes(bytes(range(1, 256)) * 8 + b"\0")
        gate.gate.run_ms(60)
        assert not gate.gate.log.light_is_on
        assert gate.status().bad_frames > 0
        assert isinstance(gate.ask(Hello()), Welcome)


def test_questions_and_answers_agree_with_what_happened() -> None:
    with gate_host() as gate:
        gate.arm()
        gate.fire(5_000)
        status = gate.status()
        assert (status.state, status.pulses) == (State.FIRING, 1)
        gate.beat(20)
        limits = gate.ask(GetLimits())
        assert isinstance(limits, Limits)
        assert limits == gate.limits
        began, ended = gate.events(Kind.PULSE_BEGAN), gate.events(Kind.PULSE_ENDED)
        assert [event.pulse for event in began + ended] == [1, 1]
        assert all(isinstance(event, Event) for event in began)


@pytest.mark.parametrize("message", [Stop(), GetStatus()])
def test_a_frame_with_any_one_bit_flipped_is_none(message: Stop | GetStatus) -> None:
    with gate_host() as gate:
        gate.hello()
        heard = len(gate.gate.log.frames)
        whole = encode(message, gate.seq + 1, gate.nonce)
        for bit in range(8 * (len(whole) - 1)):
            frame = bytearray(whole)
            frame[bit // 8] ^= 1 << bit % 8
            gate.gate.send_bytes(bytes(frame))
            gate.gate.run_ms(1)
        gate.gate.run_ms(20)
        answers = [f.message for _, f in gate.gate.log.frames[heard:] if not isinstance(f.message, Event)]
        assert answers == []
        assert gate.status().bad_frames >= 8 * (len(whole) - 1)
