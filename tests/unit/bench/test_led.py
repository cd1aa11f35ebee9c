"""The light that a camera sees, with a camera that sees an output's light on a clock of the test's own."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from rtface.acquire.base import Camera
from rtface.bench.led import LedQuestion, measure_led
from rtface.config import NullOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, ManualClock
from rtface.core.errors import OutputError, UsageError
from rtface.core.outputs import OutputEvent, OutputState, Report
from rtface.core.records import CameraInfo, Crop, FrameMeta, Image, Pulse
from rtface.stimulate.null import NullOutput

PERIOD_NS = 5 * NS_PER_MS
BOX = Crop(10, 6, 4, 3)


class Seeing(Camera):
    """A frame each 5 ms, exposed at its beginning; the box is bright while the light is on."""

    lost_at_camera = lost_in_transport = 0
    transport_known = True

    def __init__(self, clock: ManualClock, output: NullOutput, *, blind: bool = False) -> None:
        self._clock, self._output, self._blind = clock, output, blind
        self._frames = 0
        self._chance = np.random.default_rng(0)
        self.closed = False

    def open(self) -> CameraInfo:
        return CameraInfo("seeing", "seeing 1", 32, 24, 200.0, None, True, "camera", {})

    def start(self) -> None:
        pass

    def fill(self, out: Image, timeout_s: float) -> FrameMeta:
        exposure_ns = self._clock.now_ns()
        lit = self._output.state is OutputState.FIRING and not self._blind
        out[:] = self._chance.integers(20, 30, out.shape)
        if lit:
            out[BOX.y : BOX.y + BOX.height, BOX.x : BOX.x + BOX.width] = 200
        self._clock.sleep_until_ns(exposure_ns + PERIOD_NS)
        self._frames += 1
        return FrameMeta(self._frames, exposure_ns, self._clock.now_ns())

    def stop(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


class Late(NullOutput):
    """Its light comes 7 ms after the command."""

    def __init__(self, clock: ManualClock, refuse: bool = False) -> None:
        super().__init__(NullOutputSettings(liveness_ms=5000), clock)
        self._waiting: list[tuple[int, Pulse]] = []
        self._refuse = refuse
        self._clock_ = clock
        self.findings: list[Check] = []

    def self_test(self) -> list[Check]:
        return [*super().self_test(), *self.findings]

    def fire(self, pulse: Pulse) -> int:
        if self._refuse:
            number = self._reports.number()
            self._reports.add(Report(number, OutputEvent.REFUSED, 0, OutputState.ARMED))
            return number
        self._clock_.sleep_until_ns(self._clock_.now_ns() + 7 * NS_PER_MS)
        return super().fire(pulse)


def measured(question: LedQuestion, *, blind: bool = False, refuse: bool = False) -> dict[str, object]:
    clock = ManualClock(10**12)
    output = Late(clock, refuse)
    camera = Seeing(clock, output, blind=blind)
    try:
        return measure_led(camera, output, question, lambda share: None, threading.Event(), clock)
    finally:
        assert camera.closed
        assert output.state is OutputState.CLOSED


def test_a_late_light_is_seen_to_be_late() -> None:
    result = measured(LedQuestion(BOX, pulses=20))
    stages = result["stages"]
    assert isinstance(stages, dict)
    assert (result["pulses"], result["not_seen"]) == (20, 0)
    assert stages["to_bright_frame"]["n"] == 20
    assert 6.9 <= stages["to_bright_frame"]["p50_ms"] <= 7.0 + 5.0
    assert stages["told_to_bright_frame"]["max_ms"] <= 5.0


def test_a_light_that_is_not_in_the_box_is_not_seen() -> None:
    result = measured(LedQuestion(BOX, pulses=3), blind=True)
    assert result["not_seen"] == 3


@pytest.mark.parametrize(
    ("question", "problem"),
    [
        (LedQuestion(BOX, on_ms=4.0), "can fall between frames of 5 ms"),
        (LedQuestion(Crop(30, 6, 4, 3)), "32"),
    ],
)
def test_what_cannot_be_seen_is_refused(question: LedQuestion, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        measured(question)


def test_an_output_whose_self_test_fails_is_not_armed() -> None:
    """As a gate's whose limits the rig's file does not name."""
    clock = ManualClock(10**12)
    output = Late(clock)
    output.findings = [Check("limits", "fail", "the rig's file names no limits", "write them")]
    armed: list[bool] = []
    output.arm = lambda: armed.append(True)  # type: ignore[method-assign]
    question = LedQuestion(BOX, pulses=1)
    with pytest.raises(OutputError, match="limits: the rig's file names no limits; write them"):
        measure_led(Seeing(clock, output), output, question, lambda share: None, threading.Event(), clock)
    assert armed == []
    assert output.state is OutputState.CLOSED


def test_an_output_that_refuses_is_an_error() -> None:
    with pytest.raises(OutputError, match="refused"):
        measured(LedQuestion(BOX), refuse=True)
