"""One suite over every output, whatever its device: what the closed loop relies on."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import TypeAdapter
from support.devices import FakeNidaqmx, LineDevice, PulsePalDevice
from support.emulated_gate import PATIENT_LIMITS, patient_gate
from support.fake_gate import SIGNED, Board, RunningGate
from support.waits import LONG_S, finishes

from rtface.config import OutputSettings
from rtface.config.yamlfile import kinds_of
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, monotonic_ns
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputEvent, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.base import Output
from rtface.stimulate.factory import make_output
from rtface.stimulate.gate.codes import State
from rtface.stimulate.gate.limits import fingerprint

MS = NS_PER_MS
LIVENESS_MS = 1000
"""Longer than a busy machine keeps a thread from running."""
SHORT = Pulse(5 * MS, 5 * MS, 1, 1.0)
TRAIN = Pulse(5 * MS, 20 * MS, 3, 1.0)
LONG_TRAIN = Pulse(15 * MS, 30 * MS, 900, 1.0)
"""27 s, longer than any test waits: what ends it is not its end."""


class Rig:
    """An output and the device behind it."""

    kind: ClassVar[str]
    """The output's."""
    guarded = False
    """Nothing is lit, or the device has limits of its own."""
    port: str | None = None
    """Where the device is; None where there is none to be shared."""
    limited = True
    """Longer pulses than 20 ms are refused."""
    nowhere: ClassVar[dict[str, Any]] = {}
    """Settings of the same kind that cannot be opened, and what the error must name."""
    names = ""

    def __init__(self, **settings: Any) -> None:
        self.settings = {"kind": self.kind, "liveness_ms": LIVENESS_MS} | settings

    def make(self, **changes: Any) -> Output:
        settings: OutputSettings = TypeAdapter(OutputSettings).validate_python(self.settings | changes)
        return make_output(settings)

    def lit(self) -> bool | None:
        """Whether the device's light is on; None where that cannot be seen."""
        return None

    def vanish(self) -> None:
        pytest.skip("a device that cannot vanish")

    def close(self) -> None:
        pass


class Null(Rig):
    kind = "null"
    guarded = True
    limited = False

    def __init__(self, folder: Path) -> None:
        super().__init__()


class Log(Rig):
    kind = "log"
    guarded = True
    limited = False

    def __init__(self, folder: Path) -> None:
        super().__init__(path=folder / "pulses.jsonl")
        self.nowhere, self.names = {"path": folder / "no" / "folder"}, "folder"
        self._path = folder / "pulses.jsonl"

    def lit(self) -> bool:
        lines = [line for line in self._path.read_text().splitlines() if '"on"' in line or '"off"' in line]
        return bool(lines) and '"on"' in lines[-1]


class Line(Rig):
    kind = "line"

    def __init__(self, folder: Path) -> None:
        self.device = LineDevice()
        self.port = self.device.port
        super().__init__(port=self.port, light_on="ON {amplitude} {on_us}\n", light_off="OFF\n")
        self.nowhere, self.names = {"port": "/dev/none"}, "/dev/none"

    def lit(self) -> bool:
        return self.device.lit

    def vanish(self) -> None:
        self.device.vanish()

    def close(self) -> None:
        self.device.vanish()


class PulsePal(Line):
    kind = "pulsepal"

    def __init__(self, folder: Path) -> None:
        self.device = PulsePalDevice()  # type: ignore[assignment]
        self.port = self.device.port
        Rig.__init__(self, port=self.port)
        self.nowhere, self.names = {"port": "/dev/none"}, "/dev/none"


class Daq(Rig):
    kind = "daq"

    def __init__(self, folder: Path) -> None:
        super().__init__(channel="Dev1/ctr0")
        self.nowhere, self.names = {"channel": "Dev7/ctr0"}, "Dev7"
        self.module = FakeNidaqmx()
        self._modules = {
            "nidaqmx": self.module,
            "nidaqmx.system": self.module.system,
            "nidaqmx.errors": self.module.errors,
            "nidaqmx.constants": self.module.constants,
        }
        sys.modules.update(self._modules)

    def lit(self) -> bool:
        return self.module.lit

    def vanish(self) -> None:
        self.module.gone = True

    def close(self) -> None:
        for name in self._modules:
            del sys.modules[name]


class FakedGate(Rig):
    """A gate made of Python, behind a port."""

    kind = "gate"
    guarded = True

    def __init__(self, folder: Path) -> None:
        self.board = Board(RunningGate())
        self.port = self.board.port
        super().__init__(port=self.port, silence_ms=5000, answer_ms=500, limits=fingerprint(SIGNED))
        self.nowhere, self.names = {"port": "/dev/none"}, "/dev/none"

    def lit(self) -> bool:
        return self.board.gate.state is State.FIRING

    def vanish(self) -> None:
        self.board.vanish()

    def close(self) -> None:
        self.board.vanish()


class ShippedGate(Rig):
    """The firmware that is shipped, in emulation."""

    kind = "gate"
    guarded = True

    def __init__(self, folder: Path) -> None:
        try:
            self.gate = patient_gate()
        except OutputError as error:
            pytest.skip(str(error))
        self.port = str(self.gate.port)
        super().__init__(port=self.port, silence_ms=5000, answer_ms=500, limits=PATIENT_LIMITS)
        self.nowhere, self.names = {"port": "/dev/none"}, "/dev/none"

    def lit(self) -> bool:
        self.gate.arm_switch(True)  # the emulation answers once its log is written
        return self.gate.light_is_on

    def vanish(self) -> None:
        self.gate.cable(False)

    def close(self) -> None:
        self.gate.close()


RIGS: list[type[Rig]] = [Null, Log, Line, PulsePal, Daq, FakedGate, ShippedGate]


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def output(rig: Rig) -> Iterator[Output]:
    made = rig.make()
    made.open()
    yield made
    made.close()


def test_every_kind_of_output_is_held_to_this() -> None:
    assert {each.kind for each in RIGS} == set(kinds_of(OutputSettings))


class Watch:
    """Keeps calling `alive` and collecting reports until something is so."""

    def __init__(self, output: Output) -> None:
        self.output = output
        self.seen: list[Report] = []

    def until(self, wanted: Callable[[], bool], *, alive: bool = True) -> None:
        end = time.monotonic() + LONG_S
        while True:
            if alive:
                self.output.alive()
            self.seen += self.output.reports()
            if wanted():
                return
            assert time.monotonic() < end, f"never came: {self.seen}"
            time.sleep(0.002)

    def event(self, happening: OutputEvent, number: int | None = None, *, alive: bool = True) -> Report:
        """Wait for the first report of a kind."""

        def found() -> list[Report]:
            return [each for each in self.seen if each.event is happening and number in (None, each.number)]

        self.until(lambda: bool(found()), alive=alive)
        return found()[0]

    def dark(self, rig: Rig) -> None:
        """Wait until the device is dark."""
        self.until(lambda: not rig.lit(), alive=False)

    def of(self, number: int) -> list[OutputEvent]:
        return [each.event for each in self.seen if each.number == number]


def armed(output: Output) -> Watch:
    output.alive()
    output.arm()
    assert output.state is OutputState.ARMED
    return Watch(output)


def test_opening_and_closing_any_number_of_times(rig: Rig) -> None:
    output = rig.make()
    assert output.state is OutputState.CLOSED
    output.close()
    first = output.open()
    assert output.open() == first
    assert first.kind == rig.kind
    assert first.as_dict()["label"]
    assert output.state is OutputState.DISARMED
    output.close()
    output.close()
    assert output.state is OutputState.CLOSED
    assert output.open().kind == first.kind
    output.close()


def test_only_a_device_with_limits_of_its_own_counts_as_guarded(rig: Rig, output: Output) -> None:
    info = output.open()
    assert info.enforces_limits is (rig.kind == "gate")
    assert info.guarded is rig.guarded
    checks = output.self_test()
    assert all(isinstance(each, Check) and each.text for each in checks)
    assert info.guarded or any(each.what == "guard" and each.verdict == "warn" for each in checks)
    assert not rig.lit()


def test_nothing_fires_before_arming_or_after_closing(rig: Rig) -> None:
    output = rig.make()
    closed = output.fire(SHORT)
    output.open()
    disarmed = output.fire(SHORT)
    watch = Watch(output)
    assert watch.event(OutputEvent.REFUSED, closed).reason is OutputReason.CLOSED
    assert watch.event(OutputEvent.REFUSED, disarmed).reason is OutputReason.NOT_ARMED
    assert watch.of(disarmed) == [OutputEvent.REFUSED]
    output.close()
    late = output.fire(SHORT)
    assert watch.event(OutputEvent.REFUSED, late).reason is OutputReason.CLOSED
    assert not [each for each in watch.seen if each.event is OutputEvent.LIGHT_ON]
    assert len({closed, disarmed, late}) == 3


def test_arming_needs_an_open_output_and_a_caller_that_lives(rig: Rig) -> None:
    output = rig.make()
    for call in (output.arm, output.clear, output.self_test):
        with pytest.raises(OutputError, match="not open"):
            call()
    output.open()
    with pytest.raises(OutputError, match="alive"):
        output.arm()
    assert output.state is OutputState.DISARMED
    with pytest.raises(OutputError):
        output.clear()
    output.close()


@pytest.mark.parametrize("pulse", [SHORT, TRAIN], ids=["single", "train"])
def test_a_pulse_is_reported_from_handing_over_to_its_end(output: Output, pulse: Pulse) -> None:
    watch = armed(output)
    before_ns = monotonic_ns()
    number = output.fire(pulse)
    watch.event(OutputEvent.TRAIN_ENDED, number)
    one = [OutputEvent.LIGHT_ON, OutputEvent.LIGHT_OFF]
    assert watch.of(number) == [
        OutputEvent.SENT,
        OutputEvent.ACK,
        *(one * pulse.count),
        OutputEvent.TRAIN_ENDED,
    ]
    mine = [each for each in watch.seen if each.number == number]
    times = [each.t_ns for each in mine]
    assert times == sorted(times)
    assert before_ns <= mine[0].details["handed_ns"] <= times[0]
    for off in (each for each in mine if each.event is OutputEvent.LIGHT_OFF):
        assert off.reason is OutputReason.COMPLETED
        assert off.details["on_ns"] >= 0.99 * pulse.on_ns
    assert mine[-1].reason is OutputReason.COMPLETED
    assert output.state is OutputState.ARMED
    if (began := mine[2].host_ns) is not None:
        assert before_ns <= began <= mine[2].t_ns


def test_a_second_pulse_during_the_first_is_refused(output: Output) -> None:
    watch = armed(output)
    first, second = output.fire(TRAIN), output.fire(SHORT)
    assert watch.event(OutputEvent.REFUSED, second).reason is OutputReason.BUSY
    watch.event(OutputEvent.TRAIN_ENDED, first)
    assert watch.of(first).count(OutputEvent.LIGHT_ON) == TRAIN.count


def test_cancel_ends_a_train_and_leaves_the_output_armed(rig: Rig, output: Output) -> None:
    watch = armed(output)
    number = output.fire(LONG_TRAIN)
    watch.until(lambda: watch.of(number).count(OutputEvent.LIGHT_ON) >= 2)
    cancel = output.cancel()
    assert watch.event(OutputEvent.TRAIN_ENDED, number).reason is OutputReason.CANCELLED
    watch.event(OutputEvent.ACK, cancel)
    assert output.state is OutputState.ARMED
    watch.dark(rig)
    assert watch.of(number).count(OutputEvent.LIGHT_ON) == watch.of(number).count(OutputEvent.LIGHT_OFF)

    def fires_again() -> bool:
        again = output.fire(SHORT)
        watch.until(lambda: bool({OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED} & set(watch.of(again))))
        return OutputEvent.TRAIN_ENDED in watch.of(again)

    watch.until(fires_again)


def test_disarming_in_mid_pulse_turns_the_light_off(rig: Rig, output: Output) -> None:
    watch = armed(output)
    number = output.fire(LONG_TRAIN)
    watch.event(OutputEvent.LIGHT_ON, number)
    order = output.disarm("the camera is lost")
    ended = watch.event(OutputEvent.TRAIN_ENDED, number)
    assert ended.reason is OutputReason.DISARMED_BY_HOST
    assert watch.event(OutputEvent.SENT, order).details["why"] == "the camera is lost"
    watch.until(lambda: output.state is OutputState.DISARMED)
    watch.dark(rig)
    refused = output.fire(SHORT)
    assert watch.event(OutputEvent.REFUSED, refused).reason is OutputReason.NOT_ARMED
    output.alive()
    output.arm()


def test_emergency_stop_is_latched_until_cleared(rig: Rig, output: Output) -> None:
    watch = armed(output)
    number = output.fire(LONG_TRAIN)
    watch.event(OutputEvent.LIGHT_ON, number)
    output.stop()
    assert watch.event(OutputEvent.TRAIN_ENDED, number).reason is OutputReason.STOPPED_BY_HOST
    watch.until(lambda: output.state is OutputState.STOPPED)
    watch.dark(rig)
    output.alive()
    with pytest.raises(OutputError):
        output.arm()
    assert output.state is OutputState.STOPPED
    output.clear()
    assert output.state is OutputState.DISARMED
    output.alive()
    output.arm()
    assert output.state is OutputState.ARMED


def test_emergency_stop_works_while_disarmed(output: Output) -> None:
    watch = Watch(output)
    watch.event(OutputEvent.ACK, output.stop())
    watch.until(lambda: output.state is OutputState.STOPPED)


def test_a_caller_that_hangs_loses_the_light(rig: Rig, output: Output) -> None:
    watch = armed(output)
    number = output.fire(LONG_TRAIN)
    watch.event(OutputEvent.LIGHT_ON, number)
    silent = watch.event(OutputEvent.SILENT, alive=False)
    watch.until(lambda: output.state is OutputState.DISARMED, alive=False)
    watch.event(OutputEvent.TRAIN_ENDED, number, alive=False)
    assert silent.reason is OutputReason.HOST_SILENT
    watch.dark(rig)
    assert watch.of(number).count(OutputEvent.LIGHT_ON) < LONG_TRAIN.count
    output.alive()
    assert output.state is OutputState.DISARMED, "a sign of life does not arm"


def test_a_device_that_vanishes_is_lost_for_good(rig: Rig, output: Output) -> None:
    watch = armed(output)
    number = output.fire(LONG_TRAIN)
    watch.event(OutputEvent.LIGHT_ON, number)
    rig.vanish()
    output.cancel()  # a device that only listens is found missing when it is spoken to
    lost = watch.event(OutputEvent.LOST)
    assert lost.state is output.state is OutputState.FAULT
    assert lost.number == number
    refused = output.fire(SHORT)
    watch.event(OutputEvent.REFUSED, refused)
    output.alive()
    with pytest.raises(OutputError):
        output.arm()
    finishes(output.close)
    assert output.state is OutputState.CLOSED


def test_closing_in_mid_pulse_turns_the_light_off(rig: Rig, output: Output) -> None:
    watch = armed(output)
    number = output.fire(LONG_TRAIN)
    watch.event(OutputEvent.LIGHT_ON, number)
    output.close()
    watch.dark(rig)
    watch.seen += output.reports()
    assert watch.of(number)[-1] is OutputEvent.TRAIN_ENDED


def test_a_pulse_that_is_too_long_is_refused_before_it_is_sent(rig: Rig, output: Output) -> None:
    if not rig.limited:
        pytest.skip("accepts everything")
    watch = armed(output)
    for pulse in (Pulse(21 * MS, 21 * MS, 1, 1.0), Pulse(21 * MS, 100 * MS, 2, 1.0)):
        number = output.fire(pulse)
        assert watch.event(OutputEvent.REFUSED, number).reason is OutputReason.TOO_LONG
        assert watch.of(number) == [OutputEvent.REFUSED]
    assert output.state is OutputState.ARMED


@pytest.mark.parametrize(
    "pulse",
    [
        Pulse(5 * MS, 5 * MS, 0, 1.0),
        Pulse(5 * MS, 5 * MS, 1, 0.0),
        Pulse(5 * MS, 5 * MS, 1, 1.5),
        Pulse(0, 5 * MS, 1, 1.0),
        Pulse(5 * MS, 4 * MS, 2, 1.0),
    ],
    ids=["no pulses", "dark", "too bright", "no time", "overlapping"],
)
def test_nonsense_is_refused(output: Output, pulse: Pulse) -> None:
    watch = armed(output)
    number = output.fire(pulse)
    assert watch.event(OutputEvent.REFUSED, number).reason is OutputReason.BAD_VALUE
    assert output.state is OutputState.ARMED


def test_a_wrong_port_is_named(rig: Rig) -> None:
    if not rig.nowhere:
        pytest.skip("has no port")
    output = rig.make(**rig.nowhere)
    with pytest.raises(OutputError, match=rig.names):
        output.open()
    assert output.state is OutputState.CLOSED
    output.close()


def test_a_port_is_opened_once(rig: Rig, output: Output) -> None:
    if rig.port is None:
        pytest.skip("has no port")
    second = rig.make()
    with pytest.raises(OutputError, match="in use"):
        second.open()
    armed(output)


def test_no_call_of_the_hot_path_waits_for_the_device(rig: Rig, output: Output) -> None:
    """A flood of commands returns although nothing can carry out so many; each is answered for."""
    armed(output)
    numbers = finishes(lambda: [output.fire(LONG_TRAIN) for _ in range(2000)])
    watch = Watch(output)
    done = {OutputEvent.REFUSED, OutputEvent.ACK, OutputEvent.TIMEOUT}
    watch.until(lambda: {each.number for each in watch.seen if each.event in done} >= set(numbers))
    assert sum(each.event is OutputEvent.LIGHT_ON for each in watch.seen) < 60
