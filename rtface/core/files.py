"""Files and folders that appear whole or not at all, JSON, hashes, where caches lie, and names that are no UTF-8.

Python reads bytes of a name that are no UTF-8 as lone surrogates (``surrogateescape``), with which the file is found again
but which nothing else takes. Wherever text leaves the process a mark stands in their place.
"""

from __future__ import annotations

import codecs
import contextlib
import hashlib
import io
import json
import os
import re
import secrets
import tempfile
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from rtface.core.errors import DataError

MARK = "\N{REPLACEMENT CHARACTER}"
MARKING = "rtface.marking"
"""What to give an encoder as ``errors``: a mark in UTF-8, ``?`` in any other encoding."""


@contextlib.contextmanager
def written_whole(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Give the name of a temporary file beside `path`, which takes its place when the block ends well.

    If anything fails, the temporary file is removed and what stood there still does.

    Parameters
    ----------
    path : Path
        The file to make or to replace.
    durable : bool
        Have it on the disk, name and bytes, before this returns.

    Raises
    ------
    OSError
        It cannot be written.
    """
    fresh = temporary_name(path)
    try:
        yield fresh
        if durable:
            _sync(fresh, os.O_RDWR)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    if durable:
        with contextlib.suppress(OSError):  # Windows and some network disks cannot
            _sync(path.parent, os.O_RDONLY)


@contextlib.contextmanager
def folder_written_whole(folder: Path, *, replace: bool = False) -> Iterator[Path]:
    """Give a temporary folder beside `folder`, which takes its place when the block ends well, as `written_whole`.

    Only with `replace` in the place of a folder that holds something; else that is an `OSError`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    # The outer one is private to its user; the result need not be.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as made:
        fresh, aside = Path(made, folder.name), Path(made, f"{folder.name}.replaced")
        fresh.mkdir()
        yield fresh
        if folder.exists() and replace:
            folder.rename(aside)
        elif folder.exists():
            folder.rmdir()
        try:
            fresh.rename(folder)
        except BaseException:
            if aside.exists():
                aside.rename(folder)
            raise


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people and machines, whole or not at all; `OSError` where it cannot be written."""
    with written_whole(path) as fresh:
        fresh.write_text(printable(json.dumps(value, indent=2, ensure_ascii=False)) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Return a value in JSON's types; numbers that JSON cannot hold become None, and what it has no form for a text."""
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    return value if isinstance(value, str | int | bool | None) else str(value)


def temporary_name(path: Path) -> Path:
    """Return a name beside `path` that nobody else uses and no pattern for its kind of file finds."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")


def visible(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the paths that a person put there: no hidden files, no companions of macOS's.

    On disks of other systems macOS lays a ``._NAME`` beside each file, and in archives a folder ``__MACOSX``; a glob
    finds these too.
    """
    return (path for path in paths if not path.name.startswith(".") and "__MACOSX" not in path.parts)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cache_folder(name: str) -> Path:
    """Return a folder of the user's cache (RTFACE_CACHE names another cache); it may not exist yet."""
    if named := os.environ.get("RTFACE_CACHE"):
        return Path(named) / name
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rtface" / name


def _sync(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def printable(text: str) -> str:
    """Return a text with a mark in place of bytes that are no UTF-8."""
    return text.encode("utf-8", MARKING).decode("utf-8")


def safe_name(text: str, *, most: int = 100) -> str:
    """Return a name for a file or folder that every file system takes; empty where nothing of the text is left."""
    return re.sub(r"[^\w.() +=-]|^\.+|[. ]+$", "_", text)[:most]


def read_fields(file: Path) -> dict[str, Any]:
    """Return a JSON file's fields; `DataError` where it cannot be read or has none."""
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise DataError(f"{file} is damaged: it holds no fields")
    return read


def kept_path(path: Path) -> str:
    """Return a path's absolute form for a file from which `path_kept` makes it again: a ``file:`` address where it is no text."""
    whole = path.absolute()
    return str(whole) if printable(str(whole)) == str(whole) else whole.as_uri()


def path_kept(text: str) -> Path:
    """Return the path that `kept_path` kept."""
    scheme = "file://"
    if not text.startswith(scheme):
        return Path(text)
    return Path(os.fsdecode(urllib.parse.unquote_to_bytes(text.removeprefix(scheme))))


def mark_in(streams: Iterable[TextIO]) -> None:
    """Let streams write a mark for what their encoding does not hold, in place of an error or of raw bytes."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=MARKING)


def _marked(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    count = error.end - error.start
    # Only bytes may stand for what the encoding does have.
    return MARK.encode() * count if codecs.lookup(error.encoding).name == "utf-8" else "?" * count, error.end


codecs.register_error(MARKING, _marked)
