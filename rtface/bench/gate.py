"""How long a pulse takes from the decision to the light, through the safety gate."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from rtface.config import GateOutputSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK
from rtface.core.errors import GateError
from rtface.core.latency import Histogram
from rtface.core.machine import run_facts
from rtface.core.outputs import OutputEvent, Report
from rtface.core.realtime import realtime_process
from rtface.core.records import Pulse
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate
from rtface.stimulate.gate.output import GateOutput

STAGES = {
    "hand_over": "fire() to the end of the write",
    "acknowledge": "written to acknowledged",
    "light": "fire() to the pin, by the emulation's log (a real board: by the gate's mapped clock)",
    "known": "fire() to light_on known to the host",
}
"""Stages, and what each is."""

_PULSE = Pulse(NS_PER_MS, NS_PER_MS, 1, 1.0)
_PAUSE_NS = 40 * NS_PER_MS
_BEAT_NS = 2 * NS_PER_MS
_SILENCE_MS = 3000
_ENDS = {OutputEvent.TRAIN_ENDED, OutputEvent.REFUSED, OutputEvent.TIMEOUT, OutputEvent.LOST}


@dataclass(frozen=True, slots=True)
class GateQuestion:
    """How many pulses, on which port; None: the emulated gate."""

    pulses: int
    port: Path | None = None


def measure_gate(
    question: GateQuestion, progress: Callable[[float], None], ending: threading.Event
) -> dict[str, Any]:
    """Fire short pulses one by one and time each from the decision to the light.

    Parameters
    ----------
    question : GateQuestion
    progress : callable
        Called with the share that is done, 0 to 1.
    ending : Event
        Set to end early; what was measured until then is the result.

    Returns
    -------
    dict
        Date, command and machine; the gate; percentiles of each of `STAGES` and of the round trips; how many pulses
        were lit, and how many refused and why. With the emulated gate also how often, and for how long, the
        emulation stood still because this machine was too busy for it: pulses then are late by no fault of the host.

    Raises
    ------
    OutputError
        There is no gate, or it cannot be armed.
    """
    histograms = {stage: Histogram() for stage in STAGES}
    refused: dict[str, int] = {}
    handed: list[int] = []
    with _gate_at(question.port) as (emulated, port), realtime_process():
        gate = GateOutput(
            GateOutputSettings(kind="gate", port=str(port), build="any", silence_ms=_SILENCE_MS)
        )
        try:
            info = gate.open()
            gate.self_test()
            gate.alive()
            gate.arm()
            for number in range(question.pulses):
                if ending.is_set():
                    break
                _wait(gate, _PAUSE_NS)
                _take(_fire(gate), histograms, refused, handed)
                progress((number + 1) / question.pulses)
            round_trips = gate.round_trips()
        finally:
            gate.close()
        standstills = None if emulated is None else _judge_by_the_log(emulated, handed, histograms)
    return run_facts() | {
        "question": "decision to light through the safety gate",
        "gate": "emulated on simavr" if emulated is not None else info.label,
        "firmware_build": info.build,
        "priority": info.settings["priority"],
        "pulses": question.pulses,
        "lit": len(handed),
        "refused": refused,
        "stages": {stage: each.summary().as_dict() for stage, each in histograms.items()},
        "round_trip": round_trips.as_dict(),
        "emulation_stood_still": standstills,
        "distribution": {stage: each.distribution() for stage, each in histograms.items()},
    }


@contextmanager
def _gate_at(port: Path | None) -> Iterator[tuple[EmulatedGate | None, Path]]:
    if port is not None:
        yield None, port
        return
    with EmulatedGate() as emulated:
        emulated.sign({}, "rtface bench gate")
        yield emulated, emulated.port


def _wait(gate: GateOutput, duration_ns: int) -> None:
    end_ns = SYSTEM_CLOCK.now_ns() + duration_ns
    while SYSTEM_CLOCK.now_ns() < end_ns:
        gate.alive()
        SYSTEM_CLOCK.sleep_until_ns(min(SYSTEM_CLOCK.now_ns() + _BEAT_NS, end_ns))


def _fire(gate: GateOutput) -> dict[OutputEvent, Report]:
    """Fire, and return the first report of each kind."""
    seen: dict[OutputEvent, Report] = {}
    number = gate.fire(_PULSE)
    give_up_ns = SYSTEM_CLOCK.now_ns() + NS_PER_S
    while not _ENDS & seen.keys():
        if SYSTEM_CLOCK.now_ns() > give_up_ns:
            raise GateError("a pulse of 1 ms did not end within a second")
        _wait(gate, NS_PER_MS)
        for report in gate.reports():
            if report.number == number or report.event is OutputEvent.LOST:
                seen.setdefault(report.event, report)
    return seen


def _take(
    seen: dict[OutputEvent, Report],
    histograms: dict[str, Histogram],
    refused: dict[str, int],
    handed: list[int],
) -> None:
    if OutputEvent.LIGHT_ON not in seen:
        reason = next(seen[event].reason.value for event in _ENDS if event in seen)
        refused[reason] = refused.get(reason, 0) + 1
        return
    sent, light = seen[OutputEvent.SENT], seen[OutputEvent.LIGHT_ON]
    handed_ns = int(sent.details["handed_ns"])
    handed.append(handed_ns)
    histograms["hand_over"].add(sent.t_ns - handed_ns)
    if OutputEvent.ACK in seen:
        histograms["acknowledge"].add(seen[OutputEvent.ACK].t_ns - sent.t_ns)
    histograms["known"].add(light.t_ns - handed_ns)
    histograms["light"].add((light.host_ns or light.t_ns) - handed_ns)


def _judge_by_the_log(
    emulated: EmulatedGate, handed: list[int], histograms: dict[str, Histogram]
) -> dict[str, float]:
    """Replace what the gate's clock says of the light by what the emulation logged; return its standstills."""
    changes = emulated.light()
    lit = [now.t_ns for before, now in pairwise(changes) if now.ttl > before.ttl]
    histograms["light"] = Histogram()
    for handed_ns in handed:
        histograms["light"].add(min((at for at in lit if at > handed_ns), default=handed_ns) - handed_ns)
    anchors = emulated.read_log().anchors
    lost_ns = [
        later_ns - earlier_ns - (later - earlier) * NS_PER_MS / CYCLES_PER_MS
        for (earlier, earlier_ns), (later, later_ns) in pairwise(anchors)
    ]
    return {"times": len(lost_ns), "total_ms": round(sum(lost_ns) / NS_PER_MS, 1)}
