"""The socket that keypoints, neural predictions, status and events go out on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgpack
import zmq

from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.core.errors import UsageError
from rtface.core.records import Losses, Pose
from rtface.publish.events import TOPIC_EVENTS, EventKind, encode_event
from rtface.publish.keys import Guard
from rtface.publish.neural import TOPIC_NEURAL, NeuralMessage, encode_neural
from rtface.publish.sockets import Context, Socket, bound_socket
from rtface.publish.wire import TOPIC_KEYPOINTS, TOPIC_STATUS, MessagePacker, ServiceStatus

_SUBSCRIPTIONS_AT_ONCE = 1_000
_FAREWELL_MS = 500

_log = logging.getLogger(__name__)


class Publisher:
    """Publishes keypoints and status. A `PoseSink`: one thread opens, uses and closes it.

    Sending never waits. A subscriber that does not keep up loses messages once `queue` of them wait for it, and
    sees from their numbers how many; nobody else notices.

    Parameters
    ----------
    address : str
        ZeroMQ address to bind; port ``*`` takes a free one.
    session : str
        Names this life of the service.
    context : zmq.Context
        Where the socket lives.
    queue : int
        Messages kept for a slow subscriber.
    guard : Guard, optional
        Admits known clients alone; needed for an address beyond loopback. It must be open.
    clock : Clock, optional
        Stamps the messages.
    """

    def __init__(
        self,
        address: str,
        session: str,
        context: Context,
        *,
        queue: int = 1_000,
        guard: Guard | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._wanted = address
        self._encoder = MessagePacker(session)
        self._session = session
        self._packer = msgpack.Packer()
        self._context = context
        self._queue = queue
        self._guard = guard
        self._clock = clock
        self._socket: Socket | None = None
        self._address = ""
        self._poses = 0
        self._statuses = 0
        self._events = 0
        self._neural = 0
        self._lost = 0
        self._subscribers = 0

    @property
    def address(self) -> str:
        """The address that is bound, with the port that was taken; empty before `open`."""
        return self._address

    @property
    def lost(self) -> int:
        """Poses since `open` that could not be handed to the socket."""
        return self._lost

    def open(self) -> None:
        """Bind the socket.

        Raises
        ------
        AddressError
            The address cannot be bound, or would need keys.
        """
        if self._socket is not None:
            raise UsageError("the publisher is open already")
        socket, self._address = bound_socket(
            self._context, zmq.XPUB, self._wanted, "publish.keypoints", self._queue, self._guard
        )
        self._socket = socket
        self._poses = self._statuses = self._events = self._neural = self._lost = self._subscribers = 0

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Send one pose to whoever listens; as `PoseSink.publish`.

        The message carries the time just before it was encoded; what is returned is the time after it was sent.
        A message that the socket refused still uses up its number, so that subscribers see that it is missing.
        """
        socket = self._opened()
        body = self._encoder.keypoints(self._poses, pose, losses, self._clock.now_ns())
        self._poses += 1
        if not _sent(socket, TOPIC_KEYPOINTS, body):
            self._lost += 1
        return self._clock.now_ns()

    def publish_status(self, status: ServiceStatus) -> None:
        """Send the status to whoever listens; `count_subscribers` says to how many."""
        socket = self._opened()
        body = self._encoder.status(self._statuses, status, self._clock.now_ns())
        self._statuses += 1
        if not _sent(socket, TOPIC_STATUS, body):
            _log.warning("the status could not be sent")

    def publish_event(self, kind: EventKind, t_ns: int, details: Mapping[str, Any]) -> None:
        """Send an event to whoever listens, as `rtface.publish.events.encode_event` makes it."""
        socket = self._opened()
        body = encode_event(self._packer, self._session, self._events, t_ns, kind, details)
        self._events += 1
        if not _sent(socket, TOPIC_EVENTS, body):
            _log.warning("an event (%s) could not be sent", kind)

    def publish_neural(self, message: NeuralMessage) -> None:
        """Send a neural prediction to whoever listens; its session, number and time are put in here."""
        socket = self._opened()
        placed = replace(message, session=self._session, seq=self._neural, published_ns=self._clock.now_ns())
        body = encode_neural(self._packer, placed)
        self._neural += 1
        if not _sent(socket, TOPIC_NEURAL, body):
            _log.warning("a neural prediction could not be sent")

    def count_subscribers(self) -> int:
        """Return how many sockets take the keypoints at this moment; call it now and then, as with each status."""
        socket = self._opened()
        for _ in range(_SUBSCRIPTIONS_AT_ONCE):
            try:
                parts = socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._count(parts)
        return self._subscribers

    def close(self) -> None:
        """Give the address back; may be called any number of times.

        It does not wait. Subscribers have half a second more to take what waits for them, so that the last
        messages arrive; ending the context takes that long where one does not.
        """
        socket, self._socket = self._socket, None
        if socket is not None:
            socket.close(_FAREWELL_MS)

    def _opened(self) -> Socket:
        if self._socket is None:
            raise UsageError("the publisher is not open")
        return self._socket

    def _count(self, parts: list[bytes]) -> None:
        """Count one message from a subscriber: 1 or 0, then the start of the topics that it is about."""
        change, topic = parts[0][:1], parts[0][1:]
        if not TOPIC_KEYPOINTS.startswith(topic):
            return
        if change == b"\x01":
            self._subscribers += 1
        elif change == b"\x00" and self._subscribers > 0:
            self._subscribers -= 1


def _sent(socket: Socket, topic: bytes, body: bytes) -> bool:
    try:
        socket.send_multipart((topic, body), zmq.NOBLOCK)
    except zmq.ZMQError:
        return False
    return True
