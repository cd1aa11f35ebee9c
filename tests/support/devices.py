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
    """Keeps the state that Sanworks' firmware keeps, and plays what its parameters say, right or wrong.

    Parameters
    ----------
    version : int
        What it answers to the handshake.
    old_loop : bool
        A build of 2.0.1 from 2016: the bytes of op 82 are the state and the channel from 0, and there is op 91.
    """

    _DEFAULTS = (0, 49152, 16384, 20, 20, 20, 180, 0, 0, 20_000, 0, 0, 0, 0, 0, 0, 32768)

    def __init__(self, version: int = 21, *, old_loop: bool = False) -> None:
        self.version, self.old_loop = version, old_loop
        self.all_at_once = old_loop or version >= 22
        self.parameters = {
            (channel, code): value for channel in range(1, 5) for code, value in enumerate(self._DEFAULTS, 1)
        }
        self.loops = dict.fromkeys(range(1, 5), 0)
        self.triggered: list[tuple[int, dict[int, int]]] = []
        self.aborted = 0
        self.ops: list[int] = []
        self.connected = False
        self.deaf = False
        self._playing: dict[int, float] = {}
        self._rest = b""
        super().__init__()

    def _train_s(self, channel: int) -> float:
        """How long a train lasts that is triggered now."""
        if self.loops[channel] or self.parameters[channel, 14]:
            return float("inf")  # for ever, or by custom times, which nobody here sent
        delay, duration, pulse = (self.parameters[channel, code] for code in (11, 10, 4))
        return (delay + max(duration, pulse)) * 50e-6

    def lit_channels(self) -> set[int]:
        now = time.monotonic()
        return {channel for channel, ends in self._playing.items() if now < ends}

    @property
    def lit(self) -> bool:
        return bool(self.lit_channels())

    def play(self, channel: int) -> None:
        mine = {code: value for (where, code), value in self.parameters.items() if where == channel}
        self.triggered.append((channel, mine | {18: self.loops[channel]}))
        if mine[2] != mine[17]:
            self._playing[channel] = time.monotonic() + self._train_s(channel)

    def _loop(self, channel: int, state: int) -> None:
        self.loops[channel] = state
        if state:
            self.play(channel)
        else:
            self._playing.pop(channel, None)

    def _size(self, command: bytes) -> int | None:
        """Bytes of a command, None while that cannot be known."""
        if len(command) < 2:
            return None
        if command[0] != 213:
            return 1
        if command[1] not in (74, 91):
            return 2 + {77: 1, 82: 2}.get(command[1], 0)
        if command[1] == 91 and not self.all_at_once:
            return 2
        if len(command) < 3:
            return None
        volts = 2 if self.version >= 20 else 1
        value = 4 if 4 <= command[2] <= 11 else volts if command[2] in (2, 3, 17) else 1
        return 4 + value if command[1] == 74 else 3 + 4 * value

    def take(self, data: bytes) -> bytes:
        if self.deaf:
            return b""
        self._rest += data
        answers = b""
        while (size := self._size(self._rest)) is not None and len(self._rest) >= size:
            command, self._rest = self._rest[:size], self._rest[size:]
            if command[0] == 213:
                self.ops.append(command[1])
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
                for channel in range(1, 5):
                    if command[2] >> (channel - 1) & 1:
                        self.play(channel)
            case 80:
                self._playing.clear()
                self.aborted += 1
            case 81:
                self.connected = False
            case 82:
                channel, state = (command[3] + 1, command[2]) if self.old_loop else (command[2], command[3])
                self._loop(channel, state)
                return b"\x01"
            case 91 if self.all_at_once:
                for channel in range(1, 5):
                    self._loop(channel, command[2 + channel])
                return b"\x01"
        return b""


class FakeTask:
    """A task of NI-DAQmx: an analogue output keeps its last value when its task ends, as NI's do."""

    def __init__(self, ni: FakeNidaqmx) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.started = self.closed = False
        self.written: Any = None
        self.channel = ""
        self.actions: list[str] = []
        self.broken = False
        self._ni = ni
        ni.tasks.append(self)
        self.co_channels = SimpleNamespace(add_co_pulse_chan_time=self._note("co"))
        self.ao_channels = SimpleNamespace(add_ao_voltage_chan=self._note("ao"))
        self.ai_channels = SimpleNamespace(add_ai_voltage_chan=self._note("ai"))
        self.timing = SimpleNamespace(
            cfg_implicit_timing=self._note("implicit"), cfg_samp_clk_timing=self._note("clock")
        )

    def _note(self, name: str) -> Any:
        def noted(*positional: Any, **named: Any) -> Any:
            self._ni.fail_if_gone()
            self.calls.append((name, {str(at): each for at, each in enumerate(positional)} | named))
            if name in ("co", "ao", "ai"):
                self.channel = positional[0]
            return self

        return noted

    @property
    def co_output_state(self) -> str:
        if not self._ni.reads_back:
            raise self._ni.errors.Error("this device does not have the property")
        return "high" if self._ni.stuck else "low"

    def control(self, action: str) -> None:
        self._ni.fail_if_gone()
        if self.channel in self._ni.taken:
            raise self._ni.errors.Error("-50103: the specified resource is reserved")
        self.actions.append(action)

    def read(self) -> float:
        if not self._ni.reads_back:
            raise self._ni.errors.Error("-200170: physical channel does not exist")
        return self._ni.stuck or self._ni.volts.get("Dev1/ao1", 0.0)

    def write(self, data: Any, auto_start: bool) -> None:
        self._ni.fail_if_gone()
        self.written = data
        self.started = self.started or auto_start
        if auto_start:
            self._ni.volts[self.channel] = float(data)

    def start(self) -> None:
        self._ni.fail_if_gone()
        self.started = True
        if self.written is not None:
            self._ni.volts[self.channel] = float(max(self.written))

    def close(self) -> None:
        self.closed = True
        self._ni.fail_if_gone()
        if self.broken:
            raise self._ni.errors.Error("-200088: the task is invalid")

    def __enter__(self) -> FakeTask:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FakeWatchdog:
    """A watchdog of an NI device; `expire` is what its timer does when nobody feeds it."""

    def __init__(self, ni: FakeNidaqmx, device: str, timeout: float) -> None:
        if not ni.has_watchdog:
            raise ni.errors.Error("-200197: the device has no watchdog")
        self.device, self.timeout = device, timeout
        self.states: list[Any] = []
        self.fed = 0
        self.started = self.closed = self.expired = False
        self._ni = ni
        ni.watchdogs.append(self)

    def cfg_watchdog_ao_expir_states(self, states: list[Any]) -> None:
        self.states = states

    cfg_watchdog_co_expir_states = cfg_watchdog_ao_expir_states

    def clear_expiration(self) -> None:
        self.expired = False

    def start(self) -> None:
        assert not [task for task in self._ni.tasks if task.started and not task.closed], (
            "NI allows none here"
        )
        self.started = True

    def reset_timer(self) -> None:
        if self.expired:
            raise self._ni.errors.Error("-200667: the watchdog has expired")
        self.fed += 1

    def stop(self) -> None:
        self.started = False

    def close(self) -> None:
        self.closed = True


class FakeNidaqmx(ModuleType):
    """Records every task; one device, Dev1, which can be unplugged."""

    def __init__(self) -> None:
        super().__init__("nidaqmx")
        self.tasks: list[FakeTask] = []
        self.watchdogs: list[FakeWatchdog] = []
        self.volts: dict[str, float] = {}
        self.taken: set[str] = set()
        self.gone = self.has_watchdog = False
        self.reads_back = True
        self.stuck = 0.0
        """Volts that something else puts on the terminal."""
        self.resets = 0
        device = SimpleNamespace(name="Dev1", product_type="USB-6001", reset_device=self._reset)
        self.system = ModuleType("nidaqmx.system")
        system: Any = self.system
        system.System = SimpleNamespace(local=lambda: SimpleNamespace(devices=[device]))
        system.WatchdogTask = lambda name, timeout: FakeWatchdog(self, name, timeout)
        system.AOExpirationState = system.COExpirationState = lambda *state: state
        self.errors: Any = ModuleType("nidaqmx.errors")
        self.errors.Error = type("Error", (Exception,), {})
        self.constants = ModuleType("nidaqmx.constants")
        constants: Any = self.constants
        constants.Level = SimpleNamespace(LOW="low")
        constants.AcquisitionType = SimpleNamespace(FINITE="finite")
        constants.TaskMode = SimpleNamespace(TASK_RESERVE="reserve", TASK_COMMIT="commit")
        constants.WatchdogAOExpirState = SimpleNamespace(VOLTAGE="volts")
        constants.WatchdogCOExpirState = SimpleNamespace(LOW="low")

    def Task(self) -> FakeTask:  # noqa: N802
        self.fail_if_gone()
        return FakeTask(self)

    def _reset(self) -> None:
        self.fail_if_gone()
        self.resets += 1
        self.volts.clear()
        for task in self.tasks:
            task.closed = True

    def fail_if_gone(self) -> None:
        if self.gone:
            raise self.errors.Error("the device was unplugged")

    @property
    def lit(self) -> bool:
        """Whether a counter's train runs, or an analogue output holds a voltage."""
        running = any(task.started and not task.closed for task in self.tasks if "/ctr" in task.channel)
        return running or any(self.volts.values())
