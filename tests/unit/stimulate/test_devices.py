"""What goes to Pulse Pal, NI and text devices, byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from support.devices import FakeNidaqmx, LineDevice, PulsePalDevice
from support.patient_clock import PatientClock

from rtface.config import DaqOutputSettings, LineOutputSettings, OutputSettings, PulsePalOutputSettings
from rtface.core.clock import NS_PER_MS as MS
from rtface.core.clock import NS_PER_US
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate import factory
from rtface.stimulate.base import Output


def make_output(settings: OutputSettings) -> Output:
    """Make an output that a busy machine does not make late."""
    return factory.make_output(settings, PatientClock())


def fire(output: Output, pulse: Pulse) -> list[tuple[OutputEvent, OutputReason]]:
    """Open, arm, fire, wait for the end, close."""
    output.open()
    output.alive()
    output.arm()
    number = output.fire(pulse)
    seen: list[tuple[OutputEvent, OutputReason]] = []
    while not {OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED, OutputEvent.LOST} & {event for event, _ in seen}:
        output.alive()
        seen += [(each.event, each.reason) for each in output.reports() if each.number == number]
    output.close()
    return seen


@pytest.mark.parametrize(
    ("version", "volts_code", "zero"), [(21, 40960, 32768), (14, 160, 128)], ids=["2", "1"]
)
def test_a_pulse_pal_is_programmed_in_its_cycles_and_triggered(
    version: int, volts_code: int, zero: int
) -> None:
    device = PulsePalDevice(version)
    try:
        output = make_output(PulsePalOutputSettings(kind="pulsepal", port=device.port, channel=3, volts=5.0))
        fire(output, Pulse(5 * MS, 20 * MS, 3, 0.5))
        ((channel, parameters),) = device.triggered
        assert channel == 3
        assert parameters[4] == 100, "5 ms in cycles of 50 us"
        assert parameters[7] == 300, "from the end of a pulse to the next"
        assert parameters[10] == 900, "the train ends with its last pulse"
        assert parameters[2] == volts_code, "2.5 V"
        assert parameters[17] == zero
        assert parameters[1] == parameters[8] == parameters[11] == parameters[12] == parameters[13] == 0
        assert parameters[14] == parameters[15] == parameters[16] == parameters[18] == 0
        while device.connected:
            pass
    finally:
        device.vanish()


class PulsePalRig:
    """An armed Pulse Pal and its reports."""

    def __init__(self, device: PulsePalDevice, **settings: Any) -> None:
        self.device = device
        self.output = make_output(
            PulsePalOutputSettings(
                kind="pulsepal", port=device.port, min_off_ms=0, liveness_ms=5000, **settings
            )
        )
        self.output.open()
        self.output.alive()

    def arm(self) -> PulsePalRig:
        self.output.arm()
        return self

    def fire(self, pulse: Pulse) -> list[Report]:
        """Fire, and return the reports of this pulse when it is over."""
        number = self.output.fire(pulse)
        seen: list[Report] = []
        ends = {OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED, OutputEvent.LOST}
        while not ends & {each.event for each in seen}:
            self.output.alive()
            seen += [each for each in self.output.reports() if each.number == number]
        return seen


@pytest.fixture
def pulse_pals() -> Iterator[Callable[..., PulsePalRig]]:
    rigs: list[PulsePalRig] = []

    def make(device: PulsePalDevice, **settings: Any) -> PulsePalRig:
        rigs.append(PulsePalRig(device, **settings))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.output.close()
        rig.device.vanish()


MakePulsePal = Callable[..., PulsePalRig]
EVERY_FIRMWARE = pytest.mark.parametrize(
    ("version", "old_loop"),
    [(11, False), (20, False), (21, False), (21, True), (22, False)],
    ids=["1.1", "2.0.0", "2.0.1", "2.0.1 of 2016", "22"],
)


def tamper(device: PulsePalDevice, channel: int) -> None:
    """Leave a channel as another program, its menu or a settings file may."""
    for code, value in ((1, 1), (2, 65535), (3, 65535), (8, 9), (9, 9), (11, 7), (12, 1), (13, 1)):
        device.parameters[channel, code] = value
    for code, value in ((4, 72_000_000), (10, 72_000_000), (14, 1), (15, 1), (16, 1)):
        device.parameters[channel, code] = value
    device.loops[channel] = 1


@EVERY_FIRMWARE
@pytest.mark.parametrize("channel", [1, 2, 4])
@pytest.mark.parametrize("when", ["before opening", "before arming", "before firing"])
def test_a_pulse_pal_plays_one_train_whatever_state_it_was_left_in(
    pulse_pals: MakePulsePal, version: int, old_loop: bool, channel: int, when: str
) -> None:
    device = PulsePalDevice(version, old_loop=old_loop)
    if when == "before opening":
        tamper(device, channel)
        device.play(channel)
    rig = pulse_pals(device, channel=channel)
    assert not device.lit
    if when == "before arming":
        tamper(device, channel)
        device.play(channel)
    rig.arm()
    assert not device.lit
    assert not device.loops[channel]
    if when == "before firing":
        tamper(device, channel)
    known = len(device.triggered)
    events = [each.event for each in rig.fire(Pulse(5 * MS, 20 * MS, 2, 1.0))]
    assert events[-1] is OutputEvent.TRAIN_ENDED
    ((played, parameters),) = device.triggered[known:]
    assert played == channel
    expected = {4: 100, 7: 300, 10: 500, 1: 0, 8: 0, 9: 0, 11: 0, 12: 0, 13: 0, 14: 0, 15: 0, 16: 0, 18: 0}
    assert {code: parameters[code] for code in expected} == expected
    assert not device.lit


def test_a_pulse_pal_loops_no_other_channel_either(pulse_pals: MakePulsePal) -> None:
    device = PulsePalDevice(21, old_loop=True)
    pulse_pals(device, channel=3).arm()
    assert not any(device.loops.values())
    assert not device.triggered


def test_a_pulse_pal_that_is_not_to_light_holds_a_dark_programme(pulse_pals: MakePulsePal) -> None:
    device = PulsePalDevice()
    rig = pulse_pals(device, channel=2).arm()
    assert device.parameters[2, 2] == device.parameters[2, 17]
    rig.fire(Pulse(5 * MS, 5 * MS, 1, 1.0))
    rig.output.close()
    device.play(2)
    assert not device.lit, "who triggers it afterwards gets no light of ours"


@pytest.mark.parametrize(
    ("asked_us", "played_us"), [(20, 100), (100, 100), (5010, 5000), (5030, 5050), (5000, 5000)]
)
def test_a_pulse_pal_says_the_length_that_it_played(
    pulse_pals: MakePulsePal, asked_us: int, played_us: int
) -> None:
    device = PulsePalDevice()
    seen = pulse_pals(device).arm().fire(Pulse(asked_us * NS_PER_US, asked_us * NS_PER_US, 1, 1.0))
    ((_, parameters),) = device.triggered
    (off,) = [each for each in seen if each.event is OutputEvent.LIGHT_OFF]
    (sent,) = [each for each in seen if each.event is OutputEvent.SENT]
    assert parameters[4] * 50 == played_us
    assert off.details == {"on_ns": played_us * NS_PER_US, "planned": True}
    assert sent.details.get("on_ns", asked_us * NS_PER_US) == played_us * NS_PER_US


@pytest.mark.parametrize(
    ("pulse", "reason"),
    [
        (Pulse(20 * NS_PER_US, 0, 1, 1.0), OutputReason.TOO_LONG),
        (Pulse(51 * NS_PER_US, 0, 1, 1.0), OutputReason.TOO_LONG),
        (Pulse(40 * NS_PER_US, 2 * 3600 * 10**9, 2, 1.0), OutputReason.TOO_LONG),
    ],
)
def test_limits_hold_for_what_a_pulse_pal_would_make_of_a_pulse(
    pulse_pals: MakePulsePal, pulse: Pulse, reason: OutputReason
) -> None:
    device = PulsePalDevice()
    (refused,) = pulse_pals(device, max_on_ms=0.05).arm().fire(pulse)
    assert (refused.event, refused.reason) in {
        (OutputEvent.REFUSED, reason),
        (OutputEvent.REFUSED, OutputReason.BAD_VALUE),
    }
    assert not device.triggered


def test_a_train_of_more_than_an_hour_is_refused(pulse_pals: MakePulsePal) -> None:
    device = PulsePalDevice()
    rig = pulse_pals(device).arm()
    (refused,) = rig.fire(Pulse(5 * MS, 1801 * 10**9, 3, 1.0))
    assert (refused.event, refused.reason) == (OutputEvent.REFUSED, OutputReason.BAD_VALUE)
    assert rig.output.state is OutputState.ARMED


def test_each_train_of_a_pulse_pal_is_aborted_and_light_off_waits_for_that(pulse_pals: MakePulsePal) -> None:
    device = PulsePalDevice()
    rig = pulse_pals(device).arm()
    aborted = device.aborted
    rig.fire(Pulse(5 * MS, 5 * MS, 1, 1.0))
    assert device.aborted == aborted + 1


@pytest.mark.parametrize("way", ["deaf", "gone"])
@pytest.mark.parametrize("end", ["by itself", "cancelled", "stopped"])
def test_nobody_says_light_off_of_a_pulse_pal_that_does_not_answer(
    pulse_pals: MakePulsePal, way: str, end: str
) -> None:
    device = PulsePalDevice()
    rig = pulse_pals(device).arm()
    length = 20 * MS if end == "by itself" else 15 * MS
    number = rig.output.fire(Pulse(length, 30 * MS, 1 if end == "by itself" else 900, 1.0))
    seen: list[Report] = []
    while not any(each.event is OutputEvent.LIGHT_ON for each in seen):
        rig.output.alive()
        seen += rig.output.reports()
    if way == "deaf":
        device.deaf = True
    else:
        device.vanish()
    before = len(seen)
    if end == "cancelled":
        rig.output.cancel()
    elif end == "stopped":
        rig.output.stop()
    while not any(each.event is OutputEvent.LOST for each in seen):
        rig.output.alive()
        seen += rig.output.reports()
    said = [each for each in seen[before:] if each.event is OutputEvent.LIGHT_OFF and each.number == number]
    assert all(each.details.get("planned") for each in said)
    assert rig.output.state is OutputState.FAULT
    assert not [each for each in seen if each.event is OutputEvent.TRAIN_ENDED]


def test_a_pulse_pal_that_does_not_take_its_parameters_is_not_armed_or_fired(
    pulse_pals: MakePulsePal,
) -> None:
    device = PulsePalDevice()
    rig = pulse_pals(device)
    obey = device._obey
    device._obey = lambda command: b"\x00" if command[1:3] == b"\x4a\x0a" else obey(command)  # type: ignore[method-assign]
    with pytest.raises(OutputError, match="refused parameter 10"):
        rig.output.arm()
    assert rig.output.state is OutputState.DISARMED
    device._obey = obey  # type: ignore[method-assign]
    rig.arm()
    device._obey = lambda command: b"\x00" if command[1:3] == b"\x4a\x04" else obey(command)  # type: ignore[method-assign]
    seen = rig.fire(Pulse(5 * MS, 5 * MS, 1, 1.0))
    assert [each.event for each in seen] == [OutputEvent.LOST]
    assert not device.triggered


def test_what_is_no_pulse_pal_is_told_apart() -> None:
    device = LineDevice()
    device.take = lambda data: b"hello"  # type: ignore[method-assign]
    try:
        with pytest.raises(OutputError, match="no Pulse Pal"):
            make_output(PulsePalOutputSettings(kind="pulsepal", port=device.port)).open()
    finally:
        device.vanish()


def test_a_text_device_gets_its_commands_filled_in() -> None:
    device = LineDevice()
    try:
        settings = LineOutputSettings(
            kind="line", port=device.port, light_on="ON {amplitude} {percent} {on_us}\n", light_off="OFF\n"
        )
        fire(make_output(settings), Pulse(1500 * NS_PER_US, 20 * MS, 2, 0.5))
        while len(device.lines) < 6:
            pass
        assert device.lines[:5] == ["OFF", "ON 128 50 1500", "OFF", "ON 128 50 1500", "OFF"]
    finally:
        device.vanish()


def test_a_command_that_cannot_be_filled_in_is_refused_at_opening() -> None:
    device = LineDevice()
    try:
        settings = LineOutputSettings(
            kind="line", port=device.port, light_on="ON {power}\n", light_off="OFF\n"
        )
        with pytest.raises(OutputError, match="power"):
            make_output(settings).open()
        assert not device.received
    finally:
        device.vanish()


@pytest.fixture
def ni(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeNidaqmx]:
    module = FakeNidaqmx()
    for name in ("system", "errors", "constants"):
        monkeypatch.setitem(sys.modules, f"nidaqmx.{name}", getattr(module, name))
    monkeypatch.setitem(sys.modules, "nidaqmx", module)
    yield module
    assert all(task.closed for task in module.tasks), "a task that is not closed keeps its channel"


def test_a_counter_gets_a_finite_train(ni: FakeNidaqmx) -> None:
    output = make_output(DaqOutputSettings(kind="daq", channel="Dev1/ctr0"))
    fire(output, Pulse(5 * MS, 20 * MS, 3, 1.0))
    (task,) = ni.tasks
    assert task.calls == [
        ("co", {"0": "Dev1/ctr0", "idle_state": "low", "low_time": 0.015, "high_time": 0.005}),
        ("implicit", {"sample_mode": "finite", "samps_per_chan": 3}),
    ]
    assert task.started


def test_a_counter_cannot_dim(ni: FakeNidaqmx) -> None:
    output = make_output(DaqOutputSettings(kind="daq", channel="Dev1/ctr0"))
    assert fire(output, Pulse(5 * MS, 20 * MS, 3, 0.5)) == [(OutputEvent.REFUSED, OutputReason.BAD_VALUE)]
    assert not ni.tasks


def test_an_analogue_output_plays_the_train_and_ends_at_zero(ni: FakeNidaqmx) -> None:
    output = make_output(DaqOutputSettings(kind="daq", channel="Dev1/ao1", volts=4.0, rate_hz=1000))
    fire(output, Pulse(2 * MS, 13 * MS, 2, 0.5))
    played = next(task for task in ni.tasks if isinstance(task.written, np.ndarray))
    np.testing.assert_array_equal(played.written, [2, 2, *[0] * 11, 2, 2, 0, 0])
    assert played.calls[1] == ("clock", {"0": 1000.0, "sample_mode": "finite", "samps_per_chan": 17})
    assert ni.tasks[0].written == ni.tasks[-1].written == 0.0, "at rest before and after"


CHANNELS = pytest.mark.parametrize("channel", ["Dev1/ctr0", "Dev1/ao1"])


def opened(channel: str, **settings: Any) -> Output:
    settings = {"liveness_ms": 5000} | settings
    output = make_output(DaqOutputSettings(kind="daq", channel=channel, **settings))
    output.open()
    output.alive()
    return output


def checked(output: Output, what: str) -> str:
    (found,) = [each for each in output.self_test() if each.what == what]
    return found.verdict


@CHANNELS
def test_the_self_test_reserves_the_channel_and_reads_it_back(ni: FakeNidaqmx, channel: str) -> None:
    output = opened(channel)
    assert checked(output, "daq") == "ok"
    assert [task.actions for task in ni.tasks if task.actions], "reserved"
    ni.reads_back = False
    assert checked(output, "daq") == "warn", "not known is not at rest"
    ni.reads_back, ni.stuck = True, 4.9
    assert checked(output, "daq") == "fail"
    ni.stuck, ni.taken = 0.0, {channel}
    assert checked(output, "daq") == "fail"
    output.close()
    assert not ni.lit


def test_zero_is_written_after_a_train_and_whatever_else_fails(ni: FakeNidaqmx) -> None:
    output = opened("Dev1/ao1")
    output.arm()
    number = output.fire(Pulse(15 * MS, 30 * MS, 900, 1.0))
    seen: list[Report] = []
    while not any(each.event is OutputEvent.LIGHT_ON for each in seen):
        output.alive()
        seen += output.reports()
    assert ni.lit
    next(task for task in ni.tasks if isinstance(task.written, np.ndarray)).broken = True
    output.cancel()
    while not any(each.event is OutputEvent.LOST for each in seen):
        output.alive()
        seen += output.reports()
    assert not ni.lit
    assert ni.resets, "a device of which that is not known is reset"
    assert not [each for each in seen if (each.number, each.event) == (number, OutputEvent.LIGHT_OFF)]
    output.close()


@CHANNELS
def test_a_watchdog_is_started_at_arming_fed_and_given_back(ni: FakeNidaqmx, channel: str) -> None:
    ni.has_watchdog = True
    output = opened(channel, liveness_ms=400)
    assert not ni.watchdogs
    assert checked(output, "watchdog") == "ok"
    output.arm()
    (watchdog,) = ni.watchdogs
    assert watchdog.started
    assert watchdog.timeout == 0.4
    assert watchdog.states in ([(channel, "low")], [(channel, 0.0, "volts")])
    fed = watchdog.fed
    while watchdog.fed < fed + 2:
        output.alive()
    output.close()
    assert watchdog.closed


def test_an_output_whose_watchdog_has_expired_is_lost(ni: FakeNidaqmx) -> None:
    ni.has_watchdog = True
    output = make_output(DaqOutputSettings(kind="daq", channel="Dev1/ctr0", liveness_ms=100))
    output.open()
    output.alive()
    output.arm()
    ni.watchdogs[0].expired = True
    while output.state is not OutputState.FAULT:
        output.alive()
    output.close()


def test_a_device_without_a_watchdog_says_so(ni: FakeNidaqmx) -> None:
    output = opened("Dev1/ctr0")
    assert checked(output, "watchdog") == "warn"
    output.arm()
    output.close()


def test_an_analogue_train_is_played_and_reported_in_samples(ni: FakeNidaqmx) -> None:
    output = opened("Dev1/ao1", rate_hz=1000, min_off_ms=0)
    output.arm()
    number, seen = output.fire(Pulse(2400 * NS_PER_US, 13_700 * NS_PER_US, 2, 1.0)), list[Report]()
    while not any(each.event is OutputEvent.TRAIN_ENDED for each in seen):
        output.alive()
        seen += [each for each in output.reports() if each.number == number]
    lengths = {each.details["on_ns"] for each in seen if each.event is OutputEvent.LIGHT_OFF}
    assert lengths == {2 * MS}
    refused = output.fire(Pulse(5 * MS, 20_000 * 10**9, 2, 1.0))
    while not [each for each in seen if each.number == refused]:
        output.alive()
        seen += output.reports()
    assert seen[-1].reason is OutputReason.BAD_VALUE, "more samples than can be handed over"
    output.close()


def test_a_missing_package_and_a_missing_device_are_told(
    ni: FakeNidaqmx, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="'Dev9'; NI-DAQmx has Dev1"):
        make_output(DaqOutputSettings(kind="daq", channel="Dev9/ctr0")).open()
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    with pytest.raises(OutputError, match=r"pip install '.\[daq\]'"):
        make_output(DaqOutputSettings(kind="daq", channel="Dev1/ctr0")).open()
