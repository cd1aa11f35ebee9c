from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import FEATURES, LOSSES, make_pose, received, wait_for_subscribers
from support.waits import LONG_S, wait_until

from rtface.client import Client
from rtface.core.clock import ManualClock, monotonic_ns
from rtface.core.errors import WireError
from rtface.publish.features import (
    MAX_FEATURES,
    TOPIC_FEATURES,
    FeaturesMessage,
    decode_features,
    encode_features,
)
from rtface.publish.publisher import Publisher
from rtface.publish.receiver import Receiver
from rtface.publish.sockets import Context


def body(message: FeaturesMessage = FEATURES, **changes: Any) -> bytes:
    return encode_features(msgpack.Packer(), replace(message, **changes))


def same(one: FeaturesMessage, two: FeaturesMessage) -> bool:
    pairs = ((getattr(one, each.name), getattr(two, each.name)) for each in fields(one))
    return all(
        np.array_equal(a, b, equal_nan=True) if isinstance(a, np.ndarray) else a == b for a, b in pairs
    )


def test_features_arrive_as_they_were_sent() -> None:
    assert same(decode_features(body()), FEATURES)
    none = replace(FEATURES, names=(), units=(), values=np.empty(0), scores=np.empty(0), rules={})
    assert same(decode_features(body(none)), none)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"v": 2}, "protocol version 2"),
        ({"frame_id": None}, "frame_id must be an integer"),
        ({"values": bytes(7)}, "values has 7 bytes; 8 a number"),
        ({"values": bytes(8)}, "values has 1 entries for 2 names"),
        ({"scores": bytes(24)}, "scores has 3 entries for 2 names"),
        ({"units": ["px"]}, "units has 1 entries for 2 names"),
        ({"names": ["a", 1]}, "names must be an array of texts"),
        ({"names": ["a"] * (MAX_FEATURES + 1)}, f"names has {MAX_FEATURES + 1}"),
        ({"rules": {"r": 1}}, r"rules\.r must be a map"),
        ({"rules": {"r": {}}}, r"rules\.r\.values is missing"),
        (
            {"rules": {"r": {"state": "armed", "when": "", "withheld": None, "values": {"a": "b"}}}},
            r"values\.a must be a number",
        ),
        ({"t": {"exposure": 1}}, r"t\.published is missing"),
        ({"session": "x" * 65}, "session has 65 characters"),
    ],
)
def test_what_is_malformed_is_named(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        decode_features(msgpack.packb(msgpack.unpackb(body()) | change))


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_wire_errors(data: bytes) -> None:
    receiver = Receiver(0)
    assert receiver.take([TOPIC_FEATURES, data], 1) is None
    assert receiver.malformed + len(receiver.features.waiting) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"units": ("px",)},
        {"values": np.zeros(3)},
        {"scores": np.zeros((2, 1))},
        {"rules": {"r": {"when": "x" * 70_000}}},
    ],
)
def test_what_does_not_belong_together_is_not_sent(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        body(**change)


def test_a_client_that_asks_for_features_is_counted_and_gets_them_one_that_does_not_is_not(
    context: Context,
) -> None:
    publisher = Publisher("tcp://127.0.0.1:*", "session", context, clock=ManualClock(7_000))
    publisher.open()
    with (
        Client(publisher.address, timeout_s=LONG_S) as client,
        Client(publisher.address, timeout_s=LONG_S) as other,
    ):
        wait_for_subscribers(publisher, 2)
        assert not publisher.takes_features()
        assert client.features() == []
        wait_until(lambda: publisher.count_subscribers() == 2 and publisher.takes_features())
        exposed_ns = monotonic_ns()
        for number in range(3):
            publisher.publish_features(replace(FEATURES, exposure_ns=exposed_ns + number))
        first = client.next_features(LONG_S)
        assert first is not None
        own = {"session": "session", "seq": 0, "published_ns": 7_000, "exposure_ns": exposed_ns}
        its = {"received_ns": first.received_ns, "age_ns": first.received_ns - exposed_ns}
        assert same(first, replace(FEATURES, **own, **its))
        publisher.publish(make_pose(9), LOSSES)
        assert client.next(LONG_S) is not None
        assert [each.seq for each in client.features()] == [1, 2]
        assert client.missed_features == 0
        assert client.next_features(0) is None
        assert other.next(LONG_S) is not None
        assert not other._receiver.features.waiting
        client.end_features()
        client.end_features()
        wait_until(lambda: publisher.count_subscribers() == 2 and not publisher.takes_features())
        publisher.publish_features(FEATURES)
        assert client.features() == []
        wait_until(lambda: publisher.count_subscribers() == 2 and publisher.takes_features())
        publisher.publish_features(FEATURES)
        again = client.next_features(LONG_S)
        assert again is not None
        assert (again.seq, client.missed_features) == (4, 0)
        client.close()
        wait_until(lambda: publisher.count_subscribers() == 1 and not publisher.takes_features())
    publisher.close()


def test_who_subscribes_to_everything_takes_features_too(context: Context) -> None:
    publisher = Publisher("tcp://127.0.0.1:*", "session", context)
    publisher.open()
    socket = context.socket(zmq.SUB)
    socket.subscribe(b"")
    socket.connect(publisher.address)
    wait_for_subscribers(publisher, 1)
    assert publisher.takes_features()
    publisher.publish_features(FEATURES)
    assert received(socket)[0] == TOPIC_FEATURES
    socket.close(0)
    publisher.close()
