"""Numbers that the gate and its host share: states, reasons, events, and limits that no signature widens."""

from __future__ import annotations

from enum import IntEnum, IntFlag

PROTOCOL = 2
OLD_PROTOCOL = 1
"""Its frames are read so far that either side can say which firmware or host has to be renewed."""
OLDEST_FIRMWARE = 0x0201
"""What was before it had limits of another length."""
BAUD = 1_000_000
MAX_FRAME = 80
"""Bytes of the longest frame, its closing zero included; longer pieces are refused unread."""
SIGNER_BYTES = 20

ABSOLUTE = {
    "MIN_ON_US": 20,
    "MAX_ON_US": 60_000_000,
    "MIN_OFF_US": 1_000,
    "MAX_OFF_US": 600_000_000,
    "MIN_WINDOW_MS": 160,
    "MAX_WINDOW_MS": 3_600_000,
    "WINDOW_PARTS": 16,
    "MIN_DEADMAN_MS": 20,
    "MAX_DEADMAN_MS": 200,
    "MIN_LIGHT_DELAY_US": 100,
    "MAX_LIGHT_DELAY_US": 50_000,
    "MAX_COUNTER": 65_535,
    "HAND_MS": 1_000,
    "NEW_SESSION_MS": 5_000,
}
"""What no signed-off limits may exceed, and how long the button is held: built into the firmware."""


class State(IntEnum):
    """States of the gate; the light is on in FIRING and in no other."""

    DISARMED = 0
    ARMED = 1
    FIRING = 2
    GAP = 3
    STOPPED = 4
    FAULT = 5


class Reason(IntEnum):
    """Why a command was refused, a pulse ended or the state changed."""

    NONE = 0
    COMPLETED = 1
    CANCELLED = 2
    DISARMED_BY_HOST = 3
    STOPPED_BY_HOST = 4
    STOP_PIN = 5
    ARM_SWITCH = 6
    SILENCE = 7
    BAD_FRAME = 8
    LINE_ERROR = 9
    NEW_HELLO = 10
    BACKSTOP = 11
    MEMORY = 12
    ACKNOWLEDGED = 13
    LIGHT_UNCOMMANDED = 14
    LIGHT_MISSING = 15
    NO_HELLO = 16
    STALE = 17
    BAD_TOKEN = 18
    WRONG_STATE = 19
    BAD_VALUE = 20
    TOO_LONG = 21
    TOO_STRONG = 22
    TOO_SOON = 23
    WINDOW_FULL = 24
    SESSION_PULSES = 25
    SESSION_DOSE = 26
    LIMITS_LOST = 27
    STORING = 28
    BAD_COUNTER = 29
    FOREIGN = 30
    NO_LIMITS = 31
    NO_HAND = 32


class ResetCause(IntFlag):
    """Bits of the chip's MCUSR at start; all clear when a boot loader has read and cleared them."""

    POWER_ON = 1
    EXTERNAL = 2
    BROWN_OUT = 4
    WATCHDOG = 8


class Inputs(IntFlag):
    """The gate's input pins; LIGHT_SEEN only where a photodiode is wired."""

    ARM_SWITCH_ON = 1
    STOP_OPEN = 2
    BUTTON_HELD = 4
    LIGHT_SEEN = 8


class LimitsSource(IntEnum):
    """Where the limits come from; with NONE (never signed) or LOST nothing can be armed."""

    NONE = 0
    EEPROM = 1
    ONE_COPY = 2
    LOST = 3


class Kind(IntEnum):
    """Kinds of event."""

    BOOT = 1
    PULSE_BEGAN = 2
    PULSE_ENDED = 3
    TRAIN_ENDED = 4
    STATE = 5
    BAD_FRAME = 6
    LIMITS_STORED = 7
    NEW_SESSION = 8
