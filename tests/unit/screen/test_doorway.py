"""What every request must pass: host, origin, cookie, size; and the headers of what is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from rtface.screen.access import Access
from rtface.screen.middleware import MAX_BODY, VISITOR, Doorway

HOST = "127.0.0.1:8570"
ORIGIN = f"http://{HOST}"
SOCKET = f"ws://{HOST}/socket"


async def _page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("guest" if request.scope[VISITOR].read_only else "operator")


async def _taken(request: Request) -> JSONResponse:
    return JSONResponse({"bytes": len(await request.body())})


async def _socket(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("in")
    await socket.close()


@pytest.fixture
def access() -> Access:
    return Access()


@pytest.fixture
def client(access: Access) -> Iterator[TestClient]:
    app = Starlette(
        routes=[
            Route("/", _page),
            Route("/api/do", _taken, methods=["POST"]),
            WebSocketRoute("/socket", _socket),
        ]
    )
    guarded = Doorway(app, access, [HOST, "localhost:8570"], secure=False, cookie="c", connect=["ws://x:1"])
    with TestClient(guarded, base_url=ORIGIN, follow_redirects=False) as made:
        yield made


def enter(client: TestClient, access: Access, *, read_only: bool = False) -> str:
    answer = client.get("/enter", params={"token": access.new_link(read_only=read_only)})
    assert answer.status_code == 303
    return answer.headers["set-cookie"]


def post(client: TestClient, **headers: str) -> int:
    said = {"origin": ORIGIN, "content-type": "application/json"} | headers
    return client.post("/api/do", content=b"{}", headers=said).status_code


def test_nobody_is_let_in_without_a_link_and_a_page_says_how(client: TestClient) -> None:
    answer = client.get("/")
    assert answer.status_code == 403
    assert "has not come in by a link" in answer.text
    assert "<script" not in answer.text
    assert client.get("/static/app.js").json()["error"]["kind"] == "Refused"
    assert post(client) == 403


def test_a_link_gives_a_cookie_that_scripts_and_other_sites_never_get(
    client: TestClient, access: Access
) -> None:
    cookie = enter(client, access)
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert "Secure" not in cookie
    assert client.get("/").text == "operator"


def test_a_cookie_over_tls_is_for_tls_alone(access: Access) -> None:
    guarded = Doorway(Starlette(), access, [HOST], secure=True, cookie="c")
    with TestClient(guarded, base_url=f"https://{HOST}", follow_redirects=False) as client:
        assert "Secure" in enter(client, access)


def test_a_link_is_not_used_up_by_what_only_looks_at_it(client: TestClient, access: Access) -> None:
    token = access.new_link()
    client.head("/enter", params={"token": token})
    client.post("/enter", params={"token": token})
    assert client.get("/enter", params={"token": token}).status_code == 303


def test_who_is_in_is_led_on_and_a_guest_who_is_given_more_has_more(
    client: TestClient, access: Access
) -> None:
    enter(client, access, read_only=True)
    assert client.get("/enter", params={"token": "none"}).status_code == 303
    assert client.get("/").text == "guest"
    token = access.new_link()
    client.get("/enter", params={"token": token})
    assert client.get("/").text == "operator"
    unused = access.new_link(read_only=True)
    client.get("/enter", params={"token": unused})
    assert client.get("/").text == "operator"
    assert access.enter(unused) is not None


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8570", "127.0.0.1:80", "127.0.0.1", "", f"{HOST}.evil"]
)
def test_another_host_is_refused_so_that_a_name_cannot_be_bound_anew(
    client: TestClient, access: Access, host: str
) -> None:
    enter(client, access)
    assert client.get("/", headers={"host": host}).status_code == 421
    assert (
        client.get("/enter", params={"token": access.new_link()}, headers={"host": host}).status_code == 421
    )
    assert post(client, host=host) == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1:9999", "https://127.0.0.1:8570"]
)
def test_a_page_of_another_origin_changes_nothing(client: TestClient, access: Access, origin: str) -> None:
    enter(client, access)
    assert post(client, origin=origin) == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(SOCKET, headers={"origin": origin}),
    ):
        raise AssertionError("it was let in")


def test_a_request_without_an_origin_changes_nothing(client: TestClient, access: Access) -> None:
    enter(client, access)
    answer = client.post("/api/do", content=b"{}", headers={"content-type": "application/json"})
    assert answer.status_code == 403


def test_our_own_page_is_let_through(client: TestClient, access: Access) -> None:
    enter(client, access)
    assert post(client) == 200
    with client.websocket_connect(SOCKET, headers={"origin": ORIGIN}) as socket:
        assert socket.receive_text() == "in"


def test_a_guest_changes_nothing(client: TestClient, access: Access) -> None:
    enter(client, access, read_only=True)
    assert client.get("/").text == "guest"
    assert post(client) == 403


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_can_send_is_refused(client: TestClient, access: Access, kind: str) -> None:
    enter(client, access)
    assert post(client, **{"content-type": kind}) == 415


def test_other_methods_are_refused(client: TestClient, access: Access) -> None:
    enter(client, access)
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        assert client.request(method, "/", headers={"origin": ORIGIN}).status_code == 405


def test_too_large_a_request_is_refused_before_it_is_read(client: TestClient, access: Access) -> None:
    enter(client, access)
    assert post(client, **{"content-length": str(MAX_BODY + 1)}) == 413
    assert post(client, **{"content-length": "9" * 400}) == 413


def test_a_request_that_does_not_say_how_long_it_is_is_refused(client: TestClient, access: Access) -> None:
    enter(client, access)
    headers = {"origin": ORIGIN, "content-type": "application/json"}
    assert client.post("/api/do", content=iter([b"{}"]), headers=headers).status_code == 411


def test_every_answer_lets_nothing_run_but_ours(client: TestClient, access: Access) -> None:
    refused = client.get("/")
    enter(client, access)
    for answer in (refused, client.get("/"), client.get("/nothing"), client.get("/", headers={"host": "x"})):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert "connect-src 'self' ws://x:1" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in answer.headers


def test_a_body_that_is_longer_than_it_says_is_ended(access: Access) -> None:
    """As raw ASGI: a server may hand on more than the header said."""
    cookie = access.enter(access.new_link())
    sent: list[dict[str, Any]] = []
    taken: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            taken.append(message["type"])
            if message["type"] == "http.disconnect":
                return

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": bytes(1 << 20), "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/do",
        "query_string": b"",
        "headers": [
            (b"host", HOST.encode()),
            (b"origin", ORIGIN.encode()),
            (b"cookie", f"c={cookie}".encode()),
            (b"content-type", b"application/json"),
            (b"content-length", b"2"),
        ],
    }
    asyncio.run(Doorway(app, access, [HOST], secure=False, cookie="c")(scope, receive, send))
    assert taken[-1] == "http.disconnect"
    assert len(taken) <= MAX_BODY // (1 << 20) + 1


@pytest.mark.parametrize(
    "cookie", [b"c=\xff\xfe", b"c", b"=", b"c=; c=", b'c="', b"c=a" * 1000, b"d=1; c=zzz", b"c=\x00"]
)
def test_a_cookie_that_is_none_lets_nobody_in(access: Access, cookie: bytes) -> None:
    sent: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("it was let in")

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "query_string": b"",
        "headers": [(b"host", HOST.encode()), (b"cookie", cookie)],
    }
    asyncio.run(Doorway(app, access, [HOST], secure=False, cookie="c")(scope, receive, send))
    assert sent[0]["status"] == 403
