"""Messages of the safety gate: one table, from which `rtface.stimulate.gate.cheader` makes the firmware's header. No I/O.

All integers are little-endian. Times and durations are microseconds unless a name says otherwise; `time_us` is the
gate's own clock, which starts at zero at each reset. Amplitudes are 0 to 255, 255 being full. `LAYOUT` names a
message's fields in the notation of `struct`.
"""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, fields
from typing import Any, ClassVar, cast, get_args, get_type_hints

from rtface.core.errors import UsageError, WireError
from rtface.stimulate.gate.codes import SIGNER_BYTES, Inputs, Kind, LimitsSource, Reason, ResetCause, State


@dataclass(frozen=True, slots=True)
class _LimitFields:
    """What the gate never exceeds; in any `window_ms` the light is on for at most `window_on_us`.

    Attributes
    ----------
    session_pulses, session_dose_us : int
        In a session, whatever resets come between; the dose is light at full amplitude.
    amplitude_wired : int
        1 if the light source follows the amplitude's line; 0 if only the TTL is wired, so that all light is full light.
    device_id : int
        A number of the lab's own.
    counter : int
        0 where nothing was ever signed; a proposal's must be one more than the last.
    signed_off_by : str
        Who answers for these limits; up to 20 bytes of UTF-8, empty where nobody does.
    photodiode_wired : int
        1 if a photodiode on the gate sees the light itself: light that was not commanded, or the lack of light that was, is a
        fault then.
    light_rise_us, light_fall_us : int
        How long it may take from a command until the photodiode sees the light, and until it sees it no more.
    """

    LAYOUT: ClassVar[str] = "IIIIIIHBBII20sBHH"
    max_on_us: int
    min_off_us: int
    window_ms: int
    window_on_us: int
    session_pulses: int
    session_dose_us: int
    deadman_ms: int
    max_amplitude: int
    amplitude_wired: int
    device_id: int
    counter: int
    signed_off_by: str
    photodiode_wired: int = 0
    light_rise_us: int = 2_000
    light_fall_us: int = 2_000


@dataclass(frozen=True, slots=True)
class _Answer:
    """Answer to a command, whose type is `command`; `repeated` is 1 when it was given before.

    `value` is the number of the first pulse for `Pulse`, the CRC for `ProposeLimits`, else 0.
    """

    LAYOUT: ClassVar[str] = "BBBBIQ"
    command: int
    reason: Reason
    state: State
    repeated: int
    value: int
    time_us: int


@dataclass(frozen=True, slots=True)
class Hello:
    """Host: greets. Disarms, and begins a conversation with a new nonce and token: no frame of before counts any more."""

    TYPE: ClassVar[int] = 0x01
    LAYOUT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Host: alive. Answered by `Status`; one that is not new, or not of this conversation, keeps nothing alive."""

    TYPE: ClassVar[int] = 0x02
    LAYOUT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Arm:
    """Host: arm, with the token of the newest `Welcome`; a token works once."""

    TYPE: ClassVar[int] = 0x03
    LAYOUT: ClassVar[str] = "I"
    token: int


@dataclass(frozen=True, slots=True)
class Disarm:
    """Host: light off and disarm. Carried out whatever its sequence number."""

    TYPE: ClassVar[int] = 0x04
    LAYOUT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """Host: emergency stop, latched until `Clear`. Carried out whatever its sequence number."""

    TYPE: ClassVar[int] = 0x05
    LAYOUT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Clear:
    """Host: end the emergency stop, with the token of the newest `Welcome`; arming needs another."""

    TYPE: ClassVar[int] = 0x06
    LAYOUT: ClassVar[str] = "I"
    token: int


@dataclass(frozen=True, slots=True)
class Pulse:
    """Host: `count` pulses of `on_us`, begun `period_us` after each other (0 for a single one)."""

    TYPE: ClassVar[int] = 0x07
    LAYOUT: ClassVar[str] = "IIHB"
    on_us: int
    period_us: int
    count: int
    amplitude: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Host: light off now and no more pulses; stays armed. Carried out whatever its sequence number."""

    TYPE: ClassVar[int] = 0x08
    LAYOUT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class GetStatus:
    """Host: what is your state? Unlike a heartbeat it keeps nothing alive."""

    TYPE: ClassVar[int] = 0x09
    LAYOUT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class GetLimits:
    """Host: which limits are in force? Answered by `Limits`."""

    TYPE: ClassVar[int] = 0x0A
    LAYOUT: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class ProposeLimits(_LimitFields):
    """Host: first step of a change, only while disarmed; the acknowledgement's value is the CRC to commit with."""

    TYPE: ClassVar[int] = 0x0B


@dataclass(frozen=True, slots=True)
class CommitLimits:
    """Host: second step, with the proposal's CRC and counter; refused (NO_HAND) until the button is held, key on."""

    TYPE: ClassVar[int] = 0x0C
    LAYOUT: ClassVar[str] = "HI"
    crc: int
    counter: int


@dataclass(frozen=True, slots=True)
class Ack(_Answer):
    """Gate: the command of this sequence number was carried out, once."""

    TYPE: ClassVar[int] = 0x80


@dataclass(frozen=True, slots=True)
class Nak(_Answer):
    """Gate: the command of this sequence number was refused, and why."""

    TYPE: ClassVar[int] = 0x81


@dataclass(frozen=True, slots=True)
class Status:
    """Gate: its state, why it came to it, and what the session has had; `dose_us` is light at full amplitude."""

    TYPE: ClassVar[int] = 0x82
    LAYOUT: ClassVar[str] = "BBBIIIHHQ"
    state: State
    reason: Reason
    inputs: Inputs
    pulses: int
    dose_us: int
    window_us: int
    bad_frames: int
    unsent: int
    time_us: int


@dataclass(frozen=True, slots=True)
class Welcome:
    """Gate: answer to `Hello`, under the new nonce; `build`: head of the SHA-256 of the firmware's sources; `token` arms once."""

    TYPE: ClassVar[int] = 0x83
    LAYOUT: ClassVar[str] = "BHIBHBBBIIQ"
    protocol: int
    firmware: int
    build: int
    reset_cause: ResetCause
    resets: int
    state: State
    inputs: Inputs
    limits_source: LimitsSource
    device_id: int
    token: int
    time_us: int


@dataclass(frozen=True, slots=True)
class Limits(_LimitFields):
    """Gate: the limits in force; unsigned ones (no signature, counter 0) arm nothing."""

    TYPE: ClassVar[int] = 0x84


@dataclass(frozen=True, slots=True)
class Event:
    """Gate, unasked, with sequence numbers of its own: something happened at `time_us`.

    `value` is the real on-time for PULSE_ENDED, the pulses that were had for TRAIN_ENDED, the count for BAD_FRAME,
    the counter for LIMITS_STORED, the `ResetCause` for BOOT.
    """

    TYPE: ClassVar[int] = 0x85
    LAYOUT: ClassVar[str] = "BBBIIQ"
    kind: Kind
    reason: Reason
    state: State
    pulse: int
    value: int
    time_us: int


Message = (
    Hello | Heartbeat | Arm | Disarm | Stop | Clear | Pulse | Cancel | GetStatus | GetLimits | ProposeLimits
    | CommitLimits | Ack | Nak | Status | Welcome | Limits | Event
)  # fmt: skip

MESSAGES: tuple[type[Message], ...] = get_args(Message)

LAYOUTS = {message.TYPE: message for message in MESSAGES}

DEFAULT_LIMITS = Limits(
    max_on_us=20_000,
    min_off_us=10_000,
    window_ms=10_000,
    window_on_us=1_000_000,
    session_pulses=1_000,
    session_dose_us=10_000_000,
    deadman_ms=50,
    max_amplitude=255,
    amplitude_wired=0,
    device_id=0,
    counter=0,
    signed_off_by="",
)
"""What a board proposes whose EEPROM was never written. Nobody has signed them, so they arm nothing."""

_STRUCTS = {message.TYPE: struct.Struct("<" + message.LAYOUT) for message in MESSAGES}
_TYPES = {message.TYPE: get_type_hints(message) for message in MESSAGES}


def payload_size(kind: type[Message]) -> int:
    """Return how many bytes the fields of such a message take."""
    return _STRUCTS[kind.TYPE].size


def to_payload(message: Message) -> bytes:
    """Return the fields of a message as bytes.

    Raises
    ------
    UsageError
        A field is out of range, or a text too long or with a zero in it.
    """
    values = [_text_bytes(value) if isinstance(value, str) else value for value in astuple(message)]
    try:
        return _STRUCTS[message.TYPE].pack(*values)
    except struct.error as error:
        raise UsageError(f"{message} cannot be sent: {error}") from None


def from_payload(kind: int, payload: bytes) -> Message:
    """Return the message of a known type.

    Raises
    ------
    WireError
        The payload has a wrong length, or a field holds a value that is none of its kind's.
    """
    layout, types = LAYOUTS[kind], _TYPES[kind]
    if len(payload) != _STRUCTS[kind].size:
        raise WireError(f"{layout.__name__}: {len(payload)} bytes instead of {_STRUCTS[kind].size}")
    try:
        values = [
            _text(value) if types[field.name] is str else types[field.name](value)
            for field, value in zip(fields(layout), _STRUCTS[kind].unpack(payload), strict=True)
        ]
    except ValueError as error:
        raise WireError(f"{layout.__name__}: {error}") from None
    made: Message = cast(Any, layout)(*values)
    return made


def _text_bytes(text: str) -> bytes:
    encoded = text.encode()
    if len(encoded) > SIGNER_BYTES or "\0" in text:
        raise UsageError(f"{text!r} is longer than {SIGNER_BYTES} bytes, or holds a zero")
    return encoded


def _text(padded: bytes) -> str:
    return padded.rstrip(b"\0").decode()
