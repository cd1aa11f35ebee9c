"""What the verbs of ``rtface learn`` that train a network print: progress, errors, reliability."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from rtface.cli.terminal.screen import ERR


@contextmanager
def training_bar(
    total: int, description: str, *, quiet: bool = False
) -> Iterator[Callable[[int, float], None]]:
    """Show a training's progress and give what is to be told of it: the steps done and the loss.

    Parameters
    ----------
    total : int
        Steps in all.
    description : str
        What is being trained.
    quiet : bool
        Show nothing.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("steps, loss {task.fields[loss]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=ERR, disable=quiet) as bar:
        task = bar.add_task(escape(description), total=total, loss="-")
        first = True

        def update(step: int, loss: float) -> None:
            nonlocal first
            if first:
                # Steps of an earlier start took no time in this one: the time left must not count on such a pace.
                bar.reset(task, total=total, completed=step)
                first = False
            bar.update(task, completed=step, loss=f"{loss:.3f}")

        yield update


def plain_table(first: str, *others: str) -> Table:
    """Return an empty table of one column of words and others of numbers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right")
    return table


def errors_table(metrics: Mapping[str, Any]) -> Table:
    """Return a network's errors as a table, each keypoint in a row and all of them in the last.

    Parameters
    ----------
    metrics : mapping
        As of `rtface.learn.error_summary.error_summary`; ``unit``, where it is there, goes into the head.
    """
    table = plain_table(f"error ({metrics.get('unit', 'pixels')})", "labels", "mean", "median", "p90")
    for name, summary in metrics.get("by_keypoint", {}).items():
        table.add_row(escape(name), *_cells(summary))
    table.add_row("all", *_cells(metrics), style="bold")
    return table


def reliability_table(reliability: Mapping[str, Any]) -> Table:
    """Return how often points of each bin of scores were right.

    Parameters
    ----------
    reliability : mapping
        As of `rtface.learn.tracker.calibration.reliability`.
    """
    table = plain_table("score", "within the radius", "labels")
    for each in reliability["bins"]:
        table.add_row(f"{each['stated']:.2f}", f"{each['within']:.2f}", str(each["n"]))
    table.add_row("off by, on average", f"{reliability['expected_calibration_error']:.3f}", "", style="bold")
    return table


def _cells(summary: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (summary.get(key) for key in ("mean_px", "median_px", "p90_px"))
    return str(summary["n"]), *("-" if number is None else f"{number:.2f}" for number in numbers)
