"""Progress bars, on standard error; and the same as lines of JSON in a file, for a program that follows (`follow_in`).

A line is ``{"what": NAME, "unit": "steps", "done": 40, "total": 240, "s": 12.3, "left_s": 61.5, "loss": 0.031}``: ``s`` seconds
after the part began; ``total`` and ``left_s`` are null where they are not known, and what else a part measures comes last. A part
that counts nothing has one line, with an empty unit.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from rtface.cli.terminal.screen import ERR
from rtface.core.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from rtface.core.errors import DataError
from rtface.core.files import printable

if TYPE_CHECKING:
    from rtface.track.pictures import PartProgress

_APART_NS = 200 * NS_PER_MS
"""Between two lines for a program."""

_followed: Path | None = None


def follow_in(file: Path | None) -> None:
    """Write what progress bars show into a file from now on, or no more; `DataError` where it cannot be written."""
    global _followed
    if file is None:
        _followed = None
        return
    try:
        file.open("a", encoding="utf-8").close()
    except OSError as error:
        raise DataError(f"--progress {file} cannot be written: {error.strerror or error}") from error
    _followed = file


class Update(Protocol):
    """Moves a bar."""

    def __call__(
        self,
        done: float,
        total: float | None = None,
        *,
        note: str = "",
        what: str | None = None,
        measured: Mapping[str, float] | None = None,
    ) -> None:
        """Show that so much is done, of how much if that is known now, with a note and another name.

        What was `measured`, by its name, is for programs alone: a note says it to people.
        """


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
    with (
        _lines(what, unit) as line,
        Progress(*columns, console=ERR, disable=quiet, transient=transient) as bar,
    ):
        task = bar.add_task(escape(what), total=total, note="")
        first = True

        last_total = total

        def update(
            done: float,
            total: float | None = None,
            *,
            note: str = "",
            what: str | None = None,
            measured: Mapping[str, float] | None = None,
        ) -> None:
            nonlocal first, last_total
            last_total = total if total is not None else last_total
            line(done, last_total, what, measured or {})
            if first:
                # What was done before this start took no time in it: the time left must not count on such a pace.
                bar.reset(task, total=total, completed=int(done))
                first = False
            name = None if what is None else escape(what)
            bar.update(task, completed=done, total=total, description=name, note=note)

        yield update


def until(ending: threading.Event, bar: Update) -> Callable[[int, int], bool]:
    """Return what moves a bar to what is done of how much, and says whether to go on: False once `ending` is set."""

    def progress(done: int, total: int) -> bool:
        bar(done, total)
        return not ending.is_set()

    return progress


@contextmanager
def named_part(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show that a part of the work runs that cannot tell how far it is: its name alone, and one line for a program."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with _lines(what, "") as line, Progress(*columns, console=ERR, disable=quiet, transient=True) as bar:
        bar.add_task(escape(what), total=None)
        line(0, None, None, {})
        yield


@contextmanager
def progress_bars(*, quiet: bool) -> Iterator[PartProgress]:
    """Give what shows how far each part of the work is, one after another: a bar, or the name of one that counts nothing."""
    with ExitStack() as last:
        shown = ""
        update: Update | None = None

        def show(what: str, done: int, total: int, *, unit: str = "frames") -> None:
            nonlocal shown, update
            if what != shown:
                last.close()
                shown, update = what, None
                if total:
                    bar = progress_bar(what, total, unit=unit, quiet=quiet, transient=True)
                    update = last.enter_context(bar)
                else:
                    last.enter_context(named_part(what, quiet=quiet))
            if update is not None:
                update(done, total)

        yield show


@contextmanager
def _lines(
    what: str, unit: str
) -> Iterator[Callable[[float, float | None, str | None, Mapping[str, float]], None]]:
    """Give what writes lines for a program; the first and the last are always written, of those between a few each second."""
    if _followed is None:
        yield lambda done, total, name, measured: None
        return
    with _followed.open("a", encoding="utf-8", buffering=1) as file:
        began_ns = monotonic_ns()
        first_done: float | None = None
        written_ns: int | None = None
        held_back: dict[str, Any] | None = None

        def write(done: float, total: float | None, name: str | None, measured: Mapping[str, float]) -> None:
            nonlocal first_done, written_ns, held_back, what
            now_ns = monotonic_ns()
            first_done = done if first_done is None else first_done
            what = what if name is None else name
            seconds = (now_ns - began_ns) / NS_PER_S
            pace = (done - first_done) / seconds if seconds else 0.0
            line = {
                "what": what,
                "unit": unit,
                "done": done,
                "total": total,
                "s": round(seconds, 2),
                "left_s": None if total is None or pace <= 0 else round(max(0.0, total - done) / pace, 1),
                **{key: value if isfinite(value) else None for key, value in measured.items()},
            }
            held_back = line
            if written_ns is None or now_ns - written_ns >= _APART_NS:
                written_ns, held_back = now_ns, None
                file.write(_as_line(line))

        try:
            yield write
        finally:
            if held_back is not None:
                file.write(_as_line(held_back))


def _as_line(line: Mapping[str, Any]) -> str:
    return printable(json.dumps(line, ensure_ascii=False)) + "\n"
