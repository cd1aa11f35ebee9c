"""Two sessions beside each other on a terminal."""

from __future__ import annotations

from typing import Any

from rich.text import Text

from rtface.cli.terminal.screen import OUT, plain_table
from rtface.offline.sessions.comparison import SessionComparison


def print_comparison(compared: SessionComparison) -> None:
    """Print latencies, counts, settings that differ and how the rules differ."""
    names = compared.first, compared.second
    table = plain_table("p50 / p99 / max in ms", *names)
    for each in compared.latency:
        table.add_row(Text(each.name), _stage(each.first), _stage(each.second))
    OUT.print(table)
    table = plain_table("counted", *names)
    for each in compared.counts:
        style = "" if each.first == each.second else "yellow"
        table.add_row(Text(each.name), Text(_plain(each.first), style), Text(_plain(each.second), style))
    OUT.print(table)
    if compared.settings:
        table = plain_table("settings that differ", *names)
        for each in compared.settings:
            table.add_row(Text(each.name), Text(_plain(each.first)), Text(_plain(each.second)))
        OUT.print(table)
        if compared.more_settings:
            OUT.print(f"and {compared.more_settings} more")
    else:
        OUT.print("no setting differs")
    for line in compared.rules or ("the rules are the same",):
        OUT.print(Text(line), soft_wrap=True)


def _stage(stage: Any) -> str:
    if stage is None or not stage["n"]:
        return ""
    return f"{stage['p50_ms']:.2f} / {stage['p99_ms']:.2f} / {stage['max_ms']:.2f} (n {stage['n']})"


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
