"""The ZeroMQ socket that a bridge publishes on: topics of its own, made only while somebody takes them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import zmq

from rtface.publish.keys import Guard
from rtface.publish.peers import SUBSCRIBER_LIMITS, PeerWatch, Takers
from rtface.publish.sockets import Context, Socket, bound_socket

_MOST_SHOWN = 8

_log = logging.getLogger(__name__)


class TopicSocket:
    """Publishes on topics of which none is the beginning of another; belongs to one thread.

    Who subscribes to a topic that is none of them, one of another version above all, is told so on that topic.

    Parameters
    ----------
    context : zmq.Context
    address : str
        ZeroMQ address to bind; port ``*`` takes a free one.
    setting : str
        Where the address comes from, for messages.
    topics : sequence of bytes
        All that there are.
    refusal : callable
        Makes the body of the message for who subscribes to another one, from the reason.
    queue : int
        Messages kept for each subscriber that does not take them; it loses those beyond.
    guard : Guard or None
        Admits known clients alone.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        setting: str,
        topics: Sequence[bytes],
        refusal: Callable[[str], bytes],
        queue: int,
        guard: Guard | None,
    ) -> None:
        self._context, self._wanted, self._setting = context, address, setting
        self._refusal, self._queue, self._guard = refusal, queue, guard
        shown = [each.decode() for each in topics[:_MOST_SHOWN]]
        self._there = ", ".join(shown) + (", ..." if len(topics) > _MOST_SHOWN else "")
        self._takers = Takers(topics)
        self._socket: Socket | None = None
        self._watch: PeerWatch | None = None

    def open(self) -> str:
        """Bind the socket, and return its address; `AddressError` where it cannot be bound, or would need keys."""

        def watch(socket: Socket) -> Callable[[], None]:
            self._watch = PeerWatch(self._context, socket, SUBSCRIBER_LIMITS, self._setting)
            return self._watch.close

        self._socket, address = bound_socket(
            self._context, zmq.XPUB, self._wanted, self._setting, self._queue, self._guard, watch
        )
        return address

    def look(self) -> None:
        """See who takes what, and tell those who ask for what there is not."""
        if self._socket is None:
            return
        self._takers.read(self._socket)
        while self._takers.strange:
            topic = self._takers.strange.popleft()
            why = f"there is no topic {topic.decode(errors='replace')!r:.80}; there are: {self._there}"
            _log.warning("%s: %s", self._setting, why)
            self._socket.send_multipart((topic, self._refusal(why)), zmq.NOBLOCK)

    def taken(self, topic: bytes) -> bool:
        """Return whether anybody took a topic when `look` was last called."""
        return self._takers[topic] > 0

    def send(self, topic: bytes, body: bytes) -> None:
        """Send a message to who takes the topic; never waits. `zmq.ZMQError` where the socket refuses it."""
        if self._socket is not None:
            self._socket.send_multipart((topic, body), zmq.NOBLOCK)

    def close(self) -> None:
        """Give the address back; may be called any number of times."""
        socket, self._socket = self._socket, None
        if socket is not None:
            if self._watch is not None:
                self._watch.close()
            socket.close(0)
