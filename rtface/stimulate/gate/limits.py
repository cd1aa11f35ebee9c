"""A lab's own limits for its gate: a proposal that the firmware will accept, and the pulses that they allow. No I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, fields, replace

from rtface.core.errors import UsageError, nearest
from rtface.core.outputs import OutputReason
from rtface.stimulate.gate.codes import ABSOLUTE, SIGNER_BYTES
from rtface.stimulate.gate.protocol import Limits, ProposeLimits, Pulse, to_payload

MEANINGS = {
    "max_on_us": "longest pulse, in microseconds",
    "min_off_us": "shortest time between two pulses, in microseconds",
    "window_ms": "length of the sliding window, in milliseconds; a multiple of 16",
    "window_on_us": "most light in any such window, in microseconds",
    "session_pulses": "most pulses in a session",
    "session_dose_us": "most light in a session, as microseconds of full light",
    "deadman_ms": "light off this many milliseconds after the last heartbeat",
    "max_amplitude": "strongest light, 255 being full",
    "amplitude_wired": "1: the light source follows the amplitude's line; 0: TTL alone, all light counts as full",
    "device_id": "a number of the lab's own",
    "photodiode_wired": "1: a photodiode sees the light itself, and what it sees must be what was commanded",
    "light_rise_us": "longest time from light on until the photodiode sees it, in microseconds",
    "light_fall_us": "longest time from light off until the photodiode sees it no more, in microseconds",
}
"""What each limit that may be set means."""

_PHOTODIODE_BYTES = 5
_MAX_U32 = (1 << 32) - 1
_RANGES = {
    "max_on_us": (ABSOLUTE["MIN_ON_US"], ABSOLUTE["MAX_ON_US"]),
    "min_off_us": (ABSOLUTE["MIN_OFF_US"], ABSOLUTE["MAX_OFF_US"]),
    "window_ms": (ABSOLUTE["MIN_WINDOW_MS"], ABSOLUTE["MAX_WINDOW_MS"]),
    "window_on_us": (0, _MAX_U32),
    "session_pulses": (0, _MAX_U32),
    "session_dose_us": (0, _MAX_U32),
    "deadman_ms": (ABSOLUTE["MIN_DEADMAN_MS"], ABSOLUTE["MAX_DEADMAN_MS"]),
    "max_amplitude": (0, 255),
    "amplitude_wired": (0, 1),
    "device_id": (0, _MAX_U32),
    "photodiode_wired": (0, 1),
    "light_rise_us": (ABSOLUTE["MIN_LIGHT_DELAY_US"], ABSOLUTE["MAX_LIGHT_DELAY_US"]),
    "light_fall_us": (ABSOLUTE["MIN_LIGHT_DELAY_US"], ABSOLUTE["MAX_LIGHT_DELAY_US"]),
}


def propose(current: Limits, changes: Mapping[str, object], signed_off_by: str) -> ProposeLimits:
    """Return the limits in force with some of them changed, as a proposal for the gate.

    Parameters
    ----------
    current : Limits
    changes : mapping
        Whole numbers, or text of them, by the names of `MEANINGS`.
    signed_off_by : str
        Who answers for them.

    Raises
    ------
    UsageError
        A name is unknown, a value is no whole number or beyond what the firmware accepts, or the signature is missing.
    """
    values = {field.name: getattr(current, field.name) for field in fields(current)}
    for name, value in changes.items():
        if name == "arm_switch":
            raise UsageError("arm_switch is no limit any more: the arm switch is always needed")
        if name not in MEANINGS:
            raise UsageError(f"there is no limit {name!r}{nearest(name, MEANINGS)}")
        values[name] = _whole(name, value)
    if values["window_ms"] % ABSOLUTE["WINDOW_PARTS"]:
        raise UsageError(f"window_ms = {values['window_ms']} is not a multiple of {ABSOLUTE['WINDOW_PARTS']}")
    if values["window_on_us"] > values["window_ms"] * 1000:
        raise UsageError(
            f"window_on_us = {values['window_on_us']} is longer than the window itself ({values['window_ms']} ms)"
        )
    if values["max_amplitude"] < 255 and not values["amplitude_wired"]:
        raise UsageError(
            "max_amplitude below 255 needs amplitude_wired = 1: over the TTL alone all light is full light"
        )
    if values["photodiode_wired"] and values["min_off_us"] < values["light_fall_us"]:
        raise UsageError(
            f"min_off_us = {values['min_off_us']} is shorter than light_fall_us = {values['light_fall_us']}: "
            "the photodiode must see dark between two pulses"
        )
    signer = signed_off_by.strip()
    if not signer or len(signer.encode()) > SIGNER_BYTES:
        raise UsageError(f"the limits need the name of who signs them off, of up to {SIGNER_BYTES} bytes")
    return ProposeLimits(**(values | {"counter": current.counter + 1, "signed_off_by": signer}))


def fingerprint(limits: Limits) -> str:
    """Return what `output.limits` of a rig's file names: 16 hexadecimal digits of all values, signer and board's number.

    The counter of changes is left out: the same limits, signed anew by the same person, are the same; so are the delays of a
    photodiode that is not wired.
    """
    payload = to_payload(replace(limits, counter=0))
    if not limits.photodiode_wired:
        payload = payload[:-_PHOTODIODE_BYTES]
    return hashlib.sha256(payload).hexdigest()[:16]


def differences(before: Limits, after: ProposeLimits | Limits) -> list[tuple[str, object, object]]:
    """Return name, old and new value of every field that differs."""
    old, new = asdict(before), asdict(after)
    return [(name, old[name], new[name]) for name in old if old[name] != new[name]]


def refusal(pulse: Pulse, limits: Limits | None) -> OutputReason:
    """Return why the gate would refuse a pulse by its size alone, or `OutputReason.NONE`; None: limits not known."""
    if pulse.on_us < ABSOLUTE["MIN_ON_US"] or not 1 <= pulse.amplitude <= 255:
        return OutputReason.BAD_VALUE
    if not 1 <= pulse.count <= 0xFFFF or pulse.period_us > ABSOLUTE["MAX_OFF_US"]:
        return OutputReason.BAD_VALUE
    if limits is None:
        return OutputReason.LIMITS_LOST
    if pulse.on_us > limits.max_on_us:
        return OutputReason.TOO_LONG
    if pulse.amplitude > limits.max_amplitude:
        return OutputReason.TOO_STRONG
    if pulse.count > 1 and pulse.period_us < pulse.on_us + limits.min_off_us:
        return OutputReason.BAD_VALUE
    return OutputReason.NONE


def _whole(name: str, value: object) -> int:
    try:
        whole = int(value) if isinstance(value, str) else value
    except ValueError:
        whole = None
    if not isinstance(whole, int) or isinstance(whole, bool):
        raise UsageError(f"{name} takes a whole number ({MEANINGS[name]}), not {value!r}")
    low, high = _RANGES[name]
    if not low <= whole <= high:
        raise UsageError(f"{name} = {whole} is not within {low} to {high}, which the firmware allows at most")
    return whole
