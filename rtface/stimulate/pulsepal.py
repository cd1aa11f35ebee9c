"""A Pulse Pal, by its documented serial protocol (version 1 and 2 of the device).

It times a train by itself, so a train ends even when this computer does not end it; but it has no limits, and no
dead-man, and does not report when its light is on: the times in the reports are those of its commands.
"""

from __future__ import annotations

import math
import struct

from rtface.config import PulsePalOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_S, NS_PER_US, Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pulse
from rtface.stimulate.serialport import SerialPort
from rtface.stimulate.softgate import SoftLimits

BAUD = 115_200
"""Of no consequence: the device is a USB one."""
CYCLE_NS = 50 * NS_PER_US

_MENU = 213
_HANDSHAKE, _PARAMETER, _TRIGGER, _ABORT, _DISCONNECT = 72, 74, 77, 80, 81
_HANDSHAKE_OK, _PARAMETER_OK = 75, 1
_FIRST_OF_VERSION_2 = 20
_FULL_SCALE_VOLTS = 10.0
_ANSWER_NS = NS_PER_S
_POLL_NS = 200 * NS_PER_US

_BIPHASIC, _PHASE1_VOLTS, _PHASE1_CYCLES, _BETWEEN_CYCLES = 1, 2, 4, 7
_BURST_CYCLES, _TRAIN_CYCLES, _DELAY_CYCLES = 8, 10, 11
_LINK_1, _LINK_2, _CUSTOM_TRAIN, _RESTING_VOLTS = 12, 13, 14, 17
_VOLTS = (_PHASE1_VOLTS, _RESTING_VOLTS)
_CYCLES = range(4, 12)


class PulsePalLamp:
    """One channel of a Pulse Pal; see `HostedLamp`."""

    times_trains = True

    def __init__(self, settings: PulsePalOutputSettings, clock: Clock) -> None:
        self.name = f"the Pulse Pal at {settings.port}"
        self.limits = SoftLimits.of(settings)
        self._settings = settings
        self._clock = clock
        self._port: SerialPort | None = None
        self._version = 0
        self._programmed: dict[int, int] = {}

    def open(self) -> OutputInfo:
        """See `HostedLamp`."""
        settings = self._settings
        self._programmed = {}
        self._port = SerialPort(settings.port, BAUD, dtr=False)
        answer = self._ask(bytes((_MENU, _HANDSHAKE)), 5, "the handshake")
        if answer[0] != _HANDSHAKE_OK:
            raise OutputError(f"{settings.port}: what answers there is no Pulse Pal")
        (self._version,) = struct.unpack("<I", answer[1:])
        self.off(self._clock.now_ns())
        self._program(
            {
                _BIPHASIC: 0,
                _RESTING_VOLTS: self._level(0.0),
                _BURST_CYCLES: 0,
                _DELAY_CYCLES: 0,
                _LINK_1: 0,
                _LINK_2: 0,
                _CUSTOM_TRAIN: 0,
            }
        )
        return OutputInfo(
            "pulsepal",
            f"Pulse Pal at {settings.port}, channel {settings.channel}",
            drives_light=True,
            enforces_limits=False,
            firmware=str(self._version),
            limits=self.limits.as_dict(),
            settings={"port": settings.port, "channel": settings.channel, "volts": settings.volts},
        )

    def check(self) -> list[Check]:
        """See `HostedLamp`."""
        answer = self._ask(bytes((_MENU, _HANDSHAKE)), 5, "the handshake")
        if answer[0] != _HANDSHAKE_OK:
            return [Check("line", "fail", "the Pulse Pal answers nonsense", "plug it out and in")]
        return [Check("line", "ok", f"Pulse Pal firmware {self._version} answers")]

    def on(self, pulse: Pulse, due_ns: int) -> int:
        """See `Lamp`."""
        on = _cycles(pulse.on_ns)
        period = max(_cycles(pulse.period_ns), on) if pulse.count > 1 else on
        self._program(
            {
                _PHASE1_VOLTS: self._level(pulse.amplitude * self._settings.volts),
                _PHASE1_CYCLES: on,
                _BETWEEN_CYCLES: max(period - on, _cycles(0)),
                _TRAIN_CYCLES: (pulse.count - 1) * period + on,
            }
        )
        return self._write(bytes((_MENU, _TRIGGER, 1 << (self._settings.channel - 1))))

    def off(self, due_ns: int) -> int:
        """See `Lamp`."""
        return self._write(bytes((_MENU, _ABORT)))

    def close(self) -> None:
        """See `HostedLamp`."""
        if self._port is not None:
            try:
                self.off(self._clock.now_ns())
                self._write(bytes((_MENU, _DISCONNECT)))
            except OutputError:
                pass
            self._port.close()
            self._port = None

    def _program(self, wanted: dict[int, int]) -> None:
        """Set the parameters that are not what is wanted yet; each is confirmed by the device."""
        for code, value in wanted.items():
            if self._programmed.get(code) == value:
                continue
            if code in _CYCLES:
                packed = struct.pack("<I", value)
            elif code in _VOLTS and self._version >= _FIRST_OF_VERSION_2:
                packed = struct.pack("<H", value)
            else:
                packed = struct.pack("<B", value)
            command = bytes((_MENU, _PARAMETER, code, self._settings.channel)) + packed
            if self._ask(command, 1, f"parameter {code}")[0] != _PARAMETER_OK:
                raise OutputError(f"{self._settings.port}: the Pulse Pal refused parameter {code} = {value}")
            self._programmed[code] = value

    def _level(self, volts: float) -> int:
        top = 0xFFFF if self._version >= _FIRST_OF_VERSION_2 else 0xFF
        return math.ceil((volts + _FULL_SCALE_VOLTS) / (2 * _FULL_SCALE_VOLTS) * top)

    def _write(self, data: bytes) -> int:
        assert self._port is not None
        self._port.send(data)
        return self._clock.now_ns()

    def _ask(self, data: bytes, size: int, what: str) -> bytes:
        assert self._port is not None
        deadline_ns = self._write(data) + _ANSWER_NS
        answer = b""
        while len(answer) < size:
            answer += self._port.read()
            if self._clock.now_ns() > deadline_ns:
                raise OutputError(f"{self._settings.port}: no Pulse Pal answers {what}")
            if len(answer) < size:
                self._clock.sleep_until_ns(self._clock.now_ns() + _POLL_NS)
        return answer[:size]


def _cycles(duration_ns: int) -> int:
    """Return a duration in the device's cycles of 50 microseconds; none is shorter than two."""
    return max(2, round(duration_ns / CYCLE_NS))
