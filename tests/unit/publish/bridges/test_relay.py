"""From the service's socket to a bridge: all that is published, in order; of what waits too long the oldest goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import zmq
from support.publishing import FEATURES, LOSSES, PREDICTION, STATUS, make_pose
from support.waits import wait_until

from rtface.publish.as_json import Published
from rtface.publish.bridges.base import BridgeCounts
from rtface.publish.bridges.relay import Relay
from rtface.publish.events import EventMessage
from rtface.publish.features import TOPIC_FEATURES, FeaturesMessage
from rtface.publish.keypoints import Keypoints
from rtface.publish.neural import NeuralMessage
from rtface.publish.publisher import Publisher
from rtface.publish.receiver import TOPICS
from rtface.publish.sockets import Context, Socket, connected_socket
from rtface.publish.status import StatusMessage


class Kept:
    """A bridge that keeps what it is given."""

    topics = (*TOPICS, TOPIC_FEATURES)

    def __init__(self) -> None:
        self.counts = BridgeCounts()
        self.taken: list[Published] = []
        self.features = False

    def open(self) -> str:
        return ""

    def look(self) -> None:
        pass

    def takes_features(self) -> bool:
        return self.features

    def take(self, message: Published) -> None:
        self.taken.append(message)

    def close(self) -> None:
        pass


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    found = Publisher("tcp://127.0.0.1:*", "session", context)
    found.open()
    yield found
    found.close()


@pytest.fixture
def upstream(context: Context, publisher: Publisher) -> Iterator[Socket]:
    with connected_socket(context, zmq.SUB, publisher.address, 1_000, None) as socket:
        yield socket


def relay_of(bridge: Kept, upstream: Socket, publisher: Publisher, queue: int = 100) -> Relay:
    """Return a relay that the publisher knows of."""
    reports: list[dict[str, Any]] = []
    relay = Relay(bridge, upstream, queue, reports.append)
    wait_until(lambda: publisher.count_subscribers() == 1)
    return relay


def test_all_that_is_published_comes_in_its_order(publisher: Publisher, upstream: Socket) -> None:
    bridge = Kept()
    bridge.features = True
    relay = relay_of(bridge, upstream, publisher)
    wait_until(
        lambda: relay.turn() is None and publisher.count_subscribers() == 1 and publisher.takes_features()
    )
    for frame in range(3):
        publisher.publish(make_pose(frame), LOSSES)
    publisher.publish_status(STATUS)
    publisher.publish_event("mark", 7, {"who": "Ada"})
    publisher.publish_neural(PREDICTION)
    publisher.publish_features(FEATURES)
    wait_until(lambda: relay.turn() is None and len(bridge.taken) == 7)
    kinds = [type(each) for each in bridge.taken]
    assert kinds == [*[Keypoints] * 3, StatusMessage, EventMessage, NeuralMessage, FeaturesMessage]
    frames = [each for each in bridge.taken if isinstance(each, Keypoints)]
    assert [each.frame_id for each in frames] == [0, 1, 2]
    assert all(each.age_ns is not None and each.missed == 0 for each in frames)
    assert bridge.counts.dropped == 0


def test_of_what_waits_too_long_the_oldest_is_dropped_and_counted(
    publisher: Publisher, upstream: Socket
) -> None:
    bridge = Kept()
    relay = relay_of(bridge, upstream, publisher, queue=10)
    for frame in range(30):
        publisher.publish(make_pose(frame), LOSSES)
    wait_until(lambda: bool(upstream.poll(0)))
    while bridge.counts.dropped + len(bridge.taken) + len(relay._waiting) < 30:
        relay._take()  # a bridge that does not come round to hand anything on
    relay.finish(1 << 62)
    frames = [each.frame_id for each in bridge.taken if isinstance(each, Keypoints)]
    assert frames == list(range(20, 30))
    assert bridge.counts.dropped == 20


def test_features_are_subscribed_to_only_while_somebody_takes_them(
    publisher: Publisher, upstream: Socket
) -> None:
    bridge = Kept()
    relay = relay_of(bridge, upstream, publisher)
    relay.turn()
    publisher.count_subscribers()
    assert not publisher.takes_features()
    for wanted in (True, False):
        bridge.features = wanted
        wait_until(
            lambda: (
                relay.turn() is None
                and publisher.count_subscribers() == 1
                and publisher.takes_features() is bridge.features
            )
        )


def test_losses_on_the_way_and_counts_are_reported(publisher: Publisher, upstream: Socket) -> None:
    bridge, reports = Kept(), list[dict[str, Any]]()
    relay = Relay(bridge, upstream, 10, reports.append)
    wait_until(lambda: publisher.count_subscribers() == 1)
    for frame in (0, 1, 2, 3):
        publisher.publish(make_pose(frame), LOSSES)
        if frame == 1:
            publisher._sent[b"keypoints"] += 5  # as if five had been refused by the socket
    publisher.publish_event("mark", 1, {})
    wait_until(lambda: relay.turn() is None and bool(reports) and reports[-1]["missed"] == 5)
    assert set(reports[-1]) == {"sent", "dropped", "missed", "failed", "error"}


def test_what_is_no_message_is_passed_over(context: Context) -> None:
    with context.socket(zmq.XPUB) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        with connected_socket(context, zmq.SUB, f"tcp://127.0.0.1:{port}", 10, None) as upstream:
            bridge = Kept()
            relay = Relay(bridge, upstream, 10, lambda counts: None)
            wait_until(lambda: bool(socket.poll(0)))
            while socket.poll(50):
                socket.recv()
            for parts in ([b"keypoints", b"\xc1"], [b"keypoints"], [b"events", b"\x80", b"3"]):
                socket.send_multipart(parts)
            wait_until(lambda: relay.turn() is None and relay._receiver.malformed == 3)
    assert bridge.taken == []
