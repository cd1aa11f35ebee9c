"""Progress bars, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

from rtface.cli.terminal.screen import ERR


class Update(Protocol):
    """Moves a bar."""

    def __call__(
        self, done: float, total: float | None = None, *, note: str = "", what: str | None = None
    ) -> None:
        """Show that so much is done, of how much if that is known now, with a note and another name."""


@contextmanager
def progress_bar(
    what: str, total: float | None = None, *, unit: str = "", quiet: bool = False, transient: bool = False
) -> Iterator[Update]:
    """Show how far a piece of work has come, and give what moves the bar.

    Parameters
    ----------
    what : str
        Name of the work.
    total : float or None
        How much there is to do; None where that is not known yet.
    unit : str
        What is counted; empty: shown in per cent.
    quiet : bool
        Show nothing.
    transient : bool
        Take the bar away at the end.
    """
    count: ProgressColumn = MofNCompleteColumn() if unit else TextColumn("{task.percentage:3.0f} %")
    note = TextColumn(f"{unit}{{task.fields[note]}}")
    columns = (TextColumn("{task.description}"), BarColumn(), count, note, TimeRemainingColumn())
    with Progress(*columns, console=ERR, disable=quiet, transient=transient) as bar:
        task = bar.add_task(escape(what), total=total, note="")
        first = True

        def update(
            done: float, total: float | None = None, *, note: str = "", what: str | None = None
        ) -> None:
            nonlocal first
            if first:
                # What was done before this start took no time in it: the time left must not count on such a pace.
                bar.reset(task, total=total, completed=int(done))
                first = False
            name = None if what is None else escape(what)
            bar.update(task, completed=done, total=total, description=name, note=note)

        yield update
