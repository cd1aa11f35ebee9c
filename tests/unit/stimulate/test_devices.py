"""What goes to Pulse Pal, NI and text devices, byte for byte."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from support.devices import FakeNidaqmx, LineDevice, PulsePalDevice

from rtface.config import DaqOutputSettings, LineOutputSettings, PulsePalOutputSettings
from rtface.core.clock import NS_PER_MS as MS
from rtface.core.clock import NS_PER_US
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason
from rtface.core.records import Pulse
from rtface.stimulate.base import Output
from rtface.stimulate.factory import make_output


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
        while device.connected:
            pass
    finally:
        device.vanish()


def test_a_pulse_pal_is_not_programmed_twice_for_the_same_pulse() -> None:
    device = PulsePalDevice()
    try:
        output = make_output(PulsePalOutputSettings(kind="pulsepal", port=device.port, min_off_ms=0))
        output.open()
        output.alive()
        output.arm()
        sizes = []
        for _ in range(2):
            before = len(device.received)
            number, seen = output.fire(Pulse(1 * MS, 1 * MS, 1, 1.0)), []
            while (number, OutputEvent.TRAIN_ENDED) not in seen:
                output.alive()
                seen += [(each.number, each.event) for each in output.reports()]
            while len(device.triggered) < len(sizes) + 1:
                pass
            sizes.append(len(device.received) - before)
        assert sizes[1] == 3, "the trigger alone"
        output.close()
    finally:
        device.vanish()


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


def test_a_missing_package_and_a_missing_device_are_told(
    ni: FakeNidaqmx, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="'Dev9'; NI-DAQmx has Dev1"):
        make_output(DaqOutputSettings(kind="daq", channel="Dev9/ctr0")).open()
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    with pytest.raises(OutputError, match=r"pip install '.\[daq\]'"):
        make_output(DaqOutputSettings(kind="daq", channel="Dev1/ctr0")).open()
