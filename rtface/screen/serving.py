"""The screen as a process: its servers, its links, and its end."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import uvicorn
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import AddressError
from rtface.publish.address import is_loopback
from rtface.screen.access import Access, kept_visitors
from rtface.screen.app import ScreenParts, greeting, screen_app
from rtface.screen.desk import Desk
from rtface.screen.feed import PageFeed
from rtface.screen.jobs import Jobs
from rtface.screen.middleware import Doorway
from rtface.screen.openrigs import OpenRigs
from rtface.screen.rigs import ShownRig
from rtface.screen.stopsocket import stop_app

USUAL_PORT = 8570
_END_S = 1.5
"""What is under way when the screen ends has this long."""
_TRIES = 20
"""Pairs of free ports that are tried."""

_MAX_WEBSOCKET = 64 << 10


@dataclass(frozen=True, slots=True)
class Address:
    """Where a screen is served.

    Attributes
    ----------
    host : str
        An address of this machine.
    port : int or None
        The port of the pages; the emergency stop has the next one. None for the usual one, or a free one where that is taken.
    certificate, key : Path or None
        Files of TLS, needed beyond loopback.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def secure(self) -> bool:
        """Whether it is served with TLS."""
        return self.certificate is not None


class Screen:
    """A screen that is served; made by `screen_opened`."""

    def __init__(self, access: Access, link_for: Callable[[str], str], served: _Server) -> None:
        self._access = access
        self._link_for = link_for
        self._served = served

    def new_link(self, *, read_only: bool = False) -> str:
        """Return a link that opens the pages once."""
        return self._link_for(self._access.new_link(read_only=read_only))

    @property
    def ended(self) -> bool:
        """Whether the server has ended, which it does not by itself."""
        return self._served.ended


@contextmanager
def screen_opened(
    rigs: list[ShownRig], folder: Path, address: Address, pages: dict[str, Callable[[Desk], list[BaseRoute]]]
) -> Iterator[Screen]:
    """Serve the screen in threads of its own until the block ends.

    Parameters
    ----------
    rigs : list of ShownRig
        Whose services it shows; they may be started later.
    folder : Path
        What the pages work on.
    address : Address
    pages : dict of str to callable
        The server's part of each page.

    Raises
    ------
    AddressError
        The address cannot be bound, or would need TLS; or what TLS needs cannot be read.
    """
    if not address.secure and not is_loopback(f"tcp://{_bracketed(address.host)}:1"):
        raise AddressError(
            f"{address.host} can be reached from other machines, which needs TLS: give --certificate and --private-key, "
            "or reach a screen on 127.0.0.1 through a tunnel: ssh -L"
        )
    host = address.host.lower()
    if host in ("", "0.0.0.0", "::", "*"):
        raise AddressError(
            f"--host {address.host}: name the one address or name of this machine that browsers reach it at; a page that "
            "answers to every name can be taken over by other sites"
        )
    with ExitStack() as opened:
        listening, stop_listening = _bound_pair(address, opened)
        port, stop_port = listening.getsockname()[1], stop_listening.getsockname()[1]
        scheme = "https" if address.secure else "http"
        access, feed = Access(kept_visitors(port)), PageFeed()

        def link_for(token: str) -> str:
            return f"{scheme}://{_bracketed(host)}:{port}/enter?token={quote(token)}"

        hosts = _hosts(host, port, address.secure)
        stop_hosts = _hosts(host, stop_port, address.secure)
        origins = [f"{scheme}://{each}" for each in hosts]
        sockets = "wss" if address.secure else "ws"
        cookie = f"rtface-{port}"
        shown_rigs = OpenRigs(rigs, feed, next((rig.keys for rig in rigs), None))
        opened.callback(shown_rigs.close)
        parts = ScreenParts(
            rigs=shown_rigs,
            feed=feed,
            desk=Desk(folder.resolve(), Jobs(folder.resolve()), shown_rigs.show),
            access=access,
            stop_port=stop_port,
            link_for=link_for,
            pages=pages,
        )
        stopping = Doorway(
            stop_app(shown_rigs.stops),
            access,
            stop_hosts,
            secure=address.secure,
            cookie=cookie,
            origins=origins,
        )
        connect = [f"{sockets}://{each}" for each in (*hosts, *stop_hosts)]
        shown = Doorway(
            screen_app(parts), access, hosts, secure=address.secure, cookie=cookie, connect=connect
        )
        served = [
            _Server(stopping, stop_listening, address, "rtface-stop-server"),
            _Server(shown, listening, address, "rtface-screen"),
        ]
        opened.callback(_end, parts, served)
        for each in served:
            each.open()
        shown_rigs.open(lambda: feed.put("screen", "", greeting(parts), newest=False))
        yield Screen(access, link_for, served[-1])


class _Server:
    """An application that is served in a thread of its own."""

    def __init__(self, app: ASGIApp, listening: socket.socket, address: Address, name: str) -> None:
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            ws="websockets-sansio",
            ws_max_size=_MAX_WEBSOCKET,
            ws_per_message_deflate=False,
            limit_concurrency=128,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=1,
            ssl_certfile=address.certificate,
            ssl_keyfile=address.key,
        )
        try:
            config.load()
        except OSError as error:
            raise AddressError(
                f"--certificate {address.certificate}, --private-key {address.key}: cannot be used: {error}"
            ) from error
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listening],), name=name, daemon=True)

    @property
    def ended(self) -> bool:
        return not self._thread.is_alive()

    def open(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._server.should_exit = True

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)
        self._server.force_exit = True


def _end(parts: ScreenParts, served: Sequence[_Server]) -> None:
    """End everything at once, and wait for all of it no longer than for one, whatever hangs."""
    parts.feed.end()
    parts.rigs.end()
    for server in served:
        server.end()
    until_ns = monotonic_ns() + round(_END_S * NS_PER_S)
    waited: list[OpenRigs | _Server] = [parts.rigs, *served]
    for each in waited:
        each.join(max(0.0, (until_ns - monotonic_ns()) / NS_PER_S))


def _bound_pair(address: Address, opened: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Bind the pages' port and the emergency stop's, the next one; free ones where the usual ones are taken."""
    ports = [address.port] if address.port is not None else [USUAL_PORT] + [0] * _TRIES
    for left, port in zip(reversed(range(len(ports))), ports, strict=True):
        with ExitStack() as tried:
            try:
                pages = _bound(address.host, port, tried)
                stop = _bound(address.host, pages.getsockname()[1] + 1, tried)
            except (AddressError, OverflowError):
                if not left:
                    raise
                continue
            opened.enter_context(tried.pop_all())
            return pages, stop
    raise AssertionError("unreachable")


def _bound(host: str, port: int, opened: ExitStack) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = opened.enter_context(socket.socket(family, socket.SOCK_STREAM))
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        raise AddressError(f"{host}:{port} cannot be bound: {error.strerror or error}") from error
    listening.listen(64)
    return listening


def _hosts(host: str, port: int, secure: bool) -> list[str]:
    """Return each `Host` that browsers send; they leave the port out where it is the usual one."""
    names = [_bracketed(host)]
    if is_loopback(f"tcp://{_bracketed(host)}:1"):
        names += ["127.0.0.1", "localhost"]
    usual = 443 if secure else 80
    return [f"{name}:{port}" for name in dict.fromkeys(names)] + names * (port == usual)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
