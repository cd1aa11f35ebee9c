"""The gate in emulation, made fit for a machine that is busy with other things."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from rtface.stimulate.gate.codes import ABSOLUTE
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate
from rtface.stimulate.gate.limits import fingerprint
from rtface.stimulate.gate.protocol import DEFAULT_LIMITS

PATIENT_LIMITS = fingerprint(
    replace(DEFAULT_LIMITS, deadman_ms=ABSOLUTE["MAX_DEADMAN_MS"], signed_off_by="tests")
)
"""What a rig's file names for it."""


def patient_gate() -> EmulatedGate:
    """Return a gate whose dead-man waits for as long as it can, rested since power-on; `GateError` without simavr.

    A busy machine may keep a thread of the host from running for longer than 50 ms while the emulation runs on.
    """
    memory = _patient_memory()
    gate = EmulatedGate()
    gate.write_eeprom(0, memory)
    gate.power_cycle()
    began = gate.cycle
    while gate.cycle < began + 20 * CYCLES_PER_MS:  # the shortest off-time counts from power-on
        gate.arm_switch(True)
    return gate


@cache
def _patient_memory() -> bytes:
    """Return what the EEPROM holds once such limits were stored, by the gate itself."""
    with EmulatedGate() as emulated:
        emulated.sign({"deadman_ms": ABSOLUTE["MAX_DEADMAN_MS"]}, "tests")
        return emulated.read_eeprom()
