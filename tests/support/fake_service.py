"""A service's control socket whose answers a test gives."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import zmq

from rtface.publish.commands import Request, encode_result, parse_request
from rtface.publish.wire import unpack

Answer = Callable[[Request], "bytes | None"]


def agrees(request: Request) -> bytes:
    """Carry everything out."""
    return encode_result(request.id, {"nonce": 0, "t_ns": 0, "clock": ""})


class FakeService:
    """A control socket whose answers a test gives; None is silence."""

    def __init__(self) -> None:
        self.answer: Answer = agrees
        self.asked: list[Request] = []
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.address = f"tcp://127.0.0.1:{port}"
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stops(self) -> list[Any]:
        """Return by whom stops were asked for."""
        return [each.args["who"] for each in self.asked if each.op == "emergency_stop"]

    def _run(self) -> None:
        while not self._ending.is_set():
            if not self._socket.poll(10):
                continue
            name, body = self._socket.recv_multipart()
            request = parse_request(unpack(body))
            self.asked.append(request)
            answer = self.answer(request)
            if answer is not None:
                self._socket.send_multipart([name, answer])

    def close(self) -> None:
        """End, once the answer that is under way was given."""
        self._ending.set()
        self._thread.join()
        self._socket.close(0)
        self._context.term()
