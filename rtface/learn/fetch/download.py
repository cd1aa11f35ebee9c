"""A file from an address, resumable and held against its hash; standard library alone.

What has come lies in ``.NAME.part`` beside the target with a note of what it is a part of, so that the next try asks for
the rest (RFC 9110, Range with If-Range). A server that gives no ranges, or has another file by now, sends the whole again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import json
import shutil
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from rtface import __version__
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, monotonic_ns
from rtface.core.errors import DataError
from rtface.core.files import write_json

LARGEST = 200 << 30
"""Bytes beyond which nothing is fetched."""

TRIES = 5
"""Tries in a row that bring nothing, after which a download ends; the next one goes on from there."""

_CHUNK = 1 << 18
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

_CUT = (ConnectionError, TimeoutError, ssl.SSLError, http.client.HTTPException, urllib.error.URLError)

ByteProgress = Callable[[int, int | None], None]
"""Called with the bytes that have come and the bytes there are (None: not known)."""


class _Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that was fetched: where it lies, where it came from and what it is."""

    path: Path
    url: str
    size: int
    sha256: str


def _wait(seconds: float) -> None:
    SYSTEM_CLOCK.sleep_until_ns(monotonic_ns() + round(seconds * NS_PER_S))


def receive(
    response: Any,
    file: IO[bytes],
    digest: _Digest,
    *,
    have: int = 0,
    largest: int = LARGEST,
    progress: Callable[[int], None] = lambda size: None,
) -> int:
    """Write what a response brings to a file, and return the bytes that there are now.

    Raises
    ------
    ValueError
        They are more than `largest`.
    OSError, HTTPException
        The connection or the disk fails.
    """
    size = have
    while chunk := response.read(_CHUNK):
        size += len(chunk)
        if size > largest:
            raise ValueError(f"it is larger than {largest} bytes")
        file.write(chunk)
        digest.update(chunk)
        progress(size)
    return size


def check_address(url: str, sha256: str | None) -> None:
    """Refuse an address that cannot be fetched safely.

    Raises
    ------
    DataError
        It is no https address, nor http to this computer or with a hash to hold the file against.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname and (sha256 or parts.hostname in _LOOPBACK):
        return
    if parts.scheme == "http":
        raise DataError(f"{url}: http can be changed on its way: take https, or give --sha256")
    raise DataError(f"{url} is no address that is fetched: https://...")


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    largest: int = LARGEST,
    progress: ByteProgress = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
    timeout_s: float = 30.0,
    wait: Callable[[float], None] = _wait,
) -> FetchedFile | None:
    """Fetch a file, going on from where an earlier download was cut.

    Parameters
    ----------
    url : str
        As of `check_address`.
    target : Path
        The file; its folder is made.
    sha256 : str, optional
        What its hash must be, 64 hexadecimal digits.
    largest : int
        Bytes beyond which it is given up.
    progress : callable
        See `ByteProgress`.
    stop : callable
        Called after each piece; True ends the download, and the part stays.
    timeout_s : float
        Longest time without a byte of the server in seconds.
    wait : callable
        Called with the seconds to wait before another try.

    Returns
    -------
    FetchedFile or None
        None where `stop` ended it.

    Raises
    ------
    DataError
        It did not come, does not fit on the disk, is too large or has another hash; nothing lies at `target` then.
    """
    check_address(url, sha256)
    part = _Part(target, url)
    fruitless = 0
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        while True:
            before = part.size
            try:
                if _fetch_once(part, largest, progress, stop, timeout_s) is None:
                    return None
                break
            except _CUT as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                    if error.code < 500 and error.code not in (408, 429):
                        raise DataError(f"cannot fetch {url}: {error}") from error
                fruitless = 0 if part.size > before else fruitless + 1
                if fruitless >= TRIES or _lasting(error):
                    raise DataError(
                        f"cannot fetch {url}: {error}. {part.size} bytes have come; the same command goes on from there"
                    ) from error
                wait(min(30.0, 2.0**fruitless))
    except ValueError as error:
        part.remove()
        raise DataError(f"{url}: {error}") from error
    except OSError as error:
        full = " (the disk is full)" if error.errno == errno.ENOSPC else ""
        raise DataError(f"{target} cannot be written: {error.strerror or error}{full}") from error
    return part.finish(sha256)


class _Part:
    """What has come so far, and of what."""

    def __init__(self, target: Path, url: str) -> None:
        self.target, self.url = target, url
        self.file = target.with_name(f".{target.name}.part")
        self._note = target.with_name(f".{target.name}.part.json")

    @property
    def size(self) -> int:
        return self.file.stat().st_size if self.file.exists() else 0

    def version(self) -> str | None:
        """Return the validator of what the part is of; None where it cannot be gone on with."""
        try:
            note = json.loads(self._note.read_text(encoding="utf-8"))
            version = note["version"] if note["url"] == self.url else None
        except (OSError, ValueError, KeyError, TypeError):
            version = None
        return version if isinstance(version, str) and self.size else None

    def begin(self, version: str | None) -> None:
        """Note what the part is of."""
        write_json(self._note, {"url": self.url, "version": version})

    def digest(self) -> Any:
        """Return the hash of what is there, to go on with."""
        digest = hashlib.sha256()
        with self.file.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest

    def remove(self) -> None:
        with contextlib.suppress(OSError):
            self.file.unlink(missing_ok=True)
            self._note.unlink(missing_ok=True)

    def finish(self, sha256: str | None) -> FetchedFile:
        """Give the part its name, if its hash is right."""
        size, found = self.size, self.digest().hexdigest()
        if size == 0:
            self.remove()
            raise DataError(f"{self.url}: the server sent an empty file")
        if sha256 is not None and found != sha256.lower():
            self.remove()
            raise DataError(
                f"{self.url} has another hash than it should: sha256 {found}, expected {sha256.lower()}. It is not used: "
                "the file was changed, or the address or the hash is wrong"
            )
        self.file.replace(self.target)
        self.remove()
        return FetchedFile(self.target, self.url, size, found)


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to web addresses alone, and never from https to http."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        schemes = [urllib.parse.urlsplit(url).scheme for url in (req.full_url, newurl)]
        if schemes[1] not in ("http", "https") or (schemes[0] == "https" and schemes[1] != "https"):
            raise ValueError(f"it redirects to {newurl}, which is not fetched")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        """Refuse what urllib itself would refuse with an error of the server's, which says less."""
        target = headers.get("location") or headers.get("uri") or ""
        scheme = urllib.parse.urlsplit(target).scheme
        if scheme and scheme not in ("http", "https"):
            fp.close()
            raise ValueError(f"it redirects to {target}, which is not fetched")
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener() -> urllib.request.OpenerDirector:
    """Return what opens web addresses and nothing else: neither files nor FTP."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _Redirects(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _fetch_once(
    part: _Part, largest: int, progress: ByteProgress, stop: Callable[[], bool], timeout_s: float
) -> int | None:
    """Fetch what is missing; None where `stop` ended it."""
    version, have = part.version(), part.size
    headers = {"User-Agent": f"rtface/{__version__}", "Accept-Encoding": "identity"}
    if version is not None:
        headers |= {"Range": f"bytes={have}-", "If-Range": version}
    request = urllib.request.Request(part.url, headers=headers)
    try:
        response = _opener().open(request, timeout=timeout_s)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or version is None:
            raise
        error.close()
        if error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
            return have
        part.remove()
        return _fetch_once(part, largest, progress, stop, timeout_s)
    with response:
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT
        if goes_on:
            first, total = _range(response.headers.get("Content-Range", ""))
            if first != have:
                part.remove()
                raise ConnectionError(f"the server began at byte {first}, not at {have}")
        else:
            have, total = 0, _length(response.headers.get("Content-Length"))
        _check_room(part, (total or 0) - have, total, largest)
        if not goes_on:
            tag = response.headers.get("ETag")
            strong = None if tag is None or tag.startswith("W/") else tag
            part.begin(strong or response.headers.get("Last-Modified"))
        digest = hashlib.sha256()
        ended = False

        def look(size: int) -> None:
            nonlocal ended
            progress(size, total)
            if stop():
                ended = True
                raise _Halted

        with part.file.open("ab" if goes_on else "wb") as file:
            try:
                size = receive(response, file, digest, have=have, largest=largest, progress=look)
            except _Halted:
                return None
    if total is not None and size != total:
        raise ConnectionError(f"the connection ended after {size} of {total} bytes")
    return size


class _Halted(Exception):  # noqa: N818  (a request, not an error)
    """The user ended it."""


def _lasting(error: Exception) -> bool:
    """Return whether trying again is of no use: no such host, or nobody listens."""
    reason = getattr(error, "reason", error)
    return isinstance(reason, ConnectionRefusedError) or type(reason).__name__ == "gaierror"


def _range(text: str) -> tuple[int, int | None]:
    """Return the first byte and the total of ``bytes FIRST-LAST/TOTAL``."""
    span, _, total = text.removeprefix("bytes ").partition("/")
    first = span.partition("-")[0]
    return (int(first) if first.isdecimal() else -1), _length(total)


def _length(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None


def _check_room(part: _Part, missing: int, total: int | None, largest: int) -> None:
    if total is not None and total > largest:
        raise ValueError(f"it has {total} bytes, more than the {largest} that are fetched")
    free = shutil.disk_usage(part.target.parent).free
    if missing > free:
        raise OSError(errno.ENOSPC, f"{missing} bytes are to come and {free} are free")
