"""Fetching a label set: licence first, then the file, its hash, its contents, and a record of all that beside them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from rtface import __version__
from rtface.core.clock import utc
from rtface.core.errors import DataError, UsageError
from rtface.core.files import file_hash, folder_written_whole, safe_name, write_json
from rtface.core.manifest import NAME_PATTERN
from rtface.learn.fetch.catalogue import SHA256_PATTERN, SetEntry
from rtface.learn.fetch.download import ByteProgress, download
from rtface.learn.fetch.unpack import unpack
from rtface.learn.labels.reading import read_labels
from rtface.learn.labels.set_record import RECORD_FILE, SetRecord, read_record, set_sources
from rtface.track.store import user_folder


@dataclass(frozen=True, slots=True)
class FetchedSet:
    """A label set on this computer."""

    folder: Path
    record: SetRecord


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What is to be fetched.

    Attributes
    ----------
    name : str
        What the set is called.
    entry : SetEntry
    accepted : bool
        Whether somebody accepted its licence; nothing is fetched before.
    url, sha256 : str, optional
        Of one archive, where the entry has none, or another is meant.
    source : Path, optional
        An archive or a folder that is here already, in place of an address.
    folder : Path, optional
        Where to put it; else as of `sets_folder`.
    again : bool
        Fetch it though it is there; it is replaced when the new one is whole.
    """

    name: str
    entry: SetEntry
    accepted: bool
    url: str | None = None
    sha256: str | None = None
    source: Path | None = None
    folder: Path | None = None
    again: bool = False

    @property
    def target(self) -> Path:
        """Where it will lie."""
        if self.source is not None and self.source.is_dir():
            return self.source
        return self.folder or sets_folder() / self.name


def sets_folder() -> Path:
    """Return the folder of label sets that were fetched: beside that of the engines."""
    return user_folder().parent / "label-sets"


def fetch_set(
    request: FetchRequest,
    *,
    progress: ByteProgress = lambda done, total: None,
    unpacked: Callable[[int], None] = lambda files: None,
    stop: Callable[[], bool] = lambda: False,
    fetch: Callable[..., Any] = download,
) -> FetchedSet | None:
    """Fetch a label set, check it and unpack it; the same request goes on from where an earlier one was cut.

    The hash that is found is kept beside the set, and the same address must give the same file ever after.

    Parameters
    ----------
    request : FetchRequest
    progress, stop, fetch
        As of `download`, which `fetch` stands for.
    unpacked : callable
        Called after each file with the files so far.

    Returns
    -------
    FetchedSet or None
        None where `stop` ended it.

    Raises
    ------
    UsageError
        The licence was not accepted, there is no address, or the name or the hash is none.
    DataError
        It did not come, has another hash, cannot be unpacked, or holds no labels.
    """
    if not request.accepted:
        raise UsageError(
            f"{request.name} is under {request.entry.licence} {request.entry.licence_url}: nothing is fetched before that is "
            "accepted (--accept-licence)"
        )
    if re.fullmatch(NAME_PATTERN, request.name) is None:
        raise UsageError(
            f"{request.name!r} cannot be a set's name: small letters, digits, and . _ - after the first"
        )
    if request.sha256 is not None and re.fullmatch(SHA256_PATTERN, request.sha256) is None:
        raise UsageError(f"--sha256 takes 64 hexadecimal digits, not {request.sha256!r}")
    target = request.target
    if request.source is not None and request.source.is_dir():
        return _registered(request)
    if (target / RECORD_FILE).exists() and not request.again:
        return _there_already(request)
    if target.exists() and any(target.iterdir()) and not (target / RECORD_FILE).exists():
        raise DataError(
            f"{target} holds files but no {RECORD_FILE}: it is no set that was fetched; name another --folder"
        )
    if request.source is not None:
        archive, url = request.source, str(request.source.absolute())
        digest = _hash_of(archive)
        _check_hash(url, digest, request.sha256)
    else:
        url = request.url or request.entry.url or ""
        if not url:
            hint = f" {request.entry.how}." if request.entry.how else ""
            pages = " and ".join(request.entry.pages)
            raise UsageError(
                f"the address of {request.name} is not known here: --url names it.{hint} Its pages: {pages}"
            )
        expected = (
            request.sha256
            or (request.entry.sha256 if url == request.entry.url else None)
            or _trusted(target, url)
        )
        came = fetch(url, _archive_path(target), sha256=expected, progress=progress, stop=stop)
        if came is None:
            return None
        archive, digest = came.path, came.sha256
        _trust(target, url, digest)
    try:
        with folder_written_whole(target, replace=request.again) as fresh:
            unpack(archive, fresh, name=_file_name(url), progress=unpacked)
            record = _record(request, fresh, url, digest)
            write_json(fresh / RECORD_FILE, asdict(record))
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from error
    if request.source is None:
        archive.unlink(missing_ok=True)
    return FetchedSet(target, record)


def _registered(request: FetchRequest) -> FetchedSet:
    """Write the record into a folder that is here already."""
    folder = request.source
    assert folder is not None
    if request.sha256 is not None:
        raise UsageError("--sha256 is of an archive; a folder has none")
    record = _record(request, folder, str(folder.absolute()), None)
    try:
        write_json(folder / RECORD_FILE, asdict(record))
    except OSError as error:
        raise DataError(f"{folder / RECORD_FILE} cannot be written: {error.strerror or error}") from error
    return FetchedSet(folder, record)


def _there_already(request: FetchRequest) -> FetchedSet:
    record = read_record(request.target)
    assert record is not None
    if request.sha256 is not None and record.sha256 is not None:
        _check_hash(str(request.target), record.sha256, request.sha256)
    return FetchedSet(request.target, record)


def _record(request: FetchRequest, folder: Path, url: str, sha256: str | None) -> SetRecord:
    """Read the labels, so that a set without any is refused, and return what is known of them."""
    entry = request.entry
    labels = read_labels(*set_sources(folder, entry.layout), plain=True)
    renames = {old: new for old, new in entry.renames.items() if old in labels.keypoints}
    labels = labels.renamed(renames)
    return SetRecord(
        name=request.name,
        title=entry.title,
        licence=entry.licence,
        licence_url=entry.licence_url,
        citation=entry.citation,
        layout=entry.layout,
        pages=entry.pages,
        url=url,
        sha256=sha256,
        licence_accepted=utc().date().isoformat(),
        rtface=__version__,
        frames=len(labels),
        labels=labels.labels,
        keypoints=labels.keypoints,
        renames=renames,
    )


def _file_name(url: str) -> str:
    """Return a plain name for a file that is no archive."""
    name = unquote(urlsplit(url).path).replace("\\", "/").rsplit("/", 1)[-1]
    return safe_name(name, most=200) or "labels"


def _archive_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.download")


def _trust_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.sha256.json")


def _trusted(target: Path, url: str) -> str | None:
    """Return the hash that this address had the first time."""
    file = _trust_path(target)
    if not file.exists():
        return None
    try:
        kept = json.loads(file.read_text(encoding="utf-8")).get(url)
    except (OSError, ValueError, AttributeError) as error:
        raise DataError(f"{file} is damaged: {error}") from error
    return kept if isinstance(kept, str) else None


def _trust(target: Path, url: str, sha256: str) -> None:
    file = _trust_path(target)
    kept = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    write_json(file, {**kept, url: sha256})


def _hash_of(file: Path) -> str:
    try:
        return file_hash(file)
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror or error}") from error


def _check_hash(what: str, found: str, expected: str | None) -> None:
    if expected is not None and found != expected.lower():
        raise DataError(
            f"{what} has another hash than it should: sha256 {found}, expected {expected.lower()}"
        )
