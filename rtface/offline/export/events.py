"""What happened in a session as tables of typed columns: decisions, commands, light, and who did what."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import yaml

from rtface.core.files import plain, printable
from rtface.offline.export.source import ExportSource
from rtface.offline.sessions.certificate import certify
from rtface.offline.sessions.lights import commanded_pulse, light_spans
from rtface.record.seal.merging import without_seeds
from rtface.record.session.entries import (
    ArmingEntry,
    ClosedEntry,
    DecisionEntry,
    FaultEntry,
    GapEntry,
    MarkEntry,
    PulseCommandEntry,
)
from rtface.record.session.reader import Session
from rtface.record.session.rows import UNKNOWN
from rtface.record.session.summary import shown
from rtface.record.session.tables import PULSES, pulse_rows

Kind = Literal["int", "float", "text", "bool"]


@dataclass(frozen=True)
class EventColumn:
    """A column; None stands for what is not known."""

    name: str
    kind: Kind
    about: str
    values: Sequence[Any]


@dataclass(frozen=True)
class EventTable:
    """Events of one kind.

    Attributes
    ----------
    name, about : str
    times_ns : sequence of int
        When each was, by the host's clock.
    columns : sequence of EventColumn
    ends_ns : sequence of int or None
        When each ended, of events that last.
    """

    name: str
    about: str
    times_ns: Sequence[int]
    columns: Sequence[EventColumn]
    ends_ns: Sequence[int] | None = None


def event_tables(recording: ExportSource) -> list[EventTable]:
    """Return the tables of a session that have rows; none of a keypoint file.

    While it is blinded there are no commands and no light among them, and a trial is called ``trial``.
    """
    found = recording.session
    if found is None:
        return []
    session = found.session
    tables = [_decisions(session, recording.unblind), _moments(session)]
    if not recording.blinded:
        tables += [_commands(session), _light(session)]
    return [each for each in tables if len(each.times_ns)]


def session_facts(recording: ExportSource) -> dict[str, str]:
    """Return what a session was run with, as texts by name; of a keypoint file its provenance."""
    facts = {name: printable(str(text)) for name, text in recording.provenance.items()}
    facts |= {
        "keypoints_trained": json.dumps(list(map(bool, recording.trained))),
        "score_definition": recording.score_definition,
        "engine": recording.engine,
        "clock": f"zero of all times is {recording.began_ns} ns of the clock of {recording.time or 'the frame numbers'}",
    }
    found = recording.session
    if found is not None:
        session = found.session
        said, opened, closed = session.configuration, session.opened, session.last(ClosedEntry)
        facts["certificate"] = _readable(certify(found, unblind=recording.unblind).as_dict())
        if said is not None:
            facts["rig"], facts["rules"] = said.rig, said.rules
            facts["rules_resolved"] = without_seeds(said.resolved)[0] if recording.blinded else said.resolved
        for name, entry in (("opened", opened), ("closed", closed)):
            if entry is not None:
                facts[name] = _readable({"t_ns": entry.t_ns, "wall_ns": entry.wall_ns})
        facts["blinded"] = "yes: trials are not told apart" if recording.blinded else "no"
    facts["missing"] = "\n".join(recording.notes) or "nothing"
    return facts


def plain_column(column: EventColumn) -> Any:
    """Return a column without None: what is not known is -1, NaN or an empty text."""
    if column.kind == "text":
        return [printable(each or "") for each in column.values]
    unknown, dtype = {
        "int": (UNKNOWN, np.int64),
        "float": (np.nan, np.float64),
        "bool": (False, np.bool_),
    }[column.kind]
    return np.asarray([unknown if each is None else each for each in column.values], dtype)


def _readable(values: dict[str, Any]) -> str:
    return yaml.safe_dump(plain(values), sort_keys=False, allow_unicode=True, width=1000)


def _decisions(session: Session, unblind: bool) -> EventTable:
    decisions = session.decisions
    labels = [shown(each, unblind=unblind) for each in decisions]

    def column(name: str, kind: Kind, about: str) -> EventColumn:
        return EventColumn(name, kind, about, [getattr(each, name) for each in decisions])

    def pulse(name: str, kind: Kind, about: str) -> EventColumn:
        values = [None if each.pulse is None else each.pulse[name] for each in decisions]
        return EventColumn(f"pulse_{name}", kind, about, values)

    return EventTable(
        "decisions",
        "What was decided about each rule, with what it rested on.",
        [each.t_ns for each in decisions],
        [
            column("number", "int", "number of the decision, from 0"),
            column("rule", "text", "name of the rule"),
            column("frame_id", "int", "frame that it was decided on"),
            column("session_ns", "int", "session time in ns"),
            column("state_before", "text", "state of the rule before"),
            column("state_after", "text", "state of the rule after"),
            EventColumn(
                "action", "text", "fire, sham, catch, withhold, cancel, none or trial", [a for a, _ in labels]
            ),
            EventColumn("reason", "text", "why", [reason for _, reason in labels]),
            column("trial", "int", "number of the trial in its rule, from 0"),
            pulse("on_ns", "int", "length of a pulse in ns"),
            pulse("period_ns", "int", "from the beginning of one pulse to the next in ns"),
            pulse("count", "int", "pulses"),
            pulse("amplitude", "float", "part of the full power"),
            EventColumn(
                "inputs",
                "text",
                "JSON: [name, value, score, age in ns] of every value in the rule",
                [_inputs(each) for each in decisions],
            ),
        ],
    )


def _inputs(decision: DecisionEntry) -> str:
    return json.dumps(plain(decision.inputs))


def _moments(session: Session) -> EventTable:
    entries = [
        each for each in session.events if isinstance(each, ArmingEntry | MarkEntry | FaultEntry | GapEntry)
    ]
    rows = [_moment(each) for each in entries]
    return EventTable(
        "moments",
        "Who armed, disarmed and marked, what faults and gaps there were.",
        [each.t_ns for each in entries],
        [
            EventColumn("kind", "text", "arming, mark, fault or gap", [each.name for each in entries]),
            EventColumn("what", "text", "what happened", [row[0] for row in rows]),
            EventColumn("who", "text", "who did it; empty where nobody did", [row[1] for row in rows]),
            EventColumn("text", "text", "why, or the remark", [row[2] for row in rows]),
            EventColumn("details", "text", "JSON: what else came with a mark", [row[3] for row in rows]),
        ],
    )


def _moment(entry: ArmingEntry | MarkEntry | FaultEntry | GapEntry) -> tuple[str, str, str, str]:
    match entry:
        case ArmingEntry():
            return entry.event, entry.who, entry.why, "{}"
        case MarkEntry():
            return "mark", entry.who, entry.text, json.dumps(plain(entry.details))
        case FaultEntry():
            return entry.what, "", entry.text, "{}"
        case GapEntry():
            return entry.event, "", entry.why, "{}"


_ABOUT_COMMANDS: dict[str, tuple[Kind, str]] = {
    "decision": ("int", "number of the decision that it came of"),
    "output": ("text", "name of the output"),
    "command": ("text", "fire, cancel, disarm or stop"),
    "number": ("int", "number of the command"),
    "frame_id": ("int", "frame that was decided on"),
    "rule": ("text", "name of the rule"),
    "commanded_ns": ("int", "handed to the output, host's clock in ns"),
    "sent_ns": ("int", "sent, host's clock in ns"),
    "answered_ns": ("int", "answered, host's clock in ns"),
    "answer": ("text", "ack, refused or timeout"),
    "reason": ("text", "why"),
    "light_on_ns": ("int", "the first light on, host's clock in ns"),
    "light_off_ns": ("int", "the last light off, host's clock in ns"),
    "ended_ns": ("int", "the end of the train, host's clock in ns"),
    "lights": ("int", "lights that were reported"),
}


def _commands(session: Session) -> EventTable:
    rows = [dict(zip(PULSES, row, strict=True)) for row in pulse_rows(session)]
    columns = []
    for name, (kind, about) in _ABOUT_COMMANDS.items():
        values = [row[name] if kind == "text" or row[name] != "" else None for row in rows]
        columns.append(EventColumn(name, kind, about, values))
    return EventTable(
        "commands",
        "Commands to outputs, and what became of them.",
        [row["commanded_ns"] for row in rows],
        columns,
    )


def _light(session: Session) -> EventTable:
    spans = light_spans(session, blinded=False)
    pulses = {
        each.decision: commanded_pulse(each)
        for each in session.of(PulseCommandEntry)
        if each.command == "fire"
    }
    amplitudes = [None if (pulse := pulses.get(each.decision)) is None else pulse.amplitude for each in spans]
    return EventTable(
        "light",
        "Pulses of light that happened, as outputs reported them.",
        [each.begin_ns for each in spans],
        [
            EventColumn("begin_ns", "int", "light on, host's clock in ns", [each.begin_ns for each in spans]),
            EventColumn("end_ns", "int", "light off, host's clock in ns", [each.end_ns for each in spans]),
            EventColumn("output", "text", "name of the output", [each.output for each in spans]),
            EventColumn("decision", "int", "number of the decision", [each.decision for each in spans]),
            EventColumn("amplitude", "float", "part of the full power", amplitudes),
            EventColumn(
                "end_known", "bool", "the output reported the end", [each.end_known for each in spans]
            ),
        ],
        [each.end_ns for each in spans],
    )
