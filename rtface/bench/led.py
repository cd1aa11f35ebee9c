"""On a rig: from a command to the light that its camera sees. No network, no rules: camera and output alone.

Put the light, or an LED on the same line, into the camera's view. Each pulse is fired at a random moment; the beginning of
the exposure of the first frame whose box is bright shows how late the light was, to within a frame. What the output
itself reports of the light is compared with that: an output, or a clock, that is wrong shows.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rtface.acquire.base import Camera
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import CameraError, OutputError, UsageError
from rtface.core.geometry import check_crop
from rtface.core.latency import Histogram
from rtface.core.machine import run_facts
from rtface.core.outputs import OutputEvent, Report
from rtface.core.records import Crop, FrameMeta, Image, Pulse
from rtface.stimulate.base import Output

_FRAME_S = 1.0
_BASELINE_FRAMES = 100
_SIGMAS = 8.0
_LEAST_STEP = 4.0
_PAUSE_S = (0.15, 0.35)
_LOST_FRAMES = 20


@dataclass(frozen=True, slots=True)
class LedQuestion:
    """What to measure.

    Attributes
    ----------
    box : Crop
        Where the light is seen, in pixels of the frame.
    pulses : int
    on_ms : float or None
        Length of a pulse; two frames' time when None, so that no pulse falls between exposures.
    seed : int
        Of the random moments.
    """

    box: Crop
    pulses: int = 200
    on_ms: float | None = None
    seed: int = 0


@dataclass(slots=True)
class _Shot:
    handed_ns: int
    sent_ns: int | None = None
    reported_ns: int | None = None
    seen_ns: int | None = None


class _BrightBox:
    """Separates bright boxes from dark ones, by a baseline of dark frames."""

    def __init__(self, box: Crop, dark: list[float]) -> None:
        self._rows, self._columns = slice(box.y, box.y + box.height), slice(box.x, box.x + box.width)
        self._limit = float(np.mean(dark)) + max(_LEAST_STEP, _SIGMAS * float(np.std(dark)))

    def brightness(self, image: Image) -> float:
        return float(image[self._rows, self._columns].mean())

    def bright(self, image: Image) -> bool:
        return self.brightness(image) > self._limit


def measure_led(
    camera: Camera,
    output: Output,
    question: LedQuestion,
    progress: Callable[[float], None],
    ending: threading.Event,
    clock: Clock = SYSTEM_CLOCK,
) -> dict[str, Any]:
    """Fire pulses and watch for them.

    Parameters
    ----------
    camera : Camera
        Not open; it is opened and closed here.
    output : Output
        Likewise.
    question : LedQuestion
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; what was measured until then is the result.
    clock : Clock

    Returns
    -------
    dict
        Date, command and machine; percentiles of ``handover`` (command to the device's driver), ``to_bright_frame``
        (command to the exposure of the first bright frame, by which the light was on) and ``told_to_bright_frame`` (from
        when the output reports that the light came on until that exposure: 0 to one frame's time where all clocks are right);
        pulses that were not seen.

    Raises
    ------
    UsageError
        The box is not in the frame, or a frame is longer than the pulse.
    CameraError
        No frames come.
    OutputError
        Its self-test fails, it cannot be armed, refuses, or is lost.
    """
    shots: list[_Shot] = []
    try:
        info = camera.open()
        check_crop(question.box, info.width, info.height)
        if not info.rate_hz:
            raise UsageError("the camera does not report its frame rate")
        period_ns = round(NS_PER_S / info.rate_hz)
        on_ns = 2 * period_ns if question.on_ms is None else round(question.on_ms * NS_PER_MS)
        if on_ns < period_ns:
            raise UsageError(
                f"a pulse of {on_ns / NS_PER_MS:g} ms can fall between frames of {period_ns / NS_PER_MS:g} ms"
            )
        described = output.open()
        frame = np.zeros((info.height, info.width), np.uint8)
        camera.start()
        watch = _BrightBox(question.box, _dark(camera, frame, question.box))
        _pass_self_test(output)
        output.alive()
        output.arm()
        chance = random.Random(question.seed)
        pulse = Pulse(on_ns, on_ns, 1, 1.0)
        while len(shots) < question.pulses and not ending.is_set():
            progress(len(shots) / question.pulses)
            _pass(camera, output, frame, round(chance.uniform(*_PAUSE_S) * NS_PER_S), clock)
            shots.append(_shoot(camera, output, frame, watch, pulse, clock))
    finally:
        output.close()
        camera.stop()
        camera.close()
    stages = {name: Histogram() for name in ("handover", "to_bright_frame", "told_to_bright_frame")}
    for shot in shots:
        if shot.sent_ns is not None:
            stages["handover"].add(shot.sent_ns - shot.handed_ns)
        if shot.seen_ns is not None:
            stages["to_bright_frame"].add(shot.seen_ns - shot.handed_ns)
            if shot.reported_ns is not None:
                stages["told_to_bright_frame"].add(shot.seen_ns - shot.reported_ns)
    return run_facts() | {
        "question": "command to the first frame that shows the light",
        "camera": f"{info.label}, {info.width}x{info.height} at {info.rate_hz:g} per second",
        "exposure_source": info.exposure_source,
        "output": described.as_dict(),
        "frame_period_ms": period_ns / NS_PER_MS,
        "pulses": len(shots),
        "not_seen": sum(shot.seen_ns is None for shot in shots),
        "seen_before_told": sum(
            shot.seen_ns is not None
            and shot.reported_ns is not None
            and shot.seen_ns < shot.reported_ns - period_ns
            for shot in shots
        ),
        "stages": {name: histogram.summary().as_dict() for name, histogram in stages.items()},
        "distribution": {name: histogram.distribution() for name, histogram in stages.items()},
    }


def _pass_self_test(output: Output) -> None:
    failed = [
        f"{each.what}: {each.text}; {each.fix}" for each in output.self_test() if each.verdict == "fail"
    ]
    if failed:
        raise OutputError(f"the output is not armed, since its self-test fails: {' | '.join(failed)}")


def _filled(camera: Camera, frame: Image) -> FrameMeta:
    meta = camera.fill(frame, _FRAME_S)
    if meta is None:
        raise CameraError(f"no frame came within {_FRAME_S:g} s")
    return meta


def _dark(camera: Camera, frame: Image, box: Crop) -> list[float]:
    watch = _BrightBox(box, [0.0])
    found = []
    for _ in range(_BASELINE_FRAMES):
        _filled(camera, frame)
        found.append(watch.brightness(frame))
    return found


def _pass(camera: Camera, output: Output, frame: Image, duration_ns: int, clock: Clock) -> None:
    end_ns = clock.now_ns() + duration_ns
    while clock.now_ns() < end_ns:
        _filled(camera, frame)
        output.alive()
        _check(output.reports())


def _shoot(
    camera: Camera, output: Output, frame: Image, watch: _BrightBox, pulse: Pulse, clock: Clock
) -> _Shot:
    shot = _Shot(clock.now_ns())
    number = output.fire(pulse)
    for _ in range(_LOST_FRAMES):
        meta = _filled(camera, frame)
        output.alive()
        reports = output.reports()
        _check(reports)
        for report in reports:
            if report.number == number and report.event is OutputEvent.SENT:
                shot.sent_ns = report.t_ns
            elif report.number == number and report.event is OutputEvent.LIGHT_ON:
                shot.reported_ns = report.host_ns
        if shot.seen_ns is None and watch.bright(frame):
            shot.seen_ns = meta.exposure_ns
        if shot.seen_ns is not None and shot.reported_ns is not None:
            break
    return shot


def _check(reports: list[Report]) -> None:
    for report in reports:
        if report.event in (OutputEvent.REFUSED, OutputEvent.LOST, OutputEvent.TIMEOUT):
            raise OutputError(f"the output reports {report.event} ({report.reason})")
