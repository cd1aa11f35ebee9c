"""What a rule decided, and why: the records that go to the gate, to the session's file and to clients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum, unique
from typing import Any

from rtface.core.records import Pulse


@unique
class RuleStatus(StrEnum):
    """Where a rule stands."""

    ARMED = "armed"
    """Ready: a request that nothing prevents fires."""
    WITHHELD = "withheld"
    """Ready, but the last request was refused and the rule has not released yet."""
    FIRING = "firing"
    """Its pulse (or sham) runs."""
    REFRACTORY = "refractory"
    """Its pulse has ended, its refractory time has not."""
    DISARMED = "disarmed"
    """Nobody has armed the session, or somebody disarmed it."""
    FAULT = "fault"
    """Something went wrong; an operator must clear it and arm again."""


@unique
class Action(StrEnum):
    """What is to be done."""

    FIRE = "fire"
    """Start the pulse."""
    SHAM = "sham"
    """Decided as FIRE, and timed as it; the light stays off."""
    TRIAL = "trial"
    """FIRE or SHAM, not which: what a blinded schedule publishes."""
    CATCH = "catch"
    """The schedule leaves this request out: no light and no pulse time."""
    WITHHOLD = "withhold"
    """The rule requests its pulse and may not fire; the reason is why."""
    CANCEL = "cancel"
    """Light off, now."""
    NONE = "none"
    """The rule's state changed, no more."""


@unique
class Reason(StrEnum):
    """Why. Those down to `ENDED` and from `FROZEN` on the rules find by themselves; the rest come with a call."""

    RULE = "rule"
    """The rule holds and nothing prevents it."""
    SCHEDULE = "schedule"
    """The schedule of controls says so; a rule that ignores behaviour withholds behaviour's requests with it."""
    UNKNOWN_VALUE = "unknown_value"
    """A value that the rule rests on cannot be known."""
    LOW_SCORE = "low_score"
    """A value that the rule rests on has a score below `min_score`."""
    STALE = "stale"
    """The frame, or what a value rests on, is older than `max_age_ms` (or of the future: a clock is wrong)."""
    GAP = "gap"
    """More than `max_gap_frames` frames are missing before this one, or it is not newer than the one before."""
    WINDOW = "window"
    """Outside the rule's windows of session time."""
    LATE = "late"
    """The request has been held up for longer than the rule's `max_delay_ms`."""
    SPENT = "spent"
    """The rule has had its `max_pulses`."""
    RATE = "rate"
    """The rule's maximum rate is reached."""
    REFRACTORY = "refractory"
    """The rule's refractory time has not passed."""
    FIRING = "firing"
    """The rule's own pulse runs."""
    BUSY = "busy"
    """Another rule's pulse runs, and there is one light."""
    DISARMED = "disarmed"
    """The session is not armed."""
    FAULT = "fault"
    """A fault has not been cleared."""
    NO_END = "no_end"
    """The end of a pulse was due and no report of it came."""
    CLOCK = "clock"
    """The time that the rules were given went back."""
    RELEASED = "released"
    """The rule no longer holds, so a new request is possible."""
    RESTED = "rested"
    """The refractory time has passed."""
    ENDED = "ended"
    """The pulse has ended."""
    OPERATOR = "operator"
    """Somebody at the rig or an authorised client requested it."""
    EMERGENCY = "emergency"
    """Emergency stop."""
    SESSION = "session"
    """The session ended."""
    CAMERA_LOST = "camera_lost"
    """The camera disappeared or delivers nothing."""
    BUDGET = "budget"
    """The latency budget was missed."""
    LIMIT = "limit"
    """The gate refused: a limit of its own."""
    GATE = "gate"
    """The gate does not answer, or is in fault."""
    DISK = "disk"
    """The session can no longer be recorded."""
    ERROR = "error"
    """Something failed that nothing else here names."""
    FROZEN = "frozen"
    """The picture stands still: its pixels, or all keypoints, have been the same for `input.frozen_ms`."""
    IMPLAUSIBLE = "implausible"
    """A score outside 0 to 1, or a keypoint farther outside the frame than the frame is large."""
    LIGHT = "light"
    """A trial's light may show in the frame, or in what a value remembers; the same for a sham."""
    UNLESS = "unless"
    """The rule's `unless` is true."""
    UNKNOWN_VIEW = "unknown_view"
    """The frame shows a view that the engine does not know."""
    OCCLUDED = "occluded"
    """Something covers so much of the face that the view is not known, and a moment ago it was."""


OF_VIEW = frozenset({Reason.UNKNOWN_VIEW, Reason.OCCLUDED})
"""Reasons that a light in the picture can bring about, too."""

Input = tuple[str, float, float, int]
"""Name, value, score and age in nanoseconds of what a rule rests on."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision about one rule.

    Attributes
    ----------
    rule : str
        Its name.
    frame_id : int or None
        The frame that it was made on; None where time or a person made it.
    now_ns : int
        When, as the caller gave it.
    session_ns : int or None
        Since arming of the session began; None before.
    state_before, state_after : RuleStatus
    action : Action
    reason : Reason
    pulse : Pulse or None
        With FIRE, SHAM and TRIAL.
    trial : int or None
        With FIRE, SHAM, TRIAL and CATCH: the trial's number in this rule, from 0.
    inputs : tuple of (name, value, score, age in ns)
        Every name in the rule's expressions, for decisions made on a frame.
    blind : bool
        Whether FIRE and SHAM are not to be distinguished while the session lasts.
    camera : str
        Whose frame it is, of several cameras; empty for the only one's, and where there is no frame.
    """

    rule: str
    frame_id: int | None
    now_ns: int
    session_ns: int | None
    state_before: RuleStatus
    state_after: RuleStatus
    action: Action
    reason: Reason
    pulse: Pulse | None = None
    trial: int | None = None
    inputs: tuple[Input, ...] = ()
    blind: bool = False
    camera: str = ""

    @property
    def secret(self) -> bool:
        """Whether it is a blinded FIRE or a blinded SHAM, and nobody may know which."""
        return self.blind and self.action in (Action.FIRE, Action.SHAM)

    def public(self) -> Decision:
        """Return what clients and screens may see: a blinded FIRE and a blinded SHAM become the same TRIAL."""
        if not self.secret:
            return self
        return replace(self, action=Action.TRIAL, reason=Reason.RULE)

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for messages and files."""
        pulse = self.pulse
        return {
            "rule": self.rule,
            "frame_id": self.frame_id,
            "now_ns": self.now_ns,
            "session_ns": self.session_ns,
            "state_before": self.state_before.value,
            "state_after": self.state_after.value,
            "action": self.action.value,
            "reason": self.reason.value,
            "pulse": None
            if pulse is None
            else {
                "on_ns": pulse.on_ns,
                "period_ns": pulse.period_ns,
                "count": pulse.count,
                "amplitude": pulse.amplitude,
            },
            "trial": self.trial,
            "inputs": [list(each) for each in self.inputs],
            "blind": self.blind,
        } | ({"camera": self.camera} if self.camera else {})


@dataclass(frozen=True, slots=True)
class RuleView:
    """How a rule stands on the newest frame, for people.

    Attributes
    ----------
    when : str
        Its condition, as written; empty where it has none, but a schedule of times.
    withheld : Reason or None
        Why what it requests now is withheld; None where nothing is.
    values : tuple of (str, float)
        What its conditions rest on, NaN where that is unknown.
    """

    when: str
    withheld: Reason | None
    values: tuple[tuple[str, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for messages; None for what is unknown or not withheld."""
        return {
            "when": self.when,
            "withheld": None if self.withheld is None else self.withheld.value,
            "values": {name: None if value != value else value for name, value in self.values},
        }
