"""What is printed: tables, lines and errors. Results go to standard output, all else to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rtface.cli.terminal.documents import document, error_document
from rtface.core.check import Check
from rtface.core.errors import RtfaceError
from rtface.core.files import plain, printable
from rtface.core.latency import StageSummary
from rtface.core.records import KNOWN_VIEW, FloatArray, Losses

_WIDE = 120
_ROOM_FOR_MEANINGS = 80

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)

_VERDICT = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "fail": "[bold red]fail[/]"}

_STAGE_MEANING = {
    "transfer": "exposure to arrival",
    "wait": "in the ring",
    "prepare": "intensity levels",
    "network": "keypoint network",
    "decide": "to camera pixels",
    "react": "features, rules, output",
    "publish": "encode and send",
    "overhead": "all but the network",
    "end_to_end": "exposure to published",
    "handover": "decision to device driver",
    "answer": "device driver to device's answer",
    "light": "until the light is on",
}


def print_error(error: RtfaceError | str) -> None:
    """Print an error, one line a reason; where JSON was asked for, as a document, too."""
    ERR.print(f"[bold red]error:[/] {escape(str(error))}", soft_wrap=True)
    if isinstance(error, RtfaceError):
        print_error_document(error)


def print_error_document(error: BaseException) -> None:
    """Print an error as a line of JSON, on standard error, where JSON was asked for."""
    if (told := error_document(error)) is not None:
        print(_line(told), file=sys.stderr, flush=True)  # noqa: T201


def print_note(message: str) -> None:
    """Print a note for a person."""
    ERR.print(message, markup=False, soft_wrap=True)


def print_line(text: str) -> None:
    """Print a line of a result."""
    OUT.print(text, markup=False, soft_wrap=True)


def print_json(value: Any, part: str = "") -> None:
    """Print one line of JSON, a document of the command's schema; numbers that JSON cannot hold become null.

    Parameters
    ----------
    value
        As the schema's form says.
    part : str
        As in `rtface.cli.terminal.documents.document`.
    """
    print(_line(document(value, part)), flush=True)  # noqa: T201  (no markup, no wrapping)


def _line(value: Any) -> str:
    return printable(json.dumps(plain(value), ensure_ascii=False))


def print_finding(verdict: str, what: str, text: str, fix: str) -> None:
    """Print the answer to one question about a rig or a device, and what to do about it."""
    OUT.print(_VERDICT[verdict], end=" ")
    OUT.print(f"{what}: {text}", markup=False, soft_wrap=True)
    if fix:
        OUT.print(f"     -> {fix}", markup=False, soft_wrap=True)


def print_checks(findings: Iterable[Check], as_json: bool) -> None:
    """Print findings as they come, or all as JSON, and exit with the code of the first failure, if there is one."""
    found = []
    for finding in findings:
        found.append(finding)
        if not as_json:
            print_finding(finding.verdict, finding.what, finding.text, finding.fix)
    if as_json:
        print_json([finding.as_dict() | {"exit_code": finding.exit_code} for finding in found])
    code = next((finding.exit_code for finding in found if finding.verdict == "fail"), 0)
    if code:
        raise typer.Exit(code)


def plain_table(*columns: str, right: Sequence[str] = (), last: str | None = None) -> Table:
    """Return an empty table: columns of words, then `right` of numbers, then a `last` of remarks.

    On a narrow terminal words go on in the next line, whole or in parts; a number is never taken apart.
    """
    table = Table(box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, overflow="fold")
    for column in right:
        table.add_column(column, justify="right", no_wrap=True)
    if last is not None:
        table.add_column(last, style="dim", overflow="fold")
    return table


def latency_table(latency: Mapping[str, StageSummary], digits: int = 2) -> Table:
    """Return the percentiles of every stage as a table, with so many digits of a millisecond.

    What each stage is stands beside it where the terminal has room for that.
    """
    explained = OUT.width >= _ROOM_FOR_MEANINGS
    table = plain_table(
        "latency (ms)", right=("p50", "p95", "p99", "p99.9", "max", "late"), last="" if explained else None
    )
    if not explained:
        table.caption, table.caption_justify = "on a wider terminal: what each stage is", "left"
    for stage, summary in latency.items():
        values = (summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.p999_ms, summary.max_ms)
        late = "" if summary.misses is None else str(summary.misses)
        style = "bold" if stage == "end_to_end" else ""
        table.add_row(
            stage,
            *(f"{value:.{digits}f}" for value in values),
            late,
            *((_STAGE_MEANING.get(stage, ""),) if explained else ()),
            style=style,
        )
    return table


def losses_line(losses: Losses) -> str:
    """Return the lost frames by place, in one line."""
    transport = losses.transport if losses.transport_known else "unknown"
    missed = "" if losses.missed_triggers is None else f"; triggers missed: {losses.missed_triggers}"
    return f"lost: camera {losses.camera}, transport {transport}, ring {losses.ring}, publish {losses.publish}{missed}"


def camera_line(camera_status: Mapping[str, Any]) -> str:
    """Return how a camera does, as a status has it, in one line that begins with a separator; empty where all is well."""
    said = [f"CAMERA: {problem}" for problem in camera_status.get("problems", ())]
    if clock := camera_status.get("clock"):
        said.append(f"exposures are times of arrival: {clock}")
    if ptp := camera_status.get("ptp"):
        offset = "" if ptp["offset_ns"] is None else f" {ptp['offset_ns'] / 1e3:.1f} us"
        said.append(f"PTP {ptp['state']}{offset}")
    if waits_s := camera_status.get("waits_s"):
        said.append(f"waits for a trigger for {waits_s:.0f} s")
    return "".join(f"; {each}" for each in said)


def view_in_words(view_ok: float) -> str:
    """Return in words whether the engine knows the view."""
    if np.isnan(view_ok):
        return "view not checked"
    return f"{'view known' if view_ok >= KNOWN_VIEW else 'UNKNOWN VIEW'} ({view_ok:.2f})"


def keypoints_table(
    names: Sequence[str], xy: FloatArray, score: FloatArray, outside: NDArray[np.bool_]
) -> Table:
    """Return one frame's keypoints as a table; those never trained are marked."""
    table = plain_table("keypoint", right=("x", "y", "score"), last="")
    for name, (x, y), value, beyond in zip(names, xy, score, outside, strict=True):
        if np.isnan(x):
            table.add_row(name, "-", "-", "-", "not trained", style="dim")
            continue
        note = "outside" if beyond else ""
        table.add_row(name, f"{x:.1f}", f"{y:.1f}", f"{value:.2f}", note)
    return table


def beside(left: Any, right: Sequence[Any]) -> Any:
    """Return two views next to each other where the terminal is wide enough, else the right one above the left."""
    if not right:
        return left
    if ERR.width < _WIDE:
        return Group(*right, Text(""), left)
    grid = Table.grid(padding=(0, 4, 0, 0))
    grid.add_row(left, Group(*right))
    return grid


def live_view(head: str, *parts: Any) -> Group:
    """Return a headline and what stands below it, for a live display."""
    blocks: list[Any] = [Text(head, style="bold")]
    for part in parts:
        blocks += [Text(""), part]
    return Group(*blocks)
