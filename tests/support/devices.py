"""Devices that outputs drive, made of a pseudo-terminal or a recording module, that tell whether their light is on."""

from __future__ import annotations

import os
import pty
import struct
import threading
import time
import tty
from types import ModuleType, SimpleNamespace
from typing import Any


class PtyDevice:
    """Something behind a serial port; `take` gets each piece of bytes and returns the answer."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        self.port = os.ttyname(self._slave)
        self._quit_reader, self._quit_writer = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def take(self, data: bytes) -> bytes:
        raise NotImplementedError

    def _run(self) -> None:
        import select

        while True:
            ready, _, _ = select.select([self._master, self._quit_reader], [], [])
            if self._quit_reader in ready:
                return
            data = os.read(self._master, 4096)
            self.received += data
            if answer := self.take(data):
                os.write(self._master, answer)

    def vanish(self) -> None:
        """Pull the cable: who holds the port gets an error."""
        if self._thread.is_alive():
            os.write(self._quit_writer, b"q")
            self._thread.join()
            for each in (self._master, self._slave, self._quit_reader, self._quit_writer):
                os.close(each)


class LineDevice(PtyDevice):
    """Understands ``ON 128 5000`` and ``OFF``."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.lit = False
        self._rest = ""
        super().__init__()

    def take(self, data: bytes) -> bytes:
        *lines, self._rest = (self._rest + data.decode()).split("\n")
        for line in lines:
            self.lines.append(line)
            self.lit = line.startswith("ON")
        return b""


class PulsePalDevice(PtyDevice):
    """The documented binary protocol, as far as rtface uses it; what it is not told it refuses to guess."""

    def __init__(self, version: int = 21) -> None:
        self.version = version
        self.parameters: dict[tuple[int, int], int] = {}
        self.triggered: list[tuple[int, dict[int, int]]] = []
        self.connected = False
        self._dark_at = 0.0
        self._rest = b""
        super().__init__()

    @property
    def lit(self) -> bool:
        return time.monotonic() < self._dark_at

    def _size(self, command: bytes) -> int | None:
        """Bytes of a command, None while that cannot be known."""
        if len(command) < 2:
            return None
        if command[1] != 74:
            return 2 + {72: 0, 77: 1, 80: 0, 81: 0}[command[1]]
        if len(command) < 3:
            return None
        volts = 2 if self.version >= 20 else 1
        return 4 + (4 if 4 <= command[2] <= 11 else volts if command[2] in (2, 3, 17) else 1)

    def take(self, data: bytes) -> bytes:
        self._rest += data
        answers = b""
        while (size := self._size(self._rest)) is not None and len(self._rest) >= size:
            command, self._rest = self._rest[:size], self._rest[size:]
            assert command[0] == 213
            answers += self._obey(command)
        return answers

    def _obey(self, command: bytes) -> bytes:
        match command[1]:
            case 72:
                self.connected = True
                return b"K" + struct.pack("<I", self.version)
            case 74:
                self.parameters[command[3], command[2]] = int.from_bytes(command[4:], "little")
                return b"\x01"
            case 77:
                channel = command[2].bit_length()
                mine = {code: value for (where, code), value in self.parameters.items() if where == channel}
                self.triggered.append((channel, mine))
                self._dark_at = time.monotonic() + mine[10] * 50e-6
            case 80:
                self._dark_at = 0.0
            case 81:
                self.connected = False
        return b""


class FakeTask:
    def __init__(self, ni: FakeNidaqmx) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.started = self.closed = False
        self.written: Any = None
        self._ni = ni
        ni.tasks.append(self)
        self.co_channels = SimpleNamespace(add_co_pulse_chan_time=self._note("co"))
        self.ao_channels = SimpleNamespace(add_ao_voltage_chan=self._note("ao"))
        self.timing = SimpleNamespace(
            cfg_implicit_timing=self._note("implicit"), cfg_samp_clk_timing=self._note("clock")
        )

    def _note(self, name: str) -> Any:
        def noted(*positional: Any, **named: Any) -> None:
            self._ni.fail_if_gone()
            self.calls.append((name, {str(at): each for at, each in enumerate(positional)} | named))

        return noted

    def write(self, data: Any, auto_start: bool) -> None:
        self._ni.fail_if_gone()
        self.written = data
        self.started = self.started or auto_start

    def start(self) -> None:
        self._ni.fail_if_gone()
        self.started = True

    def close(self) -> None:
        self.closed = True
        self._ni.fail_if_gone()

    def __enter__(self) -> FakeTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeNidaqmx(ModuleType):
    """Records every task; one device, Dev1, which can be unplugged."""

    def __init__(self) -> None:
        super().__init__("nidaqmx")
        self.tasks: list[FakeTask] = []
        self.gone = False
        device = SimpleNamespace(name="Dev1", product_type="USB-6001")
        self.system = ModuleType("nidaqmx.system")
        self.system.System = SimpleNamespace(local=lambda: SimpleNamespace(devices=[device]))  # type: ignore[attr-defined]
        self.errors = ModuleType("nidaqmx.errors")
        self.errors.Error = type("Error", (Exception,), {})  # type: ignore[attr-defined]
        self.constants = ModuleType("nidaqmx.constants")
        self.constants.Level = SimpleNamespace(LOW="low")  # type: ignore[attr-defined]
        self.constants.AcquisitionType = SimpleNamespace(FINITE="finite")  # type: ignore[attr-defined]

    def Task(self) -> FakeTask:  # noqa: N802
        self.fail_if_gone()
        return FakeTask(self)

    def fail_if_gone(self) -> None:
        if self.gone:
            raise self.errors.Error("the device was unplugged")

    @property
    def lit(self) -> bool:
        """Whether a train was started and not ended by force."""
        return any(task.started and not task.closed for task in self.tasks)
