"""EEPROM torn at every byte of every write, on the real firmware in emulation: power goes after each cell in turn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.gate_host import HAND_MS, GateHost, gate_host, limits_of, need_simavr, proposal

from bench.gate.scripted import LIMITS_AT, ScriptedGate, limits_cells, older_limits_cells
from rtface.stimulate.gate.codes import LimitsSource, Reason, ResetCause, State
from rtface.stimulate.gate.protocol import Ack, Arm, CommitLimits, GetLimits, Limits, Pulse

EEPROM = 1024
KEY_AT, KEY_BYTES = 400, 10
JOURNAL_AT = 512
OLD = limits_of(max_on_us=2_000)
NEW = limits_of(max_on_us=9_000, counter=2, signed_off_by="another", photodiode_wired=1)


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


def writes(before: bytes, after_each: list[bytes]) -> list[bytes]:
    """The EEPROM's contents after each of its cells that changed, from pictures that were taken often enough."""
    pictures, last = [before], before
    for picture in after_each:
        changed = [at for at in range(EEPROM) if picture[at] != last[at]]
        for at in sorted(changed):
            last = last[:at] + picture[at : at + 1] + last[at + 1 :]
            pictures.append(last)
    return pictures


def watched(board: ScriptedGate, ms: float) -> list[bytes]:
    """Pictures of the EEPROM while time passes; in each interval at most a cell or so is written."""
    pictures = []
    for _ in range(round(ms * 4)):
        board.run_ms(0.25)
        pictures.append(board.read_eeprom())
    return pictures


def started(picture: bytes, seed: int = 3) -> tuple[ScriptedGate, GateHost]:
    """A board that power comes to with this EEPROM."""
    board = ScriptedGate(seed=seed)
    board.write_eeprom(0, picture)
    board.power_cycle()
    board.run_ms(20)
    return board, GateHost(board, OLD)


def in_force(gate: GateHost) -> Limits:
    answer = gate.ask(GetLimits())
    assert isinstance(answer, Limits)
    return answer


@pytest.mark.parametrize(
    "cells", [limits_cells, older_limits_cells], ids=["limits", "limits of firmware 2.0"]
)
def test_limits_torn_at_every_byte_are_the_old_or_the_new(cells: Callable[[Limits], bytes]) -> None:
    board = ScriptedGate()
    with board:
        for address in LIMITS_AT:
            board.write_eeprom(address, cells(OLD))
        board.power_cycle()
        board.run_ms(100)
        gate = GateHost(board, OLD)
        gate.hello()
        answer = gate.ask(proposal(NEW))
        assert isinstance(answer, Ack)
        gate.beat(3)
        board.button(held=True)
        gate.beat(HAND_MS)
        before = board.read_eeprom()
        gate.say(CommitLimits(answer.value, NEW.counter))
        pictures = writes(before, watched(board, 200))
    changed = [at for at in range(EEPROM) if pictures[-1][at] != before[at]]
    assert any(at >= JOURNAL_AT for at in changed), "the journal's record between the two copies"
    for address in LIMITS_AT:
        assert pictures[-1][address : address + len(limits_cells(NEW))] == limits_cells(NEW)
    newest = OLD.counter
    for at, picture in enumerate(pictures):
        board, gate = started(picture)
        with board:
            source, now = gate.hello().limits_source, in_force(gate)
            assert now in (OLD, NEW), f"torn after {at} cells"
            assert source in (LimitsSource.EEPROM, LimitsSource.ONE_COPY), f"torn after {at} cells"
            assert now.counter >= newest, "the old ones never come back"
            newest = now.counter
    assert newest == NEW.counter


def test_the_journal_torn_at_every_byte_never_gives_dose_back() -> None:
    """Behind a boot loader: memory is lost and the cause of the reset, so that the journal alone knows."""
    limits = limits_of(session_pulses=400, session_dose_us=1_000_000, min_off_us=1_000)
    with gate_host(limits) as gate:
        board = gate.gate
        gate.arm()
        board.run_ms(5)
        pictures, had = [board.read_eeprom()], [0]
        for _ in range(90):
            gate.fire(1_000)
            for picture in (board.read_eeprom(), *_between(board, gate, 6)):
                more = writes(pictures[-1], [picture])[1:]
                pictures += more
                had += len(more) * [len(gate.light)]
    assert len(pictures) > 10, "a record was written ahead"
    for picture, pulses in zip(pictures, had, strict=True):
        board = ScriptedGate(seed=5)
        with board:
            board.run_ms(20)
            board.write_eeprom(0, picture)
            board.power_cycle(ResetCause(0))
            board.run_ms(20)
            gate = GateHost(board, limits)
            assert gate.hello().state is State.FAULT
            assert gate.status().pulses >= pulses, "never fewer than there were"


def _between(board: ScriptedGate, gate: GateHost, ms: int) -> list[bytes]:
    pictures = []
    for _ in range(ms):
        gate.beat(1)
        pictures.append(board.read_eeprom())
    return pictures


def test_the_first_start_torn_at_every_byte_still_draws_a_key_and_arms_nothing() -> None:
    with ScriptedGate() as board:
        board.write_eeprom(0, b"\xff" * EEPROM)
        board.power_cycle()
        pictures = writes(b"\xff" * EEPROM, watched(board, 60))
    written = [at for at in range(EEPROM) if pictures[-1][at] != 0xFF]
    assert any(KEY_AT <= at < KEY_AT + KEY_BYTES for at in written)
    assert any(at >= JOURNAL_AT for at in written)
    for at, picture in enumerate(pictures):
        board, gate = started(picture, seed=at)
        with board:
            welcome = gate.hello()
            assert gate.nonce != 0
            assert gate.reason(Arm(welcome.token)) in (Reason.NO_LIMITS, Reason.WRONG_STATE)
            assert gate.reason(Pulse(1_000, 0, 1, 255)) is not Reason.NONE
