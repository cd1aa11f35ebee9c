"""The state machine of a rule: a table, and nothing else.

What may happen stands here cell by cell, so that it can be read, and tested, whole. The caller finds out what happened;
the table holds what comes of it. Only a PASSED request in ARMED or WITHHELD fires.
"""

from __future__ import annotations

from enum import StrEnum, unique
from typing import NamedTuple

from rtface.core.decision import Action, Reason, RuleStatus


@unique
class RuleEvent(StrEnum):
    """What can happen to a rule."""

    PASSED = "passed"
    """It requests its pulse, and nothing prevents it."""
    SHAM = "sham"
    """The same, but the schedule makes it a sham."""
    CATCH = "catch"
    """The same, but the schedule leaves this request out."""
    REFUSED = "refused"
    """It requests its pulse, or may do so, and something prevents it."""
    RELEASED = "released"
    """It no longer holds."""
    ENDED = "ended"
    """Its pulse has ended."""
    OVERDUE = "overdue"
    """Its pulse should have ended and no report of that came."""
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

    state: RuleStatus
    action: Action = Action.NONE
    reason: Reason | None = None


REQUESTS = (RuleEvent.PASSED, RuleEvent.SHAM, RuleEvent.CATCH, RuleEvent.REFUSED)
"""The events that are requests: each must leave a decision."""


def _refusing(state: RuleStatus, reason: Reason) -> dict[RuleEvent, Cell]:
    return {event: Cell(state, Action.WITHHOLD, reason) for event in REQUESTS}


_READY = {
    RuleEvent.PASSED: Cell(RuleStatus.FIRING, Action.FIRE, Reason.RULE),
    RuleEvent.SHAM: Cell(RuleStatus.FIRING, Action.SHAM, Reason.SCHEDULE),
    RuleEvent.CATCH: Cell(RuleStatus.REFRACTORY, Action.CATCH, Reason.SCHEDULE),
    RuleEvent.REFUSED: Cell(RuleStatus.WITHHELD, Action.WITHHOLD),
    RuleEvent.RELEASED: Cell(RuleStatus.ARMED, Action.NONE, Reason.RELEASED),
    RuleEvent.OVERDUE: Cell(RuleStatus.FAULT, Action.CANCEL, Reason.NO_END),
    RuleEvent.ARM_RESTING: Cell(RuleStatus.REFRACTORY),
    RuleEvent.DISARM: Cell(RuleStatus.DISARMED),
    RuleEvent.FAULT: Cell(RuleStatus.FAULT),
}

_ROWS: dict[RuleStatus, dict[RuleEvent, Cell]] = {
    RuleStatus.ARMED: {
        **_READY,
        RuleEvent.ENDED: Cell(RuleStatus.ARMED),
        RuleEvent.RESTED: Cell(RuleStatus.ARMED),
        RuleEvent.ARM: Cell(RuleStatus.ARMED),
        RuleEvent.CLEAR: Cell(RuleStatus.ARMED),
    },
    RuleStatus.WITHHELD: {
        **_READY,
        RuleEvent.ENDED: Cell(RuleStatus.WITHHELD),
        RuleEvent.RESTED: Cell(RuleStatus.WITHHELD),
        RuleEvent.ARM: Cell(RuleStatus.WITHHELD),
        RuleEvent.CLEAR: Cell(RuleStatus.WITHHELD),
    },
    RuleStatus.FIRING: {
        **_refusing(RuleStatus.FIRING, Reason.FIRING),
        RuleEvent.RELEASED: Cell(RuleStatus.FIRING),
        RuleEvent.ENDED: Cell(RuleStatus.REFRACTORY, Action.NONE, Reason.ENDED),
        RuleEvent.OVERDUE: Cell(RuleStatus.FAULT, Action.CANCEL, Reason.NO_END),
        RuleEvent.RESTED: Cell(RuleStatus.FIRING),
        RuleEvent.ARM: Cell(RuleStatus.FIRING),
        RuleEvent.ARM_RESTING: Cell(RuleStatus.FIRING),
        RuleEvent.DISARM: Cell(RuleStatus.DISARMED, Action.CANCEL),
        RuleEvent.FAULT: Cell(RuleStatus.FAULT, Action.CANCEL),
        RuleEvent.CLEAR: Cell(RuleStatus.FIRING),
    },
    RuleStatus.REFRACTORY: {
        **_refusing(RuleStatus.REFRACTORY, Reason.REFRACTORY),
        RuleEvent.RELEASED: Cell(RuleStatus.REFRACTORY),
        RuleEvent.ENDED: Cell(RuleStatus.REFRACTORY),
        RuleEvent.OVERDUE: Cell(RuleStatus.FAULT, Action.CANCEL, Reason.NO_END),
        RuleEvent.RESTED: Cell(RuleStatus.ARMED, Action.NONE, Reason.RESTED),
        RuleEvent.ARM: Cell(RuleStatus.REFRACTORY),
        RuleEvent.ARM_RESTING: Cell(RuleStatus.REFRACTORY),
        RuleEvent.DISARM: Cell(RuleStatus.DISARMED),
        RuleEvent.FAULT: Cell(RuleStatus.FAULT),
        RuleEvent.CLEAR: Cell(RuleStatus.REFRACTORY),
    },
    RuleStatus.DISARMED: {
        **_refusing(RuleStatus.DISARMED, Reason.DISARMED),
        RuleEvent.RELEASED: Cell(RuleStatus.DISARMED),
        RuleEvent.ENDED: Cell(RuleStatus.DISARMED),
        RuleEvent.OVERDUE: Cell(RuleStatus.FAULT, Action.CANCEL, Reason.NO_END),
        RuleEvent.RESTED: Cell(RuleStatus.DISARMED),
        RuleEvent.ARM: Cell(RuleStatus.ARMED),
        RuleEvent.ARM_RESTING: Cell(RuleStatus.REFRACTORY),
        RuleEvent.DISARM: Cell(RuleStatus.DISARMED),
        RuleEvent.FAULT: Cell(RuleStatus.FAULT),
        RuleEvent.CLEAR: Cell(RuleStatus.DISARMED),
    },
    RuleStatus.FAULT: {
        **_refusing(RuleStatus.FAULT, Reason.FAULT),
        RuleEvent.RELEASED: Cell(RuleStatus.FAULT),
        RuleEvent.ENDED: Cell(RuleStatus.FAULT),
        RuleEvent.OVERDUE: Cell(RuleStatus.FAULT, Action.CANCEL, Reason.NO_END),
        RuleEvent.RESTED: Cell(RuleStatus.FAULT),
        RuleEvent.ARM: Cell(RuleStatus.FAULT),
        RuleEvent.ARM_RESTING: Cell(RuleStatus.FAULT),
        RuleEvent.DISARM: Cell(RuleStatus.FAULT),
        RuleEvent.FAULT: Cell(RuleStatus.FAULT),
        RuleEvent.CLEAR: Cell(RuleStatus.DISARMED),
    },
}

TABLE: dict[tuple[RuleStatus, RuleEvent], Cell] = {
    (state, event): cell for state, row in _ROWS.items() for event, cell in row.items()
}
"""Every state and event; none is missing."""


def step(state: RuleStatus, event: RuleEvent) -> Cell:
    """Return what comes of an event in a state."""
    return TABLE[state, event]
