"""Who is connected to a socket of a service, and hanging up on those who take more than their share.

ZeroMQ takes whatever a peer sends: subscriptions are put into a tree by the very thread that publishes, and a message
in parts is kept until its last part has come. It has no limit for either, so connections are watched from outside.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import socket as sockets
import struct
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import zmq
from zmq.utils.monitor import recv_monitor_message

from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.publish.sockets import Context, Socket

_SUBSCRIPTIONS_AT_ONCE = 5_000
_MOST_STRANGE = 16
_LOOK_EVERY_MS = 10
_ADDRESS_BYTES = 16
"""Of a socket's address; all zero, it is of no family."""
_LOG_EVERY_NS = 10 * NS_PER_S
_TCP_INFO: Final = getattr(sockets, "TCP_INFO", None)
_RECEIVED_AT = 128
"""Where Linux keeps the bytes received in its answer to TCP_INFO."""

_FOLLOWED = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_MONITOR_STOPPED

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PeerLimits:
    """The share of one socket's peers.

    Attributes
    ----------
    connections : int
        At most at a time; a further one is hung up on.
    connections_per_s : float
        At most for ever, once as many as `connections` have come.
    burst_bytes : int
        What one connection may send at once, its handshake included.
    bytes_per_s : int
        What it may send for ever.
    """

    connections: int
    connections_per_s: float
    burst_bytes: int
    bytes_per_s: int


SUBSCRIBER_LIMITS = PeerLimits(connections=64, connections_per_s=5, burst_bytes=2_048, bytes_per_s=16)
"""A subscriber names a few topics, and says once a second that it lives; nothing more has to come in."""


class Takers:
    """How many sockets take each topic of a bound XPUB socket; belongs to the thread that owns that.

    Parameters
    ----------
    topics : sequence of bytes
        Those to count.

    Attributes
    ----------
    strange : deque of bytes
        What somebody subscribed to and none of the topics begins with; the newest few.
    """

    def __init__(self, topics: Sequence[bytes]) -> None:
        self._counts = dict.fromkeys(topics, 0)
        self.strange: deque[bytes] = deque(maxlen=_MOST_STRANGE)

    def __getitem__(self, topic: bytes) -> int:
        """Return how many took a topic when `read` was last called."""
        return self._counts[topic]

    def clear(self) -> None:
        """Forget all: the socket is another one."""
        self._counts = dict.fromkeys(self._counts, 0)

    def read(self, socket: Socket) -> None:
        """Take what subscribers have said since."""
        for _ in range(_SUBSCRIPTIONS_AT_ONCE):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._count(parts[0][:1], parts[0][1:])

    def _count(self, change: bytes, subscribed: bytes) -> None:
        """Count one message from a subscriber: 1 or 0, then the start of the topics that it is about."""
        known = False
        for topic, count in self._counts.items():
            if not topic.startswith(subscribed):
                continue
            known = True
            if change == b"\x01":
                self._counts[topic] = count + 1
            elif change == b"\x00" and count > 0:
                self._counts[topic] = count - 1
        if not known and change == b"\x01":
            self.strange.append(subscribed)


class PeerWatch:
    """Hangs up on the peers of a bound socket that exceed `PeerLimits`, in a thread of its own.

    Bytes are counted by the operating system, and on Linux alone; connections everywhere.

    Parameters
    ----------
    context : zmq.Context
    socket : zmq.Socket
        Bound to no address yet: who connects before the watch begins is not seen.
    limits : PeerLimits
    name : str
        For the log.
    """

    def __init__(self, context: Context, socket: Socket, limits: PeerLimits, name: str) -> None:
        self._limits = limits
        self._name = name
        self._connected: dict[int, _Connection] = {}
        self._welcomes = float(limits.connections)
        self._welcomed_ns = monotonic_ns()
        self._hung_up = self._log_ns = 0
        self._socket = socket
        endpoint = f"inproc://rtface-peers-{id(self)}-{os.urandom(8).hex()}"
        socket.monitor(endpoint, _FOLLOWED)
        self._events = context.socket(zmq.PAIR)
        self._events.linger = 0
        self._events.connect(endpoint)
        self._thread = threading.Thread(target=self._run, name="rtface-peers", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watch; call it in the thread that owns the socket, before the socket is closed."""
        with contextlib.suppress(zmq.ZMQError):
            self._socket.monitor(None, 0)  # ends the thread by EVENT_MONITOR_STOPPED
        self._thread.join()

    def _run(self) -> None:
        try:
            while self._take_events():
                for number, connection in list(self._connected.items()):
                    if connection.greedy(self._limits):
                        self._hang_up(number, "sends too much")
        except zmq.ContextTerminated:
            _log.debug("the context ended before %s was closed", self._name)
        finally:
            for connection in self._connected.values():
                connection.release()
            self._connected.clear()
            self._events.close(0)

    def _take_events(self) -> bool:
        """Follow who comes and goes, for a moment; return whether the watch goes on."""
        wait_ms = _LOOK_EVERY_MS if self._connected else None
        while self._events.poll(wait_ms):
            event = recv_monitor_message(self._events)
            number = int(event["value"])
            if event["event"] == zmq.EVENT_MONITOR_STOPPED:
                return False
            if event["event"] == zmq.EVENT_ACCEPTED:
                self._welcome(number)
            elif gone := self._connected.pop(number, None):
                gone.release()
            wait_ms = 0
        return True

    def _welcome(self, number: int) -> None:
        if before := self._connected.pop(number, None):
            before.release()
        now_ns, limits = monotonic_ns(), self._limits
        since_s, self._welcomed_ns = (now_ns - self._welcomed_ns) / NS_PER_S, now_ns
        self._welcomes = min(limits.connections, self._welcomes + limits.connections_per_s * since_s)
        welcome = self._welcomes >= 1 and len(self._connected) < limits.connections
        if welcome:
            self._welcomes -= 1
        try:
            self._connected[number] = _Connection(number)
        except OSError:
            return  # it has gone again, and counts as one that came
        if not welcome:
            self._hang_up(number, f"is one more than may be connected ({limits.connections}) or come")

    def _hang_up(self, number: int, why: str) -> None:
        connection = self._connected.pop(number)
        connection.hang_up()
        self._hung_up += 1
        now_ns = monotonic_ns()
        if now_ns >= self._log_ns:
            _log.warning(
                "%s: hung up on %s, which %s (%d so far)", self._name, connection.peer, why, self._hung_up
            )
            self._log_ns = now_ns + _LOG_EVERY_NS


class _Connection:
    """One peer's connection, by a descriptor of our own, so that its number cannot come to mean another."""

    def __init__(self, number: int) -> None:
        self._socket = sockets.socket(fileno=os.dup(number))
        self.peer = self._peer()
        self._began_ns = monotonic_ns()

    def greedy(self, limits: PeerLimits) -> bool:
        """Return whether it has sent more than its share."""
        lasted_s = (monotonic_ns() - self._began_ns) / NS_PER_S
        return self._received() > limits.burst_bytes + limits.bytes_per_s * lasted_s

    def hang_up(self) -> None:
        """End the connection, whoever else holds it, and drop what waits to be read.

        Shutting down alone leaves what has come, and on Linux what still comes, to be read: a peer that never stops
        would never be at its end. Connecting to nowhere resets a TCP connection there.
        """
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).connect(self._socket.fileno(), bytes(_ADDRESS_BYTES), _ADDRESS_BYTES)
        with contextlib.suppress(OSError):
            self._socket.shutdown(sockets.SHUT_RDWR)
        self.release()

    def release(self) -> None:
        """Keep it no longer."""
        self._socket.close()

    def _received(self) -> int:
        if _TCP_INFO is None:
            return 0
        try:
            info = self._socket.getsockopt(sockets.IPPROTO_TCP, _TCP_INFO, _RECEIVED_AT + 8)
        except OSError:
            return 0
        return int(struct.unpack_from("=Q", info, _RECEIVED_AT)[0]) if len(info) >= _RECEIVED_AT + 8 else 0

    def _peer(self) -> str:
        try:
            return str(self._socket.getpeername())
        except OSError:
            return "a peer that has gone"
