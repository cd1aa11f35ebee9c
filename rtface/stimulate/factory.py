"""From a configuration to its output."""

from __future__ import annotations

from typing import assert_never

from rtface.config import (
    DaqOutputSettings,
    GateOutputSettings,
    LineOutputSettings,
    LogOutputSettings,
    NullOutputSettings,
    OutputSettings,
    PulsePalOutputSettings,
)
from rtface.core.clock import NS_PER_MS, SYSTEM_CLOCK, Clock
from rtface.stimulate.base import Output
from rtface.stimulate.hosted import HostedLamp, HostedOutput


def make_output(settings: OutputSettings, clock: Clock = SYSTEM_CLOCK) -> Output:
    """Make an output, not yet open; only the driver that is needed is loaded.

    Parameters
    ----------
    settings : OutputSettings
        The output's section of the configuration.
    clock : Clock
        What it stamps with; all but ``null`` wait in real time.
    """
    lamp: HostedLamp
    match settings:
        case NullOutputSettings():
            from rtface.stimulate.null import NullOutput

            return NullOutput(settings, clock)
        case GateOutputSettings():
            from rtface.stimulate.gate.output import GateOutput

            return GateOutput(settings, clock)
        case LogOutputSettings():
            from rtface.stimulate.log import LogLamp

            lamp = LogLamp(settings, clock)
        case PulsePalOutputSettings():
            from rtface.stimulate.pulsepal import PulsePalLamp

            lamp = PulsePalLamp(settings, clock)
        case LineOutputSettings():
            from rtface.stimulate.line import LineLamp

            lamp = LineLamp(settings, clock)
        case DaqOutputSettings():
            from rtface.stimulate.daq import DaqLamp

            lamp = DaqLamp(settings, clock)
        case _:
            assert_never(settings)
    return HostedOutput(lamp, round(settings.liveness_ms * NS_PER_MS), clock)
