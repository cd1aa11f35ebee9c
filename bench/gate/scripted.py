"""The gate in emulation whose time moves only by `run`, for tests and fuzzing: what happens is the same each time."""

from __future__ import annotations

from pathlib import Path

from rtface.stimulate.gate.codes import PROTOCOL
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, EmulatedBoard
from rtface.stimulate.gate.firmware import IMAGE
from rtface.stimulate.gate.framing import crc16, encode
from rtface.stimulate.gate.protocol import Limits, Message, to_payload

LIMITS_AT = (64, 192)
"""Where in EEPROM the firmware keeps its two copies of the limits."""
_PHOTODIODE_BYTES = 5


def limits_cells(limits: Limits) -> bytes:
    """Return one copy of limits as it lies in EEPROM: their bytes and CRC."""
    return _checked(to_payload(limits))


def older_limits_cells(limits: Limits) -> bytes:
    """Return the same as firmware 2.0 wrote it, which knew no photodiode."""
    return _checked(to_payload(limits)[:-_PHOTODIODE_BYTES])


def _checked(payload: bytes) -> bytes:
    return payload + (crc16(payload) ^ PROTOCOL).to_bytes(2, "little")


class ScriptedGate(EmulatedBoard):
    """A gate whose time moves only by `run`; the same calls and seed give the same log.

    Parameters
    ----------
    image : Path
        The firmware, as Intel hex.
    seed : int
        Of what memory holds after power-on.
    boot : Path, optional
        A boot loader, as Intel hex; each reset begins there.

    Attributes
    ----------
    cycle : int
        Now.
    log : Log
        All since power-on.

    Raises
    ------
    GateError
        There is no such file, no compiler or no simavr.
    """

    def __init__(self, image: Path = IMAGE, seed: int = 0, *, boot: Path | None = None) -> None:
        super().__init__(image, boot, seed, "scripted")

    def run(self, cycles: int) -> None:
        """Let the chip run for so many cycles, or one instruction more."""
        self.run_command(f"run {cycles}")

    def run_ms(self, ms: float) -> None:
        """Let the chip run for so many milliseconds."""
        self.run(round(ms * CYCLES_PER_MS))

    def send(self, message: Message, seq: int, nonce: int = 0) -> None:
        """Put a frame on the line; its bytes come in while the chip runs, 10 microseconds each."""
        self.send_bytes(encode(message, seq, nonce))

    def send_bytes(self, data: bytes) -> None:
        """Put bytes on the line."""
        if data:
            self.run_command(f"send {data.hex()}")

    def garble(self, byte: int = 0) -> None:
        """Put a byte on the line whose stop bit is missing."""
        self.run_command(f"garble {byte:02x}")

    def stray(self) -> None:
        """Let the program go on at its start without a reset, as one that has lost its way does."""
        self.run_command("stray")

    def poke(self, address: int, value: int) -> None:
        """Write a register or a cell of memory."""
        self.run_command(f"poke {address} {value}")

    def peek(self, address: int) -> int:
        """Return a register or a cell of memory."""
        return int(self.run_command(f"peek {address}")["M"], 16)
