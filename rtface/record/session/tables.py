"""Decisions, pulses and values of a session as tables: what statistics programs and spreadsheets read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rtface.core.clock import NS_PER_MS, NS_PER_S
from rtface.core.errors import DataError, UsageError
from rtface.core.files import MARKING
from rtface.record.session.cameras.joining import join_frames
from rtface.record.session.entries import ANSWERS, DecisionEntry, GateReplyEntry, PulseCommandEntry
from rtface.record.session.reader import Session
from rtface.record.session.summary import TRIAL, shown

Row = Sequence[Any]

DECISIONS = (
    "number",
    "t_ns",
    "t_s",
    "session_s",
    "frame_id",
    "rule",
    "state_before",
    "state_after",
    "action",
    "reason",
    "trial",
    "pulse_on_ms",
    "pulse_period_ms",
    "pulse_count",
    "pulse_amplitude",
    "inputs",
)
"""Columns of the decisions: `t_ns` on the host's monotonic clock, `t_s` since the session began, `inputs` as JSON."""

PULSES = (
    "decision",
    "output",
    "command",
    "number",
    "frame_id",
    "rule",
    "commanded_ns",
    "sent_ns",
    "answered_ns",
    "answer",
    "reason",
    "light_on_ns",
    "light_off_ns",
    "ended_ns",
    "lights",
)
"""Columns of the commands to outputs. Of a train `light_on_ns` is the first pulse's, `light_off_ns` the last one's and
`lights` how many there were; both on the host's monotonic clock, as the output's own clock is mapped to it."""


def write_tables(
    session: Session, folder: Path, *, unblind: bool = False, overwrite: bool = False
) -> list[Path]:
    """Write ``decisions.csv``, ``pulses.csv`` and, where there are any, ``features.csv``; return their paths.

    Of several cameras each has a ``features-NAME.csv``, decisions have a column ``camera``, and ``joined.csv`` says which
    frames belong together (see `rtface.record.session.cameras.joining`).

    Parameters
    ----------
    session : Session
        As it was read.
    folder : Path
        There already.
    unblind : bool
        Show light and sham of blinded trials as what they are. Otherwise both are called ``trial``, and commands to outputs are
        left out where there is any such trial.
    overwrite : bool
        Whether files of those names may be replaced.

    Raises
    ------
    UsageError
        A file is there and `overwrite` is False.
    DataError
        A file cannot be written.
    """
    blinded = session.is_sealed or any(shown(each, unblind=unblind)[0] == TRIAL for each in session.decisions)
    cameras = session.cameras
    decisions = decision_rows(session, unblind=unblind)
    tables: list[tuple[str, Row, Iterator[Row]]] = [("decisions.csv", DECISIONS, decisions)]
    if cameras:
        of = (each.camera_name for each in session.decisions)
        with_camera = ((*row, camera) for row, camera in zip(decisions, of, strict=True))
        tables = [("decisions.csv", (*DECISIONS, "camera"), with_camera)]
    if not blinded:
        tables.append(("pulses.csv", PULSES, pulse_rows(session)))
    for ending, each in ({f"-{name}": session.of_camera(name) for name in cameras} or {"": session}).items():
        configuration = each.configuration
        if len(each.features) and configuration is not None:
            columns = ("frame_id", "now_ns", *configuration.features)
            tables.append((f"features{ending}.csv", columns, _feature_rows(each)))
    if cameras:
        joined = join_frames(session)
        tables.append(("joined.csv", joined.columns, iter(joined.rows)))
    for name, _, _ in tables:
        if (folder / name).exists() and not overwrite:
            raise UsageError(f"{folder / name} exists; --overwrite replaces it")
    for name, head, rows in tables:
        try:
            with (folder / name).open("w", newline="", encoding="utf-8", errors=MARKING) as file:
                writer = csv.writer(file)
                writer.writerow(head)
                writer.writerows(rows)
        except OSError as error:
            raise DataError(f"{folder / name} cannot be written: {error.strerror or error}") from error
    return [folder / name for name, _, _ in tables]


def decision_rows(session: Session, *, unblind: bool = False) -> Iterator[Row]:
    """Yield the decisions in the order of `DECISIONS`."""
    began_ns = 0 if session.opened is None else session.opened.t_ns
    for each in session.decisions:
        action, reason = shown(each, unblind=unblind)
        yield (
            each.number,
            each.t_ns,
            f"{(each.t_ns - began_ns) / NS_PER_S:.9f}",
            "" if each.session_ns is None else f"{each.session_ns / NS_PER_S:.9f}",
            _known(each.frame_id),
            each.rule,
            each.state_before,
            each.state_after,
            action,
            reason,
            _known(each.trial),
            *_pulse(each),
            json.dumps(
                {
                    name: {"value": value, "score": score, "age_ms": age / NS_PER_MS}
                    for name, value, score, age in each.inputs
                }
            ),
        )


def pulse_rows(session: Session) -> Iterator[Row]:
    """Yield the commands to outputs in the order of `PULSES`."""
    decisions = {each.number: each for each in session.decisions}
    replies: dict[tuple[str, int | None], list[GateReplyEntry]] = {}
    for reply in session.of(GateReplyEntry):
        replies.setdefault((reply.output, reply.number), []).append(reply)
    for each in session.of(PulseCommandEntry):
        yield _pulse_row(each, decisions.get(each.decision), replies.get((each.output, each.number), []))


def _pulse_row(
    command: PulseCommandEntry, decision: DecisionEntry | None, replies: list[GateReplyEntry]
) -> Row:
    sent, answer, ended = (
        next((reply for reply in replies if reply.event in events), None)
        for events in (("sent",), ANSWERS, ("train_ended",))
    )
    lights = [reply for reply in replies if reply.event == "light_on"]
    darks = [reply for reply in replies if reply.event == "light_off"]
    return (
        _known(None if decision is None else decision.number),
        command.output,
        command.command,
        command.number,
        _known(None if decision is None else decision.frame_id),
        "" if decision is None else decision.rule,
        command.t_ns,
        "" if sent is None else sent.t_ns,
        "" if answer is None else answer.t_ns,
        "" if answer is None else answer.event,
        "" if answer is None else answer.reason,
        _known(lights[0].host_ns if lights else None),
        _known(darks[-1].host_ns if darks else None),
        _known(None if ended is None else ended.host_ns),
        len(lights),
    )


def _pulse(decision: DecisionEntry) -> Row:
    pulse = decision.pulse
    if pulse is None:
        return "", "", "", ""
    return pulse["on_ns"] / NS_PER_MS, pulse["period_ns"] / NS_PER_MS, pulse["count"], pulse["amplitude"]


def _feature_rows(session: Session) -> Iterator[Row]:
    rows = session.features
    for frame_id, now_ns, values in zip(
        rows["frame_id"].tolist(), rows["now_ns"].tolist(), rows["values"].tolist(), strict=True
    ):
        yield frame_id, now_ns, *(repr(value) for value in values)


def _known(value: Any) -> Any:
    return "" if value is None else value
