"""Bridges by themselves: what they hand on, to whom, and what they count where nobody takes it."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgpack
import pytest
import zmq
from support.publishing import FEATURES, LOSSES, PREDICTION, STATUS, make_pose, received
from support.waits import LONG_S, wait_until

from rtface.core.clock import ManualClock
from rtface.core.errors import AddressError
from rtface.publish.as_json import as_json
from rtface.publish.bridges.base import Bridge
from rtface.publish.bridges.jsonbridge import JSON_TOPICS, JsonBridge
from rtface.publish.bridges.osc import error_message
from rtface.publish.bridges.oscbridge import OSC_EVENT, OscBridge, point_topics
from rtface.publish.events import EventMessage
from rtface.publish.keypoints import Keypoints, decode_keypoints, encode_keypoints
from rtface.publish.sockets import Context
from rtface.publish.status import StatusMessage

FREE = "tcp://127.0.0.1:*"
EVENT = EventMessage("a", 0, 7, "mark", {"who": "Ada", "text": "food"})


def keypoints(frame_id: int = 5) -> Keypoints:
    return decode_keypoints(encode_keypoints(msgpack.Packer(), "a", 0, make_pose(frame_id), LOSSES, 9))


@contextmanager
def opened(bridge: Bridge) -> Iterator[str]:
    try:
        yield bridge.open()
    finally:
        bridge.close()


@contextmanager
def subscribed(context: Context, bridge: Bridge, address: str, *topics: bytes) -> Iterator[zmq.Socket[bytes]]:
    """Lend a subscriber that the bridge knows of."""
    with context.socket(zmq.SUB) as socket:
        for topic in topics:
            socket.subscribe(topic)
        socket.connect(address)
        # What is refused is answered, and what is taken is sent, once the bridge has seen the subscription.
        wait_until(lambda: bridge.look() is None and (bool(socket.poll(0)) or _known(bridge, topics)))
        yield socket


def _known(bridge: Bridge, topics: tuple[bytes, ...]) -> bool:
    counts: dict[bytes, int] = bridge._socket._takers._counts  # type: ignore[attr-defined]
    return all(any(count and each.startswith(topic) for each, count in counts.items()) for topic in topics)


MESSAGES = {
    "keypoints": keypoints(),
    "status": StatusMessage("a", 0, 7, STATUS),
    "events": EVENT,
    "neural": PREDICTION,
    "features": FEATURES,
}


@pytest.mark.parametrize("topic", JSON_TOPICS)
def test_each_message_goes_out_as_the_one_json_form_on_its_topic(context: Context, topic: str) -> None:
    bridge = JsonBridge(context, FREE, 100)
    with opened(bridge) as address, subscribed(context, bridge, address, JSON_TOPICS[topic]) as reader:
        for message in MESSAGES.values():
            bridge.take(message)
        name, body = received(reader)
        assert not reader.poll(50)
    assert name == JSON_TOPICS[topic]
    assert json.loads(body) == as_json(MESSAGES[topic])
    assert bridge.counts.sent == 1


def test_no_topic_is_the_beginning_of_another() -> None:
    points = point_topics(["nose", "nose(tip)", "nose_tip_2", "event", "e"])
    topics = [*JSON_TOPICS.values(), OSC_EVENT, *points, *(each.encode() for each in JSON_TOPICS)]
    for one in topics:
        assert [other for other in topics if other.startswith(one)] == [one]


def test_nothing_is_made_for_nobody(context: Context) -> None:
    bridge = JsonBridge(context, FREE, 100)
    with opened(bridge):
        bridge.look()
        bridge.take(keypoints())
        assert not bridge.takes_features()
    assert (bridge.counts.sent, bridge.counts.failed) == (0, 0)


def test_features_are_asked_for_while_somebody_takes_them(context: Context) -> None:
    bridge = JsonBridge(context, FREE, 100)
    with opened(bridge) as address:
        with subscribed(context, bridge, address, JSON_TOPICS["features"]):
            assert bridge.takes_features()
        wait_until(lambda: bridge.look() is None and not bridge.takes_features())


@pytest.mark.parametrize("wanted", [b"json.2.keypoints", b"keypoints", b"osc.1.point"])
def test_who_wants_another_version_is_told_on_that_topic(context: Context, wanted: bytes) -> None:
    bridge = JsonBridge(context, FREE, 100)
    with opened(bridge) as address, context.socket(zmq.SUB) as reader:
        reader.subscribe(wanted)
        reader.connect(address)
        wait_until(lambda: bridge.look() is None and bool(reader.poll(1)))
        topic, body = received(reader)
    found = json.loads(body)
    assert topic == wanted
    assert (found["topic"], found["error"]["code"]) == ("error", "wire_error")
    assert wanted.decode() in found["error"]["message"]
    assert "json.1.keypoints" in found["error"]["message"]


def test_a_message_too_large_is_counted_and_said_and_the_next_one_goes_out(context: Context) -> None:
    bridge = JsonBridge(context, FREE, 100)
    huge = EventMessage("a", 0, 7, "mark", {"text": "x" * (1 << 21)})
    with opened(bridge) as address, subscribed(context, bridge, address, JSON_TOPICS["events"]) as reader:
        bridge.take(huge)
        assert (bridge.counts.sent, bridge.counts.failed) == (0, 1)
        assert "at most 1048576" in bridge.counts.error
        bridge.take(EVENT)
        assert json.loads(received(reader)[1])["details"]["text"] == "food"


@pytest.mark.parametrize("kind", ["json", "osc"])
def test_an_address_beyond_loopback_needs_keys(context: Context, kind: str) -> None:
    address = "tcp://*:*"
    bridge: Bridge = (
        JsonBridge(context, address, 10) if kind == "json" else OscBridge(context, address, (), ("a",), 10)
    )
    with pytest.raises(AddressError, match="needs keys"):
        bridge.open()
    bridge.close()


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        found.settimeout(LONG_S)
        yield found


def test_osc_goes_to_every_host_and_to_the_topic_alike(context: Context) -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(listening()) for _ in range(2)]
        targets = [("127.0.0.1", each.getsockname()[1]) for each in listeners]
        names = [f"p{k}" for k in range(15)]
        bridge = OscBridge(context, FREE, targets, names, 10, clock=ManualClock(9_000))
        address = stack.enter_context(opened(bridge))
        reader = stack.enter_context(subscribed(context, bridge, address, b"osc.1."))
        bridge.take(keypoints())
        bridge.take(EVENT)
        bodies = [[each.recv(4096) for _ in range(16)] for each in listeners]
        topics, published = zip(*(received(reader) for _ in range(16)), strict=True)
    assert bodies[0] == bodies[1] == list(published)
    assert list(topics) == [*point_topics(names), OSC_EVENT]
    assert bridge.counts.sent == 16
    assert bridge.counts.failed == 0


def test_a_host_that_is_gone_is_counted_and_another_still_gets_all(context: Context) -> None:
    with listening() as gone:
        nobody = gone.getsockname()
    with listening() as there:
        bridge = OscBridge(context, FREE, [nobody, there.getsockname()], ["a"], 10)
        with opened(bridge):
            for frame in range(20):
                bridge.take(keypoints(frame))
                there.recv(4096)
    assert bridge.counts.failed > 0
    assert bridge.counts.sent == 20
    assert f"127.0.0.1:{nobody[1]}" in bridge.counts.error


def test_a_host_that_nobody_knows_is_tried_again_and_counted(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    known = socket.getaddrinfo

    def resolve(host: str, port: int, **options: Any) -> Any:
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(-2, "Name or service not known")
        return known("127.0.0.1", port, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    clock = ManualClock(0)
    with listening() as there:
        bridge = OscBridge(context, FREE, [("max.lab", there.getsockname()[1])], ["a"], 10, clock=clock)
        with opened(bridge):
            for _ in range(10):
                bridge.take(keypoints())
            assert (len(asked), bridge.counts.failed) == (1, 10)
            assert "max.lab" in bridge.counts.error
            assert "not known" in bridge.counts.error
            for _ in range(2):
                clock.sleep_until_ns(clock.now_ns() + 6_000_000_000)
                bridge.take(keypoints())
            assert there.recv(4096).startswith(b"/rtface/point/a\0")
    assert (len(asked), bridge.counts.failed, bridge.counts.sent) == (3, 11, 1)


def test_osc_tells_who_wants_another_topic(context: Context) -> None:
    bridge = OscBridge(context, FREE, (), ["a"], 10)
    with opened(bridge) as address, context.socket(zmq.SUB) as reader:
        reader.subscribe(b"osc.2.point")
        reader.connect(address)
        wait_until(lambda: bridge.look() is None and bool(reader.poll(1)))
        _, body = received(reader)
    assert body.startswith(error_message("")[:16])
    assert b"osc.1.point/a/" in body


def test_a_subscriber_takes_one_keypoint_alone(context: Context) -> None:
    bridge = OscBridge(context, FREE, (), ["nose", "nose(tip)"], 10)
    with (
        opened(bridge) as address,
        subscribed(context, bridge, address, point_topics(["nose"])[0]) as reader,
    ):
        bridge.take(keypoints())
        topic, body = received(reader)
        assert not reader.poll(50)
    assert topic == b"osc.1.point/nose/"
    assert body.startswith(b"/rtface/point/nose\0")
    assert bridge.counts.sent == 1
