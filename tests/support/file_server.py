"""A web server on the loopback interface with one file, which can cut connections, refuse ranges and redirect."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FileServer:
    """What it serves, and what it was asked for.

    Attributes
    ----------
    body : bytes
    etag : str or None
        The file's validator.
    ranges : bool
        Whether parts can be asked for.
    sized : bool
        Whether it says how long the file is.
    cuts : list of int
        Bytes after which each of the next answers is cut.
    codes : list of int
        Answers of the next requests, errors in place of the file.
    redirect : str or None
        Where ``/moved`` leads.
    asked : list of str or None
        The range of each request.
    """

    body: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    sized: bool = True
    cuts: list[int] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    redirect: str | None = None
    asked: list[str | None] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(body: bytes) -> Iterator[FileServer]:
    """Serve a file until the block ends."""
    what = FileServer(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/moved" and what.redirect is not None:
                self.send_response(302)
                self.send_header("Location", what.redirect)
                self.end_headers()
                return
            what.asked.append(self.headers.get("Range"))
            if what.codes:
                self.send_error(what.codes.pop(0))
                return
            first = self._first()
            if first is not None and first >= len(what.body):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(what.body)}")
                self.end_headers()
                return
            rest = what.body[first or 0 :]
            self.send_response(200 if first is None else 206)
            if first is not None:
                self.send_header("Content-Range", f"bytes {first}-{len(what.body) - 1}/{len(what.body)}")
            if what.sized:
                self.send_header("Content-Length", str(len(rest)))
            if what.etag is not None:
                self.send_header("ETag", what.etag)
            self.end_headers()
            with suppress(ConnectionError):  # whoever asked has seen enough
                self.wfile.write(rest[: what.cuts.pop(0)] if what.cuts else rest)

        def _first(self) -> int | None:
            asked = self.headers.get("Range")
            if asked is None or not what.ranges or self.headers.get("If-Range") != what.etag:
                return None
            return int(asked.removeprefix("bytes=").rstrip("-"))

        def log_message(self, *args: Any) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = False
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        what.url = f"http://127.0.0.1:{running.server_port}"
        try:
            yield what
        finally:
            running.shutdown()
            thread.join()
