from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
import zmq
from support.publishing import LOSSES, STATUS, make_pose, received, wait_for_subscribers
from support.waits import LONG_S

from rtface.core.clock import ManualClock
from rtface.core.errors import AddressError, UsageError, WireError
from rtface.publish.keypoints import decode_keypoints, encode_keypoints
from rtface.publish.publisher import Publisher
from rtface.publish.receiver import Receiver
from rtface.publish.sockets import Context
from rtface.publish.status import decode_status


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    sink = Publisher("tcp://127.0.0.1:*", "session", context, clock=ManualClock(7_000))
    sink.open()
    yield sink
    sink.close()


@pytest.fixture
def subscriber(context: Context, publisher: Publisher) -> Iterator[zmq.Socket[bytes]]:
    with context.socket(zmq.SUB) as socket:
        socket.subscribe(b"")
        socket.connect(publisher.address)
        wait_for_subscribers(publisher, 1)
        yield socket


def test_poses_are_numbered_and_stamped(publisher: Publisher, subscriber: zmq.Socket[bytes]) -> None:
    for frame_id in (10, 12, 13):
        assert publisher.publish(make_pose(frame_id), LOSSES) == 7_000
    messages = []
    for _ in range(3):
        topic, body = received(subscriber)
        assert topic == b"keypoints"
        messages.append(decode_keypoints(body))
    assert [message.seq for message in messages] == [0, 1, 2]
    assert [message.frame_id for message in messages] == [10, 12, 13]
    assert {message.published_ns for message in messages} == {7_000}
    assert {message.lost for message in messages} == {LOSSES}


def test_encoding_and_sending_count_as_part_of_handing_over(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Counting(ManualClock):
        def take(self, duration_ns: int) -> None:
            self.sleep_until_ns(self.now_ns() + duration_ns)

    class Sending:
        bodies: ClassVar[list[bytes]] = []

        def send_multipart(self, parts: tuple[bytes, bytes], flags: int) -> None:
            clock.take(300)
            self.bodies.append(parts[1])

    clock = Counting(7_000)
    publisher = Publisher("inproc://out", "session", context, clock=clock)

    def encoded(*arguments: Any) -> bytes:
        clock.take(40)
        return encode_keypoints(*arguments)

    monkeypatch.setattr("rtface.publish.publisher.encode_keypoints", encoded)
    monkeypatch.setattr(publisher, "_socket", Sending())
    assert publisher.publish(make_pose(), LOSSES) == 7_340
    (body,) = Sending.bodies
    assert decode_keypoints(body).published_ns == 7_000


def test_status_is_numbered_on_its_own(publisher: Publisher, subscriber: zmq.Socket[bytes]) -> None:
    for _ in range(2):
        publisher.publish(make_pose(), LOSSES)
        publisher.publish_status(STATUS)
    messages = [received(subscriber) for _ in range(4)]
    assert [topic for topic, _ in messages] == [b"keypoints", b"status"] * 2
    statuses = [decode_status(body) for topic, body in messages if topic == b"status"]
    assert [status.seq for status in statuses] == [0, 1]
    assert statuses[1].status == STATUS
    assert statuses[1].t_ns == 7_000


def test_closing_leaves_a_bounded_time_for_the_last_messages(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closing:
        lingers: ClassVar[list[int]] = []

        def close(self, linger_ms: int) -> None:
            self.lingers.append(linger_ms)

    with monkeypatch.context() as patch:
        patch.setattr(publisher, "_socket", Closing())
        publisher.close()
        publisher.close()
    (linger_ms,) = Closing.lingers
    assert 0 < linger_ms <= 1_000


def test_subscribers_are_counted_as_they_come_and_go(context: Context, publisher: Publisher) -> None:
    def wait_for(count: int) -> None:
        wait_for_subscribers(publisher, count)
        while publisher.count_subscribers() > count:
            assert publisher._opened().poll(int(LONG_S * 1000))

    # Its clock stands still, so that only a subscriber can end the wait.
    assert publisher.count_subscribers() == 0
    sockets = []
    for count, topic in enumerate((b"keypoints", b"", b"keyp"), start=1):
        sockets.append(context.socket(zmq.SUB))
        sockets[-1].subscribe(b"status")
        sockets[-1].subscribe(topic)
        sockets[-1].connect(publisher.address)
        wait_for(count)
    for count in (2, 1, 0):
        sockets.pop().close(0)
        wait_for(count)


def test_garbage_from_a_subscriber_is_passed_over(context: Context, publisher: Publisher) -> None:
    with context.socket(zmq.XSUB) as socket:
        socket.connect(publisher.address)
        for garbage in (b"", b"\x00keypoints", b"\x02", b"hello", b"\x00\xff" * 200):
            socket.send(garbage)
        socket.send_multipart([b"a", b"b", b"c"])
        socket.send(b"\x01keypoints")
        wait_for_subscribers(publisher, 1)
        publisher.publish(make_pose(5), LOSSES)
        assert decode_keypoints(received(socket)[1]).frame_id == 5
        assert publisher.count_subscribers() == 1


def test_a_slow_subscriber_loses_messages_and_sees_how_many(context: Context) -> None:
    sent, queue = 1_000, 10
    publisher = Publisher("inproc://out", "session", context, queue=queue)
    publisher.open()
    with context.socket(zmq.SUB) as slow:
        slow.setsockopt(zmq.RCVHWM, 1)
        slow.subscribe(b"keypoints")
        slow.connect("inproc://out")
        wait_for_subscribers(publisher, 1)
        receiver = Receiver(0)
        publisher.publish(make_pose(), LOSSES)
        first = receiver.take(received(slow), 0)
        for frame_id in range(1, sent):
            publisher.publish(make_pose(frame_id), LOSSES)
        assert publisher.lost == 0

        arrived = [first]
        while slow.poll(0):
            arrived.append(receiver.take(received(slow), 0))
        assert 1 < len(arrived) <= 1 + queue + 2
        publisher.count_subscribers()  # hears that there is room again, too
        publisher.publish(make_pose(sent), LOSSES)
        last = receiver.take(received(slow), 0)
        assert last is not None
        assert last.seq == sent
        assert last.missed == sent - len(arrived)
    publisher.close()


def test_a_slow_subscriber_costs_the_others_nothing(context: Context) -> None:
    publisher = Publisher("inproc://out", "session", context)
    publisher.open()
    with context.socket(zmq.SUB) as slow, context.socket(zmq.SUB) as quick:
        slow.setsockopt(zmq.RCVHWM, 1)
        for socket in (slow, quick):
            socket.subscribe(b"keypoints")
            socket.connect("inproc://out")
        wait_for_subscribers(publisher, 2)
        for frame_id in range(3_000):
            publisher.publish(make_pose(frame_id), LOSSES)
            assert decode_keypoints(received(quick)[1]).frame_id == frame_id
        arrived = 0
        while slow.poll(0):
            received(slow)
            arrived += 1
        assert 0 < arrived < 3_000
    publisher.close()


def test_a_refused_message_is_counted_and_leaves_a_gap(
    context: Context, publisher: Publisher, subscriber: zmq.Socket[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Refusing:
        def send_multipart(self, parts: object, flags: int) -> None:
            raise zmq.ZMQError(zmq.EHOSTUNREACH)

    publisher.publish(make_pose(0), LOSSES)
    with monkeypatch.context() as patch:
        patch.setattr(publisher, "_socket", Refusing())
        assert publisher.publish(make_pose(1), LOSSES) == 7_000
        publisher.publish_status(STATUS)
    publisher.publish(make_pose(2), LOSSES)
    assert publisher.lost == 1
    assert [decode_keypoints(received(subscriber)[1]).seq for _ in range(2)] == [0, 2]


def test_a_port_in_use_is_named_with_its_setting(context: Context, publisher: Publisher) -> None:
    second = Publisher(publisher.address, "session", context)
    with pytest.raises(AddressError, match=rf"publish\.keypoints: {publisher.address} .* in use"):
        second.open()
    assert second.address == ""
    second.close()


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("tcp://127.0.0.1:99999", "is not an address"),
        ("ipc:///no/such/folder/socket", "cannot be bound"),
        ("tcp://*:0", "rtface keys new"),
    ],
)
def test_an_address_that_cannot_be_bound_is_named(context: Context, address: str, text: str) -> None:
    with pytest.raises(AddressError, match=text) as caught:
        Publisher(address, "session", context).open()
    assert address in str(caught.value)


def test_a_free_port_is_taken_and_told(publisher: Publisher) -> None:
    assert publisher.address.startswith("tcp://127.0.0.1:")
    assert int(publisher.address.rpartition(":")[2]) > 0


def test_status_needs_an_open_socket(context: Context) -> None:
    publisher = Publisher("tcp://127.0.0.1:*", "session", context)
    for call in (lambda: publisher.publish_status(STATUS), publisher.count_subscribers):
        with pytest.raises(UsageError, match="not open"):
            call()


@pytest.mark.parametrize("session", ["", "s" * 65])
def test_a_session_has_a_name_of_bounded_length(context: Context, session: str) -> None:
    with pytest.raises(WireError, match="session"):
        Publisher("inproc://out", session, context)
