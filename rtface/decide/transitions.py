"""The state machine of a rule: a table, and nothing else.

What may happen stands here cell by cell, so that it can be read, and tested, whole. Whoever asks the table finds out
what happened; the table says what comes of it. Only a PASSED wish in ARMED or WITHHELD fires.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import NamedTuple

from rtface.core.decision import Action, Reason, State


@unique
class Event(StrEnum):
    """What can happen to a rule."""

    PASSED = "passed"
    """It wants to fire, and nothing speaks against it."""
    SHAM = "sham"
    """The same, but the schedule asks for a sham."""
    CATCH = "catch"
    """The same, but the schedule leaves this wish out."""
    REFUSED = "refused"
    """It wants to fire, or may want to, and something speaks against it."""
    RELEASED = "released"
    """It no longer holds."""
    ENDED = "ended"
    """Its pulse has ended."""
    OVERDUE = "overdue"
    """Its pulse should have ended and nobody said so."""
    RESTED = "rested"
    """Its refractory time has passed."""
    ARM = "arm"
    """The session is armed."""
    ARM_RESTING = "arm_resting"
    """The session is armed while the refractory time of a pulse before still runs."""
    DISARM = "disarm"
    """The session is disarmed."""
    FAULT = "fault"
    """Something went wrong."""
    CLEAR = "clear"
    """An operator has seen to the fault."""


class Cell(NamedTuple):
    """What comes of an event in a state; `reason` None is the reason that came with the event."""

    state: State
    action: Action = Action.NONE
    reason: Reason | None = None


WISHES = (Event.PASSED, Event.SHAM, Event.CATCH, Event.REFUSED)
"""The events that are wishes: each must leave a decision."""


def _refusing(state: State, reason: Reason) -> dict[Event, Cell]:
    return {event: Cell(state, Action.WITHHOLD, reason) for event in WISHES}


_READY = {
    Event.PASSED: Cell(State.FIRING, Action.FIRE, Reason.RULE),
    Event.SHAM: Cell(State.FIRING, Action.SHAM, Reason.SCHEDULE),
    Event.CATCH: Cell(State.REFRACTORY, Action.CATCH, Reason.SCHEDULE),
    Event.REFUSED: Cell(State.WITHHELD, Action.WITHHOLD),
    Event.RELEASED: Cell(State.ARMED, Action.NONE, Reason.RELEASED),
    Event.OVERDUE: Cell(State.FAULT, Action.CANCEL, Reason.NO_END),
    Event.ARM_RESTING: Cell(State.REFRACTORY),
    Event.DISARM: Cell(State.DISARMED),
    Event.FAULT: Cell(State.FAULT),
}

_ROWS: dict[State, dict[Event, Cell]] = {
    State.ARMED: {
        **_READY,
        Event.ENDED: Cell(State.ARMED),
        Event.RESTED: Cell(State.ARMED),
        Event.ARM: Cell(State.ARMED),
        Event.CLEAR: Cell(State.ARMED),
    },
    State.WITHHELD: {
        **_READY,
        Event.ENDED: Cell(State.WITHHELD),
        Event.RESTED: Cell(State.WITHHELD),
        Event.ARM: Cell(State.WITHHELD),
        Event.CLEAR: Cell(State.WITHHELD),
    },
    State.FIRING: {
        **_refusing(State.FIRING, Reason.FIRING),
        Event.RELEASED: Cell(State.FIRING),
        Event.ENDED: Cell(State.REFRACTORY, Action.NONE, Reason.ENDED),
        Event.OVERDUE: Cell(State.FAULT, Action.CANCEL, Reason.NO_END),
        Event.RESTED: Cell(State.FIRING),
        Event.ARM: Cell(State.FIRING),
        Event.ARM_RESTING: Cell(State.FIRING),
        Event.DISARM: Cell(State.DISARMED, Action.CANCEL),
        Event.FAULT: Cell(State.FAULT, Action.CANCEL),
        Event.CLEAR: Cell(State.FIRING),
    },
    State.REFRACTORY: {
        **_refusing(State.REFRACTORY, Reason.REFRACTORY),
        Event.RELEASED: Cell(State.REFRACTORY),
        Event.ENDED: Cell(State.REFRACTORY),
        Event.OVERDUE: Cell(State.FAULT, Action.CANCEL, Reason.NO_END),
        Event.RESTED: Cell(State.ARMED, Action.NONE, Reason.RESTED),
        Event.ARM: Cell(State.REFRACTORY),
        Event.ARM_RESTING: Cell(State.REFRACTORY),
        Event.DISARM: Cell(State.DISARMED),
        Event.FAULT: Cell(State.FAULT),
        Event.CLEAR: Cell(State.REFRACTORY),
    },
    State.DISARMED: {
        **_refusing(State.DISARMED, Reason.DISARMED),
        Event.RELEASED: Cell(State.DISARMED),
        Event.ENDED: Cell(State.DISARMED),
        Event.OVERDUE: Cell(State.FAULT, Action.CANCEL, Reason.NO_END),
        Event.RESTED: Cell(State.DISARMED),
        Event.ARM: Cell(State.ARMED),
        Event.ARM_RESTING: Cell(State.REFRACTORY),
        Event.DISARM: Cell(State.DISARMED),
        Event.FAULT: Cell(State.FAULT),
        Event.CLEAR: Cell(State.DISARMED),
    },
    State.FAULT: {
        **_refusing(State.FAULT, Reason.FAULT),
        Event.RELEASED: Cell(State.FAULT),
        Event.ENDED: Cell(State.FAULT),
        Event.OVERDUE: Cell(State.FAULT, Action.CANCEL, Reason.NO_END),
        Event.RESTED: Cell(State.FAULT),
        Event.ARM: Cell(State.FAULT),
        Event.ARM_RESTING: Cell(State.FAULT),
        Event.DISARM: Cell(State.FAULT),
        Event.FAULT: Cell(State.FAULT),
        Event.CLEAR: Cell(State.DISARMED),
    },
}

TABLE: dict[tuple[State, Event], Cell] = {
    (state, event): cell for state, row in _ROWS.items() for event, cell in row.items()
}
"""Every state and event; none is missing."""


def step(state: State, event: Event) -> Cell:
    """Return what comes of an event in a state."""
    return TABLE[state, event]
