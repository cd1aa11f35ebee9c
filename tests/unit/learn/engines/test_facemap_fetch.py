"""Fetching weights, from a server on the loopback interface."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from rtface.core.errors import EngineError
from rtface.learn.engines.facemap_fetch import (
    PARAMS_NAME,
    PARAMS_URL,
    STATE_NAME,
    STATE_URL,
    fetch_facemap_weights,
)

STATE = bytes(range(256)) * 3000
PARAMS = b"parameters"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/state")
            self.end_headers()
        elif self.path == "/cut":
            self._send(STATE, len(STATE) + 100)
        elif self.path == "/empty":
            self._send(b"", 0)
        elif self.path == "/unsized":
            self._send(STATE, None)
        elif self.path in ("/state", "/params"):
            body = STATE if self.path == "/state" else PARAMS
            self._send(body, len(body))
        else:
            self.send_error(404)

    def _send(self, body: bytes, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as running:
        running.daemon_threads = False
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def test_both_files_come_whole_with_their_hashes(server: str, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    folder = tmp_path / "new" / "folder"
    state, params = fetch_facemap_weights(
        folder,
        state_url=f"{server}/state",
        params_url=f"{server}/params",
        progress=lambda *call: seen.append(call),
    )
    assert state.path == folder / STATE_NAME
    assert params.path == folder / PARAMS_NAME
    assert state.path.read_bytes() == STATE
    assert params.path.read_bytes() == PARAMS
    assert state.sha256 == hashlib.sha256(STATE).hexdigest()
    assert (state.url, state.size) == (f"{server}/state", len(STATE))
    counts = [done for name, done, total in seen if name == STATE_NAME and total == len(STATE)]
    assert counts == sorted(counts)
    assert counts[-1] == len(STATE)
    assert len(counts) > 1
    assert seen[-1] == (PARAMS_NAME, len(PARAMS), len(PARAMS))
    assert sorted(path.name for path in folder.iterdir()) == sorted([STATE_NAME, PARAMS_NAME])


@pytest.mark.parametrize("path", ["moved", "unsized"])
def test_redirects_and_unknown_lengths(server: str, tmp_path: Path, path: str) -> None:
    state, _ = fetch_facemap_weights(tmp_path, state_url=f"{server}/{path}", params_url=f"{server}/params")
    assert state.path.read_bytes() == STATE


@pytest.mark.parametrize(
    ("path", "reason"),
    [("cut", "ended after 768000 of 768100 bytes"), ("empty", "empty file"), ("none", "404")],
)
def test_a_failed_download_keeps_the_old_file(server: str, tmp_path: Path, path: str, reason: str) -> None:
    (tmp_path / STATE_NAME).write_bytes(b"old")
    with pytest.raises(EngineError, match=reason) as caught:
        fetch_facemap_weights(tmp_path, state_url=f"{server}/{path}", params_url=f"{server}/params")
    assert f"{server}/{path}" in str(caught.value)
    assert f"save it as {tmp_path / STATE_NAME}" in str(caught.value)
    assert (tmp_path / STATE_NAME).read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == [STATE_NAME]


def test_without_a_network_the_error_says_what_to_fetch_by_hand(server: str, tmp_path: Path) -> None:
    port_that_is_closed = "http://127.0.0.1:9/state"
    with pytest.raises(EngineError, match=r"Fetch it by hand .* save it as") as caught:
        fetch_facemap_weights(tmp_path, state_url=port_that_is_closed, params_url=f"{server}/params")
    assert port_that_is_closed in str(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(EngineError, match="cannot make the folder"):
        fetch_facemap_weights(tmp_path / "file" / "folder")


def test_the_addresses_are_facemaps_own() -> None:
    assert STATE_URL.startswith("https://osf.io/download/")
    assert PARAMS_URL.startswith("https://osf.io/download/")
    assert STATE_URL != PARAMS_URL
