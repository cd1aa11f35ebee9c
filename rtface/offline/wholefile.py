"""Files that take a while: written whole, or, where somebody ends it or it fails, not at all."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

from rtface.core.errors import DataError
from rtface.core.files import written_whole

Progress = Callable[[int, int], bool]
"""Called with frames written and how many there are; returning False ends it, and nothing is written."""

_Written = TypeVar("_Written")


class _NotWantedError(Exception):
    """Somebody ended it; no file must appear."""


def write_unless_ended(
    write: Callable[..., _Written | None], *paths: Path, durable: bool = False, what: str = ""
) -> _Written | None:
    """Write files, and return what `write` does.

    Parameters
    ----------
    write : callable
        Given a name for each file, under which it is to be written; where it returns None somebody has ended it, and no
        file appears.
    *paths : Path
        The files to make or to replace.
    durable : bool
        As of `rtface.core.files.written_whole`.
    what : str
        What messages say cannot be written; the first file when empty.

    Raises
    ------
    DataError
        They cannot be written; what stood there still does.
    """
    try:
        with ExitStack() as stack:
            fresh = [stack.enter_context(written_whole(path, durable=durable)) for path in paths]
            if (written := write(*fresh)) is None:
                raise _NotWantedError
    except _NotWantedError:
        return None
    except OSError as error:
        raise DataError(f"{what or paths[0]} cannot be written: {error.strerror or error}") from error
    return written
