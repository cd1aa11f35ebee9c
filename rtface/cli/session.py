"""``rtface session``: what recorded sessions hold, whether they are whole, and their tables for other programs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from rtface.cli.options import JsonOption, UnblindOption
from rtface.cli.terminal.screen import ERR, OUT, latency_table, print_json, say_error
from rtface.core.errors import DataError, RtfaceError, UsageError
from rtface.core.latency import StageSummary
from rtface.record import formats
from rtface.record.session import LOG_NAME
from rtface.record.session.entries import DecisionEntry
from rtface.record.session.reader import Session, read_session
from rtface.record.session.summary import (
    Moment,
    PulseCounts,
    Summary,
    blinded_trials,
    shown,
    summarise,
)
from rtface.record.session.tables import write_tables
from rtface.record.session.verify import SessionFinding, verify

app = typer.Typer(
    help="Recorded sessions: what happened, and whether the record is whole.", no_args_is_help=True
)

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Folder of a session, or its log.")]

_STATE = {"closed": "green", "open": "cyan", "truncated": "yellow", "damaged": "bold red"}
_ACTION = {"fire": "bold green", "trial": "bold green", "sham": "cyan", "catch": "cyan", "withhold": "yellow"}
_VERDICT = {"whole": ("ok", "green"), "missing": ("missing", "yellow"), "wrong": ("WRONG", "bold red")}
_MOST_MARKS = 20


@app.command()
def show(
    folder: FolderArgument,
    decisions: Annotated[
        bool, typer.Option("--decisions", help="List each decision with its inputs.")
    ] = False,
    latency: Annotated[bool, typer.Option("--latency", help="Show the latency of every stage.")] = False,
    unblind: UnblindOption = False,
    as_json: JsonOption = False,
) -> None:
    """Say what happened: when, with what, who armed it, what was decided and why, what the light did, what was lost."""
    session = read_session(folder)
    summary = summarise(session, unblind=unblind)
    if as_json:
        listed = (
            {"decisions_listed": [_as_map(each, unblind) for each in session.decisions]} if decisions else {}
        )
        print_json(summary.as_dict() | listed)
        return
    _print_head(summary)
    _print_decisions(summary)
    if decisions:
        OUT.print(_decision_list(session, unblind))
    _print_moments("armed and disarmed", summary.armings)
    _print_moments("marks", summary.marks)
    _print_moments("faults", summary.faults, "red")
    if latency and summary.latency:
        stages = {name: StageSummary(**stage) for name, stage in summary.latency.items()}
        _block(latency_table(stages))
    elif "end_to_end" in summary.latency:
        _block(_latency_line(summary.latency["end_to_end"]))
    for text in summary.missing:
        OUT.print(Text(f"missing: {text}", style="yellow"), soft_wrap=True)


@app.command("verify")
def verify_(folder: FolderArgument, unblind: UnblindOption = False, as_json: JsonOption = False) -> None:
    """Check all that the record claims; exit code 0 only if it is whole.

    Looks at checksums and the chain, totals, hashes of the texts, numbers of decisions, a command and an answer to each
    decision to fire, the order of times, and the video's pictures against the frame index.
    """
    session = read_session(folder)
    with ERR.status("checking") as status:
        findings = verify(
            session,
            blinded=not unblind and blinded_trials(session) > 0,
            progress=lambda done, total: status.update(f"frame {done} of {total}"),
        )
    whole = all(each.verdict == "whole" for each in findings)
    if as_json:
        print_json(
            {"whole": whole, "fingerprint": session.fingerprint, "findings": list(map(_finding, findings))}
        )
    else:
        _print_findings(session, findings)
    if not whole:
        raise typer.Exit(DataError.exit_code)


@app.command()
def export(
    folder: FolderArgument,
    out: Annotated[Path, typer.Option(help="Folder to write into; it is made if need be.")],
    form: Annotated[
        str, typer.Option("--format", help="Of the poses: rtface, deeplabcut-csv, deeplabcut-h5 or facemap.")
    ] = "rtface",
    unblind: UnblindOption = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write poses as a keypoint file, and decisions, commands to outputs and values as CSV."""
    session = read_session(folder)
    chosen = formats.choose(Path(), form)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {out} cannot be made: {error.strerror}") from error
    poses = out / f"poses{formats.DEFAULT_ENDINGS[chosen.name]}"
    written = write_tables(session, out, unblind=unblind, overwrite=overwrite)
    if len(session.poses):
        formats.write(session.pose_table(), poses, chosen.name, overwrite=overwrite)
        written.insert(0, poses)
    for path in written:
        OUT.print(str(path), markup=False, soft_wrap=True)
    for text in session.missing:
        say_error(text)


@app.command("list")
def list_(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="Folder of sessions.")],
    as_json: JsonOption = False,
) -> None:
    """List the sessions in a folder, the oldest first."""
    if not root.is_dir():
        raise UsageError(f"there is no folder {root}")
    found: list[Summary] = []
    for log in sorted(root.glob(f"*/{LOG_NAME}")):
        try:
            found.append(summarise(read_session(log)))
        except RtfaceError as error:
            say_error(str(error))
    if as_json:
        print_json([each.as_dict() for each in found])
        return
    table = _table("session", "state", "minutes", "poses", "per second", "decided", "faults")
    for each in found:
        fired = sum(count for (_, action, _), count in each.decisions.items() if action in ("fire", "trial"))
        table.add_row(
            each.folder,
            Text(each.state, _STATE[each.state]),
            f"{each.seconds / 60:.1f}",
            str(each.poses),
            "" if each.rate_hz is None else f"{each.rate_hz:.1f}",
            f"{fired} fired" if not each.blinded else f"{fired} trials",
            Text(str(len(each.faults)), "red" if each.faults else ""),
        )
    OUT.print(table)


def _print_head(summary: Summary) -> None:
    head = Text(summary.folder, style="bold")
    head.append(f"  {summary.state}", _STATE[summary.state])
    OUT.print(head)
    rate = "" if summary.rate_hz is None else f" ({summary.rate_hz:.1f} per second)"
    published = f", {summary.published} of them published" if summary.published else ""
    frames = "none recorded"
    if summary.frames or summary.dropped_frames:
        frames = f"{summary.frames} recorded, {summary.dropped_frames} dropped"
    lost = ", ".join(f"{name} {count}" for name, count in summary.losses.items()) or "none"
    rows = {
        "began": summary.began or "not known",
        "lasted": _duration(summary.seconds),
        "poses": f"{summary.poses}{rate}{published}",
        "frames": frames,
        "lost": lost,
        **summary.facts,
        **{f"sha256 {name}": digest[:16] for name, digest in sorted(summary.sha256.items())},
    }
    if summary.unrecorded:
        rows["unrecorded"] = ", ".join(f"{name} {count}" for name, count in summary.unrecorded.items())
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, Text(text))
    OUT.print(table)


def _print_decisions(summary: Summary) -> None:
    if not summary.decisions:
        return
    table = _table("rule", "action", "reason", right=("count",))
    rule_before = ""
    for (rule, action, reason), count in summary.decisions.items():
        table.add_row(
            Text("" if rule == rule_before else rule),
            Text(action, _ACTION.get(action, "dim")),
            Text(reason),
            str(count),
        )
        rule_before = rule
    _block(table)
    if summary.pulses is None:
        _block(
            Text(
                f"{summary.blinded} trials are blinded, and so are the pulses; --unblind shows them",
                style="dim",
            )
        )
    else:
        _block(_pulse_line(summary.pulses))


def _pulse_line(pulses: PulseCounts) -> Text:
    line = Text(
        f"pulses: {pulses.commanded} commanded, {pulses.acknowledged} acknowledged, light on {pulses.lit} times"
    )
    if pulses.light_ms:
        line.append(f", {pulses.light_ms:.1f} ms in all")
    for what, count in pulses.not_carried_out.items():
        line.append(f"; {count} {what}", "yellow")
    return line


def _decision_list(session: Session, unblind: bool) -> Table:
    table = _table(
        "no.", "s", "frame", "rule", "action", "reason", "state", "inputs: value (score, age in ms)"
    )
    began_ns = 0 if session.opened is None else session.opened.t_ns
    for each in session.decisions:
        action, reason = shown(each, unblind=unblind)
        inputs = ", ".join(
            f"{name} {value:.4g} ({score:.2f}, {age / 1e6:.1f})" for name, value, score, age in each.inputs
        )
        table.add_row(
            str(each.number),
            f"{(each.t_ns - began_ns) / 1e9:.4f}",
            "" if each.frame_id is None else str(each.frame_id),
            Text(each.rule),
            Text(action, _ACTION.get(action, "dim")),
            Text(reason),
            Text(
                each.state_after
                if each.state_before == each.state_after
                else f"{each.state_before} > {each.state_after}"
            ),
            Text(inputs),
        )
    return table


def _print_moments(title: str, moments: tuple[Moment, ...], style: str = "") -> None:
    if not moments:
        return
    table = _table("s", title, "by", "")
    for each in moments[:_MOST_MARKS]:
        table.add_row(f"{each.at_s:.3f}", Text(each.what, style), Text(each.who), Text(each.text))
    _block(table)
    if len(moments) > _MOST_MARKS:
        OUT.print(Text(f"and {len(moments) - _MOST_MARKS} more (--json has all)", style="dim"))


def _latency_line(stage: Mapping[str, Any]) -> Text:
    late = "" if stage.get("misses") is None else f", {stage['misses']} late"
    return Text(
        f"exposure to published: p50 {stage['p50_ms']:.2f} ms, p99 {stage['p99_ms']:.2f} ms, "
        f"max {stage['max_ms']:.2f} ms over {stage['n']} frames{late}"
    )


def _print_findings(session: Session, findings: list[SessionFinding]) -> None:
    table = _table("check", "", "")
    for each in findings:
        word, style = _VERDICT[each.verdict]
        table.add_row(each.check, Text(word, style), Text(each.text))
    OUT.print(table)
    verdicts = {each.verdict for each in findings}
    if verdicts == {"whole"}:
        OUT.print(Text(f"{session.folder.name} is whole.", style="bold green"))
    elif "wrong" in verdicts:
        OUT.print(
            Text(f"{session.folder.name} is not as it was recorded, or contradicts itself.", style="bold red")
        )
    else:
        OUT.print(
            Text(
                f"{session.folder.name} is right as far as it goes, but something is missing.", style="yellow"
            )
        )
    OUT.print(Text(f"fingerprint {session.fingerprint}", style="dim"), soft_wrap=True)


def _as_map(decision: DecisionEntry, unblind: bool) -> dict[str, Any]:
    values = {each.name: getattr(decision, each.name) for each in dataclasses.fields(decision)}
    action, reason = shown(decision, unblind=unblind)
    return values | {"action": action, "reason": reason}


def _finding(finding: SessionFinding) -> dict[str, str]:
    return {"check": finding.check, "verdict": finding.verdict, "text": finding.text}


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours} h {minutes} min {rest:.1f} s" if hours else f"{minutes} min {rest:.1f} s"


def _table(*columns: str, right: tuple[str, ...] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column)
    for column in right:
        table.add_column(column, justify="right")
    return table


def _block(part: Any) -> None:
    """Print something with a blank line before it."""
    OUT.print()
    OUT.print(part)
