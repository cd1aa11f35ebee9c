"""The socket that commands come in on.

Whatever arrives is untrusted. Every message gets a reply, malformed ones an error; none can end the server.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Protocol
from uuid import uuid4

import zmq

from rtface.clock import SYSTEM_CLOCK, Clock
from rtface.errors import ControlError, RtfaceError, UsageError, WireError
from rtface.publish import commands
from rtface.publish.fields import unpack
from rtface.publish.host import clock_domain
from rtface.publish.keys import Guard
from rtface.publish.sockets import Context, Socket, bound_socket
from rtface.records import Crop

_QUEUE = 1_000

_log = logging.getLogger(__name__)


class ControlHandler(Protocol):
    """Carries commands out, one after the other, in the thread of the control server.

    Each method returns a map of what MessagePack can hold, or raises an `RtfaceError` that the client is told:
    its code is `ControlError.code`, or for other errors the name of the class in snake case.
    """

    def hello(self) -> Mapping[str, Any]:
        """Say what the service is; see `rtface.publish.commands.Hello.as_map`."""

    def status(self) -> Mapping[str, Any]:
        """Say how the service is; see `rtface.publish.wire.ServiceStatus.as_map`."""

    def start(self) -> Mapping[str, Any]:
        """Begin to track; nothing changes when it has begun."""

    def stop(self) -> Mapping[str, Any]:
        """Stop tracking; nothing changes when it has stopped."""

    def set_crop(self, crop: Crop | None) -> Mapping[str, Any]:
        """Look at another part of the frame, or at all of it."""


class ControlServer:
    """Answers commands in a thread of its own, which owns the socket.

    Parameters
    ----------
    address : str
        ZeroMQ address to bind; port ``*`` takes a free one.
    handler : ControlHandler
        Carries the commands out.
    context : zmq.Context
        Where the socket lives.
    guard : Guard, optional
        Admits known clients alone; needed for an address beyond loopback. It must be open.
    clock : Clock, optional
        Answers ``ping``.
    """

    def __init__(
        self,
        address: str,
        handler: ControlHandler,
        context: Context,
        *,
        guard: Guard | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._wanted = address
        self._handler = handler
        self._context = context
        self._guard = guard
        self._clock = clock
        self._address = ""
        self._thread: threading.Thread | None = None
        self._wake: Socket | None = None
        self._operations: dict[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]] = {
            "ping": self._ping,
            "hello": lambda _: handler.hello(),
            "status": lambda _: handler.status(),
            "start": lambda _: handler.start(),
            "stop": lambda _: handler.stop(),
            "set_crop": lambda args: handler.set_crop(commands.parse_crop(args)),
        }

    @property
    def address(self) -> str:
        """The address that is bound, with the port that was taken; empty before `open`."""
        return self._address

    def open(self) -> None:
        """Bind the socket and begin to answer.

        Raises
        ------
        AddressError
            The address cannot be bound, or would need keys.
        """
        if self._thread is not None:
            raise UsageError("the control server is open already")
        router, self._address = bound_socket(
            self._context, zmq.ROUTER, self._wanted, "publish.control", _QUEUE, self._guard
        )
        name = f"inproc://rtface-control-{uuid4()}"
        woken, self._wake = self._context.socket(zmq.PAIR), self._context.socket(zmq.PAIR)
        woken.bind(name)
        self._wake.connect(name)
        self._thread = threading.Thread(
            target=self._serve, args=(router, woken), name="rtface-control", daemon=True
        )
        self._thread.start()

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop answering and join the thread; may be called at any time, any number of times.

        Raises
        ------
        UsageError
            A command was still being carried out after `timeout_s`.
        """
        thread, wake = self._thread, self._wake
        if thread is None or wake is None:
            return
        with suppress(zmq.ZMQError):  # the context has ended, and the thread with it
            wake.send(b"", zmq.NOBLOCK)
        thread.join(timeout_s)
        if thread.is_alive():
            raise UsageError(f"the control server cannot close: a command has been running for {timeout_s} s")
        wake.close(0)
        self._thread = self._wake = None

    def _serve(self, router: Socket, woken: Socket) -> None:
        poller = zmq.Poller()
        poller.register(router, zmq.POLLIN)
        poller.register(woken, zmq.POLLIN)
        try:
            while woken not in dict(poller.poll()):
                self._answer(router)
        except zmq.ContextTerminated:
            _log.debug("the context ended before the control server was closed")
        finally:
            router.close(0)
            woken.close(0)

    def _answer(self, router: Socket) -> None:
        """Reply to one message, in the envelope that it came in: with REQ's empty part or without."""
        try:
            sender, *parts = router.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        envelope = [sender, b""] if len(parts) > 1 and not parts[0] else [sender]
        body = self._reply(parts[len(envelope) - 1 :])
        router.send_multipart([*envelope, body], zmq.NOBLOCK)

    def _reply(self, parts: list[bytes]) -> bytes:
        request_id = None
        try:
            if len(parts) != 1:
                raise WireError(f"a request has one part, not {len(parts)}")
            values = unpack(parts[0])
            request_id = commands.id_in(values)
            request = commands.parse_request(values)
            result = self._carried_out(request)
        except RtfaceError as error:
            return commands.encode_refusal(request_id, _code(error), str(error))
        except Exception:
            _log.exception("a command failed")
            return _internal(request_id)
        try:
            return commands.encode_result(request.id, result)
        except WireError:
            _log.exception("the result of %s cannot be sent", request.op)
            return _internal(request_id)

    def _carried_out(self, request: commands.Request) -> Mapping[str, Any]:
        operation = self._operations.get(request.op)
        if operation is None:
            known = ", ".join(self._operations)
            raise ControlError(commands.UNKNOWN_OP, f"op {request.op!r} is none of {known}")
        return operation(request.args)

    def _ping(self, args: Mapping[str, Any]) -> Mapping[str, Any]:
        nonce = commands.nonce_in(args)
        return {"nonce": nonce, "t_ns": self._clock.now_ns(), "clock": clock_domain()}


def _internal(request_id: int | None) -> bytes:
    message = "internal error; the service's log says more"
    return commands.encode_refusal(request_id, commands.INTERNAL, message)


def _code(error: RtfaceError) -> str:
    if isinstance(error, ControlError):
        return error.code
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
