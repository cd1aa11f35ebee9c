"""What the gate does with what a photodiode sees of the light itself, on the real firmware in emulation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from support.gate_host import HAND_MS, GateHost, gate_host, limits_of, need_simavr, proposal

from bench.gate.scripted import LIMITS_AT, ScriptedGate, limits_cells, older_limits_cells
from rtface.stimulate.gate.codes import Inputs, Kind, LimitsSource, Reason, State
from rtface.stimulate.gate.emulator import Photodiode
from rtface.stimulate.gate.protocol import Ack, Arm, CommitLimits, GetLimits, Pulse

RISE_US, FALL_US = 1_000, 1_500


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


@contextmanager
def watched(mode: Photodiode = Photodiode.FOLLOWS, **changes: Any) -> Iterator[GateHost]:
    """A gate whose signed limits name a photodiode, wired before power comes; armed."""
    limits = limits_of(photodiode_wired=1, light_rise_us=RISE_US, light_fall_us=FALL_US, **changes)
    with ScriptedGate() as board:
        board.photodiode(mode)
        for address in LIMITS_AT:
            board.write_eeprom(address, limits_cells(limits))
        board.power_cycle()
        board.run_ms(max(20, limits.min_off_us / 1000))
        gate = GateHost(board, limits)
        if mode is Photodiode.FOLLOWS:
            gate.arm()
        yield gate
        gate.judge()


def fault(gate: GateHost) -> Reason:
    """Why it is in FAULT; the status and the event agree."""
    status = gate.status()
    assert status.state is State.FAULT
    (event,) = [each for each in gate.events(Kind.STATE) if each.state is State.FAULT]
    assert event.reason is status.reason
    return status.reason


def test_light_that_is_seen_as_it_is_commanded_is_fine() -> None:
    with watched() as gate:
        for rise_us, fall_us in ((0, 0), (20, 20), (RISE_US - 10, FALL_US - 10)):
            gate.gate.photodiode(Photodiode.FOLLOWS, rise_us, fall_us)
            for on_us in (20, 900, 2_500, 20_000):
                gate.fire(on_us)
                gate.beat(40)
        gate.fire(2_000, 12_000, 10)
        gate.beat(130)
        assert gate.state is State.ARMED
        assert len(gate.light) == 22


def test_what_is_seen_now_is_in_the_status() -> None:
    with watched() as gate:
        assert not gate.status().inputs & Inputs.LIGHT_SEEN
        gate.fire(20_000)
        assert gate.status().inputs & Inputs.LIGHT_SEEN
        gate.beat(30)
        assert not gate.status().inputs & Inputs.LIGHT_SEEN


@pytest.mark.parametrize("on_us", [RISE_US, 1_700, 5_000, 20_000])
def test_a_photodiode_that_stays_dark_ends_the_pulse_in_a_fault(on_us: int) -> None:
    with watched() as gate:
        gate.gate.photodiode(Photodiode.DARK)
        gate.fire(on_us)
        gate.beat(30)
        assert fault(gate) is Reason.LIGHT_MISSING
        (flash,) = gate.light
        assert flash.us <= min(on_us + 20, RISE_US + 1_100)
        (ended,) = gate.events(Kind.PULSE_ENDED)
        assert ended.reason is Reason.LIGHT_MISSING
        assert gate.reason(Arm(gate.hello().token)) is Reason.WRONG_STATE


def test_a_train_whose_light_fails_ends_with_that_pulse() -> None:
    with watched() as gate:
        gate.fire(3_000, 15_000, 10)
        gate.beat(35)
        gate.gate.photodiode(Photodiode.DARK)
        gate.beat(100)
        assert fault(gate) is Reason.LIGHT_MISSING
        (train,) = gate.events(Kind.TRAIN_ENDED)
        assert (train.reason, train.value) == (Reason.LIGHT_MISSING, len(gate.light))
        assert len(gate.light) < 10


def test_light_that_goes_out_in_mid_pulse_is_a_fault() -> None:
    with watched() as gate:
        gate.fire(20_000)
        gate.beat(5)
        gate.gate.photodiode(Photodiode.DARK)
        gate.beat(10)
        assert fault(gate) is Reason.LIGHT_MISSING
        assert gate.light[0].us < 10_000


@pytest.mark.parametrize("armed", [True, False])
def test_light_from_something_else_is_a_fault_at_once(armed: bool) -> None:
    with watched() as gate:
        if not armed:
            gate.hello()
        gate.beat(20)
        gate.gate.photodiode(Photodiode.LIT)
        gate.gate.run_ms(1)
        assert fault(gate) is Reason.LIGHT_UNCOMMANDED
        assert gate.light == []


def test_a_stray_flash_of_20_us_is_seen() -> None:
    with watched() as gate:
        gate.beat(20)
        gate.gate.photodiode(Photodiode.LIT)
        gate.gate.run(20 * 16)
        gate.gate.photodiode(Photodiode.FOLLOWS)
        gate.beat(5)
        assert fault(gate) is Reason.LIGHT_UNCOMMANDED
        assert not gate.status().inputs & Inputs.LIGHT_SEEN


def test_light_that_goes_on_after_the_pulse_is_a_fault() -> None:
    with watched() as gate:
        gate.gate.photodiode(Photodiode.FOLLOWS, 20, FALL_US + 1_200)
        gate.fire(5_000, 15_000, 10)
        gate.beat(60)
        assert fault(gate) is Reason.LIGHT_UNCOMMANDED
        assert len(gate.light) == 1


def test_light_that_stays_from_one_pulse_to_the_next_stops_the_next() -> None:
    with watched(min_off_us=FALL_US) as gate:
        gate.gate.photodiode(Photodiode.FOLLOWS, 20, 50_000)
        gate.fire(1_000, 1_000 + FALL_US, 10)
        gate.beat(60)
        assert fault(gate) is Reason.LIGHT_UNCOMMANDED
        assert len(gate.light) == 1


@pytest.mark.parametrize("mode", [Photodiode.LIT, Photodiode.ABSENT])
def test_a_lit_or_torn_wire_at_power_on_is_a_fault(mode: Photodiode) -> None:
    with watched(mode) as gate:
        assert (gate.hello().state, gate.status().reason) == (State.FAULT, Reason.LIGHT_UNCOMMANDED)


def test_an_input_that_swings_keeps_the_chip_from_nothing() -> None:
    with watched() as gate:
        gate.fire(20_000)
        gate.beat(2)
        resets = len(gate.gate.log.resets)
        for _ in range(300):
            for mode in (Photodiode.DARK, Photodiode.LIT):
                gate.gate.photodiode(mode)
                gate.gate.run(40)
        gate.gate.photodiode(Photodiode.FOLLOWS)
        gate.beat(50)
        assert gate.hello().state in (State.DISARMED, State.FAULT)
        assert len(gate.gate.log.resets) == resets


def test_only_a_hand_ends_it_and_only_once_it_is_dark() -> None:
    with watched() as gate:
        gate.gate.photodiode(Photodiode.LIT)
        gate.beat(5)
        for start in (gate.gate.reset, lambda: gate.beat(100)):
            start()
            gate.gate.run_ms(100)
            assert gate.hello().state is State.FAULT
        gate.hold(HAND_MS, key=False)
        assert gate.state is State.FAULT, "a hand cannot see to what is still so"
        gate.gate.photodiode(Photodiode.FOLLOWS)
        gate.hold(HAND_MS, key=True)
        assert gate.state is State.FAULT, "the arm switch must be off"
        gate.hold(HAND_MS, key=False)
        status = gate.status()
        assert (status.state, status.reason) == (State.DISARMED, Reason.ACKNOWLEDGED)
        gate.arm()
        gate.fire()
        gate.beat(20)
        assert gate.state is State.ARMED


def test_limits_without_a_broken_photodiode_take_a_hand_as_any() -> None:
    without = limits_of(counter=2)
    with watched() as gate:
        gate.gate.photodiode(Photodiode.ABSENT)
        gate.beat(5)
        assert fault(gate) is Reason.LIGHT_UNCOMMANDED
        gate.hello()
        answer = gate.ask(proposal(without))
        assert isinstance(answer, Ack)
        assert gate.reason(CommitLimits(answer.value, 2)) is Reason.NO_HAND
        gate.beat(2)
        gate.gate.button(held=True)
        gate.beat(HAND_MS)
        assert gate.reason(CommitLimits(answer.value, 2)) is Reason.NONE
        gate.gate.button(held=False)
        gate.gate.run_ms(450)
        assert gate.state is State.FAULT
        gate.hold(HAND_MS, key=False)
        gate.limits = without
        gate.arm()
        gate.fire()
        gate.beat(20)
        assert len(gate.light) == 1


def test_without_a_photodiode_its_pin_says_nothing() -> None:
    with gate_host() as gate:
        gate.arm()
        for mode in Photodiode:
            gate.gate.photodiode(mode)
            gate.fire(5_000)
            gate.beat(30)
        assert gate.state is State.ARMED
        assert not gate.status().inputs & Inputs.LIGHT_SEEN


@pytest.mark.parametrize("copies", [LIMITS_AT, LIMITS_AT[:1], LIMITS_AT[1:]])
def test_limits_of_firmware_2_0_are_still_in_force(copies: tuple[int, ...]) -> None:
    older = limits_of(max_on_us=3_000)
    with ScriptedGate() as board:
        for address in copies:
            board.write_eeprom(address, older_limits_cells(older))
        board.power_cycle()
        board.run_ms(20)
        gate = GateHost(board, older)
        source = LimitsSource.EEPROM if len(copies) == 2 else LimitsSource.ONE_COPY
        assert gate.hello().limits_source is source
        assert gate.ask(GetLimits()) == older
        gate.arm()
        assert gate.reason(Pulse(3_001, 0, 1, 255)) is Reason.TOO_LONG
        gate.fire(3_000)
        gate.beat(300)
        board.power_cycle()
        board.run_ms(20)
        assert gate.hello().limits_source is LimitsSource.EEPROM
        assert gate.ask(GetLimits()) == older
        gate.judge()


def test_older_limits_are_not_found_in_newer_ones_that_rot() -> None:
    """The CRC of the shorter copy stands where the photodiode's delays are; what follows it was written."""
    with ScriptedGate() as board:
        cells = older_limits_cells(limits_of())
        for address in LIMITS_AT:
            board.write_eeprom(address, cells + b"\x00")
        board.power_cycle()
        board.run_ms(20)
        gate = GateHost(board, limits_of())
        assert gate.hello().limits_source is LimitsSource.LOST
