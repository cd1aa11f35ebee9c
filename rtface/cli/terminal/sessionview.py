"""Recorded sessions on a terminal: what happened, and whether the record is whole."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from rtface.cli.terminal.screen import OUT, latency_table, plain_table
from rtface.core.latency import StageSummary
from rtface.record.session.reader import Session
from rtface.record.session.summary import Moment, PulseCounts, Summary, shown
from rtface.record.session.verify.finding import SessionFinding

_STATE = {"closed": "green", "open": "cyan", "truncated": "yellow", "damaged": "bold red"}
_ACTION = {"fire": "bold green", "trial": "bold green", "sham": "cyan", "catch": "cyan", "withhold": "yellow"}
_VERDICT = {"whole": ("ok", "green"), "missing": ("missing", "yellow"), "wrong": ("WRONG", "bold red")}
_MOST_MARKS = 20


def print_summary(
    session: Session, summary: Summary, *, decisions: bool, latency: bool, unblind: bool
) -> None:
    """Print what happened in a session; on request each decision, and the latency of every stage."""
    _print_head(summary)
    for name, each in summary.cameras.items():
        _print_camera(name, each)
    _print_decisions(summary, sealed=session.is_sealed)
    if decisions:
        OUT.print(_decision_list(session, unblind))
    _print_moments("armed and disarmed", summary.armings)
    _print_moments("marks", summary.marks)
    _print_moments("faults", summary.faults, "red")
    _print_moments("camera lost and back", summary.gaps, "yellow")
    if latency and summary.latency:
        stages = {name: StageSummary(**stage) for name, stage in summary.latency.items()}
        _block(latency_table(stages))
    elif "end_to_end" in summary.latency:
        _block(_latency_line(summary.latency["end_to_end"]))
    for text in summary.missing:
        OUT.print(Text(f"missing: {text}", style="yellow"), soft_wrap=True)


def print_sessions(summaries: Iterable[Summary]) -> None:
    """Print sessions, each in a line."""
    table = plain_table("session", "state", "minutes", "poses", "per second", "decided", "faults")
    for each in summaries:
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
    frames = "none recorded"
    if summary.frames or summary.dropped_frames:
        frames = f"{summary.frames} recorded, {summary.dropped_frames} dropped"
    counts = {name: "unknown" if count is None else count for name, count in summary.losses.items()}
    lost = ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
    rows = {
        "began": summary.began or "not known",
        "lasted": _duration(summary.seconds),
        "poses": f"{summary.poses}{rate}",
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


def _print_camera(name: str, summary: Summary) -> None:
    """Print what is one of several cameras' own."""
    rate = "" if summary.rate_hz is None else f" ({summary.rate_hz:.1f} per second)"
    lost = ", ".join(
        f"{place} {'unknown' if count is None else count}" for place, count in summary.losses.items()
    )
    end = summary.latency.get("end_to_end")
    lines = [
        f"{summary.poses} poses{rate}; lost: {lost or 'none'}",
        *(f"{what} {summary.facts[what]}" for what in ("camera", "engine", "video") if what in summary.facts),
        *([] if end is None else [str(_latency_line(end))]),
    ]
    _block(Text(f"{name}: " + "; ".join(lines)))


def _print_decisions(summary: Summary, *, sealed: bool) -> None:
    if not summary.decisions:
        return
    table = plain_table("rule", "action", "reason", right=("count",))
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
    opens = "`rtface session unblind` opens them, then " if sealed else ""
    if summary.pulses is None:
        _block(
            Text(
                f"{summary.blinded} trials are blinded, and so are the pulses; {opens}--unblind shows them",
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
    table = plain_table(
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
    table = plain_table("s", title, "by", "")
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


def print_findings(session: Session, findings: list[SessionFinding]) -> None:
    """Print whether a record is whole, check by check."""
    table = plain_table("check", "", "")
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


def _duration(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours} h {minutes} min {rest:.1f} s" if hours else f"{minutes} min {rest:.1f} s"


def _block(part: Any) -> None:
    """Print something with a blank line before it."""
    OUT.print()
    OUT.print(part)
