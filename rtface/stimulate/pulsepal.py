"""A Pulse Pal, by its serial protocol as the firmware has it (versions 1, 2.0.0, 2.0.1 and 22; decision 26).

It times a train by itself, but has no limits and no dead-man, and does not report when its light is on. Its state is
never assumed: its own menu, another program or a settings file may have changed it since. So everything that shapes a
train is sent before each trigger and confirmed by the device, and after each train its abort is confirmed too.
"""

from __future__ import annotations

import math
import struct
from dataclasses import replace

from rtface.config import PulsePalOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_S, NS_PER_US, Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pulse
from rtface.stimulate.hosted import HostedLamp
from rtface.stimulate.serialport import SerialPort
from rtface.stimulate.softgate import SoftLimits

BAUD = 115_200
"""Of no consequence: the device is a USB one."""
CYCLE_NS = 50 * NS_PER_US

_MENU = 213
_HANDSHAKE, _PARAMETER, _TRIGGER, _ABORT, _DISCONNECT, _LOOP, _PARAMETER_OF_ALL = 72, 74, 77, 80, 81, 82, 91
_GREET = bytes((_MENU, _HANDSHAKE))
_GREETED, _DONE, _REFUSED = 75, 1, 0
_GREETING_BYTES = 5
_FIRST_OF_VERSION_2 = 20
_FULL_SCALE_VOLTS = 10.0
_FEWEST_CYCLES, _MOST_CYCLES = 2, 72_000_000
"""The shortest and longest duration that the device plays: 100 us and an hour."""
_ANSWER_NS = NS_PER_S
_POLL_NS = 200 * NS_PER_US

_BIPHASIC, _PHASE1_VOLTS, _PHASE2_VOLTS, _PHASE1_CYCLES, _BETWEEN_PHASES, _PHASE2_CYCLES = range(1, 7)
_BETWEEN_CYCLES, _BURST_CYCLES, _BETWEEN_BURSTS, _TRAIN_CYCLES, _DELAY_CYCLES = range(7, 12)
_LINK_1, _LINK_2, _CUSTOM_TRAIN, _CUSTOM_TARGET, _CUSTOM_LOOP, _RESTING_VOLTS, _CONTINUOUS = range(12, 19)
_VOLTS = (_PHASE1_VOLTS, _PHASE2_VOLTS, _RESTING_VOLTS)
_CYCLES = range(_PHASE1_CYCLES, _DELAY_CYCLES + 1)

_DARK = Pulse(_FEWEST_CYCLES * CYCLE_NS, _FEWEST_CYCLES * CYCLE_NS, 1, 0.0)
"""What is programmed while nothing is to be lit: a trigger from elsewhere gives no light."""


class PulsePalLamp(HostedLamp):
    """One channel of a Pulse Pal; see `HostedLamp`."""

    times_trains = True

    def __init__(self, settings: PulsePalOutputSettings, clock: Clock) -> None:
        self.name = f"the Pulse Pal at {settings.port}"
        self.limits = SoftLimits.of(settings)
        self._settings = settings
        self._clock = clock
        self._port: SerialPort | None = None
        self._version = 0
        self._loop_off = (b"", b"")

    def open(self) -> OutputInfo:
        """See `HostedLamp`."""
        settings = self._settings
        self._port = SerialPort(settings.port, BAUD, dtr=False)
        self._version = self._greet()
        self.prepare()
        return OutputInfo(
            "pulsepal",
            f"Pulse Pal at {settings.port}, channel {settings.channel}",
            drives_light=True,
            enforces_limits=False,
            firmware=str(self._version),
            limits=self.limits.as_dict(),
            settings={"port": settings.port, "channel": settings.channel, "volts": settings.volts},
        )

    def prepare(self) -> None:
        """Stop what it plays, and give it a dark programme of which every parameter is known."""
        self.off(self._clock.now_ns())
        self._loop_off = self._end_loop()
        self._program(_DARK)

    def check(self) -> list[Check]:
        """See `HostedLamp`."""
        self.prepare()
        return [
            Check(
                "line",
                "ok",
                f"Pulse Pal firmware {self._version} confirms each parameter, continuous loop and custom trains off; "
                "whether its light is on it does not report",
            )
        ]

    def played(self, pulse: Pulse) -> Pulse | None:
        """See `HostedLamp`; the device's grain is 50 microseconds, and nothing is shorter than two of them."""
        on = _cycles(pulse.on_ns)
        period = max(_cycles(pulse.period_ns), on + _FEWEST_CYCLES) if pulse.count > 1 else on
        if (pulse.count - 1) * period + on > _MOST_CYCLES:
            return None
        return replace(pulse, on_ns=on * CYCLE_NS, period_ns=period * CYCLE_NS)

    def on(self, pulse: Pulse, due_ns: int) -> int:
        """See `Lamp`."""
        self._program(pulse)
        return self._write(bytes((_MENU, _TRIGGER, 1 << (self._settings.channel - 1))))

    def off(self, due_ns: int) -> int:
        """See `Lamp`; the device answers the greeting behind the abort only when it has carried that out."""
        self._greet(bytes((_MENU, _ABORT)))
        return self._clock.now_ns()

    def close(self) -> None:
        """See `HostedLamp`."""
        if self._port is not None:
            try:
                self.prepare()
                self._write(bytes((_MENU, _DISCONNECT)))
            except OutputError:
                pass
            self._port.close()
            self._port = None

    def _program(self, pulse: Pulse) -> None:
        """Set every parameter of the channel, and its continuous loop to off; the device confirms each."""
        on = pulse.on_ns // CYCLE_NS
        period = pulse.period_ns // CYCLE_NS
        rest = self._level(0.0)
        wanted = {
            _BIPHASIC: 0,
            _RESTING_VOLTS: rest,
            _PHASE1_VOLTS: self._level(pulse.amplitude * self._settings.volts),
            _PHASE2_VOLTS: rest,
            _PHASE1_CYCLES: on,
            _BETWEEN_PHASES: _FEWEST_CYCLES,
            _PHASE2_CYCLES: _FEWEST_CYCLES,
            _BETWEEN_CYCLES: max(period - on, _FEWEST_CYCLES),
            _BURST_CYCLES: 0,
            _BETWEEN_BURSTS: 0,
            _TRAIN_CYCLES: (pulse.count - 1) * period + on,
            _DELAY_CYCLES: 0,
            _LINK_1: 0,
            _LINK_2: 0,
            _CUSTOM_TRAIN: 0,
            _CUSTOM_TARGET: 0,
            _CUSTOM_LOOP: 0,
        }
        loop_off, confirmed = self._loop_off
        commands = b"".join(self._parameter(code, value) for code, value in wanted.items())
        answer = self._ask(commands + loop_off, len(wanted) + len(confirmed), "its parameters")
        for code, done in zip([*wanted, _CONTINUOUS], answer, strict=False):
            if done != _DONE:
                raise OutputError(f"{self._settings.port}: the Pulse Pal refused parameter {code}")

    def _parameter(self, code: int, value: int) -> bytes:
        wide = self._version >= _FIRST_OF_VERSION_2
        form = "<I" if code in _CYCLES else "<H" if code in _VOLTS and wide else "<B"
        return bytes((_MENU, _PARAMETER, code, self._settings.channel)) + struct.pack(form, value)

    def _end_loop(self) -> tuple[bytes, bytes]:
        """End continuous loops; return the command that does it in this firmware, and what it answers.

        Builds of 2.0.1 from before May 2017 take the two bytes of the loop's command the other way round, which would
        begin a loop on channel 1. They have the command for all channels at once, which others do not know and skip.
        """
        for_all = bytes((_MENU, _PARAMETER_OF_ALL, _CONTINUOUS, 0, 0, 0, 0))
        if self._version >= _FIRST_OF_VERSION_2 and self._answers(for_all) == bytes((_DONE,)):
            return for_all, bytes((_DONE,))
        for_one = bytes((_MENU, _LOOP, self._settings.channel, 0))
        answer = self._answers(for_one)
        if answer == bytes((_REFUSED,)):
            raise OutputError(f"{self._settings.port}: the Pulse Pal does not end its continuous loop")
        return for_one, answer

    def _answers(self, command: bytes) -> bytes:
        """Return what the device answers to a command before it answers a greeting: one byte or none."""
        answer = self._ask(command + _GREET, _GREETING_BYTES, "a command", besides=_GREETED)
        return b"" if answer[0] == _GREETED else answer[:1]

    def _greet(self, command: bytes = b"") -> int:
        """Send a command without an answer of its own and a greeting; return the firmware's version."""
        answer = self._ask(command + _GREET, _GREETING_BYTES, "the handshake")
        if answer[0] != _GREETED or len(answer) != _GREETING_BYTES:
            raise OutputError(f"{self._settings.port}: what answers there is no Pulse Pal")
        (version,) = struct.unpack("<I", answer[1:])
        return int(version)

    def _level(self, volts: float) -> int:
        top = 0xFFFF if self._version >= _FIRST_OF_VERSION_2 else 0xFF
        return math.ceil((volts + _FULL_SCALE_VOLTS) / (2 * _FULL_SCALE_VOLTS) * top)

    def _write(self, data: bytes) -> int:
        assert self._port is not None
        self._port.send(data)
        return self._clock.now_ns()

    def _ask(self, data: bytes, size: int, what: str, *, besides: int | None = None) -> bytes:
        """Send commands; return their answers, `size` bytes, or one more where the first is not `besides`."""
        assert self._port is not None
        while self._port.read():
            pass  # what answers an earlier command is no answer to this one
        deadline_ns = self._write(data) + _ANSWER_NS
        answer = b""
        while len(answer) < size + (besides is not None and answer[:1] != bytes((besides,))):
            if self._clock.now_ns() > deadline_ns:
                raise OutputError(f"{self._settings.port}: no Pulse Pal answers {what}")
            if not (more := self._port.read()):
                self._clock.sleep_until_ns(self._clock.now_ns() + _POLL_NS)
            answer += more
        return answer


def _cycles(duration_ns: int) -> int:
    """Return a duration in the device's cycles, to the nearest."""
    return max(_FEWEST_CYCLES, (duration_ns + CYCLE_NS // 2) // CYCLE_NS)
