"""Decisions and light: each decision there, to each pulse its decision, its command and its answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rtface.core.outputs import OutputEvent, OutputReason
from rtface.record.session.entries import ANSWERS, NO_NUMBER, DecisionEntry, GateReplyEntry, PulseCommandEntry
from rtface.record.session.reader import Session
from rtface.record.session.verify.finding import SessionFinding, Verdict, some

_LIGHT = {
    OutputReason.LIGHT_UNCOMMANDED.value: "a photodiode saw light that no command explains",
    OutputReason.LIGHT_MISSING.value: "a photodiode did not see light that was commanded",
}


def check_decisions(session: Session) -> Iterator[SessionFinding]:
    """Yield whether the decisions are numbered from 0 without a gap, in order."""
    name = "decisions"
    numbers = [each.number for each in session.decisions]
    if numbers == list(range(len(numbers))):
        yield SessionFinding(name, "whole", f"{len(numbers)}, numbered without a gap")
        return
    gone = sorted(set(range(max(numbers) + 1)) - set(numbers))
    if gone:
        yield SessionFinding(name, "missing", f"{len(gone)} of {max(numbers) + 1}: number {some(gone)}")
    if numbers != sorted(set(numbers)):
        yield SessionFinding(name, "wrong", "they are not in order, or some are there twice")


def check_pulses(session: Session, blinded: bool) -> Iterator[SessionFinding]:
    """Yield whether each decision to fire has its command and its answer, and no command or light is without one."""
    name = "pulses"
    if session.is_sealed:
        yield SessionFinding(name, "whole", "sealed: commands and answers are checked with --unblind alone")
        return
    decisions = {each.number: each for each in session.decisions}
    commands = session.of(PulseCommandEntry)
    fires = [each for each in commands if each.command == "fire"]
    commanded = Counter(each.decision for each in fires)
    replies = session.of(GateReplyEntry)
    answered = {(each.output, each.number) for each in replies if each.event in ANSWERS}
    lit = {(each.output, each.number) for each in replies if each.event == OutputEvent.LIGHT_ON}
    problems: list[tuple[Verdict, str, list[int]]] = [
        (
            "missing",
            "decided to fire without a command to an output, decision",
            [
                number
                for number, each in decisions.items()
                if each.action == "fire" and number not in commanded
            ],
        ),
        (
            "missing",
            "commands without an answer, of decision",
            [each.decision for each in fires if (each.output, each.number) not in answered],
        ),
        (
            "wrong",
            "fired twice, decision",
            [n for n, count in commanded.items() if count > 1 and n != NO_NUMBER],
        ),
        (
            "wrong",
            "fired without a decision to fire, decision",
            [number for number in commanded if not _fires(decisions.get(number))],
        ),
        (
            "wrong",
            "light came on without a command to fire, command",
            [
                number
                for output, number in lit - {(each.output, each.number) for each in fires}
                if number is not None
            ],
        ),
    ]
    found = False
    for verdict, text, which in problems:
        if which:
            found = True
            problem = f"{len(which)} {text} {some(sorted(which))}"
            hidden = f"some {text.rpartition(',')[0] or text} (blinded)"
            yield SessionFinding(name, verdict, hidden if blinded else problem)
    if not found and blinded:
        yield SessionFinding(
            name, "whole", "each commanded, decided before and answered; how many is blinded"
        )
    elif not found:
        counted = f"{len(fires)} commanded, each decided before and answered; {len(lit)} of them lit"
        yield SessionFinding(name, "whole", counted)


def _fires(decision: DecisionEntry | None) -> bool:
    return decision is not None and decision.action == "fire"


def check_light(session: Session, blinded: bool) -> Iterator[SessionFinding]:
    """Yield what a photodiode saw otherwise; without one there is nothing to find."""
    opened_ns = session.opened.t_ns if session.opened is not None else 0
    for reply in session.of(GateReplyEntry):
        text = _LIGHT.get(reply.reason)
        if text is None or reply.event != OutputEvent.STATE:
            continue
        if blinded:
            yield SessionFinding(
                "light", "wrong", "a photodiode saw other light than was commanded (blinded)"
            )
            return
        at_ns = reply.t_ns if reply.host_ns is None else reply.host_ns
        yield SessionFinding("light", "wrong", f"{text}, at {(at_ns - opened_ns) / 1e9:.3f} s")
