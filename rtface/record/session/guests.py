"""What the record takes from rooms that it must not import: features, decisions and the reports of outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rtface.record.session.entries import DecisionEntry, GateReplyEntry


class DecisionLike(Protocol):
    """A decision of `rtface.decide`, or anything with its fields."""

    @property
    def rule(self) -> str:
        """Name of the rule."""

    @property
    def frame_id(self) -> int | None:
        """The frame, if one made it."""

    @property
    def now_ns(self) -> int:
        """When."""

    @property
    def session_ns(self) -> int | None:
        """When, since the session was armed."""

    @property
    def state_before(self) -> str:
        """State before."""

    @property
    def state_after(self) -> str:
        """State after."""

    @property
    def action(self) -> str:
        """What was decided."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def pulse(self) -> Any:
        """A map, a dataclass or None."""

    @property
    def trial(self) -> int | None:
        """Number of the trial."""

    @property
    def inputs(self) -> Sequence[tuple[str, float, float, int]]:
        """Name, value, score and age in nanoseconds."""

    @property
    def blind(self) -> bool:
        """Whether fire and sham are to look alike."""


def decision_entry(decision: DecisionLike, number: int) -> DecisionEntry:
    """Return a decision as the event that is recorded under `number`."""
    return DecisionEntry(
        t_ns=decision.now_ns,
        number=number,
        rule=decision.rule,
        frame_id=decision.frame_id,
        session_ns=decision.session_ns,
        state_before=decision.state_before,
        state_after=decision.state_after,
        action=decision.action,
        reason=decision.reason,
        pulse=decision.pulse,
        trial=decision.trial,
        inputs=tuple(decision.inputs),
        blind=decision.blind,
    )


class FeaturesLike(Protocol):
    """Features of `rtface.decide.features.bank`, or anything with their arrays; see `SessionWriter.put_features`."""

    @property
    def values(self) -> Any:
        """Values."""

    @property
    def scores(self) -> Any:
        """Their scores."""

    @property
    def exposure_ns(self) -> Any:
        """Exposure of the newest frame that each rests on."""


class ReportLike(Protocol):
    """A report of an output of `rtface.stimulate`, or anything with its fields."""

    @property
    def number(self) -> int | None:
        """Number of the command that it belongs to, if it does."""

    @property
    def event(self) -> str:
        """What happened."""

    @property
    def t_ns(self) -> int:
        """When it was read."""

    @property
    def device_us(self) -> int | None:
        """When, by the device's clock."""

    @property
    def host_ns(self) -> int | None:
        """The same on the host's clock."""

    @property
    def state(self) -> str:
        """Where the output stands afterwards."""

    @property
    def reason(self) -> str:
        """Why."""

    @property
    def details(self) -> Mapping[str, Any]:
        """What else it says."""


def reply_entry(report: ReportLike, output: str) -> GateReplyEntry:
    """Return an output's report as the event that is recorded."""
    return GateReplyEntry(
        t_ns=report.t_ns,
        number=report.number,
        output=output,
        event=report.event,
        state=report.state,
        reason=report.reason,
        device_us=report.device_us,
        host_ns=report.host_ns,
        details=report.details,
    )
