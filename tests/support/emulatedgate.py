"""The gate in emulation, made fit for a machine that is busy with other things."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache

from rtface.config import GateOutputSettings
from rtface.stimulate.gate.codes import ABSOLUTE
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedGate
from rtface.stimulate.gate.output import GateOutput, protocol
from rtface.stimulate.gate.protocol import DEFAULT_LIMITS


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
    limits = asdict(DEFAULT_LIMITS) | {"deadman_ms": ABSOLUTE["MAX_DEADMAN_MS"], "counter": 1}
    with EmulatedGate() as emulated:
        gate = GateOutput(GateOutputSettings(kind="gate", port=str(emulated.port), silence_ms=5000))
        gate.open()
        gate.change_limits(protocol.ProposeLimits(**(limits | {"signed_off_by": "tests"})))
        gate.close()
        return emulated.read_eeprom()
