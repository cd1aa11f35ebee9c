"""The bridge to JSON: every message in its one JSON form, on topics of its own."""

from __future__ import annotations

import zmq

from rtface.core.errors import WireError
from rtface.publish.as_json import Published, as_json, json_body
from rtface.publish.bridges.base import FORM, BridgeCounts
from rtface.publish.bridges.topics import TopicSocket
from rtface.publish.events import TOPIC_EVENTS
from rtface.publish.features import TOPIC_FEATURES
from rtface.publish.keypoints import TOPIC_KEYPOINTS
from rtface.publish.keys import Guard
from rtface.publish.neural import TOPIC_NEURAL
from rtface.publish.receiver import TOPICS
from rtface.publish.sockets import Context
from rtface.publish.status import TOPIC_STATUS
from rtface.publish.wire import PROTOCOL

JSON_TOPICS = {
    topic.decode(): f"json.{FORM}.{topic.decode()}".encode()
    for topic in (TOPIC_KEYPOINTS, TOPIC_STATUS, TOPIC_EVENTS, TOPIC_NEURAL, TOPIC_FEATURES)
}
"""By the topic of the service."""

_FEATURES = JSON_TOPICS[TOPIC_FEATURES.decode()]


class JsonBridge:
    """Publishes each message as JSON to who subscribes to its topic; as `Bridge`.

    Parameters
    ----------
    context : zmq.Context
    address : str
        ZeroMQ address to bind.
    queue : int
        Messages kept for each subscriber that does not take them.
    guard : Guard, optional
        Admits known clients alone.
    """

    topics = TOPICS

    def __init__(self, context: Context, address: str, queue: int, guard: Guard | None = None) -> None:
        self.counts = BridgeCounts()
        self._socket = TopicSocket(
            context, address, "publish.bridges (json)", tuple(JSON_TOPICS.values()), _refusal, queue, guard
        )

    def open(self) -> str:
        """As `Bridge.open`."""
        return self._socket.open()

    def look(self) -> None:
        """As `Bridge.look`."""
        self._socket.look()

    def takes_features(self) -> bool:
        """As `Bridge.takes_features`."""
        return self._socket.taken(_FEATURES)

    def take(self, message: Published) -> None:
        """As `Bridge.take`."""
        values = as_json(message)
        topic = JSON_TOPICS[values["topic"]]
        if not self._socket.taken(topic):
            return
        try:
            self._socket.send(topic, json_body(values))
            self.counts.sent += 1
        except (zmq.ZMQError, WireError) as error:
            self.counts.fail(error)

    def close(self) -> None:
        """As `Bridge.close`."""
        self._socket.close()


def _refusal(why: str) -> bytes:
    return json_body({"topic": "error", "v": PROTOCOL, "error": {"code": "wire_error", "message": why}})
