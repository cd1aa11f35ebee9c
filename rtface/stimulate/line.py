"""A serial device that is turned on and off by text; this computer times its pulses."""

from __future__ import annotations

import contextlib

from rtface.config import LineOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, NS_PER_S, NS_PER_US, Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pulse
from rtface.stimulate.hosted import HostedLamp
from rtface.stimulate.serialport import SerialPort
from rtface.stimulate.softgate import SoftLimits


class LineLamp(HostedLamp):
    """A device with one text for on and one for off; see `HostedLamp`."""

    times_trains = False

    def __init__(self, settings: LineOutputSettings, clock: Clock) -> None:
        self.name = f"the serial device at {settings.port}"
        self.limits = SoftLimits.of(settings)
        self._settings = settings
        self._clock = clock
        self._port: SerialPort | None = None

    def open(self) -> OutputInfo:
        """See `HostedLamp`."""
        settings = self._settings
        self._text(settings.light_on, Pulse(NS_PER_MS, NS_PER_MS, 1, 1.0))
        self._port = SerialPort(settings.port, settings.baud)
        now_ns = self._clock.now_ns()
        self._clock.sleep_until_ns(now_ns + round(settings.ready_s * NS_PER_S))
        self.off(now_ns)
        return OutputInfo(
            "line",
            f"serial device at {settings.port}",
            drives_light=True,
            enforces_limits=False,
            limits=self.limits.as_dict(),
            settings={
                "port": settings.port,
                "baud": settings.baud,
                "light_on": settings.light_on,
                "light_off": settings.light_off,
                "low_latency": self._port.low_latency,
            },
        )

    def check(self) -> list[Check]:
        """See `HostedLamp`."""
        self.off(self._clock.now_ns())
        return [
            Check(
                "line",
                "warn",
                f"{self._settings.port} takes bytes; whether the device acts on them cannot be seen",
            )
        ]

    def on(self, pulse: Pulse, due_ns: int) -> int:
        """See `Lamp`."""
        return self._send(self._text(self._settings.light_on, pulse))

    def off(self, due_ns: int) -> int:
        """See `Lamp`."""
        return self._send(self._settings.light_off)

    def close(self) -> None:
        """See `HostedLamp`."""
        if self._port is not None:
            with contextlib.suppress(OutputError):
                self.off(self._clock.now_ns())
            self._port.close()
            self._port = None

    def _send(self, text: str) -> int:
        assert self._port is not None
        self._port.send(text.encode())
        return self._clock.now_ns()

    def _text(self, template: str, pulse: Pulse) -> str:
        values = {
            "amplitude": round(pulse.amplitude * 255),
            "percent": round(pulse.amplitude * 100),
            "on_us": round(pulse.on_ns / NS_PER_US),
        }
        try:
            return template.format_map(values)
        except (KeyError, ValueError, IndexError, AttributeError) as error:
            raise OutputError(
                f"output.light_on {template!r} cannot be filled in ({error}); it may name {{amplitude}}, {{percent}} and "
                "{on_us}, and a brace of its own is written twice"
            ) from None
