"""Open Sound Control 1.0: keypoints and events as messages that any parser of it takes. No socket, no clock.

Bonsai's parser is the narrowest: at most eight arguments, no arrays, and in a message whose type tag is stated no T, F or N;
in an address it reads ``?*[]{}!,`` as a pattern. So a keypoint is a message of five numbers, and addresses have letters,
digits and ``_`` alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence

from rtface.core.clock import NS_PER_MS
from rtface.publish.bridges.happenings import in_short
from rtface.publish.events import EventMessage
from rtface.publish.keypoints import Keypoints

POINT = "/rtface/point/"
EVENT = "/rtface/event"
ERROR = "/rtface/error"

_MOST_CHARACTERS = 1_000
_POINT_TAGS = ",hffff"
_numbers = struct.Struct(">qffff")
_long = struct.Struct(">q")


def osc_text(text: str) -> bytes:
    """Return a text as OSC has it: ASCII (others are ``?``), ended by a NUL, filled up to four bytes; a long one is cut."""
    plain = text[:_MOST_CHARACTERS].replace("\0", " ").encode("ascii", "replace")
    return plain + b"\0" * (4 - len(plain) % 4)


def osc_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the last part of each keypoint's address: its name with ``_`` for whatever is no letter or digit.

    ``nose(tip)`` becomes ``nose_tip``. A name that is taken, or of which nothing is left, gets its number in the order of the
    keypoints, from 1, behind.
    """
    found: list[str] = []
    for number, name in enumerate(names, start=1):
        safe = re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_")
        if not safe or safe in found:
            safe = f"{safe or 'point'}_{number}"
        while safe in found:
            safe += "_"
        found.append(safe)
    return tuple(found)


class PointMessages:
    """Makes the messages of keypoints.

    Parameters
    ----------
    names : sequence of str
        Of the keypoints, in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.addresses = tuple(POINT + name for name in osc_names(names))
        self._heads = tuple(osc_text(address) + osc_text(_POINT_TAGS) for address in self.addresses)

    def of(self, message: Keypoints, now_ns: int) -> Iterator[bytes]:
        """Yield one message a keypoint: frame, x, y, score, and its age in milliseconds at `now_ns`."""
        age_ms = (now_ns - message.stamps.exposure_ns) / NS_PER_MS
        rows = zip(self._heads, message.xy.tolist(), message.score.tolist(), strict=False)
        for head, (x, y), score in rows:
            yield head + _numbers.pack(message.frame_id, x, y, score, age_ms)


def event_message(event: EventMessage) -> bytes:
    """Return an event's message: when (nanoseconds), kind, what it is of, what happened."""
    of, what = in_short(event)
    head = osc_text(EVENT) + osc_text(",hsss") + _long.pack(event.t_ns)
    return head + osc_text(event.kind) + osc_text(of) + osc_text(what)


def error_message(text: str) -> bytes:
    """Return the message for a reader whose topic is none of ours."""
    return osc_text(ERROR) + osc_text(",s") + osc_text(text)
