"""The bridge to OSC: to named hosts over UDP, and as bodies on ZeroMQ topics."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import zmq

from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.publish.as_json import Published
from rtface.publish.bridges.base import FORM, BridgeCounts
from rtface.publish.bridges.osc import PointMessages, error_message, event_message, osc_names
from rtface.publish.bridges.topics import TopicSocket
from rtface.publish.events import TOPIC_EVENTS, EventMessage
from rtface.publish.keypoints import TOPIC_KEYPOINTS, Keypoints
from rtface.publish.keys import Guard
from rtface.publish.sockets import Context

OSC_EVENT = f"osc.{FORM}.event/".encode()
"""The ZeroMQ topic of events."""

_SEND_BUFFER = 1 << 20
_AGAIN_NS = 5 * NS_PER_S
"""How long after a host's name could not be resolved it is tried again."""


class OscBridge:
    """Sends one message a keypoint and one an event; as `Bridge`.

    A host that is gone, or whose name nobody knows, is counted, and tried again for as long as the bridge lives.

    Parameters
    ----------
    context : zmq.Context
    address : str
        ZeroMQ address to bind.
    targets : sequence of (str, int)
        Hosts and ports to send to over UDP.
    names : sequence of str
        Of the keypoints.
    queue : int
        Messages kept for each subscriber that does not take them.
    guard : Guard, optional
        Admits known clients to the ZeroMQ address alone.
    clock : Clock, optional
        Gives the age of what is sent.
    """

    topics = (TOPIC_KEYPOINTS, TOPIC_EVENTS)

    def __init__(
        self,
        context: Context,
        address: str,
        targets: Sequence[tuple[str, int]],
        names: Sequence[str],
        queue: int,
        guard: Guard | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.counts = BridgeCounts()
        self._points = PointMessages(names)
        self._point_topics = point_topics(names)
        self._clock = clock
        self._targets = [_Target(host, port, clock) for host, port in targets]
        waiting = queue * max(1, len(names))  # as many frames as other bridges keep
        self._socket = TopicSocket(
            context,
            address,
            "publish.bridges (osc)",
            (OSC_EVENT, *self._point_topics),
            error_message,
            waiting,
            guard,
        )

    def open(self) -> str:
        """As `Bridge.open`."""
        return self._socket.open()

    def look(self) -> None:
        """As `Bridge.look`."""
        self._socket.look()

    def takes_features(self) -> bool:
        """As `Bridge.takes_features`: there is no form for them."""
        return False

    def take(self, message: Published) -> None:
        """As `Bridge.take`."""
        match message:
            case Keypoints():
                if self._targets or any(map(self._socket.taken, self._point_topics)):
                    bodies = self._points.of(message, self._clock.now_ns())
                    for topic, body in zip(self._point_topics, bodies, strict=False):
                        self._send(topic, body)
            case EventMessage():
                self._send(OSC_EVENT, event_message(message))
            case _:
                pass

    def close(self) -> None:
        """As `Bridge.close`."""
        self._socket.close()
        for target in self._targets:
            target.close()

    def _send(self, topic: bytes, body: bytes) -> None:
        failures = [target.send(body) for target in self._targets]
        if self._socket.taken(topic):
            failures.append(self._publish(topic, body))
        self.counts.sent += None in failures
        for why in failures:
            if why is not None:
                self.counts.fail(why)

    def _publish(self, topic: bytes, body: bytes) -> str | None:
        """Send a body to who subscribes; return why it could not be, as `_Target.send` does."""
        try:
            self._socket.send(topic, body)
        except zmq.ZMQError as error:
            return str(error)
        return None


def point_topics(names: Sequence[str]) -> tuple[bytes, ...]:
    """Return the ZeroMQ topic of each keypoint: ended, so that none begins as another's (``nose``, ``nose_tip``)."""
    return tuple(f"osc.{FORM}.point/{name}/".encode() for name in osc_names(names))


class _Target:
    """A host and port that datagrams are sent to, as soon as its name can be resolved."""

    def __init__(self, host: str, port: int, clock: Clock) -> None:
        self._host, self._port, self._clock = host, port, clock
        self._socket: socket.socket | None = None
        self._next_ns = clock.now_ns()
        self._why = ""

    def send(self, body: bytes) -> str | None:
        """Send a datagram; return why it could not be sent, None if it was handed to the system."""
        if self._socket is None:
            self._resolve()
        if self._socket is None:
            return self._why
        try:
            self._socket.send(body)
        except (
            OSError
        ) as error:  # nobody listens there, as its host said of an earlier one; or no buffer is free
            return f"{self._host}:{self._port}: {error.strerror or error}"
        return None

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _resolve(self) -> None:
        if self._clock.now_ns() < self._next_ns:
            return
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_DGRAM
            )[0]
            found = socket.socket(family, kind, protocol)
            found.setblocking(False)
            found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            found.connect(address)
            self._socket = found
        except OSError as error:
            self._why = f"{self._host}:{self._port}: {error.strerror or error}"
            self._next_ns = self._clock.now_ns() + _AGAIN_NS
