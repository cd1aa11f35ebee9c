"""`rtface screen`, and the screen beside a demo: from the printed link to pictures in a websocket, and its end."""

from __future__ import annotations

import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import cv2
import httpx2 as httpx
import numpy as np
import psutil
import pytest
from support.commandline import run
from support.waits import LONG_S, finishes, wait_until

pytest.importorskip("starlette", reason="the pages need the extra `screen`")
from websockets.sync.client import ClientConnection, connect

Start = Callable[..., "subprocess.Popen[str]"]


def link_of(process: subprocess.Popen[str], stream: str) -> str:
    """Return the link that a process prints."""
    lines = getattr(process, stream)

    def found() -> str:
        for line in lines:
            if link := re.search(r"https?://\S+/enter\?token=\S+", line):
                return link[0]
        raise AssertionError("no link was printed")

    return finishes(found)


def entered(link: str) -> tuple[str, str]:
    """Come in by a link; return the screen's address and the cookie."""
    answer = httpx.get(link, timeout=LONG_S)
    assert answer.status_code == 303
    return link.partition("/enter")[0], answer.headers["set-cookie"].partition(";")[0]


def socket_of(address: str, cookie: str) -> ClientConnection:
    return connect(
        address.replace("http", "ws", 1) + "/socket",
        additional_headers={"Cookie": cookie},
        origin=address,
        max_size=1 << 24,
        open_timeout=LONG_S,
    )


def picture_in(socket: ClientConnection) -> tuple[dict[str, Any], bytes]:
    """Return the next picture: its header and its JPEG; fail where only other messages come."""
    for _ in range(1_000):
        message = socket.recv(LONG_S)
        if isinstance(message, bytes):
            (length,) = struct.unpack_from("<I", message)
            return json.loads(message[4 : 4 + length]), message[4 + length :]
    raise AssertionError("no picture came")


def test_a_demo_shows_the_mouse_and_its_points_and_takes_its_screen_with_it(start_rtface: Start) -> None:
    demo = start_rtface("demo", "--screen", "--rate", "60", "--engine", "test-engine")
    link = link_of(demo, "stderr")
    address, cookie = entered(link)
    assert httpx.get(link, timeout=LONG_S).status_code == 403
    with socket_of(address, cookie) as socket:
        greeting = json.loads(socket.recv(LONG_S))
        (rig,) = greeting["data"]["rigs"]
        socket.send(json.dumps({"pictures": {rig["id"]: "frame"}}))
        header, jpeg = picture_in(socket)
        socket.send(json.dumps("shown"))
        later, _ = picture_in(socket)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    data = header["data"]
    assert picture.shape == (data["height"], data["width"])
    assert picture.std() > 10
    assert len(data["xy"]) == len(data["score"]) > 10
    assert later["data"]["frame_id"] > data["frame_id"]
    child = next(each for each in psutil.Process(demo.pid).children() if "screen" in each.cmdline())
    demo.terminate()
    demo.wait(LONG_S)
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_screen_ends_with_the_program_that_it_is_beside() -> None:
    command = [sys.executable, "-m", "rtface", "screen", "tcp://127.0.0.1:9", "--beside"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as screen:
        link_of(screen, "stdout")
        assert screen.stdin is not None
        screen.stdin.close()
        assert screen.wait(LONG_S) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "neither the address of a service"),
        (["tcp://127.0.0.1:1", "tcp://127.0.0.1:1"], "stands twice"),
        (["--host", "192.0.2.1"], "needs TLS"),
        (["--certificate", "a.pem"], "given together"),
        (["--folder", "not-there"], "no such folder"),
    ],
)
def test_what_cannot_be_shown_is_said(arguments: list[str], words: str) -> None:
    result = run("screen", *arguments)
    assert result.returncode != 0
    assert words in result.stderr
