"""Csv files as spreadsheets leave them: semicolons or tabs, decimal commas, a mark at the beginning, empty edges."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+(?:[eE][+-]?\d+)?\s*")


def separator_of(first_line: str) -> str:
    """Return what separates the cells of a csv, from its first line: a comma, a semicolon or a tab."""
    return max(",;\t", key=first_line.count)


def read_cells(lines: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield each line's number and cells, without empty columns at the right.

    Where cells are not separated by commas, a comma within a number is a decimal one. The first line says how many
    columns are empty at the right; a cell there that is not empty is kept.

    Parameters
    ----------
    lines : iterable of str
        A file opened with ``newline=""`` and ``utf-8-sig``.

    Raises
    ------
    csv.Error
        The text is no csv.
    """
    remaining = iter(lines)
    first = next(remaining, "")
    separator = separator_of(first)
    rows = csv.reader(_chain(first, remaining), delimiter=separator, strict=True)
    edge: int | None = None
    for cells in rows:
        if edge is None:
            filled = [at for at, cell in enumerate(cells) if cell.strip()]
            edge = filled[-1] + 1 if filled else 0
        while len(cells) > edge and not cells[-1].strip():
            cells.pop()
        if separator != ",":
            cells[:] = [cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell for cell in cells]
        yield rows.line_num, cells


def first_cell(path: Path) -> str:
    """Return the first cell of a csv; OSError where it cannot be read."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        line = file.readline()
    return line.split(separator_of(line))[0].strip().strip('"')


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest
