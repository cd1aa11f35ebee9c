"""Downloads from a server on the loopback interface: cut, gone on with, changed meanwhile, wrong, and too large."""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.file_server import FileServer, serving

from rtface.core.errors import DataError
from rtface.learn.fetch import download as module
from rtface.learn.fetch.download import FetchedFile, check_address, download

BODY = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(BODY) as running:
        yield running


def fetch(server: FileServer, folder: Path, path: str = "/set.zip", **options: Any) -> FetchedFile | None:
    return download(server.url + path, folder / "new" / "set.zip", wait=lambda seconds: None, **options)


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "new").iterdir())


def test_a_file_comes_whole_with_its_hash(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    got = fetch(server, tmp_path, sha256=SHA256.upper(), progress=lambda *call: seen.append(call))
    assert got == FetchedFile(tmp_path / "new" / "set.zip", f"{server.url}/set.zip", len(BODY), SHA256)
    assert got.path.read_bytes() == BODY
    assert left(tmp_path) == ["set.zip"]
    assert seen[-1] == (len(BODY), len(BODY))
    assert len(seen) > 2


def test_a_cut_connection_is_gone_on_with(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [300_000, 400_000]
    got = fetch(server, tmp_path)
    assert got is not None
    assert got.path.read_bytes() == BODY
    assert server.asked == [None, "bytes=300000-", "bytes=700000-"]


def test_one_that_was_stopped_is_gone_on_with_by_the_next(server: FileServer, tmp_path: Path) -> None:
    counts = iter([False, True])
    assert fetch(server, tmp_path, stop=lambda: next(counts)) is None
    assert not (tmp_path / "new" / "set.zip").exists()
    got = fetch(server, tmp_path, sha256=SHA256)
    assert got is not None
    assert got.path.read_bytes() == BODY
    first, again = server.asked
    assert first is None
    assert again is not None
    assert 0 < int(again.removeprefix("bytes=").rstrip("-")) < len(BODY)


@pytest.mark.parametrize("how", ["no ranges", "changed", "no validator", "weak validator", "another address"])
def test_what_cannot_be_gone_on_with_begins_anew(server: FileServer, tmp_path: Path, how: str) -> None:
    if how in ("no validator", "weak validator"):
        server.etag = None if how == "no validator" else 'W/"one"'
    server.cuts = [300_000]
    stops = iter([True])
    if how == "another address":
        server.cuts = []
        assert fetch(server, tmp_path, "/other.zip", stop=lambda: next(stops)) is None
    if how == "no ranges":
        server.ranges = False
    if how == "changed":
        first = iter([True])
        server.cuts = []
        assert fetch(server, tmp_path, stop=lambda: next(first)) is None
        server.body, server.etag = BODY[::-1], '"two"'
    got = fetch(server, tmp_path)
    assert got is not None
    assert got.path.read_bytes() == server.body
    assert left(tmp_path) == ["set.zip"]


def test_a_server_of_unknown_length(server: FileServer, tmp_path: Path) -> None:
    server.sized = False
    got = fetch(server, tmp_path, sha256=SHA256)
    assert got is not None
    assert got.size == len(BODY)


def test_all_of_it_was_there_but_for_its_name(server: FileServer, tmp_path: Path) -> None:
    part = tmp_path / "new" / ".set.zip.part"
    assert fetch(server, tmp_path) is not None
    (tmp_path / "new" / "set.zip").rename(part)
    (tmp_path / "new" / ".set.zip.part.json").write_text(
        f'{{"url": "{server.url}/set.zip", "version": "\\"one\\""}}'
    )
    got = fetch(server, tmp_path)
    assert got is not None
    assert got.sha256 == SHA256
    assert server.asked[-1] == f"bytes={len(BODY)}-"


def test_another_hash_is_an_error_with_both_and_nothing_is_left(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"sha256 {SHA256}, expected {'0' * 64}"):
        fetch(server, tmp_path, sha256="0" * 64)
    assert left(tmp_path) == []


def test_one_that_never_comes_ends_and_keeps_what_came(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [300_000] + [0] * 20
    waits: list[float] = []
    with pytest.raises(DataError, match=r"300000 bytes have come; the same command goes on from there"):
        download(f"{server.url}/set.zip", tmp_path / "new" / "set.zip", wait=waits.append)
    assert waits == sorted(waits)
    assert len(waits) == module.TRIES
    server.cuts = []
    assert fetch(server, tmp_path) is not None
    assert server.asked[-1] == "bytes=300000-"


@pytest.mark.parametrize(("codes", "tries"), [([503], 2), ([404], 1), ([401], 1)])
def test_errors_of_the_server(server: FileServer, tmp_path: Path, codes: list[int], tries: int) -> None:
    server.codes = list(codes)
    if codes == [503]:
        assert fetch(server, tmp_path) is not None
    else:
        with pytest.raises(DataError, match=str(codes[0])):
            fetch(server, tmp_path)
    assert len(server.asked) == tries


def test_redirects_lead_to_web_addresses_alone(server: FileServer, tmp_path: Path) -> None:
    server.redirect = "/set.zip"
    assert fetch(server, tmp_path, "/moved") is not None
    secret = tmp_path / "secret"
    secret.write_text("mine")
    for target in (secret.as_uri(), "ftp://127.0.0.1/set.zip", "data:,mine"):
        server.redirect = target
        with pytest.raises(DataError, match="redirects to"):
            fetch(server, tmp_path, "/moved")


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://example.org/a.zip", "set.zip", "http://example.org/a.zip"]
)
def test_addresses_that_are_not_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        download(url, tmp_path / "set.zip")
    assert list(tmp_path.iterdir()) == []


def test_http_needs_a_hash_and_https_none() -> None:
    check_address("https://example.org/a.zip", None)
    check_address("http://example.org/a.zip", SHA256)


def test_a_closed_port_is_not_asked_again(tmp_path: Path) -> None:
    waits: list[float] = []
    with pytest.raises(DataError, match=r"cannot fetch http://127\.0\.0\.1:9/"):
        download("http://127.0.0.1:9/set.zip", tmp_path / "set.zip", wait=waits.append)
    assert waits == []


def test_too_large_or_a_full_disk(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="more than the 1000"):
        fetch(server, tmp_path, largest=1000)
    server.sized = False
    with pytest.raises(DataError, match="larger than 1000"):
        fetch(server, tmp_path, largest=1000)
    assert left(tmp_path) == []
    server.sized = True
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(DataError, match=r"1280000 bytes are to come and 1000 are free"):
        fetch(server, tmp_path)
    monkeypatch.undo()
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def full(*args: Any, **options: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "receive", full)
    with pytest.raises(DataError, match="the disk is full"):
        fetch(server, tmp_path)


def test_an_empty_file_is_no_file(server: FileServer, tmp_path: Path) -> None:
    server.body = b""
    with pytest.raises(DataError, match="empty file"):
        fetch(server, tmp_path)
    assert left(tmp_path) == []
