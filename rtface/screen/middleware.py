"""What every request must pass before a page sees it: its host, its origin, its cookie, its size; and the headers of answers.

As the OWASP cheat sheets on cross-site request forgery and on websockets ask for: a cookie that is `SameSite=Strict`, an
Origin that is checked on all that changes something, a Host that is one of ours (against DNS rebinding), and a content
security policy under which nothing runs but what came from here.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtface.screen.access import COOKIE_S, Access, Visitor

MAX_BODY = 8 << 20
"""Largest body of a request in bytes: a picture that a page hands over."""

ENTRANCE = "/enter"
VISITOR = "rtface.visitor"
"""Where a request's scope names its visitor."""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'{more}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_NO_LINK = (
    "<!doctype html><meta charset=utf-8><title>rtface</title><h1>This browser has not come in by a link</h1>"
    "<p>Open the link that <code>rtface screen</code> printed in its terminal. Each link opens once; press Enter in "
    "that terminal for another.</p>"
)


class Doorway:
    """ASGI middleware: refuses what is not from a browser that came in by a link, and from our own pages.

    Parameters
    ----------
    app : ASGI application
        What is behind it.
    access : Access
        Who came in.
    hosts : collection of str
        Each `Host` that is ours, with its port.
    secure : bool
        Served with TLS.
    connect : sequence of str
        Further origins that pages connect to: the emergency stop's.
    origins : collection of str, optional
        Origins that pages come from; else that of the host itself.
    """

    def __init__(
        self,
        app: ASGIApp,
        access: Access,
        hosts: Collection[str],
        *,
        secure: bool,
        cookie: str,
        connect: Collection[str] = (),
        origins: Collection[str] | None = None,
    ) -> None:
        self._app = app
        self._access = access
        self._hosts = frozenset(hosts)
        self._secure = secure
        self._cookie = cookie
        scheme = "https" if secure else "http"
        self._origins = frozenset(origins or (f"{scheme}://{host}" for host in hosts))
        policy = _POLICY.format(more="".join(f" {each}" for each in connect))
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        visitor = self._visitor(headers)
        refused = self._refusal(scope, headers, visitor)
        if scope["type"] == "websocket":
            if refused is not None:
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": refused[1]})
                return
            await self._app({**scope, VISITOR: visitor}, receive, send)
            return
        if scope["path"] == ENTRANCE and scope["method"] == "GET" and (refused is None or refused[0] == 403):
            await self._enter(scope, headers, visitor, send)
        elif refused is not None:
            await self._refuse(scope, *refused, send)
        else:
            await self._app({**scope, VISITOR: visitor}, _bounded(receive), self._with_headers(send))

    def _visitor(self, headers: Mapping[str, str]) -> Visitor | None:
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return None
        return None if morsel is None else self._access.visitor(morsel.value)

    def _refusal(
        self, scope: Scope, headers: Mapping[str, str], visitor: Visitor | None
    ) -> tuple[int, str] | None:
        """Return why a request is refused, with its HTTP status; None where it is not."""
        host, origin = headers.get("host", ""), headers.get("origin")
        if host not in self._hosts:
            return 421, "this is not the address that this page is served at"
        if scope["type"] == "websocket":
            if origin not in self._origins:
                return 403, "a page of another origin"
            return None if visitor else (403, "this browser has not come in by a link")
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "only GET and POST are taken"
        if visitor is None:
            return 403, "this browser has not come in by a link"
        if scope["method"] != "POST":
            return None
        if origin not in self._origins:
            return 403, "a page of another origin"
        if visitor.read_only:
            return 403, "this browser came in by a link for guests: it may look, and change nothing"
        kind = headers.get("content-type", "").partition(";")[0]
        if kind not in ("application/json", "image/jpeg"):
            return 415, "a request that changes something is JSON"
        size = headers.get("content-length", "")
        if not size.isdecimal():
            return 411, "the request does not say how long it is"
        if len(size) > 9 or int(size) > MAX_BODY:
            return 413, f"a request has at most {MAX_BODY} bytes"
        return None

    async def _enter(
        self, scope: Scope, headers: Mapping[str, str], visitor: Visitor | None, send: Send
    ) -> None:
        """Exchange a link for a cookie; a browser that may do as much already is led on, and its link stays good."""
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        cookie = None
        if visitor is None or (visitor.read_only and len(tokens) == 1 and self._access.lets_act(tokens[0])):
            cookie = self._access.enter(tokens[0]) if len(tokens) == 1 else None
            if cookie is None:
                await self._refuse(scope, 403, "this link was used, or is none of this screen's", send)
                return
        given = [(b"location", b"/")]
        if cookie is not None:
            parts = [
                f"{self._cookie}={cookie}",
                "Path=/",
                "HttpOnly",
                "SameSite=Strict",
                f"Max-Age={COOKIE_S}",
            ]
            given.append((b"set-cookie", "; ".join([*parts, "Secure"] if self._secure else parts).encode()))
        await _answer(send, 303, b"", [*self._headers, *given])

    async def _refuse(self, scope: Scope, status: int, why: str, send: Send) -> None:
        page = scope["method"] == "GET" and not scope["path"].startswith(("/api/", "/static/"))
        if page and status == 403:
            body, kind = _NO_LINK.encode(), b"text/html; charset=utf-8"
        else:
            body, kind = json.dumps({"error": {"kind": "Refused", "text": why}}).encode(), b"application/json"
        await _answer(send, status, body, [*self._headers, (b"content-type", kind)])

    def _with_headers(self, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [
                    (name, value) for name, value in message.get("headers", ()) if name != b"cache-control"
                ]
                ours = self._headers
                if any(name == b"cache-control" for name, _ in message.get("headers", ())):
                    kept = list(message["headers"])
                    ours = [each for each in self._headers if each[0] != b"cache-control"]
                message = {**message, "headers": [*kept, *ours]}
            await send(message)

        return sending


def _bounded(receive: Receive) -> Receive:
    """Return `receive` that ends a body which is longer than it said it would be, or than is allowed."""
    taken = 0

    async def receiving() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return {"type": "http.disconnect"} if taken > MAX_BODY else message

    return receiving


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
