"""What the commands that train networks share: the packages, bars with a loss, what is printed at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from math import isnan
from pathlib import Path

import typer

from rtface.cli.terminal.progress import named_part, progress_bar
from rtface.cli.terminal.screen import print_line, print_note
from rtface.cli.terminal.signals import INTERRUPTED
from rtface.core.extras import needing, require

Step = Callable[[int, float], None]


@contextmanager
def training_packages(threads: int | None = None) -> Iterator[None]:
    """Import in the block what trains, torch with so many threads; `BackendError` names what is missing.

    matplotlib too, which draws the curves at the end. Without a number there is a thread for each core but one: threads wait for
    each other at each of a network's small layers, and where something else has one of their cores all of them wait.
    """
    require("train", "torch", "matplotlib")
    with needing("train"):
        import torch

        torch.set_num_threads(threads or max(1, (os.cpu_count() or 1) - 1))
        yield


@contextmanager
def training_bar(total: int, what: str, *, quiet: bool = False, measure: str = "loss") -> Iterator[Step]:
    """Show how far a training has come, and give what takes the steps done and the loss, which is called `measure`.

    Of a part that counts no steps, 0 in `total`, only the name is shown.
    """
    if not total:
        with named_part(what, quiet=quiet):
            yield lambda step, loss: None
        return
    with progress_bar(what, total, unit="steps", quiet=quiet) as update:
        yield lambda step, loss: update(
            step,
            note="" if isnan(loss) else f", {measure} {loss:.3f}",
            measured={} if isnan(loss) else {measure: round(loss, 5)},
        )


@contextmanager
def training_bars(*, quiet: bool, measure: str = "loss") -> Iterator[Callable[[str, int], Step]]:
    """Give what starts a bar for a part of the work, ending the one before; as `training_bar`."""
    with ExitStack() as last:

        def begin(what: str, steps: int) -> Step:
            last.close()
            return last.enter_context(training_bar(steps, what, quiet=quiet, measure=measure))

        yield begin


def interrupted(run: Path) -> typer.Exit:
    """Print how to go on with a training that was interrupted, and return what ends the command."""
    print_note(f"stopped before the end; the same command goes on from the checkpoint in {run}")
    return typer.Exit(INTERRUPTED)


def print_engine(name: str, folder: Path, run: Path | None = None) -> None:
    """Print where a new engine lies, and the run that made it, and what to try next."""
    if run is not None:
        print_line(f"curves and report: {run}")
    print_line(f"{name}: {folder}")
    print_line(f"try it: rtface track VIDEO --engine {name} --out keypoints.csv")
