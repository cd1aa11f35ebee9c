"""The `output:` section: what makes light."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from rtface.config.section import Section, contradiction

_OWN_LIMITS = ("max_on_ms", "min_off_ms", "max_pulses")


class _Output(Section):
    """What every output has."""

    liveness_ms: float = Field(250.0, ge=20, le=5000)
    """Without a sign of life of the thread that decides for this many milliseconds, the output is disarmed."""


class UnguardedOutput(_Output):
    """An output whose device has no limits or dead-man of its own; those here are kept by this computer alone."""

    allow_unguarded: bool = False
    """Allow arming although nothing turns the light off when this computer hangs or rtface is killed."""
    max_on_ms: float = Field(20.0, gt=0, le=60_000)
    """Longest pulse in milliseconds; longer ones are refused."""
    min_off_ms: float = Field(10.0, ge=0, le=600_000)
    """Shortest time in milliseconds between two pulses."""
    max_pulses: int = Field(1000, ge=1)
    """Most pulses while the output is open."""

    @model_validator(mode="after")
    def _limits_are_chosen(self) -> UnguardedOutput:
        chosen = self.model_fields_set
        lacking = [name for name in _OWN_LIMITS if name not in chosen] if self.allow_unguarded else []
        if lacking:
            raise contradiction(
                "limits that this computer alone keeps have no default; write also "
                + ", ".join(f"{name}: {getattr(self, name):g}" for name in lacking)
                + ", or what your light source and mouse allow",
                "output",
                "allow_unguarded",
            )
        return self


class NullOutputSettings(_Output):
    """No output: every pulse is accepted, none is lit."""

    kind: Literal["null"] = "null"


class LogOutputSettings(_Output):
    """No light: what would be lit goes into a file."""

    kind: Literal["log"]
    path: Path
    """A text file, appended to, one JSON object a line."""


class GateOutputSettings(_Output):
    """The safety gate: limits and dead-man in a microcontroller between this computer and the light."""

    kind: Literal["gate"]
    port: str
    """Its serial port: /dev/serial/by-id/..., which stays the same when it is plugged in elsewhere."""
    limits: str | None = Field(None, pattern="^[0-9a-f]{16}$")
    """Fingerprint of the limits signed for this rig, as `rtface gate limits` prints it; nothing is armed under others."""
    heartbeat_ms: float = Field(10.0, ge=2, le=20)
    """Interval of the heartbeats; the gate's dead-man must be several times longer."""
    answer_ms: float = Field(20.0, ge=2, le=500)
    """How long to wait for the answer to a command before it is sent again, up to three times; and for the report
    that a pulse has ended, but there never less than 50."""
    silence_ms: float = Field(200.0, ge=50, le=5000)
    """A gate that answers nothing for this long is lost."""
    open_s: float = Field(5.0, ge=0.5, le=60)
    """How long to wait for the gate after opening its port; an Uno is reset by that and takes two seconds."""
    build: Literal["packaged", "any"] = "packaged"
    """Refuse a gate with other firmware than this rtface's own, or accept any that speaks its protocol."""


class PulsePalOutputSettings(UnguardedOutput):
    """A Pulse Pal: times each train by itself, so a train ends even without this computer."""

    kind: Literal["pulsepal"]
    port: str
    """Its serial port."""
    channel: int = Field(1, ge=1, le=4)
    """The output channel of the light."""
    volts: float = Field(5.0, gt=0, le=10)
    """Voltage of amplitude 1."""


class LineOutputSettings(UnguardedOutput):
    """A serial device with text commands for on and off, timed by this computer."""

    kind: Literal["line"]
    port: str
    """Its serial port."""
    baud: int = Field(115_200, ge=300, le=12_000_000)
    """Bits per second."""
    light_on: str
    """Turns the light on, line end included. {amplitude} is 0 to 255, {percent} 0 to 100, {on_us} the pulse's length."""
    light_off: str
    """Turns it off, whatever it was; sent at the beginning and the end too."""
    ready_s: float = Field(0.0, ge=0, le=30)
    """How long the device needs after its port was opened (an Arduino starts anew: 2)."""


class DaqOutputSettings(UnguardedOutput):
    """A National Instruments device: trains timed by its hardware (`pip install '.[daq]'`)."""

    kind: Literal["daq"]
    channel: str
    """A counter (Dev1/ctr0: full light or none) or an analogue output (Dev1/ao0: any amplitude)."""
    volts: float = Field(5.0, gt=0, le=10)
    """Voltage of amplitude 1 on an analogue output."""
    rate_hz: float = Field(10_000.0, ge=1000, le=1_000_000)
    """Samples per second of an analogue output: pulses are rounded to them."""


OutputSettings = Annotated[
    NullOutputSettings
    | LogOutputSettings
    | GateOutputSettings
    | PulsePalOutputSettings
    | LineOutputSettings
    | DaqOutputSettings,
    Field(discriminator="kind"),
]
