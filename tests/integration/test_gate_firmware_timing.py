"""Trains and timestamps of the real firmware in emulation, to the cycle."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from support.gate_host import GateHost, gate_host, limits_of, need_simavr, us

from bench.gate.proof import JITTER_US
from bench.gate.scripted import LIMITS_AT, ScriptedGate, limits_cells
from rtface.stimulate.gate.codes import Kind
from rtface.stimulate.gate.emulator import Photodiode
from rtface.stimulate.gate.protocol import Ack, Pulse

OPEN = limits_of(max_on_us=500_000, min_off_us=1_000, window_on_us=10_000_000)


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


@pytest.mark.parametrize(
    ("on_us", "period_us", "count"),
    [(5_000, 25_000, 30), (2_003, 12_777, 40), (100, 2_250, 80), (20, 3_333, 60), (70_000, 130_001, 5)],
)
def test_a_train_keeps_its_frequency_and_widths(on_us: int, period_us: int, count: int) -> None:
    with gate_host(OPEN) as gate:
        gate.arm()
        gate.fire(on_us, period_us, count)
        gate.beat(count * period_us / 1000 + 10, every=9.7)
        on = np.array([flash.on for flash in gate.light]) / 16
        width = np.array([flash.us for flash in gate.light])
        assert len(on) == count
        late = on - on[0] - period_us * np.arange(count)
        assert np.abs(late).max() <= JITTER_US, "begins drift from the grid of the first pulse"
        assert np.median(np.abs(late)) < 1
        assert np.abs(width - on_us).max() <= JITTER_US
        assert np.abs(np.median(width) - on_us) < 1
        (end,) = gate.events(Kind.TRAIN_ENDED)
        assert end.value == count


def test_a_train_is_even_while_the_line_is_busy() -> None:
    """Three frames every two milliseconds, forty times what a host says."""
    with gate_host(OPEN) as gate:
        gate.arm()
        gate.fire(1_000, 5_000, 40)
        gate.beat(210, every=0.7)
        on = np.array([flash.on for flash in gate.light]) / 16
        assert len(on) == 40
        assert np.abs(on - on[0] - 5_000 * np.arange(40)).max() <= JITTER_US


@pytest.mark.parametrize("wired", [0, 1])
@pytest.mark.parametrize("on_us", [20, 300, 2_500])
def test_no_byte_is_lost_whatever_the_gate_is_busy_with(wired: int, on_us: int) -> None:
    """The receiver holds two bytes: edges, the millisecond's work and the photodiode's must all leave it time."""
    delays = {"photodiode_wired": wired, "light_rise_us": 500, "light_fall_us": 500}
    with ScriptedGate() as board:
        board.photodiode(Photodiode.FOLLOWS if wired else Photodiode.ABSENT, 100, 100)
        limits = replace(OPEN, **delays)
        for address in LIMITS_AT:
            board.write_eeprom(address, limits_cells(limits))
        board.power_cycle()
        board.run_ms(20)
        gate = GateHost(board, limits)
        gate.arm()
        gate.fire(on_us, on_us + 1_130, 250)
        gate.beat(250 * (on_us + 1_130) / 1000 + 90, every=1.97)
        assert board.log.overruns == []
        assert len(gate.light) == 250
        gate.judge()


def test_reported_times_are_those_of_the_pins() -> None:
    with gate_host(OPEN) as gate:
        gate.arm()
        gate.fire(1_234, 7_777, 60)
        gate.beat(500)
        began = np.array([event.time_us for event in gate.events(Kind.PULSE_BEGAN)])
        ended = np.array([event.time_us for event in gate.events(Kind.PULSE_ENDED)])
        on = np.array([us(flash.on) for flash in gate.light])
        off = np.array([us(flash.off) for flash in gate.light])
        assert len(began) == len(ended) == len(on) == 60
        offset = np.concatenate([on - began, off - ended])
        assert np.ptp(offset) <= 2, "one and the same clock for all edges"
        lasted = np.array([event.value for event in gate.events(Kind.PULSE_ENDED)])
        assert np.abs(lasted - (off - on)).max() <= 2


def test_an_acknowledgement_s_time_is_that_of_the_pulse() -> None:
    with gate_host(OPEN) as gate:
        gate.arm()
        apart = []
        for number in range(1, 9):
            answer = gate.ask(Pulse(300, 0, 1, 255))
            assert isinstance(answer, Ack)
            assert answer.value == number
            apart.append(answer.time_us - gate.events(Kind.PULSE_BEGAN)[-1].time_us)
            gate.beat(7)
        assert min(apart) >= 0
        assert max(apart) <= 100


def test_from_the_last_byte_of_a_command_to_light_takes_less_than_a_millisecond() -> None:
    with gate_host(OPEN) as gate:
        gate.arm()
        for _ in range(20):
            gate.fire(300)
            gate.beat(4.3)
        ends = [(cycle, byte) for cycle, byte, _ in gate.gate.log.delivered if byte == 0]
        for flash in gate.light:
            last = max(cycle for cycle, _ in ends if cycle < flash.on)
            assert us(flash.on - last) < 1_000


def test_time_goes_on_across_laps_of_the_timers() -> None:
    """The counter of half microseconds laps each 33 ms; no reported time may jump back or ahead by a lap."""
    with gate_host(OPEN) as gate:
        gate.arm()
        gate.fire(100, 2_171, 220)
        gate.beat(490)
        began = [event.time_us for event in gate.events(Kind.PULSE_BEGAN)]
        steps = [after - before for before, after in pairwise(began)]
        assert len(began) == 220
        assert min(steps) >= 2_171 - 2 * JITTER_US
        assert max(steps) <= 2_171 + 2 * JITTER_US


@pytest.mark.parametrize("overflows", [0xFFF0, 0xFFFF])
def test_the_counter_of_ticks_wraps_in_mid_train(overflows: int) -> None:
    """After 35 minutes: the count of laps is set to just before that."""
    with gate_host(OPEN) as gate:
        address = _counter_of_laps(gate.gate)
        gate.gate.poke(address, overflows & 0xFF)
        gate.gate.poke(address + 1, overflows >> 8)
        gate.arm()
        gate.beat(20)
        gate.fire(2_000, 11_000, 60)
        gate.beat(700)
        on = np.array([flash.on for flash in gate.light]) / 16
        assert len(on) == 60
        assert np.abs(on - on[0] - 11_000 * np.arange(60)).max() <= JITTER_US


def _counter_of_laps(board: object) -> int:
    """Find the four bytes in memory that count the laps of timer 1."""
    assert isinstance(board, ScriptedGate)
    memory = range(0x100, 0x700)
    found = set(memory)
    for _ in range(3):
        before = [board.peek(at) for at in memory]
        board.run(8 * 65536)
        after = [board.peek(at) for at in memory]
        grown = {at for at, a, b in zip(memory, before, after, strict=True) if b == a + 1}
        found &= grown
    assert len(found) == 1, found
    return found.pop()
