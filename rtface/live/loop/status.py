"""What the closed loop says of itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Any

from rtface.core.decision import RuleView
from rtface.core.latency import StageSummary


@unique
class LoopState(StrEnum):
    """Whether light may come."""

    DISARMED = "disarmed"
    """Nobody has armed, or somebody disarmed: no light."""
    ARMED = "armed"
    """Rules fire."""
    STOPPED = "stopped"
    """Emergency stop: no light until somebody clears and arms again."""
    FAULT = "fault"
    """Something went wrong: no light until somebody has seen to it, clears and arms again."""


@dataclass(frozen=True, slots=True)
class LoopStatus:
    """A snapshot of the closed loop.

    Attributes
    ----------
    state : LoopState
    why : str
        What brought it there, in words.
    who : str
        Who armed, disarmed or stopped; ``rtface`` where it was rtface itself.
    output : str
        Where the output stands; ``closed`` before it is open.
    rules : mapping of str to str
        State of each rule.
    counts : mapping of str to int
        Decisions so far by action; blinded trials as ``trial``.
    lights : int
        Pulses and trains that the output says it began; 0 while a blinded schedule hides it.
    latency : mapping of str to StageSummary
        ``handover``: a decision to fire until its bytes are with the device's driver. ``answer``: from there until the
        device's answer is read. ``light``: exposure of the frame until the light came on, by the output's clock.
    session : str
        Folder of the record; empty without one.
    seen : mapping of str to RuleView
        Of each rule its condition, the values on the newest frame, and why its request is withheld; empty while a blinded
        schedule hides it.
    baseline : mapping
        As of `rtface.decide.baseline.Baselines.as_map`; empty where no rule names one.
    thresholds : mapping
        Of each rule what its values are compared with; see `rtface.live.shown.features.Thresholds`.
    """

    state: LoopState = LoopState.DISARMED
    why: str = "nobody has armed"
    who: str = ""
    output: str = "closed"
    rules: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    lights: int = 0
    latency: Mapping[str, StageSummary] = field(default_factory=dict)
    session: str = ""
    seen: Mapping[str, RuleView] = field(default_factory=dict)
    baseline: Mapping[str, Any] = field(default_factory=dict)
    thresholds: Mapping[str, Mapping[str, Sequence[tuple[float, bool]]]] = field(default_factory=dict)

    def as_map(self) -> dict[str, Any]:
        """Return plain values, for messages."""
        return {
            "state": self.state.value,
            "why": self.why,
            "who": self.who,
            "output": self.output,
            "rules": dict(self.rules),
            "counts": dict(self.counts),
            "lights": self.lights,
            "latency": {stage: summary.as_dict() for stage, summary in self.latency.items()},
            "session": self.session,
            "seen": {name: view.as_dict() for name, view in self.seen.items()},
            "baseline": dict(self.baseline),
            "thresholds": {
                rule: {name: [list(limit) for limit in limits] for name, limits in found.items()}
                for rule, found in self.thresholds.items()
            },
        }
