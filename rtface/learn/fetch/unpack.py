"""Archives from elsewhere, unpacked so that they can do no harm: nothing outside the folder, no links, bounded sizes."""

from __future__ import annotations

import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from rtface.core.errors import DataError

MOST_FILES = 200_000
MOST_BYTES = 100 << 30
MOST_RATIO = 200
"""Unpacked bytes to one of the archive's, beyond `ALWAYS_BYTES`; pictures hardly shrink, what shrinks so far is a trap."""

ALWAYS_BYTES = 64 << 20

_CHUNK = 1 << 20
_DEEPEST = 30


@dataclass(frozen=True, slots=True)
class _Member:
    """One entry of an archive."""

    name: str
    size: int
    is_folder: bool
    is_file: bool
    open: Callable[[], IO[bytes] | None]


def unpack(
    archive: Path,
    folder: Path,
    *,
    name: str | None = None,
    most_files: int = MOST_FILES,
    most_bytes: int = MOST_BYTES,
    progress: Callable[[int], None] = lambda files: None,
) -> int:
    """Unpack a zip or tar archive into a folder; a file that is neither is copied into it.

    Everything is checked before anything is written, and sizes once more while bytes come. What macOS adds
    (``__MACOSX``, ``._NAME``) is left out.

    Parameters
    ----------
    archive : Path
    folder : Path
        Exists, and is empty.
    name : str, optional
        What a file that is no archive is called; else as it is.
    most_files, most_bytes : int
        Bounds of what it may hold.
    progress : callable
        Called after each file with the files so far.

    Returns
    -------
    int
        Files written.

    Raises
    ------
    DataError
        It is damaged, encrypted, or holds what must not be unpacked; the entry is named.
    """
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as opened:
                return _extract(
                    archive, folder, list(_of_zip(archive, opened)), most_files, most_bytes, progress
                )
        if tarfile.is_tarfile(archive):
            with tarfile.open(archive) as tar:
                return _extract(
                    archive, folder, list(_of_tar(archive, tar, most_files)), most_files, most_bytes, progress
                )
        shutil.copyfile(archive, folder / (name or archive.name))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive} is damaged or of a kind that is not unpacked: {error}") from error
    except OSError as error:
        raise DataError(f"{archive} cannot be unpacked: {error.strerror or error}") from error
    return 1


def safe_path(name: str) -> PurePosixPath:
    """Return an entry's path within the folder.

    Raises
    ------
    DataError
        It is absolute, has a drive, or leads out of the folder.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    parts = [part for part in path.parts if part != "."]
    if path.is_absolute() or ".." in parts or re.match(r"[A-Za-z]:", name) or "\0" in name:
        raise DataError(f"the entry {name!r} leads out of its folder")
    if len(parts) > _DEEPEST or any(len(part.encode()) > 255 for part in parts):
        raise DataError(f"the entry {name[:80]!r}... has too long a path")
    return PurePosixPath(*parts)


def _extract(
    archive: Path,
    folder: Path,
    members: list[_Member],
    most_files: int,
    most_bytes: int,
    progress: Callable[[int], None],
) -> int:
    files: dict[str, tuple[PurePosixPath, _Member]] = {}
    try:
        for member in members:
            path = safe_path(member.name)
            if member.is_folder or not path.parts or "__MACOSX" in path.parts or path.name.startswith("._"):
                continue
            if not member.is_file:
                raise DataError(f"the entry {member.name!r} is a link or a device, no file")
            if str(path).casefold() in files:
                raise DataError(f"the entry {member.name!r} is there twice")
            files[str(path).casefold()] = path, member
        for path, member in files.values():
            if inside := next((each for each in path.parents if str(each).casefold() in files), None):
                raise DataError(f"the entry {member.name!r} lies in {inside}, which is a file")
    except DataError as error:
        raise DataError(f"{archive}: {error}; nothing was unpacked") from None
    bound = min(most_bytes, max(ALWAYS_BYTES, MOST_RATIO * archive.stat().st_size))
    if len(files) > most_files:
        raise DataError(f"{archive}: {len(files)} files are more than the {most_files} that are unpacked")
    if (declared := sum(member.size for _, member in files.values())) > bound:
        raise DataError(f"{archive}: {declared} bytes unpacked are more than the {bound} that it may have")
    written = 0
    for number, (path, member) in enumerate(files.values(), start=1):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = member.open()
        if source is None:
            raise DataError(f"{archive}: the entry {member.name!r} cannot be read")
        with source, target.open("xb") as out:
            while chunk := source.read(_CHUNK):
                written += len(chunk)
                if written > bound:
                    raise DataError(f"{archive}: it unpacks to more than the {bound} bytes that it may have")
                out.write(chunk)
        progress(number)
    return len(files)


def _of_zip(archive: Path, opened: zipfile.ZipFile) -> Iterator[_Member]:
    for info in opened.infolist():
        if info.flag_bits & 1:
            raise DataError(f"{archive}: the entry {info.filename!r} is encrypted")
        kind = stat.S_IFMT(info.external_attr >> 16)
        yield _Member(
            info.orig_filename,
            info.file_size,
            info.is_dir(),
            kind in (0, stat.S_IFREG),
            lambda info=info: opened.open(info),  # type: ignore[misc]
        )


def _of_tar(archive: Path, opened: tarfile.TarFile, most_files: int) -> Iterator[_Member]:
    for number, info in enumerate(opened):
        if number > 4 * most_files:
            raise DataError(f"{archive}: it has more than {4 * most_files} entries")
        yield _Member(
            info.name,
            info.size,
            info.isdir(),
            info.isreg() and not info.issparse(),
            lambda info=info: opened.extractfile(info),  # type: ignore[misc]
        )
