"""The gate in emulation: its shipped firmware, unchanged, on simavr's ATmega328P.

`EmulatedGate` follows the host's clock and is opened like a board, by its port. The light is logged by the chip's own
cycles.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from rtface.config import GateOutputSettings
from rtface.core.errors import GateError
from rtface.stimulate.gate.codes import ResetCause
from rtface.stimulate.gate.firmware import IMAGE
from rtface.stimulate.gate.framing import Decoder, LineFrame
from rtface.stimulate.gate.harness import harness_path
from rtface.stimulate.gate.limits import propose
from rtface.stimulate.gate.output import GateOutput
from rtface.stimulate.gate.protocol import Limits

CYCLES_PER_US = 16
CYCLES_PER_MS = 16_000
_PATIENT_MS = 5000
_SEEN_UP_MS = 5


@dataclass(frozen=True, slots=True)
class LightChange:
    """The light's lines took these values.

    Attributes
    ----------
    cycle : int
        Of the chip, 16 a microsecond, counted on through resets.
    t_ns : int
        The host's monotonic clock when the emulation came to it.
    ttl : bool
        The line that switches the light.
    amplitude : int
        Duty of the amplitude's line, 0 to 255.
    """

    cycle: int
    t_ns: int
    ttl: bool
    amplitude: int


@dataclass(frozen=True, slots=True)
class Switches:
    """From this cycle on the emergency stop is open, the arm switch on, the button held, or not."""

    cycle: int
    stop_open: bool
    arm_on: bool
    button: bool = False


class Photodiode(IntEnum):
    """What the photodiode's pin does: nothing is wired (it is pulled up, which reads as light), it follows, or does not."""

    ABSENT = 0
    FOLLOWS = 1
    DARK = 2
    LIT = 3


@dataclass(slots=True)
class EmulationLog:
    """What happened, by cycle.

    Attributes
    ----------
    light : list of LightChange
        In order; the first is the state at power-on.
    delivered : list of (int, int, bool)
        Cycle and value of each byte that came to the chip, and whether its stop bit was missing.
    overruns : list of int
        Cycles at which a delivered byte was lost because the program had not taken those before it.
    sent : list of (int, int)
        Cycle and value of each byte that left it.
    frames : list of (int, LineFrame)
        The messages among them, each with the cycle of its last byte.
    resets : list of int
        Cycles at which the chip began anew, power-on being the first.
    powers, hangs : list of int
        Cycles at which memory was lost, and at which the program was made to hang.
    switches : list of Switches
        The switches, each time that one was turned.
    cable : list of (int, bool)
        Cycle, and whether the line is plugged from there on.
    photodiode : list of (int, bool)
        Cycle, and whether the photodiode's pin says light from there on; it does before the first.
    anchors : list of (int, int)
        Cycle and nanoseconds of the monotonic clock: where a paced gate began, and again after the machine stood still.
    rejected : int
        Pieces that left the chip and were no frame: those that a reset cut short.
    """

    light: list[LightChange] = field(default_factory=list)
    delivered: list[tuple[int, int, bool]] = field(default_factory=list)
    overruns: list[int] = field(default_factory=list)
    sent: list[tuple[int, int]] = field(default_factory=list)
    frames: list[tuple[int, LineFrame]] = field(default_factory=list)
    resets: list[int] = field(default_factory=list)
    powers: list[int] = field(default_factory=list)
    hangs: list[int] = field(default_factory=list)
    switches: list[Switches] = field(default_factory=list)
    cable: list[tuple[int, bool]] = field(default_factory=list)
    photodiode: list[tuple[int, bool]] = field(default_factory=list)
    anchors: list[tuple[int, int]] = field(default_factory=list)
    _decoder: Decoder = field(default_factory=Decoder)

    @property
    def light_is_on(self) -> bool:
        """Whether the line that switches the light is high."""
        return bool(self.light) and self.light[-1].ttl

    @property
    def rejected(self) -> int:
        """See the class."""
        return self._decoder.rejected

    def take(self, line: str) -> None:
        """Add a line of the harness's log."""
        kind, *rest = line.split()
        cycle = int(rest[0])
        match kind:
            case "L":
                self.light.append(LightChange(cycle, int(rest[3]), rest[1] == "1", int(rest[2])))
            case "B":
                self.delivered.append((cycle, int(rest[1], 16), rest[2] == "1"))
            case "O":
                self.overruns.append(cycle)
            case "T":
                byte = int(rest[1], 16)
                self.sent.append((cycle, byte))
                self.frames += [(cycle, frame) for frame in self._decoder.feed(bytes((byte,)))]
            case "R":
                self.resets.append(cycle)
            case "P":
                self.powers.append(cycle)
            case "H":
                self.hangs.append(cycle)
            case "I":
                self.switches.append(Switches(cycle, *(each == "1" for each in rest[1:])))
            case "U":
                self.cable.append((cycle, rest[1] == "1"))
            case "D":
                self.photodiode.append((cycle, rest[1] == "1"))
            case "C":
                self.anchors.append((cycle, int(rest[1])))
            case _:
                raise GateError(f"the emulated gate logged {line!r}")


class EmulatedBoard:
    """The harness's process, and the switches and mishaps that a gate has, whatever moves its time."""

    def __init__(self, image: Path, boot: Path | None, seed: int, *arguments: str) -> None:
        for path in (image, boot):
            if path is not None and not path.exists():
                raise GateError(f"{path}: there is no such firmware")
        self.log = EmulationLog()
        self.cycle = 0
        self._process = subprocess.Popen(
            [str(harness_path()), str(image), str(boot or "-"), str(seed), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def arm_switch(self, on: bool) -> None:
        """Turn the arm switch."""
        self.run_command(f"arm {on:d}")

    def button(self, held: bool) -> None:
        """Press the button, or let it go."""
        self.run_command(f"button {held:d}")

    def stop_switch(self, open: bool) -> None:  # noqa: A002  (a normally closed switch is open or closed)
        """Press (open) or release the emergency stop."""
        self.run_command(f"stop {open:d}")

    def photodiode(self, mode: Photodiode, rise_us: float = 20, fall_us: float = 20) -> None:
        """Wire a photodiode to D6, which sees the light so long after it goes on or off if it follows."""
        rise, fall = (round(us * CYCLES_PER_US) for us in (rise_us, fall_us))
        self.run_command(f"photodiode {mode:d} {rise} {fall}")

    def cable(self, plugged: bool) -> None:
        """Pull or plug the serial line; the board keeps its power."""
        self.run_command(f"cable {plugged:d}")

    def reset(self, cause: ResetCause = ResetCause.EXTERNAL) -> None:
        """Reset the chip, its memory kept."""
        self.run_command(f"reset {cause:d}")

    def power_cycle(self, cause: ResetCause = ResetCause.POWER_ON) -> None:
        """Switch the power off and on: memory holds chance afterwards, the EEPROM what it held."""
        self.run_command(f"power {cause:d}")

    def hang(self, interrupts: bool = True) -> None:
        """Make the program run in a circle from its next instruction to the next reset, with or without interrupts."""
        self.run_command(f"hang {not interrupts:d}")

    def read_eeprom(self) -> bytes:
        """Return its 1,024 bytes."""
        return bytes.fromhex(self.run_command("dump")["E"])

    def write_eeprom(self, address: int, data: bytes) -> None:
        """Overwrite cells, as wear or a torn write would."""
        self.run_command(f"eeprom {address} {data.hex()}")

    def close(self) -> None:
        """End the emulation."""
        stdin, stdout, stderr = self._pipes()
        with contextlib.suppress(BrokenPipeError):
            stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        stdout.close()
        stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run_command(self, command: str) -> dict[str, str]:
        """Send a command to the harness, log the lines before its answer, and return other lines by their letter."""
        stdin, stdout, _ = self._pipes()
        with contextlib.suppress(BrokenPipeError):
            stdin.write(command + "\n")
            stdin.flush()
        return self._answer(stdout)

    def _answer(self, stdout: IO[str]) -> dict[str, str]:
        answers: dict[str, str] = {}
        for line in stdout:
            word, _, rest = line.rstrip("\n").partition(" ")
            if word == "done":
                self.cycle = int(rest)
                return answers
            if word in ("E", "M"):
                answers[word] = rest
            else:
                self.log.take(line)
        raise GateError(f"the emulated gate has ended: {self._pipes()[2].read().strip()}")

    def _pipes(self) -> tuple[IO[str], IO[str], IO[str]]:
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        return process.stdin, process.stdout, process.stderr


class EmulatedGate(EmulatedBoard):
    """A gate that follows the host's clock, behind a pseudo-terminal; a context manager.

    It takes about half a core. When the machine leaves it behind by 5 ms, it stands still rather than hurry.

    Parameters
    ----------
    image : Path
        The firmware, as Intel hex.
    seed : int
        Of what memory holds after power-on.
    resets_on_open : bool
        Whether opening the port resets the chip, as it does on an Arduino Uno.
    boot : Path, optional
        A boot loader, as Intel hex; each reset begins there.

    Attributes
    ----------
    port : Path
        What pyserial opens. While the cable is pulled it is not there, and who holds it gets an error.

    Raises
    ------
    GateError
        There is no such file, no compiler or no simavr.
    """

    def __init__(
        self, image: Path = IMAGE, seed: int = 0, *, resets_on_open: bool = False, boot: Path | None = None
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="rtface-gate-")
        folder = Path(self._folder.name)
        self.port = folder / "port"
        try:
            super().__init__(image, boot, seed, "paced", str(folder / "log"), str(self.port))
            self._answer(self._pipes()[1])
            self.run_command(f"dtr {resets_on_open:d}")
        except BaseException:
            self._folder.cleanup()
            raise
        self._log_file = open(folder / "log", encoding="ascii")  # noqa: SIM115
        self._rest = ""

    def sign(self, changes: Mapping[str, object], signed_off_by: str) -> Limits:
        """Sign limits as a person does, key turned and button held for a second; return them. Nobody else may have the port.

        Raises
        ------
        UsageError
            The firmware would not accept them.
        OutputError
            The gate refused.
        """
        output = GateOutput(
            GateOutputSettings(kind="gate", port=str(self.port), silence_ms=_PATIENT_MS), pinned=False
        )
        output.open()
        try:
            assert output.limits is not None
            proposal = propose(output.limits, changes, signed_off_by)
            return output.change_limits(proposal, self._hold_button)
        finally:
            self.button(held=False)
            output.close()

    def _hold_button(self) -> None:
        """Press it once the chip has seen it up."""
        self.arm_switch(on=True)
        began = self.cycle
        while self.cycle < began + _SEEN_UP_MS * CYCLES_PER_MS:
            self.button(held=False)
        self.button(held=True)

    def light(self) -> list[LightChange]:
        """Return all changes of the light so far."""
        return self.read_log().light

    @property
    def light_is_on(self) -> bool:
        """Whether the line that switches the light is high."""
        return self.read_log().light_is_on

    def read_log(self) -> EmulationLog:
        """Return all that happened so far."""
        *lines, self._rest = (self._rest + self._log_file.read()).split("\n")
        for line in lines:
            self.log.take(line)
        return self.log

    def close(self) -> None:
        """End the emulation; its log can still be read."""
        if self._log_file.closed:
            return
        super().close()
        self.read_log()
        self._log_file.close()
        self._folder.cleanup()
