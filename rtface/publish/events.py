"""What is published when something happens, rather than once a frame: decisions, light, arming, marks. No socket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgpack

from rtface.publish.wire import MAX_SESSION, PROTOCOL, pack, read

TOPIC_EVENTS = b"events"

EventKind = Literal["decision", "light", "arming", "mark", "fault", "camera"]
KINDS: tuple[EventKind, ...] = get_args(EventKind)


@dataclass(frozen=True, slots=True)
class EventMessage:
    """Something that happened in the closed loop, as it travels.

    Attributes
    ----------
    session : str
        Names one life of the service.
    seq : int
        Number of the message in its session and topic, from 0; a jump is a loss between service and reader.
    t_ns : int
        When it happened: nanoseconds of the monotonic clock of the service's host.
    kind : str
        ``decision``: what a rule decided, with its inputs and reason. ``light``: the output reports that light
        began or ended. ``arming``: who armed, disarmed, stopped or cleared. ``mark``: a client's remark. ``fault``: what
        went wrong. ``camera``: it was lost, or is back.
    details : dict
        By kind; see `docs/wire.md`. Keys may be added.
    """

    session: str
    seq: int
    t_ns: int
    kind: EventKind
    details: dict[str, Any]


def encode_event(
    packer: msgpack.Packer, session: str, seq: int, t_ns: int, kind: EventKind, details: Mapping[str, Any]
) -> bytes:
    """Return the body of an event's message.

    Raises
    ------
    WireError
        `details` holds what MessagePack has no form for, or is too large.
    """
    head = {"v": PROTOCOL, "session": session, "seq": seq, "t_ns": t_ns, "kind": kind}
    return pack(packer, head | {"details": details})


def decode_event(body: bytes) -> EventMessage:
    """Return the event in `body`.

    Raises
    ------
    WireError
        `body` is no such message; the text names the field.
    """
    fields = read(body)
    kind = fields.choice("kind", KINDS)
    return EventMessage(
        session=fields.text("session", MAX_SESSION),
        seq=fields.integer("seq", low=0),
        t_ns=fields.integer("t_ns"),
        kind=kind,
        details=fields.mapping("details"),
    )
