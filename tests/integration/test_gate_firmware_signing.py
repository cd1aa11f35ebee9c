"""How limits are changed, kept and lost, on the real firmware in emulation."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.gate_host import HAND_MS, SIGNED, GateHost, gate_host, limits_of, need_simavr, proposal

from bench.gate.scripted import LIMITS_AT, ScriptedGate, limits_cells
from rtface.stimulate.gate.codes import Kind, LimitsSource, Reason, State
from rtface.stimulate.gate.framing import crc16
from rtface.stimulate.gate.protocol import (
    DEFAULT_LIMITS,
    Ack,
    Arm,
    CommitLimits,
    GetLimits,
    Limits,
    ProposeLimits,
    Pulse,
    Stop,
    to_payload,
)

CELLS = len(limits_cells(SIGNED))
PORTB, LED = 0x25, 0x20
WRITTEN_MS = 450
"""What both copies take on a board, 3.4 ms a cell; the emulated one needs a third."""


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


def propose(gate: GateHost, limits: Limits) -> int:
    answer = gate.ask(proposal(limits))
    assert isinstance(answer, Ack), answer
    return answer.value


def in_force(gate: GateHost) -> Limits:
    answer = gate.ask(GetLimits())
    assert isinstance(answer, Limits)
    return answer


def test_a_new_board_has_no_limits_and_cannot_be_armed() -> None:
    with gate_host(None) as gate:
        welcome = gate.hello()
        assert (welcome.limits_source, welcome.state) == (LimitsSource.NONE, State.DISARMED)
        assert in_force(gate) == DEFAULT_LIMITS
        assert gate.reason(Arm(welcome.token)) is Reason.NO_LIMITS
        gate.sign(limits_of())
        gate.gate.run_ms(WRITTEN_MS)
        gate.limits = limits_of()
        gate.arm()


def test_two_steps_change_the_limits_for_good() -> None:
    wanted = limits_of(max_on_us=3_000, min_off_us=15_000, deadman_ms=30, device_id=7)
    with gate_host(None) as gate:
        gate.limits = wanted
        gate.hello()
        gate.sign(wanted)
        assert gate.reason(Arm(gate.hello().token)) is Reason.STORING
        gate.gate.run_ms(WRITTEN_MS)
        (event,) = gate.events(Kind.LIMITS_STORED)
        assert event.value == 1
        assert in_force(gate) == wanted
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        welcome = gate.hello()
        assert (welcome.limits_source, welcome.device_id) == (LimitsSource.EEPROM, 7)
        assert in_force(gate) == wanted
        assert gate.gate.read_eeprom()[LIMITS_AT[0] :][:CELLS] == limits_cells(wanted)
        gate.arm()
        assert gate.reason(Pulse(3_001, 0, 1, 255)) is Reason.TOO_LONG
        gate.fire(3_000)
        gate.beat(10)


def test_stricter_limits_hold_at_once_and_nothing_that_was_had_is_forgotten() -> None:
    with gate_host() as gate:
        gate.arm()
        gate.fire(20_000)
        gate.beat(30)
        gate.gate.run_ms(100)
        gate.hello()
        stricter = limits_of(window_ms=3_200, window_on_us=21_000, min_off_us=700_000, counter=2)
        gate.sign(stricter)
        gate.gate.run_ms(WRITTEN_MS)
        gate.arm()
        assert gate.reason(Pulse(1_500, 0, 1, 255)) is Reason.TOO_SOON
        gate.beat(400, every=20)
        assert gate.reason(Pulse(1_500, 0, 1, 255)) is Reason.WINDOW_FULL
        gate.fire(500)
        gate.beat(5)


def test_limits_are_not_changed_while_armed_or_stopped() -> None:
    other = limits_of(counter=2, max_on_us=9_999)
    with gate_host() as gate:
        gate.hello()
        value = propose(gate, other)
        gate.arm()
        assert gate.reason(proposal(other)) is Reason.WRONG_STATE
        assert gate.reason(CommitLimits(value, 2)) is Reason.WRONG_STATE
        gate.fire(5_000)
        assert gate.reason(proposal(other)) is Reason.WRONG_STATE
        assert gate.reason(CommitLimits(value, 2)) is Reason.WRONG_STATE
        gate.beat(10)
        assert gate.reason(Stop()) is Reason.NONE
        assert gate.reason(proposal(other)) is Reason.WRONG_STATE
        gate.gate.run_ms(WRITTEN_MS)
        for address in LIMITS_AT:
            assert gate.gate.read_eeprom()[address:][:CELLS] == limits_cells(SIGNED)


@pytest.mark.parametrize("counter", [0, 2, 2**32 - 1])
def test_a_counter_that_is_not_the_next_is_refused(counter: int) -> None:
    with gate_host(None) as gate:
        gate.hello()
        assert gate.reason(proposal(limits_of(counter=counter))) is Reason.BAD_COUNTER


def test_a_wrong_commit_ends_the_proposal() -> None:
    with gate_host(None) as gate:
        gate.hello()
        value = propose(gate, limits_of())
        assert gate.reason(CommitLimits(value ^ 1, 1)) is Reason.BAD_TOKEN
        assert gate.reason(CommitLimits(value, 1)) is Reason.BAD_TOKEN
        value = propose(gate, limits_of())
        assert gate.reason(CommitLimits(value, 2)) is Reason.BAD_COUNTER
        assert gate.reason(CommitLimits(value, 1)) is Reason.BAD_TOKEN
        value = propose(gate, limits_of())
        gate.hello()
        assert gate.reason(CommitLimits(value, 1)) is Reason.BAD_TOKEN
        gate.gate.run_ms(WRITTEN_MS)
        assert in_force(gate) == DEFAULT_LIMITS


@pytest.mark.parametrize(
    "changes",
    [
        {"max_on_us": 19},
        {"max_on_us": 60_000_001},
        {"min_off_us": 999},
        {"min_off_us": 600_000_001},
        {"window_ms": 144},
        {"window_ms": 10_001},
        {"window_ms": 3_600_016},
        {"window_ms": 160, "window_on_us": 160_001},
        {"deadman_ms": 19},
        {"deadman_ms": 201},
        {"deadman_ms": 65_535},
        {"max_on_us": 2**32 - 1},
        {"amplitude_wired": 2},
        {"photodiode_wired": 2},
        {"light_rise_us": 99},
        {"light_rise_us": 50_001},
        {"light_fall_us": 99},
        {"light_fall_us": 50_001},
        {"photodiode_wired": 1, "min_off_us": 1_999, "light_fall_us": 2_000},
        {"signed_off_by": ""},
    ],
)
def test_what_is_built_in_cannot_be_signed_away(changes: dict[str, int | str]) -> None:
    with gate_host(None) as gate:
        gate.hello()
        assert gate.reason(proposal(limits_of(**changes))) is Reason.BAD_VALUE


def test_the_extremes_that_are_allowed_are_allowed() -> None:
    wide = limits_of(
        max_on_us=60_000_000, min_off_us=600_000_000, window_ms=3_600_000, window_on_us=3_600_000_000,
        session_pulses=2**32 - 1, session_dose_us=2**32 - 1, deadman_ms=200,
    )  # fmt: skip
    with gate_host(None) as gate:
        gate.hello()
        propose(gate, wide)
        narrow = limits_of(max_on_us=20, min_off_us=1_000, window_ms=160, window_on_us=0, deadman_ms=20)
        propose(gate, narrow)


TORN = {
    1: {(1, LimitsSource.ONE_COPY)},
    20: {(1, LimitsSource.ONE_COPY)},
    44: {(1, LimitsSource.ONE_COPY)},
    57: {(1, LimitsSource.ONE_COPY), (2, LimitsSource.ONE_COPY)},
    60: {(1, LimitsSource.ONE_COPY), (2, LimitsSource.ONE_COPY)},
    75: {(2, LimitsSource.ONE_COPY)},
    100: {(2, LimitsSource.ONE_COPY)},
    130: {(2, LimitsSource.ONE_COPY), (2, LimitsSource.EEPROM)},
    160: {(2, LimitsSource.EEPROM)},
}


@pytest.mark.parametrize("torn_ms", TORN)
def test_a_write_that_is_torn_at_any_moment_leaves_the_old_or_the_new(torn_ms: int) -> None:
    new = limits_of(max_on_us=9_000, counter=2, signed_off_by="another")
    with gate_host(limits_of(max_on_us=2_000)) as gate:
        board = gate.gate
        gate.hello()
        gate.sign(new)
        board.run_ms(torn_ms)
        board.power_cycle()
        board.run_ms(20)
        source, now = gate.hello().limits_source, in_force(gate)
        assert (now.counter, source) in TORN[torn_ms]
        assert now == (new if now.counter == 2 else gate.limits)
        board.run_ms(100)
        cells = [board.read_eeprom()[address:][:CELLS] for address in LIMITS_AT]
        assert cells == 2 * [limits_cells(now)], "the other copy is repaired at once"


@pytest.mark.parametrize("rotten", [0, 1])
@pytest.mark.parametrize("repaired", [False, True])
def test_the_older_limits_never_come_back(rotten: int, repaired: bool) -> None:
    """Stricter limits are in one copy alone, as after a torn write; later that copy rots."""
    lax, strict = limits_of(max_on_us=60_000), limits_of(max_on_us=1_000, counter=2)
    with ScriptedGate() as board:
        board.write_eeprom(LIMITS_AT[rotten], limits_cells(strict))
        board.write_eeprom(LIMITS_AT[1 - rotten], limits_cells(lax))
        board.power_cycle()
        board.run_ms(100 if repaired else 25)
        board.write_eeprom(LIMITS_AT[rotten] + 3, b"\xaa")
        board.power_cycle()
        board.run_ms(20)
        gate = GateHost(board, strict)
        welcome = gate.hello()
        if repaired:
            assert welcome.limits_source is LimitsSource.ONE_COPY
            assert in_force(gate) == strict
        else:
            assert (welcome.limits_source, welcome.state) == (LimitsSource.LOST, State.FAULT)
            assert gate.reason(Arm(welcome.token)) is Reason.WRONG_STATE


def test_an_old_image_of_both_copies_is_not_taken_for_the_newest() -> None:
    with gate_host(limits_of(max_on_us=60_000)) as gate:
        old = gate.gate.read_eeprom()
        gate.hello()
        gate.limits = limits_of(max_on_us=1_000, counter=2)
        gate.sign(gate.limits)
        gate.gate.run_ms(WRITTEN_MS)
        for address in LIMITS_AT:
            gate.gate.write_eeprom(address, old[address:][:CELLS])
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        assert (gate.hello().limits_source, gate.state) == (LimitsSource.LOST, State.FAULT)


def test_eeprom_that_was_erased_arms_nothing() -> None:
    """As flashing by ISP does it."""
    with gate_host(limits_of(max_on_us=1_000)) as gate:
        gate.gate.write_eeprom(0, b"\xff" * 1024)
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        welcome = gate.hello()
        assert welcome.limits_source is LimitsSource.NONE
        assert gate.reason(Arm(welcome.token)) is Reason.NO_LIMITS


def test_limits_of_protocol_1_are_none_of_this_one() -> None:
    """Where these have `amplitude_wired`, those had `arm_switch`: they would be read as laxer ones."""
    payload = to_payload(limits_of(amplitude_wired=1))
    with ScriptedGate() as board:
        for address in LIMITS_AT:
            board.write_eeprom(address, payload + crc16(payload).to_bytes(2, "little"))
        board.power_cycle()
        board.run_ms(20)
        gate = GateHost(board, DEFAULT_LIMITS)
        welcome = gate.hello()
        assert (welcome.limits_source, welcome.state) == (LimitsSource.LOST, State.FAULT)


@pytest.mark.parametrize(
    ("key", "held_ms", "up_first"),
    [(True, 0, True), (False, 2_000, True), (True, 900, True), (True, 2_000, False)],
)
def test_no_host_alone_changes_limits(key: bool, held_ms: int, up_first: bool) -> None:
    """The button up, held with the key off, let go too early, or held since before the proposal (a wire that shorts)."""
    wanted = limits_of(max_on_us=60_000_000, counter=2)
    with gate_host() as gate:
        gate.gate.arm_switch(on=key)
        gate.gate.button(held=not up_first)
        gate.beat(20)
        gate.hello()
        value = propose(gate, wanted)
        gate.beat(5)
        gate.gate.button(held=held_ms > 0)
        gate.beat(held_ms)
        assert gate.reason(CommitLimits(value, 2)) is Reason.NO_HAND
        gate.gate.run_ms(WRITTEN_MS)
        assert in_force(gate) == SIGNED
        gate.gate.button(held=False)
        gate.gate.arm_switch(on=True)
        gate.beat(5)
        gate.gate.button(held=True)
        gate.beat(HAND_MS)
        assert gate.reason(CommitLimits(value, 2)) is Reason.NONE, "the proposal stands until a hand comes"
        gate.gate.run_ms(WRITTEN_MS)
        gate.limits = wanted
        assert in_force(gate) == wanted


def test_the_led_shows_that_a_hand_is_waited_for() -> None:
    with gate_host() as gate:
        gate.hello()
        assert not any(_led(gate, 1_200))
        propose(gate, limits_of(counter=2))
        shown = _led(gate, 2_400)
        assert 800 < sum(shown) < 1_600
        assert sum(now != before for before, now in pairwise(shown)) in (4, 5), "about once a second"
        gate.hello()
        gate.beat(5)
        assert not any(_led(gate, 1_200))


def _led(gate: GateHost, ms: int) -> list[bool]:
    shown = []
    for _ in range(ms):
        gate.gate.run_ms(1)
        shown.append(bool(gate.gate.peek(PORTB) & LED))
    return shown


@pytest.mark.parametrize("copy", [0, 1])
def test_one_damaged_copy_is_reported_and_repaired_from_the_other(copy: int) -> None:
    limits = limits_of(max_on_us=2_000)
    with gate_host(limits) as gate:
        gate.gate.run_ms(20)
        gate.gate.write_eeprom(LIMITS_AT[copy] + 5, b"\xaa")
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        assert gate.hello().limits_source is LimitsSource.ONE_COPY
        assert in_force(gate) == limits
        gate.gate.run_ms(100)
        assert gate.gate.read_eeprom()[LIMITS_AT[copy] :][:CELLS] == limits_cells(limits)
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        assert gate.hello().limits_source is LimitsSource.EEPROM


def test_two_damaged_copies_are_a_fault_until_limits_are_signed_anew() -> None:
    with gate_host(limits_of(max_on_us=2_000)) as gate:
        for address in LIMITS_AT:
            gate.gate.write_eeprom(address + 5, b"\xaa")
        assert gate.reason(Arm(gate.hello().token)) is Reason.LIMITS_LOST
        assert gate.state is State.FAULT
        for start in (gate.gate.reset, gate.gate.power_cycle):
            start()
            gate.gate.run_ms(20)
            welcome = gate.hello()
            assert (welcome.limits_source, welcome.state) == (LimitsSource.LOST, State.FAULT)
            assert gate.status().reason is Reason.LIMITS_LOST
            assert gate.reason(Arm(welcome.token)) is Reason.WRONG_STATE
        gate.hold(HAND_MS, key=False)
        assert gate.state is State.FAULT, "a hand cannot acknowledge what is still so"
        gate.limits = limits_of(max_on_us=2_000, counter=2)
        gate.sign(gate.limits)
        gate.gate.run_ms(WRITTEN_MS)
        gate.arm()


def test_a_copy_that_goes_bad_while_running_is_seen_at_the_next_arm() -> None:
    with gate_host(limits_of(max_on_us=5_000)) as gate:
        other = gate.limits = limits_of(max_on_us=1_000, counter=9)
        for address in LIMITS_AT:
            gate.gate.write_eeprom(address, limits_cells(other))
        gate.arm()
        assert gate.reason(Pulse(1_001, 0, 1, 255)) is not Reason.NONE
        assert in_force(gate) == other


def test_a_proposal_that_is_sent_twice_is_one() -> None:
    with gate_host(None) as gate:
        gate.hello()
        message: ProposeLimits = proposal(limits_of())
        seq = gate.say(message)
        gate.gate.run_ms(3)
        again = gate.ask(message, seq)
        assert isinstance(again, Ack)
        assert again.repeated == 1
        gate.beat(5)
        gate.gate.button(held=True)
        gate.beat(HAND_MS)
        commit = CommitLimits(again.value, 1)
        assert gate.reason(commit) is Reason.NONE
        assert gate.reason(commit, gate.seq) is Reason.NONE
        gate.gate.run_ms(WRITTEN_MS)
        assert len(gate.events(Kind.LIMITS_STORED)) == 1
