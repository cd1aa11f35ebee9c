"""From a frame's exposure to the gate's pin: the whole closed loop, itemised, against the emulated gate.

The light's times are the emulator's own, cycle by cycle, mapped to the host's clock: neither the gate's nor the
host's report of it is used. The rest comes out of the session's record, as anybody can read it.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from rtface.bench.agreed import ensure_parity
from rtface.bench.measuring import FREE_ADDRESSES, WARM_UP_S, lost_between, wait_measuring
from rtface.config import (
    BackendSettings,
    GateOutputSettings,
    LatencySettings,
    Rig,
    SessionSettings,
    SimulatedCameraSettings,
)
from rtface.core.clock import NS_PER_MS
from rtface.core.decision import Action
from rtface.core.errors import ControlError, DataError
from rtface.core.latency import Histogram
from rtface.core.machine import run_facts
from rtface.core.realtime import realtime_process
from rtface.live.served import describe_backend
from rtface.live.service import Service
from rtface.record.session.entries import DecisionEntry, GateReplyEntry, PulseCommandEntry
from rtface.record.session.reader import Session, read_session
from rtface.stimulate.gate.emulator import EmulatedGate, LightChange
from rtface.stimulate.gate.limits import fingerprint

STAGES = (
    "transfer",
    "wait",
    "prepare",
    "network",
    "geometry",
    "rules",
    "handover",
    "gate",
    "exposure_to_pin",
)
"""Stages of a pulse in their order.

transfer: exposure to arrival. wait: in the ring. prepare: intensity levels. network: the back end. geometry: to camera
pixels. rules: features, rules, and the decision's record. handover: to the thread that owns the port, until the command
was written. gate: over the line, through the firmware, to the pin. exposure_to_pin: all of it.
"""

_ARM_TRIES = 5
_RULES = """\
features:
  nose: {{kind: position, point: nose(tip), min_score: 0}}
  pad: {{kind: whisking, point: whisker(I), min_score: 0}}
  face: {{kind: motion, min_seen: 0.1}}
rules:
  often:
    when: nose.x > 0 and (pad.amplitude >= 0 or face.motion >= 0)
    repeat: true
    refractory_ms: {refractory_ms}
    ignore_light_ms: 0
    min_score: 0
    max_age_ms: 100
    max_gap_frames: 1000
    pulse: {{width_ms: {on_ms}}}
"""


@dataclass(frozen=True, slots=True)
class LoopQuestion:
    """What to measure: a simulated camera at a size and rate, an engine, and pulses for so long."""

    seconds: float
    rate_hz: float = 200.0
    width: int = 640
    height: int = 480
    engine: str = "default"
    backend: BackendSettings = field(default_factory=BackendSettings)
    deadline_ms: float = 12.0
    on_ms: float = 2.0
    refractory_ms: float = 95.0
    budget: str | None = None


def measure_loop(
    question: LoopQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Run the service with a simulated camera, a rule that fires often, and the emulated gate.

    Parameters
    ----------
    question : LoopQuestion
        What to measure.
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; what was measured until then is the result.

    Returns
    -------
    dict
        Date, command and machine; the question; percentiles per stage over the pulses, and per frame over all frames;
        losses; how many decisions were to fire, how many commands went out, and how many lights the emulator saw.

    Raises
    ------
    OutputError
        The emulator is not there; the message says what to install.
    ControlError
        The loop could not be armed.
    """
    with tempfile.TemporaryDirectory() as folder, EmulatedGate() as gate:
        limits = fingerprint(gate.sign({}, "rtface bench loop"))
        rig = _rig(question, Path(folder), str(gate.port), limits)
        with Service(rig) as service, realtime_process():
            ensure_parity(service.engine, rig.backend, rig.camera)
            service.wait(WARM_UP_S)
            _arm(service)
            service.pipeline.reset_latency()
            before = service.pipeline.status()
            measured_s = wait_measuring(service.wait, question.seconds, progress, ending)
            frames = service.pipeline.status()
            loop = service.arming.state()
            service.arming.disarm("bench", "measured")
            backend = describe_backend(service.pipeline.backend)
            service.pipeline.stop()
            if service.pipeline.error is not None:
                raise service.pipeline.error
            lights = gate.light()
        sessions = list(Path(folder, "sessions").iterdir())
        session = read_session(sessions[0])
        histograms = {stage: Histogram() for stage in STAGES}
        histograms["exposure_to_pin"] = Histogram(round(question.deadline_ms * NS_PER_MS))
        pulses = 0
        for durations in _itemised(session, lights):
            pulses += 1
            for stage, duration_ns in zip(STAGES, durations, strict=True):
                histograms[stage].add(duration_ns)
        return run_facts() | {
            "question": "exposure to the gate's pin, simulated camera, firmware in emulation",
            "camera": f"{question.width}x{question.height} at {question.rate_hz:g} per second",
            "seconds": round(measured_s, 1),
            "engine": service.engine.manifest.name,
            "engine_sha256": service.engine.sha256,
            "backend": backend,
            "deadline_ms": question.deadline_ms,
            "pulses": pulses,
            "decisions_to_fire": sum(each.action == Action.FIRE for each in session.decisions),
            "commands": sum(each.command == "fire" for each in session.of(PulseCommandEntry)),
            "lights_seen": len(_risen(lights)),
            "state_at_the_end": {"state": loop["state"], "why": loop["why"]},
            "record": {"state": session.state, "missing": list(session.missing)},
            "frames": frames.frames - before.frames,
            "lost": lost_between(before, frames),
            "stages": {stage: histogram.summary().as_dict() for stage, histogram in histograms.items()},
            "every_frame": {stage: summary.as_dict() for stage, summary in frames.latency.items()},
            "distribution": {stage: histogram.distribution() for stage, histogram in histograms.items()},
        }


def _rig(question: LoopQuestion, folder: Path, port: str, limits: str) -> Rig:
    rules = folder / "rules.yaml"
    rules.write_text(
        _RULES.format(on_ms=question.on_ms, refractory_ms=question.refractory_ms), encoding="utf-8"
    )
    return Rig(
        camera=SimulatedCameraSettings(
            width=question.width, height=question.height, rate_hz=question.rate_hz
        ),
        engine=question.engine,
        backend=question.backend,
        publish=FREE_ADDRESSES,
        latency=LatencySettings(deadline_ms=question.deadline_ms, budget=question.budget),
        output=GateOutputSettings(kind="gate", port=port, limits=limits),
        rules=rules,
        session=SessionSettings(folder=folder / "sessions", min_free_gb=0),
    )


def _arm(service: Service) -> None:
    """Arm; a self-test that finds frames late is repeated, since a busy computer may have been busy just then."""
    for attempt in range(_ARM_TRIES):
        try:
            service.arming.arm("bench", operator=True)
            return
        except ControlError:
            if attempt == _ARM_TRIES - 1:
                raise
            service.wait(1.0)


def _itemised(session: Session, lights: Sequence[LightChange]) -> Iterator[tuple[int, ...]]:
    """Yield the durations of a pulse's stages in nanoseconds, pulse by pulse.

    The n-th light that the gate reports is the n-th that the emulator saw; should their numbers differ there is none.
    """
    stamps = {int(pose["frame_id"]): pose for pose in session.poses}
    decisions = {each.number: each for each in session.of(DecisionEntry)}
    asked_by = {each.number: each for each in session.of(PulseCommandEntry) if each.command == "fire"}
    sent = {each.number: each for each in session.of(GateReplyEntry) if each.event == "sent"}
    reported = [each for each in session.of(GateReplyEntry) if each.event == "light_on"]
    seen = _risen(lights)
    if len(reported) != len(seen):
        raise DataError(f"the gate reported {len(reported)} lights, the emulator logged {len(seen)}")
    for reply, pin_ns in zip(reported, seen, strict=True):
        command = asked_by[reply.number] if reply.number is not None else None
        if command is None or decisions[command.decision].frame_id is None:
            continue
        decision = decisions[command.decision]
        pose = stamps[int(decision.frame_id or 0)]
        times = [
            int(pose[name])
            for name in ("exposure_ns", "arrival_ns", "taken_ns", "prepared_ns", "inferred_ns", "decided_ns")
        ]
        written = sent[command.number]
        times += [int(written.details["handed_ns"]), written.t_ns, pin_ns]
        stages = tuple(after - before for before, after in pairwise(times))
        yield (*stages, pin_ns - times[0])


def _risen(lights: Sequence[LightChange]) -> list[int]:
    """Return when the line that switches the light rose, in nanoseconds of the host's clock."""
    return [after.t_ns for before, after in pairwise(lights) if after.ttl and not before.ttl]
