"""What ``rtface learn start`` prints of a check and of its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from rtface.cli.learn.tables import distances_table
from rtface.cli.terminal.screen import OUT, plain_table, print_line, print_note

if TYPE_CHECKING:
    from rtface.learn.guided.check import LabelCheck
    from rtface.learn.guided.way import GuidedWay, Whereabouts


def show_check(found: LabelCheck) -> None:
    """Print what the check of labels found."""
    table = plain_table("keypoint", right=("labels",))
    for name, labels in found.keypoints.items():
        table.add_row(f"{escape(name)}{' (new)' if name in found.new else ''}", str(labels))
    OUT.print(table)
    where = ", ".join(f"{video} ({frames})" for video, frames in found.recordings.items())
    print_line(f"{found.frames} frames: {where}")
    if found.distance_px is not None:
        print_line(f"before it learns, the engine is {found.distance_px:.1f} px from the labels (median)")
    for warning in found.warnings:
        print_note(f"note: {warning}")


def show_end(way: GuidedWay, at: Whereabouts) -> None:
    """Print the errors before and after, and what to do next."""
    assert at.labels is not None
    assert at.attempt is not None
    evaluation = at.attempt.evaluation or {}
    table = plain_table("error (camera pixels)", right=("labels", "before", "after"))
    before, after = (_by_keypoint(evaluation.get(when)) for when in ("before", "after"))
    if left_out := _left_out(evaluation):
        print_note(
            f"{left_out} labels are guesses that a person confirmed, on which the engine that guessed is 0 px off: the table is "
            "of the points that were placed or moved alone"
        )
    for name in after:
        values = ("-" if name not in each else f"{each[name]['median_px']:.2f}" for each in (before, after))
        table.add_row(escape(name), str(after[name]["n"]), *values)
    OUT.print(table)
    if followed := (evaluation.get("after") or {}).get("distances"):
        OUT.print(distances_table(followed, "after, all labelled frames: slope 1 follows"))
    print_note(
        "medians on all labelled frames, which it learnt from: of a new recording expect larger errors"
    )
    print_line(f"done: the engine {at.attempt.engine}; what to do next:")
    for line in way.advice(at.labels, at.attempt):
        print_line(f"- {line}")


def _by_keypoint(errors: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return {} if errors is None else errors.get("placed", errors)["by_keypoint"]


def _left_out(evaluation: Mapping[str, Any]) -> int:
    return int(((evaluation.get("after") or {}).get("placed") or {}).get("left_out", 0))
