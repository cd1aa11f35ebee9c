"""``rtface learn copy``: labels of any format as a set that is carried on with on the label page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.options import JsonOption
from rtface.cli.terminal.progress import named_part
from rtface.cli.terminal.screen import print_json, print_line


def copy(
    source: Annotated[
        Path, typer.Argument(help="A project or file of labels, or a folder of images; it stays as it is.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The label set: a new folder.")],
    who: Annotated[str, typer.Option("--who", help="Who begins it, for the journal.")] = "somebody",
    keypoint: Annotated[
        list[str] | None,
        typer.Option(
            "--keypoint", help="A keypoint that the set gets beside those of the labels; repeatable."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy labels into a new folder, and begin to label there, as the screen's page Label does."""
    from rtface.screen.label.opening import copy_to_label

    made = copy_to_label(source, out, who, keypoint or (), part=partial(named_part, quiet=as_json))
    if as_json:
        print_json({"set": str(out), "frames": len(made.frames), "labels": made.labels})
    else:
        print_line(f"{out}: {len(made.frames)} frames, {made.labels} labels; go on with it on the page Label")
