from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import LOSSES, PREDICTION, make_pose, wait_for_subscribers
from support.waits import LONG_S

from rtface.client import Client
from rtface.core.clock import ManualClock, monotonic_ns
from rtface.core.errors import WireError
from rtface.publish.neural import MAX_NEURONS, TOPIC_NEURAL, NeuralMessage, decode_neural, encode_neural
from rtface.publish.publisher import Publisher
from rtface.publish.receiver import Receiver
from rtface.publish.sockets import Context

WHOLE = PREDICTION
BARE = replace(WHOLE, frame_id=None, neurons=None, chosen=None, state=None, probability=None, simulated=False)


def body(message: NeuralMessage = WHOLE, **changes: Any) -> bytes:
    return encode_neural(msgpack.Packer(), replace(message, **changes))


def same(one: NeuralMessage, two: NeuralMessage) -> bool:
    return all(np.array_equal(getattr(one, each.name), getattr(two, each.name)) for each in fields(one))


@pytest.mark.parametrize("message", [WHOLE, BARE], ids=["whole", "bare"])
def test_a_prediction_arrives_as_it_was_sent(message: NeuralMessage) -> None:
    found = decode_neural(body(message))
    assert same(found, message)
    assert found.unusual
    assert msgpack.unpackb(body(message))["unusual"] is True
    assert msgpack.unpackb(body(message, strange=1.0))["unusual"] is False


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"v": 2}, "protocol version 2"),
        ({"kind": "spikes"}, "kind must be one of components, neurons"),
        ({"outputs": b"123"}, "outputs has 3 bytes"),
        ({"outputs": bytes(4 * MAX_NEURONS + 4)}, "outputs has 4097 numbers"),
        ({"uncertainty": bytes(8)}, "uncertainty has 2 numbers for 3 outputs"),
        ({"chosen": bytes(4)}, "chosen does not number the neurons"),
        ({"neurons": None}, "chosen does not number the neurons"),
        ({"state": 2}, "state is 2, but probability has no such state"),
        ({"probability": None}, "state is 1, but probability"),
        ({"warm": 1}, "warm must be true or false"),
        ({"look_ahead_ns": -1}, "look_ahead_ns must be between 0"),
        ({"t": {"published": 1}}, r"t\.exposure is missing"),
        ({"session": "x" * 65}, "session has 65 characters"),
        ({"model": 5}, "model must be text"),
    ],
)
def test_a_malformed_prediction_is_refused_by_its_field(change: dict[str, object], problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        decode_neural(msgpack.packb(msgpack.unpackb(body()) | change))


@pytest.mark.parametrize(
    "change",
    [
        {"uncertainty": np.zeros(2, np.float32)},
        {"neurons": None},
        {"chosen": np.zeros(1, np.int32)},
        {"neurons": np.zeros(5000, np.float32), "chosen": np.zeros(5000, np.int32)},
    ],
)
def test_arrays_that_do_not_belong_together_are_not_sent(change: dict[str, Any]) -> None:
    with pytest.raises(WireError):
        body(**change)


@given(st.integers(0, 1_000), st.sets(st.integers(0, 60), min_size=1))
def test_predictions_that_arrived_and_were_missed_add_up(start: int, arrived: set[int]) -> None:
    receiver = Receiver(0)
    for seq in sorted(arrived):
        assert receiver.take([TOPIC_NEURAL, body(seq=start + seq)], 9_000) is None
    assert [each.seq for each in receiver.neural.waiting] == [start + seq for seq in sorted(arrived)]
    assert {each.age_ns for each in receiver.neural.waiting} == {4_000}
    assert receiver.neural.missed + len(arrived) == max(arrived) - min(arrived) + 1
    assert (receiver.malformed, receiver.events.missed) == (0, 0)


def test_the_age_is_told_where_the_clocks_are_known() -> None:
    receiver = Receiver(None)
    receiver.take([TOPIC_NEURAL, body()], 9_000)
    receiver.correct(1_000)
    receiver.take([TOPIC_NEURAL, body()], 9_000)
    receiver.correct(1_000, "another")
    receiver.take([TOPIC_NEURAL, body()], 9_000)
    assert [each.age_ns for each in receiver.neural.waiting] == [None, 5_000, None]


def test_a_client_gets_predictions_with_their_age_between_keypoints(context: Context) -> None:
    publisher = Publisher("tcp://127.0.0.1:*", "session", context, clock=ManualClock(7_000))
    publisher.open()
    with Client(publisher.address, timeout_s=LONG_S) as client:
        wait_for_subscribers(publisher, 1)
        exposed_ns = monotonic_ns()
        for number in range(3):
            publisher.publish(make_pose(number), LOSSES)
            publisher.publish_neural(replace(WHOLE, exposure_ns=exposed_ns + number))
        first = client.next_neural(LONG_S)
        assert first is not None
        assert same(
            first,
            replace(
                WHOLE,
                exposure_ns=exposed_ns,
                session="session",
                seq=0,
                published_ns=7_000,
                received_ns=first.received_ns,
                age_ns=first.age_ns,
            ),
        )
        assert first.age_ns == first.received_ns - exposed_ns > 0
        publisher.publish(make_pose(9), LOSSES)
        while (found := client.next(LONG_S)) is not None and found.frame_id != 9:
            pass
        assert [each.seq for each in client.neural()] == [1, 2]
        assert client.neural() == []
        assert client.missed_neural == 0
        assert client.next_neural(0) is None
    publisher.close()
