"""Events for Open Ephys: the texts that its plug-in takes, answers counted, and nothing kept for one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq
from support.publishing import STATUS, received
from support.waits import wait_until

from rtface.core.clock import NS_PER_S, ManualClock
from rtface.core.errors import AddressError
from rtface.publish.bridges.openephys import OpenEphysBridge
from rtface.publish.events import EventMessage
from rtface.publish.sockets import Context
from rtface.publish.status import StatusMessage


def light(event: str) -> EventMessage:
    return EventMessage("a", 0, 7, "light", {"rule": "blink", "event": event})


def mark(text: str) -> EventMessage:
    return EventMessage("a", 0, 7, "mark", {"who": "Ada", "text": text})


@pytest.fixture
def plugin(context: Context) -> Iterator[tuple[zmq.Socket[bytes], str]]:
    with context.socket(zmq.REP) as socket:
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        yield socket, f"tcp://127.0.0.1:{port}"


@contextmanager
def opened(
    context: Context, address: str, plugin: zmq.Socket[bytes] | None, queue: int = 10
) -> Iterator[tuple[OpenEphysBridge, ManualClock]]:
    """Lend a bridge that has found the plug-in, which has answered it once."""
    clock = ManualClock(0)
    bridge = OpenEphysBridge(context, address, 5, queue, clock)
    bridge.open()
    try:
        if plugin is not None:
            wait_until(lambda: bridge.take(mark("hello")) is None and bool(plugin.poll(1)))
            plugin.recv()
            plugin.send(b"NotHandled")
            wait_until(lambda: bridge.look() is None and bridge.counts.sent == 1)
            bridge.counts.failed = 0  # as long as it was not found
        yield bridge, clock
    finally:
        bridge.close()


def asked(plugin: zmq.Socket[bytes], answer: bytes) -> str:
    (text,) = received(plugin)
    plugin.send(answer)
    return text.decode()


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (light("light_on"), "TTL Line=5 State=1"),
        (light("light_off"), "TTL Line=5 State=0"),
        (light("train_ended"), "TTL Line=5 State=0"),
        (light("refused"), "rtface 7 light/blink/refused"),
        (mark("food"), "rtface 7 mark/Ada/food"),
        (mark("StopRecord"), "rtface 7 mark/Ada/StopRecord"),
        (mark("\0\ud800" + "x" * 2_000), "rtface 7 mark/Ada/ ?" + "x" * (1_000 - 20)),
    ],
)
def test_an_event_is_one_text_and_none_but_ttl_is_a_command(
    context: Context, plugin: tuple[zmq.Socket[bytes], str], event: EventMessage, text: str
) -> None:
    socket, address = plugin
    with opened(context, address, socket) as (bridge, _):
        bridge.take(event)
        assert asked(socket, b"TTLHandled: Channel=5 on=1") == text
        wait_until(lambda: bridge.look() is None and bridge.counts.sent == 2)
    assert bridge.counts.failed == 0


def test_requests_wait_for_no_answer_and_each_is_counted(
    context: Context, plugin: tuple[zmq.Socket[bytes], str]
) -> None:
    socket, address = plugin
    with opened(context, address, socket) as (bridge, _):
        for event in (light("light_on"), light("light_off"), mark("food")):
            bridge.take(event)
        bridge.take(StatusMessage("a", 0, 7, STATUS))
        answers = (b"TTLHandled: Channel=5 on=1", b"NotHandled", b"NotHandled")
        texts = [asked(socket, answer) for answer in answers]
        wait_until(lambda: bridge.look() is None and bridge.counts.sent + bridge.counts.failed == 4)
    assert texts == ["TTL Line=5 State=1", "TTL Line=5 State=0", "rtface 7 mark/Ada/food"]
    assert (bridge.counts.sent, bridge.counts.failed) == (3, 1)
    assert "'NotHandled' to a TTL event" in bridge.counts.error


def test_nothing_is_kept_for_one_that_is_not_there(context: Context) -> None:
    with context.socket(zmq.REP) as socket:
        address = f"tcp://127.0.0.1:{socket.bind_to_random_port('tcp://127.0.0.1')}"
    with opened(context, address, None) as (bridge, _):
        for _ in range(3):
            bridge.take(light("light_on"))
        assert (bridge.counts.sent, bridge.counts.failed) == (0, 3)
        assert "nobody listens there" in bridge.counts.error


def test_one_that_does_not_answer_is_counted_and_asked_anew(
    context: Context, plugin: tuple[zmq.Socket[bytes], str]
) -> None:
    socket, address = plugin
    with opened(context, address, socket, queue=2) as (bridge, clock):
        for _ in range(3):
            bridge.take(light("light_on"))
        assert bridge.counts.failed == 1
        assert "2 requests wait for their answer" in bridge.counts.error
        clock.sleep_until_ns(3 * NS_PER_S)
        bridge.look()
        assert bridge.counts.failed == 3
        assert "no answer within 2 s" in bridge.counts.error
        received(socket)
        socket.send(b"TTLHandled: too late, and for nobody")

        def is_asked_again() -> bool:
            bridge.take(mark("again"))
            return bool(socket.poll(1)) and "again" in asked(socket, b"NotHandled")

        wait_until(is_asked_again)
        wait_until(lambda: bridge.look() is None and bridge.counts.sent >= 2)


def test_an_address_that_is_none_is_refused(context: Context) -> None:
    with pytest.raises(AddressError, match="is not an address"):
        OpenEphysBridge(context, "localhost:5556", 1, 10).open()
