from __future__ import annotations

import msgpack
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import received, wait_for_subscribers

from rtface.core.clock import ManualClock
from rtface.core.errors import UsageError, WireError
from rtface.publish.events import KINDS, TOPIC_EVENTS, EventMessage, decode_event, encode_event
from rtface.publish.publisher import Publisher
from rtface.publish.receiver import Receiver
from rtface.publish.sockets import Context

DETAILS = {"rule": "whisk", "inputs": [["pad.amplitude", 4.5, 0.9, 3_000_000]], "pulse": None}


def body(seq: int = 0, session: str = "a") -> bytes:
    return encode_event(msgpack.Packer(), session, seq, 5_000, "decision", DETAILS)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_arrives_as_it_was_sent(context: Context, kind: str) -> None:
    publisher = Publisher("tcp://127.0.0.1:*", "session", context, clock=ManualClock(7_000))
    publisher.open()
    with context.socket(zmq.SUB) as socket:
        socket.subscribe(b"")
        socket.connect(publisher.address)
        wait_for_subscribers(publisher, 1)
        for number in range(2):
            publisher.publish_event(kind, 4_000 + number, DETAILS)  # type: ignore[arg-type]
        for number in range(2):
            topic, found = received(socket)
            assert topic == TOPIC_EVENTS
            assert decode_event(found) == EventMessage("session", number, 4_000 + number, kind, DETAILS)  # type: ignore[arg-type]
    publisher.close()
    with pytest.raises(UsageError, match="not open"):
        publisher.publish_event("mark", 0, {})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"v": 2}, "protocol version 2"),
        ({"kind": "party"}, "kind must be one of decision, light"),
        ({"seq": -1}, "seq must be between 0"),
        ({"t_ns": 1.5}, "t_ns must be an integer"),
        ({"details": [1]}, "details must be a map"),
        ({"session": "x" * 65}, "session has 65 characters"),
    ],
)
def test_a_malformed_event_is_refused_by_its_field(change: dict[str, object], problem: str) -> None:
    with pytest.raises(WireError, match=problem):
        decode_event(msgpack.packb(msgpack.unpackb(body()) | change))


def test_an_event_that_the_wire_has_no_form_for_is_refused() -> None:
    with pytest.raises(WireError, match="cannot be put"):
        encode_event(msgpack.Packer(), "a", 0, 0, "mark", {"what": object()})


@given(st.integers(0, 1_000), st.sets(st.integers(0, 60), min_size=1))
def test_events_that_arrived_and_were_missed_add_up(start: int, arrived: set[int]) -> None:
    receiver = Receiver(0)
    for seq in sorted(arrived):
        assert receiver.take([TOPIC_EVENTS, body(start + seq)], 0) is None
    assert [event.seq for event in receiver.events.waiting] == [start + seq for seq in sorted(arrived)]
    assert receiver.events.missed + len(arrived) == max(arrived) - min(arrived) + 1
    assert receiver.malformed == 0


def test_a_restart_begins_the_numbers_anew() -> None:
    receiver = Receiver(0)
    for seq, session in ((8, "a"), (1, "b"), (2, "b")):
        receiver.take([TOPIC_EVENTS, body(seq, session)], 0)
    assert receiver.events.missed == 1


def test_events_that_nobody_asks_for_are_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtface.publish.receiver._MOST_WAITING", 3)
    receiver = Receiver(0)
    for seq in range(5):
        receiver.take([TOPIC_EVENTS, body(seq)], 0)
    assert [event.seq for event in receiver.events.waiting] == [2, 3, 4]
    assert receiver.events.missed == 2
