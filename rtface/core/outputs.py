"""Records of outputs: where they stand, what became of each command, and what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum, unique
from typing import Any


@unique
class OutputState(StrEnum):
    """Where an output stands."""

    CLOSED = "closed"
    DISARMED = "disarmed"
    """It refuses to fire."""
    ARMED = "armed"
    FIRING = "firing"
    """A pulse or a train runs; between two pulses of a train the light is off."""
    STOPPED = "stopped"
    """Emergency stop: latched until `Output.clear`."""
    FAULT = "fault"
    """The device is lost or reports that it has failed; only closing and opening it anew can help."""


@unique
class OutputEvent(StrEnum):
    """What a report is about."""

    SENT = "sent"
    """The command's bytes are with the operating system (or the device's driver)."""
    ACK = "ack"
    """The device has carried the command out."""
    REFUSED = "refused"
    """The command was not carried out; `Report.reason` is why."""
    TIMEOUT = "timeout"
    """No answer came in spite of every retry: the command may have been carried out, at most once."""
    LIGHT_ON = "light_on"
    LIGHT_OFF = "light_off"
    TRAIN_ENDED = "train_ended"
    """The command `fire` is over, one pulse or many, for the reason given; unless `LOST` came before."""
    STATE = "state"
    """The output was armed, disarmed, stopped or cleared, or has failed."""
    SILENT = "silent"
    """The caller gave no sign of life for `liveness_ms`: no heartbeat goes out until it does."""
    LOST = "lost"
    """The device vanished or does not answer; its light is off by its own dead-man if it has one."""
    CLOCK = "clock"
    """How the device's clock maps to the host's, from time to time."""
    NOISE = "noise"
    """Bytes came that are no message."""


@unique
class OutputReason(StrEnum):
    """Why. Those down to `LIGHT_MISSING` are the safety gate's own, by the names of `rtface.stimulate.gate.codes.Reason`."""

    NONE = "none"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    DISARMED_BY_HOST = "disarmed_by_host"
    STOPPED_BY_HOST = "stopped_by_host"
    STOP_PIN = "stop_pin"
    ARM_SWITCH = "arm_switch"
    SILENCE = "silence"
    BAD_FRAME = "bad_frame"
    LINE_ERROR = "line_error"
    NEW_HELLO = "new_hello"
    BACKSTOP = "backstop"
    MEMORY = "memory"
    NO_HELLO = "no_hello"
    STALE = "stale"
    BAD_TOKEN = "bad_token"
    WRONG_STATE = "wrong_state"
    BAD_VALUE = "bad_value"
    TOO_LONG = "too_long"
    TOO_STRONG = "too_strong"
    TOO_SOON = "too_soon"
    WINDOW_FULL = "window_full"
    SESSION_PULSES = "session_pulses"
    SESSION_DOSE = "session_dose"
    LIMITS_LOST = "limits_lost"
    STORING = "storing"
    BAD_COUNTER = "bad_counter"
    ACKNOWLEDGED = "acknowledged"
    FOREIGN = "foreign"
    NO_LIMITS = "no_limits"
    NO_HAND = "no_hand"
    LIGHT_UNCOMMANDED = "light_uncommanded"
    """A photodiode saw light that was not commanded, or that went on after its end."""
    LIGHT_MISSING = "light_missing"
    """A photodiode did not see light that was commanded."""
    NOT_ARMED = "not_armed"
    """The output is not armed, by what the host has received."""
    BUSY = "busy"
    """A pulse or train runs already, or too many commands wait."""
    HOST_SILENT = "host_silent"
    """The caller gave no sign of life for `liveness_ms`."""
    NO_ANSWER = "no_answer"
    PORT = "port"
    """The port failed: unplugged, or an error of the operating system."""
    RESET = "reset"
    """The device started anew."""
    LATE = "late"
    """This computer was too late for an edge of the light, so the train ended."""
    CLEARED = "cleared"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Report:
    """Something that happened to a command or to the output.

    Attributes
    ----------
    number : int or None
        The command that it belongs to, as `fire`, `cancel`, `disarm` and `stop` returned it.
    event : OutputEvent
    t_ns : int
        Host's monotonic clock, stamped where it reached the host: after the write, or after the read.
    state : OutputState
        Afterwards, by what the host has received.
    reason : OutputReason
    device_us : int or None
        When it happened, in microseconds of the device's own clock.
    host_ns : int or None
        `device_us` in nanoseconds of the host's clock.
    details : mapping
        Plain values: ``handed_ns`` of SENT (when the caller handed the command over), ``on_ns`` of LIGHT_OFF, ...
    """

    number: int | None
    event: OutputEvent
    t_ns: int
    state: OutputState
    reason: OutputReason = OutputReason.NONE
    device_us: int | None = None
    host_ns: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for messages and files."""
        return asdict(self) | {
            "event": self.event.value,
            "state": self.state.value,
            "reason": self.reason.value,
            "details": dict(self.details),
        }


@dataclass(frozen=True, slots=True)
class OutputInfo:
    """What an output is, once it is open.

    Attributes
    ----------
    kind, label : str
        Name of the driver, and what a person would call the device.
    drives_light : bool
        Whether anything can be turned on by it at all.
    enforces_limits : bool
        The device itself holds limits and a dead-man: light goes off even when this computer hangs or dies.
    firmware, build, protocol : str
        Of the device; empty where it has none.
    limits : dict
        In force, by name; empty where there are none.
    settings : dict
        Names and values that were read back, for the record.
    """

    kind: str
    label: str
    drives_light: bool
    enforces_limits: bool
    firmware: str = ""
    build: str = ""
    protocol: str = ""
    limits: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def guarded(self) -> bool:
        """Whether no fault of this computer can leave a light on; else arming needs `allow_unguarded`."""
        return self.enforces_limits or not self.drives_light

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for messages and files."""
        return asdict(self) | {"limits": dict(self.limits), "settings": dict(self.settings)}
