"""Commands that take several folders: each in turn, one that fails keeps none from its turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import typer

from rtface.cli.terminal.screen import print_error, print_note
from rtface.cli.terminal.signals import INTERRUPTED
from rtface.core.errors import RtfaceError


def each_in_turn(folders: Sequence[Path], action: Callable[[Path], None]) -> None:
    """Do something with each folder, and end with the exit code of the first that failed.

    Parameters
    ----------
    folders : sequence of Path
        Where there are several, each is named first, on the error stream.
    action : callable
        Raises `RtfaceError` or `typer.Exit` where it fails.
    """
    if len(folders) == 1:
        action(folders[0])
        return
    first = 0
    for folder in folders:
        print_note(f"{folder}:")
        try:
            action(folder)
        except RtfaceError as error:
            print_error(error)
            first = first or error.exit_code
        except typer.Exit as ended:
            if ended.exit_code == INTERRUPTED:
                raise
            first = first or ended.exit_code
    if first:
        raise typer.Exit(first)
