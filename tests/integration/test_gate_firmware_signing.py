"""How limits are changed, kept and lost, on the real firmware in emulation."""

from __future__ import annotations

import pytest
from support.gate_host import GateHost, gate_host, limits_of, need_simavr, proposal

from bench.gate.scripted import LIMITS_AT, ScriptedGate, limits_cells
from rtface.stimulate.gate.codes import Kind, LimitsSource, Reason, State
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
)

WRITTEN_MS = 450
"""What both copies take on a board, 3.4 ms a cell; the emulated one needs a third."""


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


def propose(gate: GateHost, limits: Limits) -> int:
    answer = gate.ask(proposal(limits))
    assert isinstance(answer, Ack), answer
    return answer.value


def sign(gate: GateHost, limits: Limits) -> None:
    assert gate.reason(CommitLimits(propose(gate, limits), limits.counter)) is Reason.NONE


def in_force(gate: GateHost) -> Limits:
    answer = gate.ask(GetLimits())
    assert isinstance(answer, Limits)
    return answer


def test_a_new_board_has_the_defaults() -> None:
    with gate_host() as gate:
        assert gate.hello().limits_source is LimitsSource.DEFAULTS
        assert in_force(gate) == DEFAULT_LIMITS


def test_two_steps_change_the_limits_for_good() -> None:
    wanted = limits_of(max_on_us=3_000, min_off_us=15_000, deadman_ms=30, device_id=7)
    with gate_host() as gate:
        gate.limits = wanted
        gate.hello()
        sign(gate, wanted)
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
        assert gate.gate.read_eeprom()[LIMITS_AT[0] :][:58] == limits_cells(wanted)
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
        stricter = limits_of(window_ms=3_200, window_on_us=21_000, min_off_us=700_000)
        sign(gate, stricter)
        gate.gate.run_ms(WRITTEN_MS)
        gate.arm()
        assert gate.reason(Pulse(1_500, 0, 1, 255)) is Reason.TOO_SOON
        gate.beat(400, every=20)
        assert gate.reason(Pulse(1_500, 0, 1, 255)) is Reason.WINDOW_FULL
        gate.fire(500)
        gate.beat(5)


def test_limits_are_not_changed_while_armed_or_stopped() -> None:
    with gate_host() as gate:
        gate.hello()
        value = propose(gate, limits_of())
        gate.arm()
        assert gate.reason(proposal(limits_of())) is Reason.WRONG_STATE
        assert gate.reason(CommitLimits(value, 1)) is Reason.WRONG_STATE
        gate.fire(5_000)
        assert gate.reason(proposal(limits_of())) is Reason.WRONG_STATE
        assert gate.reason(CommitLimits(value, 1)) is Reason.WRONG_STATE
        gate.beat(10)
        assert gate.reason(Stop()) is Reason.NONE
        assert gate.reason(proposal(limits_of())) is Reason.WRONG_STATE
        gate.gate.run_ms(WRITTEN_MS)
        assert gate.gate.read_eeprom() == b"\xff" * 1024


@pytest.mark.parametrize("counter", [0, 2, 2**32 - 1])
def test_a_counter_that_is_not_the_next_is_refused(counter: int) -> None:
    with gate_host() as gate:
        gate.hello()
        assert gate.reason(proposal(limits_of(counter=counter))) is Reason.BAD_COUNTER


def test_a_wrong_commit_ends_the_proposal() -> None:
    with gate_host() as gate:
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
        {"arm_switch": 2},
        {"signed_off_by": ""},
    ],
)
def test_what_is_built_in_cannot_be_signed_away(changes: dict[str, int | str]) -> None:
    with gate_host() as gate:
        gate.hello()
        assert gate.reason(proposal(limits_of(**changes))) is Reason.BAD_VALUE


def test_the_extremes_that_are_allowed_are_allowed() -> None:
    wide = limits_of(
        max_on_us=60_000_000, min_off_us=600_000_000, window_ms=3_600_000, window_on_us=3_600_000_000,
        session_pulses=2**32 - 1, session_dose_us=2**32 - 1, deadman_ms=200,
    )  # fmt: skip
    with gate_host() as gate:
        gate.hello()
        propose(gate, wide)
        narrow = limits_of(max_on_us=20, min_off_us=1_000, window_ms=160, window_on_us=0, deadman_ms=20)
        propose(gate, narrow)


def test_a_write_that_is_torn_at_any_moment_leaves_the_old_or_the_new() -> None:
    old, new = limits_of(max_on_us=2_000), limits_of(max_on_us=9_000, counter=2, signed_off_by="another")
    found = set()
    for torn_ms in (1, 5, 12, 20, 31, 44, 57, 60, 75, 100, 114, 130):
        for copies in (LIMITS_AT, LIMITS_AT[:1], LIMITS_AT[1:]):
            with ScriptedGate() as board:
                for address in copies:
                    board.write_eeprom(address, limits_cells(old))
                board.power_cycle()
                board.run_ms(20)
                gate = GateHost(board, new)
                gate.hello()
                sign(gate, new)
                board.run_ms(torn_ms)
                board.power_cycle()
                board.run_ms(20)
                welcome = gate.hello()
                assert welcome.limits_source in (LimitsSource.EEPROM, LimitsSource.ONE_COPY)
                assert in_force(gate) in (old, new)
                found.add((in_force(gate).counter, welcome.limits_source))
                if torn_ms < 20:
                    assert in_force(gate) == old
    assert (1, LimitsSource.ONE_COPY) in found
    assert (2, LimitsSource.ONE_COPY) in found
    assert (2, LimitsSource.EEPROM) in found


@pytest.mark.parametrize("copy", [0, 1])
def test_one_damaged_copy_is_told_and_the_other_holds(copy: int) -> None:
    limits = limits_of(max_on_us=2_000)
    with gate_host(limits) as gate:
        gate.gate.write_eeprom(LIMITS_AT[copy] + 5, b"\xaa")
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        assert gate.hello().limits_source is LimitsSource.ONE_COPY
        assert in_force(gate) == limits
        sign(gate, limits_of(max_on_us=2_000, counter=2))
        gate.gate.run_ms(WRITTEN_MS)
        assert gate.hello().limits_source is LimitsSource.EEPROM


def test_two_damaged_copies_forbid_arming_until_limits_are_signed_anew() -> None:
    with gate_host(limits_of(max_on_us=2_000)) as gate:
        for address in LIMITS_AT:
            gate.gate.write_eeprom(address + 5, b"\xaa")
        assert gate.reason(Arm(gate.hello().token)) is Reason.LIMITS_LOST
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        welcome = gate.hello()
        assert (welcome.limits_source, welcome.state) == (LimitsSource.LOST, State.DISARMED)
        assert gate.reason(Arm(welcome.token)) is Reason.LIMITS_LOST
        gate.hello()
        gate.limits = limits_of(max_on_us=2_000)
        sign(gate, gate.limits)
        gate.gate.run_ms(WRITTEN_MS)
        gate.arm()


def test_a_copy_that_goes_bad_while_running_is_seen_at_the_next_arm() -> None:
    with gate_host(limits_of(max_on_us=5_000)) as gate:
        other = limits_of(max_on_us=1_000, counter=9)
        for address in LIMITS_AT:
            gate.gate.write_eeprom(address, limits_cells(other))
        gate.arm()
        assert gate.reason(Pulse(1_001, 0, 1, 255)) is not Reason.NONE
        assert in_force(gate) == other


def test_a_proposal_that_is_sent_twice_is_one() -> None:
    with gate_host() as gate:
        gate.hello()
        message: ProposeLimits = proposal(limits_of())
        seq = gate.say(message)
        gate.gate.run_ms(3)
        again = gate.ask(message, seq)
        assert isinstance(again, Ack)
        assert again.repeated == 1
        commit = CommitLimits(again.value, 1)
        assert gate.reason(commit) is Reason.NONE
        assert gate.reason(commit, gate.seq) is Reason.NONE
        gate.gate.run_ms(WRITTEN_MS)
        assert len(gate.events(Kind.LIMITS_STORED)) == 1
