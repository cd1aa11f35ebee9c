"""A National Instruments device; nidaqmx is imported here alone, and only when such an output is opened.

A whole train is handed to the hardware, which times it. A counter gives full light or none; an analogue output plays the
train as a waveform, and keeps its last value when it is stopped, so a zero is written after each train and whatever
else failed. Where the device has a watchdog, it is started at arming and fed by the output's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.config import DaqOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, NS_PER_S, Clock
from rtface.core.errors import OutputError
from rtface.core.extras import how_to_install
from rtface.core.outputs import OutputInfo
from rtface.core.records import Pulse
from rtface.stimulate.hosted import HostedLamp
from rtface.stimulate.softgate import SoftLimits

_MOST_SAMPLES = 10_000_000
"""Of a waveform that is handed over whole."""
_REST_VOLTS = 0.1
"""What reads less is at rest."""
_FEEDS_A_TIMEOUT = 5


class DaqLamp(HostedLamp):
    """One channel of an NI device; see `HostedLamp`."""

    times_trains = True

    def __init__(self, settings: DaqOutputSettings, clock: Clock) -> None:
        self._counter = "/ctr" in settings.channel
        self.name = f"the NI channel {settings.channel}"
        self.limits = SoftLimits.of(settings, only_full=self._counter)
        self._settings = settings
        self._clock = clock
        self._ni: Any = None
        self._device: Any = None
        self._task: Any = None
        self._watchdog: Any = None
        self._timeout_ns = round(settings.liveness_ms * NS_PER_MS)
        self._feed_ns = 0

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
            known = {each.name: each for each in nidaqmx.system.System.local().devices}
            if device not in known:
                raise OutputError(
                    f"there is no NI device {device!r}; NI-DAQmx has {', '.join(known) or 'none'}"
                )
            self._device = known[device]
        self.off(self._clock.now_ns())
        return OutputInfo(
            "daq",
            f"{self._device.product_type} {settings.channel}",
            drives_light=True,
            enforces_limits=False,
            limits=self.limits.as_dict(),
            settings={"channel": settings.channel, "volts": settings.volts, "rate_hz": settings.rate_hz},
        )

    def prepare(self) -> None:
        """Make the channel dark, and have the device's watchdog keep it so without this computer."""
        self.off(self._clock.now_ns())
        if self._watchdog is None:
            self._start_watchdog()

    def tend(self, now_ns: int) -> int | None:
        """Feed the watchdog."""
        if self._watchdog is None:
            return None
        if now_ns >= self._feed_ns:
            with self._ni_errors():
                self._watchdog.reset_timer()
            self._feed_ns = now_ns + self._timeout_ns // _FEEDS_A_TIMEOUT
        return self._feed_ns

    def check(self) -> list[Check]:
        """See `HostedLamp`."""
        channel, watchdog = self._settings.channel, "watchdog"
        try:
            self.prepare()
            reads = self._read_counter() if self._counter else self._read_volts()
        except OutputError as error:
            return [Check("daq", "fail", f"it cannot be reserved: {error}", "close the program that has it")]
        if reads is None:
            text = f"{channel} was reserved and set to rest; that it is at rest the device cannot read back"
            found = Check("daq", "warn", text)
        elif abs(reads) < _REST_VOLTS:
            found = Check("daq", "ok", f"{channel} was reserved, and reads at rest")
        else:
            level = "high" if self._counter else f"{reads:.2f} V"
            found = Check("daq", "fail", f"{channel} reads {level} at rest", "switch the light source off")
        if self._watchdog is None:
            text = (
                "the device has no watchdog for this channel: if rtface is killed, the last voltage may stay"
            )
            return [found, Check(watchdog, "warn", text)]
        text = f"the device takes {channel} to rest when it is not fed for {self._settings.liveness_ms:g} ms"
        return [found, Check(watchdog, "ok", text)]

    def played(self, pulse: Pulse) -> Pulse | None:
        """See `HostedLamp`; the grain of an analogue output is a sample."""
        if self._counter:
            return pulse
        rate_hz = self._settings.rate_hz
        on = max(1, round(pulse.on_ns * rate_hz / NS_PER_S))
        period = max(round(pulse.period_ns * rate_hz / NS_PER_S), on + 1) if pulse.count > 1 else on
        if (pulse.count - 1) * period + on > _MOST_SAMPLES:
            return None
        grain_ns = NS_PER_S / rate_hz
        return replace(pulse, on_ns=round(on * grain_ns), period_ns=round(period * grain_ns))

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
        """See `Lamp`; what fails does not keep the rest from being tried, and the device is reset then."""
        failures = [error for error in (self._tried(self._end_task), self._tried(self._rest)) if error]
        if failures:
            self._tried(lambda: self._device.reset_device())
            raise failures[0]
        return self._clock.now_ns()

    def close(self) -> None:
        """See `HostedLamp`."""
        if self._ni is None:
            return
        with suppress(OutputError):
            self.off(self._clock.now_ns())
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            self._tried(watchdog.stop)
            self._tried(watchdog.close)
        self._ni = self._device = None

    def _rest(self) -> None:
        """Write zero: a stopped analogue output keeps its last value."""
        if not self._counter:
            with self._ni_errors(), self._ni.Task() as task:
                task.ao_channels.add_ao_voltage_chan(
                    self._settings.channel, min_val=0.0, max_val=self._settings.volts
                )
                task.write(0.0, auto_start=True)

    def _read_counter(self) -> float | None:
        """Reserve the counter and return the level of its terminal, 0 or 1; None where that cannot be read."""
        kinds = self._ni.constants
        with self._ni_errors(), self._ni.Task() as task:
            channel = task.co_channels.add_co_pulse_chan_time(
                self._settings.channel, idle_state=kinds.Level.LOW, low_time=0.001, high_time=0.001
            )
            task.control(kinds.TaskMode.TASK_COMMIT)
            with suppress(OutputError), self._ni_errors():
                return 0.0 if channel.co_output_state == kinds.Level.LOW else 1.0
        return None

    def _read_volts(self) -> float | None:
        """Reserve the output and return its volts; None where the device has no way to measure them."""
        device, _, output = self._settings.channel.partition("/")
        with self._ni_errors(), self._ni.Task() as task:
            task.ao_channels.add_ao_voltage_chan(
                self._settings.channel, min_val=0.0, max_val=self._settings.volts
            )
            task.control(self._ni.constants.TaskMode.TASK_RESERVE)
        with suppress(OutputError), self._ni_errors(), self._ni.Task() as task:
            task.ai_channels.add_ai_voltage_chan(f"{device}/_{output}_vs_aognd", min_val=-10.0, max_val=10.0)
            return float(task.read())
        return None

    def _start_watchdog(self) -> None:
        """Have the device go to rest by itself when it is not fed; few devices can."""
        kinds, system, channel = self._ni.constants, self._ni.system, self._settings.channel
        watchdog: Any = None
        try:
            with self._ni_errors():
                watchdog = system.WatchdogTask(self._device.name, timeout=self._timeout_ns / NS_PER_S)
                if self._counter:
                    low = system.COExpirationState(channel, kinds.WatchdogCOExpirState.LOW)
                    watchdog.cfg_watchdog_co_expir_states([low])
                else:
                    zero = system.AOExpirationState(channel, 0.0, kinds.WatchdogAOExpirState.VOLTAGE)
                    watchdog.cfg_watchdog_ao_expir_states([zero])
                with suppress(self._ni.errors.Error):
                    watchdog.clear_expiration()
                watchdog.start()
        except OutputError:
            if watchdog is not None:
                self._tried(watchdog.close)
            return
        self._watchdog = watchdog
        self._feed_ns = 0

    def _tried(self, action: Callable[[], object]) -> OutputError | None:
        """Do something of the driver's; return its error."""
        try:
            with self._ni_errors():
                action()
        except OutputError as error:
            return error
        return None

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
        except (self._ni.errors.Error, AttributeError) as error:  # the latter: an old nidaqmx
            raise OutputError(f"{self._settings.channel}: {error}") from error


def _waveform(pulse: Pulse, rate_hz: float, volts: float) -> NDArray[np.float64]:
    """Return the train in volts, a sample each ``1 / rate_hz``, with two zeros behind it."""
    on = max(1, round(pulse.on_ns * rate_hz / NS_PER_S))
    begins = [round(each * pulse.period_ns * rate_hz / NS_PER_S) for each in range(pulse.count)]
    waveform = np.zeros(begins[-1] + on + 2)
    for begin in begins:
        waveform[begin : begin + on] = pulse.amplitude * volts
    return waveform
