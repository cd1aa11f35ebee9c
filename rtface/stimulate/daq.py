"""A National Instruments device; nidaqmx is imported here alone, and only when such an output is opened.

A whole train is handed to the hardware, which times and ends it. A counter gives full light or none; an analogue output
plays the train as a waveform.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.config import DaqOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_S, Clock
from rtface.core.errors import OutputError
from rtface.core.extras import how_to_install
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pulse
from rtface.stimulate.softgate import SoftLimits


class DaqLamp:
    """One channel of an NI device; see `HostedLamp`."""

    times_trains = True

    def __init__(self, settings: DaqOutputSettings, clock: Clock) -> None:
        self._counter = "/ctr" in settings.channel
        self.name = f"the NI channel {settings.channel}"
        self.limits = SoftLimits.of(settings, only_full=self._counter)
        self._settings = settings
        self._clock = clock
        self._ni: Any = None
        self._task: Any = None

    def open(self) -> OutputInfo:
        """See `HostedLamp`."""
        settings = self._settings
        try:
            import nidaqmx
            import nidaqmx.constants
            import nidaqmx.errors
            import nidaqmx.system
        except ImportError as error:
            raise OutputError(
                f"output.kind daq needs the package nidaqmx: {how_to_install('daq')}, and NI-DAQmx itself"
            ) from error
        self._ni = nidaqmx
        device = settings.channel.partition("/")[0]
        with self._ni_errors():
            known = {each.name: each.product_type for each in nidaqmx.system.System.local().devices}
            if device not in known:
                raise OutputError(
                    f"there is no NI device {device!r}; NI-DAQmx has {', '.join(known) or 'none'}"
                )
        self.off(self._clock.now_ns())
        return OutputInfo(
            "daq",
            f"{known[device]} {settings.channel}",
            drives_light=True,
            enforces_limits=False,
            limits=self.limits.as_dict(),
            settings={"channel": settings.channel, "volts": settings.volts, "rate_hz": settings.rate_hz},
        )

    def check(self) -> list[Check]:
        """See `HostedLamp`."""
        self.off(self._clock.now_ns())
        return [Check("daq", "ok", f"{self._settings.channel} can be reserved and is at rest")]

    def on(self, pulse: Pulse, due_ns: int) -> int:
        """See `Lamp`."""
        self._end_task()
        with self._ni_errors():
            self._task = self._ni.Task()
            if self._counter:
                self._load_counter(pulse)
            else:
                self._load_waveform(_waveform(pulse, self._settings.rate_hz, self._settings.volts))
            self._task.start()
        return self._clock.now_ns()

    def off(self, due_ns: int) -> int:
        """See `Lamp`."""
        self._end_task()
        if not self._counter:
            with self._ni_errors(), self._ni.Task() as task:
                task.ao_channels.add_ao_voltage_chan(
                    self._settings.channel, min_val=0.0, max_val=self._settings.volts
                )
                task.write(0.0, auto_start=True)
        return self._clock.now_ns()

    def close(self) -> None:
        """See `HostedLamp`."""
        if self._ni is not None:
            with suppress(OutputError):
                self.off(self._clock.now_ns())
            self._ni = None

    def _load_counter(self, pulse: Pulse) -> None:
        on_s = pulse.on_ns / NS_PER_S
        off_s = (pulse.period_ns - pulse.on_ns) / NS_PER_S if pulse.count > 1 else on_s
        kinds = self._ni.constants
        self._task.co_channels.add_co_pulse_chan_time(
            self._settings.channel, idle_state=kinds.Level.LOW, low_time=off_s, high_time=on_s
        )
        self._task.timing.cfg_implicit_timing(
            sample_mode=kinds.AcquisitionType.FINITE, samps_per_chan=pulse.count
        )

    def _load_waveform(self, waveform: NDArray[np.float64]) -> None:
        self._task.ao_channels.add_ao_voltage_chan(
            self._settings.channel, min_val=0.0, max_val=self._settings.volts
        )
        self._task.timing.cfg_samp_clk_timing(
            self._settings.rate_hz,
            sample_mode=self._ni.constants.AcquisitionType.FINITE,
            samps_per_chan=waveform.size,
        )
        self._task.write(waveform, auto_start=False)

    def _end_task(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            with self._ni_errors():
                task.close()  # aborts what runs; a counter goes to its idle level

    @contextmanager
    def _ni_errors(self) -> Iterator[None]:
        try:
            yield
        except self._ni.errors.Error as error:
            raise OutputError(f"{self._settings.channel}: {error}") from error


def _waveform(pulse: Pulse, rate_hz: float, volts: float) -> NDArray[np.float64]:
    """Return the train in volts, a sample each ``1 / rate_hz``, with two zeros behind it."""
    on = max(1, round(pulse.on_ns * rate_hz / NS_PER_S))
    begins = [round(each * pulse.period_ns * rate_hz / NS_PER_S) for each in range(pulse.count)]
    waveform = np.zeros(begins[-1] + on + 2)
    for begin in begins:
        waveform[begin : begin + on] = pulse.amplitude * volts
    return waveform
