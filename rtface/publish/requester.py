"""The socket that a client commands a service through: one request, one reply, within a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import zmq

from rtface.core.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from rtface.core.errors import AddressError, ControlError
from rtface.publish.commands import Request, decode_reply, encode_request
from rtface.publish.keys import ClientKeys
from rtface.publish.sockets import Context, Socket, connected_socket

_QUEUE = 10


class Requester:
    """Sends commands to the control socket of a service; belongs to one thread.

    A command that was given up goes down with its socket, so a service that comes later never carries it out.

    Parameters
    ----------
    context : zmq.Context
        Where the socket lives.
    address : str
        Address of the control socket.
    keys : ClientKeys or None
        For a service that needs keys.
    timeout_s : float
        Seconds to wait for a reply.
    """

    def __init__(self, context: Context, address: str, keys: ClientKeys | None, timeout_s: float) -> None:
        self._context = context
        self._address = address
        self._keys = keys
        self._timeout_s = timeout_s
        self._last_id = 0
        self._socket: Socket | None = None

    def request(self, op: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a command and return its result.

        Raises
        ------
        ControlError
            The service refused; `code` says why.
        AddressError
            No service answered in time. A command that was under way may still be carried out.
        WireError
            The arguments cannot be sent, or the reply is none of rtface's.
        """
        self._last_id += 1
        body = encode_request(Request(self._last_id, op, args))
        deadline_ns = monotonic_ns() + round(self._timeout_s * NS_PER_S)
        if self._socket is None:
            self._socket = connected_socket(self._context, zmq.DEALER, self._address, _QUEUE, self._keys)
        socket = self._socket
        answered = False
        try:
            socket.send(body, zmq.NOBLOCK)
            result = self._reply(socket, deadline_ns, op)
            answered = True
        finally:
            if not answered:
                self.close()
        if isinstance(result, ControlError):
            raise result
        return result

    def close(self) -> None:
        """Close the socket, and with it drop what was not sent; the next `request` opens a new one."""
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close(0)

    def _reply(self, socket: Socket, deadline_ns: int, op: str) -> Mapping[str, Any] | ControlError:
        while True:
            self._wait(socket, deadline_ns, op)
            request_id, result = decode_reply(b"".join(socket.recv_multipart(zmq.NOBLOCK)))
            if request_id == self._last_id or request_id is None:
                return result

    def _wait(self, socket: Socket, deadline_ns: int, op: str) -> None:
        left_ns = max(0, deadline_ns - monotonic_ns())
        if not socket.poll(-(-left_ns // NS_PER_MS)):
            raise AddressError(
                f"{op}: no answer from {self._address} within {self._timeout_s} s; is the service running there, "
                "and does it know this client's key if it asks for one?"
            )
