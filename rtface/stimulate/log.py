"""Pulses written to a text file, one JSON object a line; nothing is lit."""

from __future__ import annotations

import json
from typing import TextIO

from rtface.config import LogOutputSettings
from rtface.core.check import Check
from rtface.core.clock import Clock, wall_ns
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pulse
from rtface.stimulate.hosted import HostedLamp
from rtface.stimulate.softgate import SoftLimits


class LogLamp(HostedLamp):
    """A text file, opened to append."""

    name = "the log output"
    times_trains = False
    limits = SoftLimits()

    def __init__(self, settings: LogOutputSettings, clock: Clock) -> None:
        self._path = settings.path
        self._clock = clock
        self._file: TextIO | None = None

    def open(self) -> OutputInfo:
        """See `HostedLamp`."""
        try:
            self._file = self._path.open("a", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"the log output cannot write {self._path}: {error.strerror}") from error
        self._write({"event": "open", "wall_ns": wall_ns()})
        return OutputInfo("log", str(self._path), drives_light=False, enforces_limits=False)

    def check(self) -> list[Check]:
        """See `HostedLamp`."""
        return [Check("output", "warn", f"log: pulses go to {self._path}, nothing will be lit")]

    def on(self, pulse: Pulse, due_ns: int) -> int:
        """See `Lamp`."""
        return self._write({"event": "on", "on_ns": pulse.on_ns, "amplitude": pulse.amplitude})

    def off(self, due_ns: int) -> int:
        """See `Lamp`."""
        return self._write({"event": "off"})

    def close(self) -> None:
        """See `HostedLamp`."""
        if self._file is not None:
            try:
                self._write({"event": "close"})
                self._file.close()
            except (OutputError, OSError):
                pass
            self._file = None

    def _write(self, entry: dict[str, object]) -> int:
        now_ns = self._clock.now_ns()
        if self._file is None:
            raise OutputError(f"the log output {self._path} is not open")
        try:
            self._file.write(json.dumps({"t_ns": now_ns} | entry) + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(f"the log output cannot write {self._path}: {error.strerror}") from error
        return now_ns
