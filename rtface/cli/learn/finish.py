"""``rtface learn finish``: the engine of the best so far, of a training that takes too long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtface.cli.terminal.screen import print_note


def finish(
    folder: Annotated[
        Path,
        typer.Argument(
            help="The folder of `rtface learn start`, or the run's folder (--run) of `rtface learn adapt`."
        ),
    ],
) -> None:
    """Ask a training for the engine of the best so far, in place of all the steps that it was to take.

    One that runs makes it after its step; one that was stopped, when the same command is given again. The engine's manifest says
    `finished_early`. Where nothing has become better yet, no engine is written, as always.
    """
    from rtface.learn.guided.finish import ask_to_finish

    ask_to_finish(folder)
    print_note(
        f"asked: the training of {folder} makes its engine from the best so far; where none runs, the same command that was "
        "stopped makes it"
    )
