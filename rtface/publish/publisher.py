"""The socket that keypoints, neural predictions, features, status and events go out on."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgpack
import zmq

from rtface.core.clock import SYSTEM_CLOCK, Clock
from rtface.core.errors import UsageError, WireError
from rtface.core.records import Losses, Pose
from rtface.publish.events import TOPIC_EVENTS, EventKind, encode_event
from rtface.publish.features import TOPIC_FEATURES, FeaturesMessage, encode_features
from rtface.publish.keypoints import encode_keypoints, keypoints_topic
from rtface.publish.keys import Guard
from rtface.publish.neural import TOPIC_NEURAL, NeuralMessage, encode_neural
from rtface.publish.peers import SUBSCRIBER_LIMITS, PeerWatch, Takers
from rtface.publish.sockets import Context, Socket, bound_socket
from rtface.publish.status import TOPIC_STATUS, ServiceStatus, encode_status
from rtface.publish.wire import MAX_SESSION

_FAREWELL_MS = 500

_log = logging.getLogger(__name__)


class Publisher:
    """Publishes all that a service sends by itself. A `PoseSink`: one thread opens, uses and closes it.

    Sending never waits. A subscriber that does not keep up loses messages once `queue` of them wait for it, and
    sees from their numbers how many; no other is affected.

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
    cameras : sequence of str
        Names of the cameras, where there are several: each has a topic of its own.
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
        cameras: Sequence[str] = (),
    ) -> None:
        if not 0 < len(session) <= MAX_SESSION:
            raise WireError(f"a session's name has 1 to {MAX_SESSION} characters, not {len(session)}")
        self._wanted = address
        self._session = session
        self._packer = msgpack.Packer()
        self._context = context
        self._queue = queue
        self._guard = guard
        self._clock = clock
        self._socket: Socket | None = None
        self._watch: PeerWatch | None = None
        self._address = ""
        self._sent: Counter[bytes] = Counter()
        self._lost: Counter[str] = Counter()
        self._topics = {camera: keypoints_topic(camera) for camera in (*cameras,) or ("",)}
        self._takers = Takers((*self._topics.values(), TOPIC_FEATURES))

    @property
    def address(self) -> str:
        """The address that is bound, with the port that was taken; empty before `open`."""
        return self._address

    @property
    def lost(self) -> int:
        """Poses since `open` that could not be handed to the socket."""
        return self._lost.total()

    def lost_of(self, camera: str) -> int:
        """Return how many of them were of one of several cameras."""
        return self._lost[camera]

    def open(self) -> None:
        """Bind the socket.

        Raises
        ------
        AddressError
            The address cannot be bound, or would need keys.
        """
        if self._socket is not None:
            raise UsageError("the publisher is open already")

        def watch(socket: Socket) -> Callable[[], None]:
            self._watch = PeerWatch(self._context, socket, SUBSCRIBER_LIMITS, "publish.keypoints")
            return self._watch.close

        self._socket, self._address = bound_socket(
            self._context, zmq.XPUB, self._wanted, "publish.keypoints", self._queue, self._guard, watch
        )
        self._sent.clear()
        self._takers.clear()
        self._lost.clear()

    def publish(self, pose: Pose, losses: Losses) -> int:
        """Send one pose to the subscribers; as `PoseSink.publish`.

        The message carries the time just before it was encoded; what is returned is the time after it was sent.
        A message that the socket refused still uses up its number, so that subscribers see that it is missing.
        """
        camera = pose.frame.camera
        topic = self._topics[camera]
        seq, now_ns = self._sent[topic], self._clock.now_ns()
        body = encode_keypoints(self._packer, self._session, seq, pose, losses, now_ns)
        if not self._send(topic, body):
            self._lost[camera] += 1
        return self._clock.now_ns()

    def publish_status(self, status: ServiceStatus) -> None:
        """Send the status to the subscribers."""
        seq, now_ns = self._sent[TOPIC_STATUS], self._clock.now_ns()
        if not self._send(TOPIC_STATUS, encode_status(self._packer, self._session, seq, now_ns, status)):
            _log.warning("the status could not be sent")

    def publish_event(self, kind: EventKind, t_ns: int, details: Mapping[str, Any]) -> None:
        """Send an event to the subscribers, as `rtface.publish.events.encode_event` makes it."""
        seq = self._sent[TOPIC_EVENTS]
        if not self._send(TOPIC_EVENTS, encode_event(self._packer, self._session, seq, t_ns, kind, details)):
            _log.warning("an event (%s) could not be sent", kind)

    def publish_neural(self, message: NeuralMessage) -> None:
        """Send a neural prediction to the subscribers; its session, number and time are put in here."""
        seq, now_ns = self._sent[TOPIC_NEURAL], self._clock.now_ns()
        placed = replace(message, session=self._session, seq=seq, published_ns=now_ns)
        if not self._send(TOPIC_NEURAL, encode_neural(self._packer, placed)):
            _log.warning("a neural prediction could not be sent")

    def publish_features(self, message: FeaturesMessage) -> None:
        """Send features to the subscribers; session, number and time are put in here. `WireError` as of `encode_features`."""
        seq, now_ns = self._sent[TOPIC_FEATURES], self._clock.now_ns()
        placed = replace(message, session=self._session, seq=seq, published_ns=now_ns)
        if not self._send(TOPIC_FEATURES, encode_features(self._packer, placed)):
            _log.warning("features could not be sent")

    def count_subscribers(self) -> int:
        """Return how many sockets take the keypoints at this moment; call it now and then, as with each status."""
        self._takers.read(self._opened())
        return max(self._takers[topic] for topic in self._topics.values())

    def takes_features(self) -> bool:
        """Return whether somebody took the features when `count_subscribers` was last called."""
        return self._takers[TOPIC_FEATURES] > 0

    def close(self) -> None:
        """Give the address back; may be called any number of times.

        It does not wait. Subscribers have half a second more to take what waits for them, so that the last
        messages arrive; ending the context takes that long where one does not.
        """
        socket, self._socket = self._socket, None
        if socket is not None:
            if self._watch is not None:
                self._watch.close()
            socket.close(_FAREWELL_MS)

    def _send(self, topic: bytes, body: bytes) -> bool:
        socket = self._opened()
        self._sent[topic] += 1
        try:
            socket.send_multipart((topic, body), zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def _opened(self) -> Socket:
        if self._socket is None:
            raise UsageError("the publisher is not open")
        return self._socket
