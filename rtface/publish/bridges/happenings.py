"""An event as two short texts, for forms that have no maps. No socket."""

from __future__ import annotations

from rtface.publish.events import EventMessage

_KEYS = {
    "decision": ("rule", "action"),
    "light": ("rule", "event"),
    "arming": ("event", "who"),
    "mark": ("who", "text"),
    "fault": ("reason", "why"),
    "camera": ("event", "why"),
}


def in_short(event: EventMessage) -> tuple[str, str]:
    """Return what an event is of and what happened (rule and action; who and text), as `docs/wire.md` has it; "" if absent."""
    of, what = _KEYS[event.kind]
    return str(event.details.get(of) or ""), str(event.details.get(what) or "")
