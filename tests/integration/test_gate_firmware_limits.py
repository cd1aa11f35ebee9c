"""Every limit, on the real firmware in emulation, judged by the chip's cycles."""

from __future__ import annotations

import pytest
from support.gate_host import gate_host, limits_of, need_simavr, us

from bench.gate.proof import JITTER_US
from rtface.stimulate.gate.codes import Kind, Reason, State
from rtface.stimulate.gate.protocol import Cancel, Disarm, Pulse


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


@pytest.mark.parametrize("on_us", [20, 147, 5_000, 19_999, 20_000])
def test_a_pulse_is_as_long_as_ordered(on_us: int) -> None:
    with gate_host() as gate:
        gate.arm()
        gate.fire(on_us)
        gate.beat(30)
        (flash,) = gate.light
        assert -2 < flash.us - on_us <= JITTER_US


def test_a_pulse_of_several_laps_of_the_counter_is_as_long_as_ordered() -> None:
    with gate_host(limits_of(max_on_us=400_000, window_on_us=10_000_000)) as gate:
        gate.arm()
        gate.fire(331_111)
        gate.beat(350)
        (flash,) = gate.light
        assert -2 < flash.us - 331_111 <= JITTER_US


def test_longer_than_the_limit_is_refused() -> None:
    with gate_host() as gate:
        gate.arm()
        assert gate.reason(Pulse(20_001, 0, 1, 255)) is Reason.TOO_LONG
        assert gate.reason(Pulse(2**32 - 1, 0, 1, 255)) is Reason.TOO_LONG
        assert gate.state is State.ARMED
        assert gate.light == []


@pytest.mark.parametrize(
    "pulse",
    [
        Pulse(19, 0, 1, 255),
        Pulse(0, 0, 1, 255),
        Pulse(1_000, 0, 0, 255),
        Pulse(1_000, 0, 1, 0),
        Pulse(1_000, 1, 1, 255),
        Pulse(1_000, 0, 2, 255),
        Pulse(1_000, 10_999, 2, 255),
        Pulse(1_000, 600_000_001, 2, 255),
        Pulse(1_000, 2**32 - 1, 2, 255),
    ],
)
def test_what_makes_no_sense_is_refused(pulse: Pulse) -> None:
    with gate_host() as gate:
        gate.arm()
        assert gate.reason(pulse) is Reason.BAD_VALUE
        assert gate.light == []


def test_the_amplitude_is_as_ordered_and_within_its_limit() -> None:
    with gate_host(limits_of(max_amplitude=200)) as gate:
        gate.arm()
        assert gate.reason(Pulse(1_000, 0, 1, 201)) is Reason.TOO_STRONG
        gate.fire(1_000, amplitude=200)
        gate.beat(20)
        gate.fire(1_000, amplitude=1)
        gate.beat(5)
        assert [flash.amplitude for flash in gate.light] == [200, 1]


def test_the_light_rests_between_pulses_and_after_a_reset() -> None:
    with gate_host(limits_of(min_off_us=30_000)) as gate:
        gate.arm()
        gate.fire(1_000)
        gate.beat(25)
        assert gate.reason(Pulse(1_000, 0, 1, 255)) is Reason.TOO_SOON
        gate.beat(10)
        gate.fire(10_000)
        gate.gate.reset()
        gate.gate.run_ms(20)
        gate.arm()
        assert gate.reason(Pulse(1_000, 0, 1, 255)) is Reason.TOO_SOON
        gate.beat(10)
        gate.fire(1_000)
        assert us(gate.light[2].on - gate.light[1].off) >= 30_000


def test_a_train_with_the_shortest_gap_keeps_it_to_the_cycle() -> None:
    with gate_host(limits_of(min_off_us=1_000)) as gate:
        gate.arm()
        gate.fire(333, 1_333, 60)
        gate.beat(100, every=7)
        assert len(gate.light) == 60
        gaps = [after.on - before.off for before, after in zip(gate.light, gate.light[1:], strict=False)]
        assert min(gaps) >= 16_000


def test_the_light_within_any_window_is_bounded() -> None:
    with gate_host(limits_of(window_ms=320, window_on_us=8_000, min_off_us=1_000)) as gate:
        gate.arm()
        gate.fire(5_000)
        gate.beat(10)
        assert gate.reason(Pulse(3_100, 0, 1, 255)) is Reason.WINDOW_FULL
        gate.fire(2_900)
        gate.beat(290)
        assert gate.reason(Pulse(3_000, 0, 1, 255)) is Reason.WINDOW_FULL
        gate.beat(60)
        gate.fire(7_900)
        gate.beat(10)
        assert gate.status().window_us >= 7_900


def test_a_train_ends_where_the_window_is_full_and_says_so() -> None:
    with gate_host(limits_of(window_ms=1_600, window_on_us=10_000, min_off_us=1_000)) as gate:
        gate.arm()
        gate.fire(1_990, 4_000, 100)
        gate.beat(60)
        assert len(gate.light) == 5
        (end,) = gate.events(Kind.TRAIN_ENDED)
        assert (end.reason, end.value, end.state) == (Reason.WINDOW_FULL, 5, State.ARMED)
        assert gate.status().pulses == 5


def test_resets_do_not_empty_the_window() -> None:
    with gate_host(limits_of(window_ms=3_200, window_on_us=8_000)) as gate:
        gate.arm()
        gate.fire(6_000)
        gate.beat(15)
        for _ in range(2):
            gate.gate.reset()
            gate.gate.run_ms(20)
        gate.arm()
        assert gate.reason(Pulse(3_000, 0, 1, 255)) is Reason.WINDOW_FULL


def test_pulses_of_a_session_are_counted_until_power_off() -> None:
    with gate_host(limits_of(session_pulses=4)) as gate:
        gate.arm()
        gate.fire(1_000, 12_000, 3)
        gate.beat(60)
        gate.gate.reset()
        gate.gate.run_ms(20)
        welcome = gate.hello()
        assert (welcome.resets, welcome.state) == (1, State.DISARMED)
        gate.arm()
        gate.fire(1_000)
        gate.beat(20)
        assert gate.reason(Pulse(1_000, 0, 1, 255)) is Reason.SESSION_PULSES
        gate.gate.power_cycle()
        gate.gate.run_ms(20)
        assert gate.hello().resets == 0
        gate.arm()
        gate.fire(1_000)
        gate.beat(5)
        assert len(gate.light) == 5


def test_over_the_ttl_alone_the_dose_is_that_of_full_light() -> None:
    with gate_host(limits_of(session_dose_us=12_000)) as gate:
        gate.arm()
        gate.fire(10_000, amplitude=1)
        gate.beat(25)
        assert 9_999 <= gate.status().dose_us <= 10_000 + JITTER_US
        assert gate.reason(Pulse(3_000, 0, 1, 1)) is Reason.SESSION_DOSE


def test_the_dose_of_a_session_counts_light_at_full_amplitude_where_it_is_wired() -> None:
    with gate_host(limits_of(session_dose_us=12_000, amplitude_wired=1)) as gate:
        gate.arm()
        gate.fire(10_000, amplitude=128)
        gate.beat(25)
        assert 5_000 <= gate.status().dose_us <= 5_020 + JITTER_US
        assert gate.reason(Pulse(8_000, 0, 1, 255)) is Reason.SESSION_DOSE
        gate.fire(6_500)
        gate.beat(25)
        assert gate.reason(Pulse(1_000, 0, 1, 255)) is Reason.SESSION_DOSE


def test_a_pulse_that_is_cut_short_costs_what_it_was() -> None:
    with gate_host() as gate:
        gate.arm()
        gate.fire(20_000)
        gate.beat(2)
        assert gate.reason(Cancel()) is Reason.NONE
        (flash,) = gate.light
        assert flash.us < 10_000
        assert abs(gate.status().dose_us - flash.us) <= 2
        (end,) = gate.events(Kind.PULSE_ENDED)
        assert end.reason is Reason.CANCELLED


def test_a_reset_in_mid_pulse_costs_the_whole_pulse() -> None:
    with gate_host() as gate:
        gate.arm()
        gate.fire(20_000)
        gate.gate.reset()
        gate.gate.run_ms(20)
        gate.hello()
        assert gate.status().dose_us == 20_000
        assert gate.light[0].us < 10_000


@pytest.mark.parametrize("message", [Disarm(), Cancel()])
def test_a_pulse_of_a_train_that_is_called_off_just_before_neither_comes_nor_costs(
    message: Disarm | Cancel,
) -> None:
    with gate_host(limits_of(min_off_us=1_000)) as gate:
        gate.arm()
        gate.fire(1_000, 20_000, 5)
        gate.beat(20 - 3 - 1, every=1)
        assert len(gate.light) == 1
        assert gate.reason(message) is Reason.NONE
        gate.gate.run_ms(30)
        status = gate.status()
        assert len(gate.light) == status.pulses == 1
        assert abs(status.dose_us - gate.light[0].us) <= 2


def test_one_train_at_a_time() -> None:
    with gate_host() as gate:
        gate.arm()
        gate.fire(1_000, 20_000, 3)
        assert gate.reason(Pulse(1_000, 0, 1, 255)) is Reason.WRONG_STATE
        gate.beat(60)
        assert len(gate.light) == 3
