"""Tables of a network's errors and of how reliable its scores are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from rtface.cli.terminal.screen import plain_table


def errors_table(metrics: Mapping[str, Any]) -> Table:
    """Return a network's errors as a table, each keypoint in a row and all of them in the last.

    Parameters
    ----------
    metrics : mapping
        As of `rtface.learn.error_summary.error_summary`; ``unit``, where it is there, goes into the head.
    """
    table = plain_table(f"error ({metrics.get('unit', 'pixels')})", right=("labels", "mean", "median", "p90"))
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
    table = plain_table("score", right=("within the radius", "labels"))
    for each in reliability["bins"]:
        table.add_row(f"{each['stated']:.2f}", f"{each['within']:.2f}", str(each["n"]))
    table.add_row("off by, on average", f"{reliability['expected_calibration_error']:.3f}", "", style="bold")
    return table


def distances_table(distances: Mapping[str, Any], where: str) -> Table:
    """Return how distances between keypoints are followed.

    Parameters
    ----------
    distances : mapping
        As of `rtface.learn.distances.followed`.
    where : str
        On which frames.
    """
    table = plain_table(f"distance ({where})", right=("slope", "correlation", "frames", "clips"), last="")
    for name, each in distances.items():
        slope, correlation = (
            "-" if each.get(key) is None else f"{each[key]:.2f}" for key in ("slope", "correlation")
        )
        table.add_row(
            escape(name),
            slope,
            correlation,
            str(each["frames"]),
            str(each["clips"]),
            each.get("not_said", ""),
        )
    return table


def _cells(summary: Mapping[str, Any]) -> tuple[str, ...]:
    numbers = (summary.get(key) for key in ("mean_px", "median_px", "p90_px"))
    return str(summary["n"]), *("-" if number is None else f"{number:.2f}" for number in numbers)
