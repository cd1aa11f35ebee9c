"""The output that a configuration asks for."""

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
from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.stimulate.base import Output


def make_output(settings: OutputSettings, clock: Clock = SYSTEM_CLOCK) -> Output:
    """Make an output, not yet open; only the driver that is needed is loaded.

    Parameters
    ----------
    settings : OutputSettings
        The output's section of the configuration.
    clock : Clock
        What it stamps with; all but ``null`` wait in real time.
    """
    match settings:
        case NullOutputSettings():
            from rtface.stimulate.null import NullOutput

            return NullOutput(settings, clock)
        case LogOutputSettings():
            from rtface.stimulate.log import log_output

            return log_output(settings, clock)
        case GateOutputSettings():
            from rtface.stimulate.gate.output import Gate

            return Gate(settings, clock)
        case PulsePalOutputSettings():
            from rtface.stimulate.pulsepal import pulsepal_output

            return pulsepal_output(settings, clock)
        case LineOutputSettings():
            from rtface.stimulate.line import line_output

            return line_output(settings, clock)
        case DaqOutputSettings():
            from rtface.stimulate.daq import daq_output

            return daq_output(settings, clock)
    assert_never(settings)
