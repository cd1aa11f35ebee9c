"""Kill the host of the emulated gate in mid-pulse, again and again: how long after its last heartbeat is the light out.

A host process of its own opens the gate's port, arms it and keeps it lit; at a random moment of a pulse it gets
SIGKILL. The gate runs its shipped firmware on simavr, paced to the clock. Light and heartbeats are judged by the
chip's own cycles, from the last byte of the last heartbeat to the falling edge, so a busy machine changes no figure. It
can keep a host from its heartbeats, or from the gate's answers: such a kill is counted and tried again.

    python -m bench.gate.deadman --n 1000 --out bench/results
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np

from bench.gate.proof import received, violations
from bench.gate.scripted import LIMITS_AT, limits_cells
from bench.result import parser_of, write
from rtface.config import GateOutputSettings
from rtface.core.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from rtface.core.records import Pulse as OutputPulse
from rtface.stimulate.gate.codes import BAUD
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate, EmulationLog
from rtface.stimulate.gate.framing import Decoder, encode
from rtface.stimulate.gate.output import GateOutput
from rtface.stimulate.gate.protocol import (
    DEFAULT_LIMITS,
    Ack,
    Arm,
    Heartbeat,
    Hello,
    Message,
    Nak,
    Pulse,
    Welcome,
)

PULSE_MS = 350
LATEST_KILL_MS = 200
PATIENT_S = 5
BEAT_S = 0.010
LIMITS = replace(
    DEFAULT_LIMITS,
    max_on_us=PULSE_MS * 1000,
    min_off_us=1_000,
    window_on_us=DEFAULT_LIMITS.window_ms * 1000,
    session_pulses=2**32 - 1,
    session_dose_us=2**32 - 1,
    counter=1,
    signed_off_by="bench.gate.deadman",
)


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill.

    Attributes
    ----------
    into_pulse_ms : float
        When it came, by the host's clock, after the light went on.
    silent_ms : float
        From the last heartbeat's last byte to the falling edge, by the chip's cycles.
    mid_pulse : bool
        Whether the light was on when it came, and went out before the pulse's own end. Else the dead-man was there first,
        as when the host was kept from its heartbeats by a busy machine; such a kill is reported and tried again.
    """

    into_pulse_ms: float
    silent_ms: float
    mid_pulse: bool


def bare_host(port: str) -> None:
    """Keep the light on by the protocol alone, until killed."""
    import serial

    line = serial.Serial(port, BAUD, timeout=0.001)
    line.write(b"\0")  # ends whatever the host before was killed in
    decoder, seq, nonce = Decoder(), 0, 0

    def ask(message: Message) -> Message:
        nonlocal seq, nonce
        while True:
            seq += 1
            line.write(encode(message, seq, nonce))
            until = time.monotonic() + 0.05
            while time.monotonic() < until:
                for frame in decoder.feed(line.read(64)):
                    if frame.seq == seq and isinstance(frame.message, Welcome | Ack | Nak):
                        nonce = frame.nonce
                        return frame.message

    welcome = ask(Hello())
    assert isinstance(welcome, Welcome)
    assert isinstance(ask(Arm(welcome.token)), Ack)
    ask(Pulse(PULSE_MS * 1000, 0, 1, 255))
    beat = time.monotonic()
    while True:
        seq += 1
        line.write(encode(Heartbeat(), seq, nonce))
        beat += BEAT_S
        while (left := beat - time.monotonic()) > 0:
            line.timeout = left
            line.read(64)


def real_host(port: str) -> None:
    """Keep the light on as the service does, until killed."""
    gate = GateOutput(GateOutputSettings(kind="gate", port=port, heartbeat_ms=1000 * BEAT_S))
    gate.open()
    gate.alive()
    time.sleep(0.02)
    gate.arm()
    gate.fire(OutputPulse(PULSE_MS * NS_PER_MS, PULSE_MS * NS_PER_MS, 1, 1.0))
    while True:
        gate.alive()
        time.sleep(0.005)


class _GaveUpError(Exception):
    """A host ended by itself, or was refused."""


HOSTS: dict[str, Callable[[str], None]] = {"bare": bare_host, "gate": real_host}


def kill_hosts(n: int, seed: int, host: Callable[[str], None]) -> tuple[list[Kill], int, int]:
    """Return what `n` kills came to, how often the light was on when it must not be, and how many hosts gave up."""
    chance = random.Random(seed)
    kills: list[Kill] = []
    wrong = gave_up = 0
    with EmulatedGate(seed=seed) as gate:
        for address in LIMITS_AT:
            gate.write_eeprom(address, limits_cells(LIMITS))
        gate.power_cycle()
        while sum(kill.mid_pulse for kill in kills) < n:
            log = _fresh_log(gate)
            try:
                kills.append(_kill_one(gate, host, chance.uniform(0, LATEST_KILL_MS)))
            except _GaveUpError as error:
                print(error, file=sys.stderr, flush=True)
                gave_up += 1
                _wait_for(gate, False)
            wrong += len(violations(log, LIMITS, log.light[-1].cycle))
            if len(kills) + gave_up > 2 * n + 10:
                raise SystemExit(
                    "too few kills come in mid-pulse: the machine is too busy for the host's heartbeats"
                )
            if kills and len(kills) % 100 == 0:
                print(f"{len(kills)} kills", file=sys.stderr, flush=True)
    return kills, wrong, gave_up


def _fresh_log(gate: EmulatedGate) -> EmulationLog:
    """Let the log begin anew, dark, so that judging it does not take longer with each kill."""
    last = gate.read_log()
    gate.log = EmulationLog(light=last.light[-1:], resets=last.resets[-1:], powers=last.powers[-1:])
    return gate.log


def _kill_one(gate: EmulatedGate, host: Callable[[str], None], after_ms: float) -> Kill:
    process = multiprocessing.get_context("fork").Process(target=host, args=(str(gate.port),), daemon=True)
    process.start()
    try:
        _wait_for(gate, True, process)
        on = next(change for change in reversed(gate.light()) if change.ttl and not change.amplitude)
        wait_ns = on.t_ns + round(after_ms * NS_PER_MS) - monotonic_ns()
        time.sleep(max(0, wait_ns) / NS_PER_S)
        was_lit = gate.light_is_on
        killed_ns = monotonic_ns()
        os.kill(process.pid or 0, signal.SIGKILL)
        _wait_for(gate, False)
    finally:
        process.kill()
        process.join()
    log = gate.read_log()
    off = log.light[-1]
    alive = [piece.cycle for piece in received(log) if isinstance(piece.message, Heartbeat | Arm)]
    silent_ms = (off.cycle - max(cycle for cycle in alive if cycle < off.cycle)) / CYCLES_PER_MS
    lit_ms = (off.cycle - on.cycle) / CYCLES_PER_MS
    return Kill((killed_ns - on.t_ns) / NS_PER_MS, silent_ms, was_lit and lit_ms < PULSE_MS - 1)


def _wait_for(gate: EmulatedGate, lit: bool, process: BaseProcess | None = None) -> None:
    until = monotonic_ns() + PATIENT_S * NS_PER_S
    while gate.light_is_on != lit:
        if process is not None and not process.is_alive():
            raise _GaveUpError(f"a host ended by itself (exit code {process.exitcode})")
        if monotonic_ns() > until and lit:
            raise _GaveUpError(f"a host brought no light within {PATIENT_S} s")
        if monotonic_ns() > until:
            raise SystemExit(f"the light did not turn off within {PATIENT_S} s")
        time.sleep(0.001)


def report(kills: list[Kill], wrong: int, gave_up: int, host: str) -> dict[str, Any]:
    """Return the numbers."""
    silent = np.array([kill.silent_ms for kill in kills if kill.mid_pulse])
    into = np.array([kill.into_pulse_ms for kill in kills if kill.mid_pulse])
    return {
        "host": host,
        "deadman_ms": LIMITS.deadman_ms,
        "heartbeat_ms": 1000 * BEAT_S,
        "n": sum(kill.mid_pulse for kill in kills),
        "too_late": sum(not kill.mid_pulse for kill in kills),
        "gave_up": gave_up,
        "off_within_deadman": int(np.count_nonzero(silent <= LIMITS.deadman_ms)),
        "violations": wrong,
        "last_heartbeat_to_light_off_ms": _percentiles(silent),
        "kill_after_light_on_ms": _percentiles(into),
    }


def _percentiles(values: np.ndarray[Any, Any]) -> dict[str, float]:
    named = {f"p{p}": float(np.percentile(values, p)) for p in (1, 50, 99)}
    return {
        key: round(value, 3) for key, value in {"min": values.min(), **named, "max": values.max()}.items()
    }


def main() -> None:
    """Run."""
    parser = parser_of(__doc__)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--host", choices=list(HOSTS), default="bare", help="rtface's own, or the bare protocol"
    )
    parser.add_argument("--out", type=Path, help="folder for gate_deadman.json")
    options = parser.parse_args()
    result = report(*kill_hosts(options.n, options.seed, HOSTS[options.host]), options.host)
    print(json.dumps(result, indent=1))
    if options.out:
        write(options.out / "gate_deadman.json", result)
    sys.exit(0 if result["off_within_deadman"] == result["n"] and not result["violations"] else 1)


if __name__ == "__main__":
    main()
