"""The gate in emulation, behind its port: as it comes, and fit for a machine that is busy with other things."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest

from rtface.core.errors import GateError
from rtface.stimulate.gate.codes import ABSOLUTE
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate, LightChange
from rtface.stimulate.gate.limits import fingerprint
from rtface.stimulate.gate.protocol import DEFAULT_LIMITS

PATIENT = {"answer_ms": 500, "silence_ms": 5000, "liveness_ms": 5000}
"""Settings of a gate's output for a machine that runs other tests beside the emulation."""

PATIENT_LIMITS = fingerprint(
    replace(DEFAULT_LIMITS, deadman_ms=ABSOLUTE["MAX_DEADMAN_MS"], signed_off_by="tests")
)
"""What a rig's file names for it."""


@contextmanager
def emulated_gate(make: Callable[[], EmulatedGate] = EmulatedGate) -> Iterator[EmulatedGate]:
    """Lend what `make` makes, rested since power-on; skip the test where there is no simavr."""
    try:
        gate = make()
    except GateError as error:
        pytest.skip(str(error))
    with gate:
        _rest(gate)
        yield gate


def patient_gate() -> EmulatedGate:
    """Return a gate whose dead-man waits for as long as it can, rested since power-on; `GateError` without simavr.

    A busy machine may keep a thread of the host from running for longer than 50 ms while the emulation runs on.
    """
    memory = _patient_memory()
    gate = EmulatedGate()
    gate.write_eeprom(0, memory)
    gate.power_cycle()
    _rest(gate)
    return gate


def risen(lights: list[LightChange]) -> list[LightChange]:
    """Return the changes with which light came on."""
    return [after for before, after in pairwise(lights) if after.ttl and not before.ttl]


def gate_cycle(gate: EmulatedGate) -> int:
    """Return how far the gate's chip is."""
    gate.arm_switch(on=True)
    return gate.cycle


def _rest(gate: EmulatedGate) -> None:
    """Let the shortest off-time pass, which counts from power-on."""
    began = gate.cycle
    while gate.cycle < began + 20 * CYCLES_PER_MS:
        gate.arm_switch(True)


@cache
def _patient_memory() -> bytes:
    """Return what the EEPROM holds once such limits were stored, by the gate itself."""
    with EmulatedGate() as emulated:
        emulated.sign({"deadman_ms": ABSOLUTE["MAX_DEADMAN_MS"]}, "tests")
        return emulated.read_eeprom()
