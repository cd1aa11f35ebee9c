"""Files and folders that appear whole or not at all, JSON, hashes, and where caches lie."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any


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
        fresh.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


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
