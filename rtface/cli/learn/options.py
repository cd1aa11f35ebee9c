"""Options that several commands of ``rtface learn`` share, and what they become."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtface.core.errors import UsageError, nearest

if TYPE_CHECKING:
    from rtface.learn.labels.labelset import LabelSet

LabelsArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="LABELS",
        help="Label sets: rtface's csv or its folder, a DeepLabCut project or CollectedData file, "
        "a SLEAP .slp, or Facemap's refined .npy. Several become one.",
    ),
]
RenameOption = Annotated[
    list[str] | None,
    typer.Option("--rename", metavar="OLD=NEW", help="Call a keypoint of the labels otherwise; repeatable."),
]
KeypointsOption = Annotated[
    str | None,
    typer.Option(
        "--keypoints", metavar="A,B,...", help="What to find, in this order; else all that is labelled."
    ),
]
HoldOutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--hold-out", metavar="VIDEO", help="Evaluate on this recording and do not train on it; repeatable."
    ),
]
HoldOutShareOption = Annotated[
    float | None,
    typer.Option("--hold-out-share", min=0, max=0.9, help="Evaluate on this share of the frames; else 0.15."),
]
RunOption = Annotated[
    Path | None,
    typer.Option(
        "--run", help="Folder for curves, checkpoint and report; else runs/NAME beside the engines' folder."
    ),
]


DistanceOption = Annotated[
    list[str] | None,
    typer.Option(
        "--distance",
        metavar="NAME=A,B",
        help="Two keypoints of the labels whose distance means something, such as a pupil's; repeatable.",
    ),
]


def with_distances(labels: LabelSet, texts: Sequence[str] | None) -> LabelSet:
    """Return a label set with the distances that ``NAME=A,B`` texts declare besides its own.

    Raises
    ------
    UsageError
        A text is not ``NAME=A,B``, or the labels have no such keypoint.
    DataError
        One name stands for two pairs.
    """
    from rtface.learn.distances import DeclaredDistance, united

    declared = []
    for text in texts or ():
        name, _, points = (part.strip() for part in text.partition("="))
        pair = [point.strip() for point in points.split(",")]
        if not name or len(pair) != 2 or not all(pair) or pair[0] == pair[1]:
            raise UsageError(f"--distance takes NAME=A,B with two keypoints, not {text!r}")
        if unknown := [point for point in pair if point not in labels.keypoints]:
            raise UsageError(
                f"--distance {text}: the labels have no keypoint {unknown[0]!r}{nearest(unknown[0], labels.keypoints)}"
            )
        declared.append(DeclaredDistance(name, *pair))
    return replace(labels, distances=united(labels.distances, declared)) if declared else labels


def parse_renames(texts: Sequence[str] | None) -> dict[str, str]:
    """Return what ``OLD=NEW`` texts stand for, old names to new ones.

    A name may hold ``=`` on neither side; white space around a name is dropped, white space inside is kept.

    Raises
    ------
    UsageError
        A text is not ``OLD=NEW``, or one keypoint is renamed twice.
    """
    names: dict[str, str] = {}
    for text in texts or ():
        old, *rest = (part.strip() for part in text.split("="))
        if len(rest) != 1 or not old or not rest[0]:
            raise UsageError(f"--rename takes OLD=NEW, not {text!r}; quote names with spaces: 'old name=new'")
        if old in names:
            raise UsageError(f"--rename gives {old!r} two names: {names[old]!r} and {rest[0]!r}")
        names[old] = rest[0]
    return names


def parse_names(text: str | None) -> tuple[str, ...]:
    """Return the names that a list with commas stands for; none for no list.

    Raises
    ------
    UsageError
        A name is empty or comes twice.
    """
    if text is None:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise UsageError(f"--keypoints takes names with commas between them, not {text!r}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise UsageError(f"--keypoints names {repeated[0]!r} twice")
    return names


def parse_hold_out(
    videos: Sequence[str] | None, share: float | None, usual: float
) -> tuple[str, ...] | float:
    """Return what to hold out: recordings, or a share of the frames.

    Raises
    ------
    UsageError
        Both were asked for.
    """
    if videos and share is not None:
        raise UsageError(
            "--hold-out names recordings, --hold-out-share a share of the frames: one of the two"
        )
    return tuple(videos) if videos else usual if share is None else share
