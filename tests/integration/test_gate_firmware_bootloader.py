"""The real firmware behind a boot loader, which clears MCUSR: nobody tells it why it was reset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.bootloader import build_bootloader
from support.gate_host import HAND_MS, SIGNED, GateHost, gate_host, limits_of, need_simavr

from rtface.stimulate.gate.codes import Kind, Reason, ResetCause, State
from rtface.stimulate.gate.protocol import Arm, Clear, Pulse, Stop

MEMORY = range(0x100, 0x900)
NEW_SESSION_MS = 5_020
BLOCK_PULSES = 128
"""What the journal allows ahead: as much may be counted too much when memory is lost, never too little."""


@pytest.fixture(scope="module", params=["stub", "optiboot"])
def boot(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_simavr()
    return build_bootloader(request.param, tmp_path_factory.mktemp("boot"))


@pytest.fixture
def gate(boot: Path) -> Iterator[GateHost]:
    """Behind the boot loader, its first fault acknowledged and a session begun by hand; judged by light alone."""
    with gate_host(SIGNED, judged=False, boot=boot) as made:
        made.gate.run_ms(5)
        made.hello()
        made.hold(NEW_SESSION_MS, key=False, every=50)
        assert made.state is State.DISARMED
        yield made


def reset(gate: GateHost) -> None:
    """Press the button, and wait for the boot loader."""
    gate.gate.reset()
    seen = len(gate.events(Kind.BOOT))
    for _ in range(30):
        gate.gate.run_ms(50)
        if len(gate.events(Kind.BOOT)) > seen:
            break


def foreign_program(gate: GateHost) -> None:
    """Another program was here: memory holds what it has left."""
    for address in MEMORY:
        gate.gate.poke(address, 0x5A)


def test_power_on_is_a_fault_until_a_hand_comes(boot: Path) -> None:
    with gate_host(SIGNED, judged=False, boot=boot) as gate:
        gate.gate.run_ms(5)
        welcome = gate.hello()
        assert (welcome.state, welcome.reset_cause) == (State.FAULT, ResetCause(0))
        assert gate.status().reason is Reason.MEMORY
        assert gate.reason(Arm(welcome.token)) is Reason.WRONG_STATE
        assert gate.reason(Clear(gate.hello().token)) is Reason.WRONG_STATE
        gate.hold(HAND_MS, key=True)
        assert gate.state is State.FAULT, "the arm switch must be off"
        gate.hold(900, key=False)
        assert gate.state is State.FAULT, "for a second"
        reset(gate)
        assert gate.hello().state is State.FAULT, "no reset ends it"
        gate.hold(HAND_MS, key=False)
        status = gate.status()
        assert (status.state, status.reason) == (State.DISARMED, Reason.ACKNOWLEDGED)
        gate.arm()
        assert gate.reason(Pulse(1_000, 0, 1, 255)) is Reason.SESSION_PULSES, (
            "no record of a session: none is left"
        )
        gate.hello()
        gate.hold(NEW_SESSION_MS, key=False, every=50)
        assert len(gate.events(Kind.NEW_SESSION)) == 1
        gate.beat(9_000, every=45)
        gate.arm()
        gate.fire(1_000)
        gate.beat(5)
        assert len(gate.light) == 1


def test_a_foreign_program_resets_neither_the_dose_nor_a_stop(gate: GateHost) -> None:
    gate.beat(10_100, every=45)
    gate.arm()
    for _ in range(3):
        gate.fire(2_000)
        gate.beat(20)
    assert gate.reason(Stop()) is Reason.NONE
    before = gate.status()
    foreign_program(gate)
    reset(gate)
    welcome = gate.hello()
    after = gate.status()
    assert welcome.state is State.FAULT
    assert before.pulses <= after.pulses <= before.pulses + BLOCK_PULSES
    assert before.dose_us <= after.dose_us <= before.dose_us + SIGNED.session_dose_us // 8
    gate.hold(HAND_MS, key=False)
    assert gate.state is State.DISARMED
    assert gate.status().pulses == after.pulses, "the session goes on"
    gate.arm()
    assert gate.reason(Pulse(1_000, 0, 1, 255)) is Reason.WINDOW_FULL, (
        "how much light there was just now is not known"
    )


def test_a_reset_that_leaves_memory_alone_goes_on(gate: GateHost) -> None:
    gate.beat(10_100, every=45)
    gate.arm()
    gate.fire(2_000)
    gate.beat(20)
    reset(gate)
    assert gate.hello().state is State.DISARMED
    assert gate.status().pulses == 1
    gate.gate.hang()
    gate.gate.run_ms(60)
    assert gate.hello().state is State.DISARMED
    assert gate.status().pulses == 1


def test_a_journal_that_is_torn_or_gone_leaves_no_dose(gate: GateHost) -> None:
    ring = gate.gate.read_eeprom()[512:1008]
    records = [ring[at : at + 16] for at in range(0, len(ring), 16)]
    newest = max(
        range(31),
        key=lambda at: int.from_bytes(records[at][:4], "little") if records[at] != b"\xff" * 16 else -1,
    )
    gate.gate.write_eeprom(512 + 16 * newest, b"\xaa")
    foreign_program(gate)
    reset(gate)
    assert gate.hello().state is State.FAULT
    assert gate.status().pulses == 2**32 - 1


def test_the_journal_spreads_its_wear(boot: Path) -> None:
    """31 slots: after 31 resets each has been written, and none twice."""
    with gate_host(limits_of(), judged=False, boot=boot) as gate:
        gate.gate.run_ms(5)
        for _ in range(31):
            gate.gate.reset(ResetCause.WATCHDOG)
            gate.gate.run_ms(20)
        ring = gate.gate.read_eeprom()[512:1008]
        numbers = {int.from_bytes(ring[at : at + 4], "little") for at in range(0, len(ring), 16)}
        assert len(numbers) == 31
