"""`rtface screen` as a process: its link, and its end while a request hangs and when what it was started beside ends."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.fake_service import FakeService
from support.waits import LONG_S, wait_until

pytest.importorskip("starlette", reason="the pages need the extra `screen`")

PATIENT = "import rtface.screen.commands as c; c._ANSWER_S = 1e6; from rtface.cli.app import app; app()"
"""Where commands wait for their answer as good as for ever."""


@pytest.fixture
def service() -> Iterator[FakeService]:
    made = FakeService()
    yield made
    made.close()


@contextmanager
def screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    monkeypatch.setenv("RTFACE_CACHE", str(tmp_path))
    process = subprocess.Popen(
        [sys.executable, "-c", PATIENT, "screen", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def link_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[-1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_while_a_request_hangs(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    service.answer = lambda request: None
    with screen(tmp_path, monkeypatch, service.address) as process:
        link = link_of(process)
        host = link.split("/")[2]
        connection = http.client.HTTPConnection(host, timeout=LONG_S)
        connection.request("GET", link.split(host)[1])
        answer = connection.getresponse()
        answer.read()
        cookie = str(answer.headers["set-cookie"]).split(";")[0]
        headers = {"Cookie": cookie, "Origin": f"http://{host}", "Content-Type": "application/json"}
        connection.request("GET", "/api/about", headers=headers)
        rig = json.loads(connection.getresponse().read())["rigs"][0]["id"]
        connection.request("POST", f"/api/rigs/{rig}/self_test", "{}", headers)
        wait_until(lambda: "self_test" in [each.op for each in service.asked])
        process.send_signal(number)
        assert process.wait(LONG_S) == 0
        connection.close()


def test_it_ends_with_what_it_was_started_beside(
    service: FakeService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with screen(tmp_path, monkeypatch, service.address, "--beside") as process:
        assert link_of(process).startswith("http://127.0.0.1:")
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
        assert process.wait(LONG_S) == 0
