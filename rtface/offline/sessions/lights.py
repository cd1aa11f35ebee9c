"""When the light was on in a session, by what its outputs reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rtface.core.records import Pulse
from rtface.record.session.entries import GateReplyEntry, PulseCommandEntry
from rtface.record.session.reader import Session


@dataclass(frozen=True, slots=True)
class LightSpan:
    """One time of light.

    Attributes
    ----------
    begin_ns, end_ns : int
        On the host's clock, as the output's own is mapped to it.
    output : str
    decision : int
        Number of the decision that it came of; -1 where none is known.
    end_known : bool
        The output reported the end; otherwise it is that of the train, or that of what was commanded.
    """

    begin_ns: int
    end_ns: int
    output: str
    decision: int
    end_known: bool


def light_spans(session: Session, *, blinded: bool) -> list[LightSpan]:
    """Return the times of light, in the order in which they began.

    Parameters
    ----------
    session : Session
    blinded : bool
        Nothing may tell light from sham: there are none to be told then. See
        `rtface.offline.sessions.certificate.is_blinded`.
    """
    if blinded or session.is_sealed:
        return []
    commands = {(each.output, each.number): each for each in session.of(PulseCommandEntry)}
    found: list[LightSpan] = []
    lit: dict[tuple[str, int | None], int] = {}
    for reply in session.of(GateReplyEntry):
        which = reply.output, reply.number
        at_ns = reply.t_ns if reply.host_ns is None else reply.host_ns
        command = commands.get((reply.output, -1 if reply.number is None else reply.number))
        decision = -1 if command is None else command.decision
        if reply.event == "light_on":
            lit[which] = at_ns
        elif reply.event in ("light_off", "train_ended") and which in lit:
            known = reply.event == "light_off"
            found.append(LightSpan(lit.pop(which), at_ns, reply.output, decision, known))
    for (output, number), begin_ns in lit.items():
        command = commands.get((output, -1 if number is None else number))
        found.append(
            LightSpan(
                begin_ns,
                begin_ns + _planned_ns(command),
                output,
                -1 if command is None else command.decision,
                False,
            )
        )
    return sorted(found, key=lambda each: each.begin_ns)


def lit_at(spans: Sequence[LightSpan], begin_ns: int, end_ns: int) -> bool:
    """Return whether a light was on at any moment from one time to another."""
    return any(each.begin_ns < end_ns and each.end_ns > begin_ns for each in spans)


def commanded_pulse(command: PulseCommandEntry) -> Pulse | None:
    """Return the pulse of a command; None for one without, or whose record cannot be read."""
    on_ns, period_ns, count, amplitude = (
        command.details.get(name) for name in ("on_ns", "period_ns", "count", "amplitude")
    )
    if not (isinstance(on_ns, int) and isinstance(period_ns, int) and isinstance(count, int)):
        return None
    return Pulse(on_ns, period_ns, count, amplitude if isinstance(amplitude, float) else 1.0)


def _planned_ns(command: PulseCommandEntry | None) -> int:
    pulse = None if command is None else commanded_pulse(command)
    return 0 if pulse is None else pulse.duration_ns
