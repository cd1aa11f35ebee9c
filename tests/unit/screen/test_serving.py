"""The screen as it is served: its ports, its end whatever hangs, a restart, TLS, and pages that misbehave."""

from __future__ import annotations

import http.client
import json
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from support.fake_service import FakeService
from support.ports import pair_of_ports
from support.waits import LONG_S, finishes
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from rtface.core.errors import AddressError
from rtface.screen import serving
from rtface.screen.feed import MOST_WATCHERS
from rtface.screen.rigs import ShownRig
from rtface.screen.serving import Address, Screen, screen_opened


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTFACE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def service() -> Iterator[FakeService]:
    made = FakeService()
    yield made
    made.close()


def rig(control: str = "tcp://127.0.0.1:1", name: str = "a") -> ShownRig:
    return ShownRig(name, name, control)


class Browser:
    """What a browser sends, without a browser."""

    def __init__(self, screen: Screen, *, read_only: bool = False) -> None:
        self.link = screen.new_link(read_only=read_only)
        self.host = self.link.split("/")[2]
        self.origin = f"http://{self.host}"
        answer = self.ask("GET", self.link.removeprefix(self.origin))
        assert answer.status == 303
        self.cookie = str(answer.headers["set-cookie"]).split(";")[0]

    cookie = ""

    def ask(self, method: str, path: str, body: str | None = None) -> http.client.HTTPResponse:
        headers = {"Cookie": self.cookie}
        if body is not None:
            headers |= {"Origin": self.origin, "Content-Type": "application/json"}
        connection = http.client.HTTPConnection(self.host, timeout=LONG_S)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            self.said = answer.read()
        finally:
            connection.close()
        return answer

    def read(self, path: str) -> Any:
        assert self.ask("GET", path).status == 200
        return json.loads(self.said)

    def socket(self, port: int | None = None, **changes: Any) -> ClientConnection:
        address = f"ws://{self.host}/socket" if port is None else f"ws://127.0.0.1:{port}/"
        headers = {"Cookie": self.cookie} | changes.pop("additional_headers", {})
        return connect(
            address, origin=changes.pop("origin", self.origin), additional_headers=headers, **changes
        )


def closed(page: ClientConnection) -> ConnectionClosed:
    """Read until a socket is closed from the other side, and return how it was."""
    try:
        while True:
            page.recv(LONG_S)
    except ConnectionClosed as end:
        return end


def test_the_end_waits_for_no_handler_that_hangs_and_for_no_rig(tmp_path: Path) -> None:
    goes, begun = threading.Event(), threading.Event()

    def hangs(request: Request) -> JSONResponse:
        begun.set()
        goes.wait(10 * LONG_S)
        return JSONResponse({})

    rigs = [rig(f"tcp://127.0.0.1:{number}", str(number)) for number in range(1, 6)]
    opened = ExitStack()
    screen = opened.enter_context(
        screen_opened(rigs, tmp_path, Address(), {"hang": lambda desk: [Route("/", hangs)]})
    )
    browser = Browser(screen)
    with browser.socket() as page:
        connection = http.client.HTTPConnection(browser.host, timeout=LONG_S)
        connection.request("GET", "/api/hang/", headers={"Cookie": browser.cookie})
        assert begun.wait(LONG_S)
        finishes(opened.close)
        assert not goes.is_set()
        goes.set()
        connection.close()
        closed(page)
    assert serving._END_S < 2


def test_the_stop_is_acknowledged_while_the_pages_hang(tmp_path: Path, service: FakeService) -> None:
    goes, begun = threading.Event(), threading.Event()

    async def hangs(request: Request) -> JSONResponse:
        begun.set()
        goes.wait(10 * LONG_S)  # in the event loop of the pages: nothing else runs there
        return JSONResponse({})

    pages = {"hang": lambda desk: [Route("/", hangs)]}
    with screen_opened([rig(service.address)], tmp_path, Address(), pages) as screen:
        browser = Browser(screen)
        port = browser.read("/api/about")["stop_port"]
        with browser.socket(port) as stop:
            connection = http.client.HTTPConnection(browser.host, timeout=LONG_S)
            connection.request("GET", "/api/hang/", headers={"Cookie": browser.cookie})
            assert begun.wait(LONG_S)
            stop.send(json.dumps({"n": 1, "stop": ["a"], "who": "ann"}))
            answer = json.loads(stop.recv(LONG_S))
            assert not goes.is_set()
            assert answer["ok"]
            assert answer["ms"] < 1000 * serving._END_S
            with browser.socket(port) as another:  # the way is open for who comes now, too
                another.send(json.dumps({"n": 1}))
                assert json.loads(another.recv(LONG_S))["n"] == 1
            goes.set()
            connection.close()
    assert service.stops() == ["ann"]


def test_a_port_that_is_taken_is_named_and_the_usual_one_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(AddressError, match=str(port)),
            screen_opened([rig()], tmp_path, Address(port=port), {}),
        ):
            raise AssertionError("it was served")
        monkeypatch.setattr(serving, "USUAL_PORT", port)
        with screen_opened([rig()], tmp_path, Address(), {}) as screen:
            assert f":{port}/" not in screen.new_link()
            assert Browser(screen).read("/api/about")["rigs"][0]["name"] == "a"


@pytest.mark.parametrize("host", ["192.0.2.1", "lab-computer", "example.org"])
def test_nothing_is_served_beyond_this_machine_without_tls(tmp_path: Path, host: str) -> None:
    with pytest.raises(AddressError, match="TLS"), screen_opened([rig()], tmp_path, Address(host), {}):
        raise AssertionError("it was served")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "*"])
def test_a_page_answers_to_a_name_and_not_to_every_one(tmp_path: Path, host: str) -> None:
    address = Address(host, certificate=tmp_path / "c", key=tmp_path / "k")
    with (
        pytest.raises(AddressError, match="name the one address"),
        screen_opened([rig()], tmp_path, address, {}),
    ):
        raise AssertionError("it was served")


@pytest.mark.parametrize("text", [None, "no certificate"])
def test_a_certificate_that_is_none_is_named_before_a_link_is_given(tmp_path: Path, text: str | None) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    if text is not None:
        certificate.write_text(text, encoding="utf-8")
        key.write_text(text, encoding="utf-8")
    address = Address(certificate=certificate, key=key)
    with pytest.raises(AddressError, match=r"cert\.pem"), screen_opened([rig()], tmp_path, address, {}):
        raise AssertionError("it was served")


def test_with_tls_the_cookie_and_all_sockets_are_for_tls(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate of this test, is not on this machine")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )  # fmt: skip
    with screen_opened([rig()], tmp_path, Address(certificate=certificate, key=key), {}) as screen:
        link = screen.new_link()
        assert link.startswith("https://127.0.0.1:")
        host = link.split("/")[2]
        trusted = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection(host, timeout=LONG_S, context=trusted)
        connection.request("GET", link.split(host)[1])
        answer = connection.getresponse()
        assert answer.status == 303
        assert "Secure" in str(answer.headers["set-cookie"])
        assert "wss://" in str(answer.headers["content-security-policy"])
        assert "ws://" not in str(answer.headers["content-security-policy"]).replace("wss://", "")
        cookie = str(answer.headers["set-cookie"]).split(";")[0]
        connection.close()
        with connect(
            f"wss://{host}/socket",
            origin=f"https://{host}",
            additional_headers={"Cookie": cookie},
            ssl=trusted,
        ) as page:
            assert json.loads(page.recv(LONG_S))["topic"] == "screen"


def test_who_was_in_before_a_restart_is_in_after_it(tmp_path: Path) -> None:
    port = pair_of_ports()
    with screen_opened([rig()], tmp_path, Address(port=port), {}) as screen:
        browser = Browser(screen)
        guest = Browser(screen, read_only=True)
        unused = screen.new_link()
    with screen_opened([rig()], tmp_path, Address(port=port), {}) as screen:
        about = browser.read("/api/about")
        assert not about["read_only"]
        assert guest.read("/api/about")["read_only"]
        with browser.socket(about["stop_port"]) as stop:
            stop.send(json.dumps({"n": 1}))
            assert json.loads(stop.recv(LONG_S))["ready"] == {"a": False}
        assert browser.ask("GET", unused.removeprefix(browser.origin)).status == 303
        browser.cookie = ""
        assert browser.ask("GET", unused.removeprefix(browser.origin)).status == 403


def test_a_page_too_many_is_told_so_and_the_stop_is_open_to_it(tmp_path: Path) -> None:
    with screen_opened([rig()], tmp_path, Address(), {}) as screen, ExitStack() as pages:
        browser = Browser(screen)
        for _ in range(MOST_WATCHERS):
            assert json.loads(pages.enter_context(browser.socket()).recv(LONG_S))["topic"] == "screen"
        one_more = pages.enter_context(browser.socket())
        ended = closed(one_more).rcvd
        assert ended is not None
        assert ended.code == 1013
        assert "too many pages" in ended.reason
        stop = pages.enter_context(browser.socket(browser.read("/api/about")["stop_port"]))
        stop.send(json.dumps({"n": 1}))
        assert json.loads(stop.recv(LONG_S))["n"] == 1


@pytest.mark.parametrize(
    "said",
    ["", "x", "[]", "{}", '{"pictures": 1, "more": 2}', '{"clock": "1"}', "[" * 4000, "x" * 5000, b"shown"],
)
def test_what_no_page_says_ends_its_socket_and_no_other(tmp_path: Path, said: str | bytes) -> None:
    with screen_opened([rig()], tmp_path, Address(), {}) as screen:
        browser = Browser(screen)
        with browser.socket() as bad, browser.socket() as good:
            good.recv(LONG_S)
            bad.send(said)
            closed(bad)
            good.send(json.dumps({"pictures": {"a": "frame", "gone": "frame", "b": 3}}))
            good.send(json.dumps({"clock": 5}))
            while (message := json.loads(good.recv(LONG_S)))["topic"] != "clock":
                pass
            assert message["data"]["n"] == 5


def test_a_message_larger_than_any_is_not_taken(tmp_path: Path) -> None:
    with screen_opened([rig()], tmp_path, Address(), {}) as screen:
        browser = Browser(screen)
        with browser.socket() as page:
            page.send("x" * (serving._MAX_WEBSOCKET + 1))
            closed(page)


def test_other_origins_and_strangers_get_no_socket(tmp_path: Path, service: FakeService) -> None:
    with screen_opened([rig(service.address)], tmp_path, Address(), {}) as screen:
        browser = Browser(screen)
        stop_port = browser.read("/api/about")["stop_port"]
        for port in (None, stop_port):
            for origin in ("http://evil.example", f"http://127.0.0.1:{stop_port + 1}", None):
                with pytest.raises(InvalidStatus) as refused:
                    browser.socket(port, origin=origin)
                assert refused.value.response.status_code == 403
        guest = Browser(screen, read_only=True)
        with pytest.raises(InvalidStatus):
            guest.socket(stop_port)
        with guest.socket() as page:
            assert json.loads(page.recv(LONG_S))["topic"] == "screen"
    assert service.stops() == []


@pytest.mark.parametrize("body", ["", "[]", "1", "[" * 10_000, '{"args": 1}', '{"args": {"x": NaN}}', "\x00"])
def test_a_request_that_is_none_is_refused_in_words(tmp_path: Path, body: str) -> None:
    with screen_opened([rig()], tmp_path, Address(), {}) as screen:
        browser = Browser(screen)
        path = "/api/rigs/a/nothing" if not body else "/api/rigs/a/arm"
        assert browser.ask("POST", path, body).status == 400
        assert json.loads(browser.said)["error"]["kind"] == "UsageError"


def test_nothing_outside_the_static_files_is_served(tmp_path: Path) -> None:
    with screen_opened([rig()], tmp_path, Address(), {}) as screen:
        browser = Browser(screen)
        for path in (
            "/static/../app.py",
            "/static/%2e%2e/app.py",
            "/static/..%2fapp.py",
            "/static//etc/passwd",
        ):
            assert browser.ask("GET", path).status == 404
            assert b"Starlette" not in browser.said
