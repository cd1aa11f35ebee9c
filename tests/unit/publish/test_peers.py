"""What a peer sends or opens without end costs it its connection, and nobody else anything."""

from __future__ import annotations

import contextlib
import os
import socket as sockets
import struct
import threading
from collections.abc import Callable, Iterator
from itertools import count

import msgpack
import pytest
import zmq
from support.publishing import LONG_S, LOSSES, Handler, make_pose, received, wait_for_subscribers
from zmq.utils.monitor import recv_monitor_message

from rtface.publish.control import ControlServer
from rtface.publish.keypoints import decode_keypoints
from rtface.publish.peers import PeerLimits, PeerWatch
from rtface.publish.publisher import Publisher
from rtface.publish.sockets import Context

LINUX = pytest.mark.skipif(not hasattr(sockets, "TCP_INFO"), reason="only Linux counts bytes")


@pytest.fixture
def publisher(context: Context) -> Iterator[Publisher]:
    sink = Publisher("tcp://127.0.0.1:*", "session", context)
    sink.open()
    yield sink
    sink.close()


class Peer:
    """A socket that does what it likes, and notices when it is hung up on."""

    def __init__(self, kind: int, address: str) -> None:
        self._context: Context = zmq.Context()  # another process's, as far as the service can see
        self.socket = self._context.socket(kind)
        self.socket.linger = 0
        self.socket.sndhwm = 0
        self._events = self.socket.get_monitor_socket(zmq.EVENT_CONNECTED | zmq.EVENT_DISCONNECTED)
        self.socket.connect(address)
        self.saw(zmq.EVENT_CONNECTED)

    def saw(self, event: int, meanwhile: Callable[[], object] = lambda: None) -> None:
        for _ in range(int(LONG_S * 1000)):
            meanwhile()
            if self._events.poll(1) and recv_monitor_message(self._events)["event"] == event:
                return
        pytest.fail("it is still connected")

    def close(self) -> None:
        self.socket.disable_monitor()
        self._context.destroy(0)


@LINUX
@pytest.mark.parametrize(
    ("length", "topics"), [(60_000, 20), (60_000, 100), (20, 60_000), (600, 5_000), (1, 20_000)]
)
def test_a_flood_of_subscriptions_costs_the_flooder_its_connection_and_others_nothing(
    context: Context, publisher: Publisher, length: int, topics: int
) -> None:
    with context.socket(zmq.SUB) as honest:
        honest.subscribe(b"keypoints")
        honest.rcvhwm = 0
        honest.connect(publisher.address)
        wait_for_subscribers(publisher, 1)
        peer, sent = Peer(zmq.XSUB, publisher.address), count()
        flood = threading.Thread(
            target=lambda: [peer.socket.send(b"\x01" + os.urandom(length)) for _ in range(topics)]
        )
        flood.start()

        def publish() -> None:
            publisher.publish(make_pose(next(sent)), LOSSES)
            publisher.count_subscribers()

        flood.join()
        peer.saw(zmq.EVENT_DISCONNECTED, publish)
        peer.close()
        for seq in range(next(sent)):
            assert decode_keypoints(received(honest)[1]).seq == seq


def greeted(address: str) -> sockets.socket:
    """Return a connection that has shaken hands as ZeroMQ's, to say by it what ZeroMQ's library would not."""
    host, port = address.removeprefix("tcp://").split(":")
    connection = sockets.create_connection((host, int(port)), LONG_S)
    ready = b"\x05READY\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
    connection.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32))
    connection.sendall(b"\x04" + bytes((len(ready),)) + ready)
    return connection


def wait_for_end(connection: sockets.socket) -> None:
    """Read ZeroMQ's greeting and what else comes, until the service hangs up."""
    with connection, contextlib.suppress(ConnectionError):
        while connection.recv(1_000):
            pass


@LINUX
def test_a_message_without_an_end_is_not_kept(context: Context) -> None:
    server = ControlServer("tcp://127.0.0.1:*", Handler(), context)
    server.open()
    part = b"\x03" + struct.pack(">Q", 60_000) + bytes(60_000)
    with greeted(server.address) as connection, pytest.raises(ConnectionError):
        connection.sendall(part * 1_000)
    server.close()


@LINUX
def test_a_flood_of_requests_is_cut_and_others_are_answered(context: Context) -> None:
    server = ControlServer("tcp://127.0.0.1:*", Handler(), context)
    server.open()
    peer = Peer(zmq.DEALER, server.address)
    ping = msgpack.packb({"v": 1, "id": 5, "op": "ping", "args": {"nonce": 1}})

    def flood() -> None:
        for _ in range(1_000):
            peer.socket.send(ping)
        while peer.socket.poll(0):
            peer.socket.recv()  # else ZeroMQ's library would not notice its end

    peer.saw(zmq.EVENT_DISCONNECTED, flood)
    with context.socket(zmq.DEALER) as honest:
        honest.connect(server.address)
        honest.send(ping)
        assert msgpack.unpackb(received(honest)[0])["ok"]
    peer.close()
    server.close()


def test_no_more_are_connected_than_may_be_though_they_never_speak(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = PeerLimits(connections=3, connections_per_s=1_000, burst_bytes=1_000_000, bytes_per_s=0)
    monkeypatch.setattr("rtface.publish.control._LIMITS", limits)
    server = ControlServer("tcp://127.0.0.1:*", Handler(), context)
    server.open()
    host, port = server.address.removeprefix("tcp://").split(":")
    opened = [sockets.create_connection((host, int(port)), LONG_S) for _ in range(3)]
    for each in opened:
        assert each.recv(1), "ZeroMQ greets"
    with contextlib.suppress(ConnectionError):
        wait_for_end(sockets.create_connection((host, int(port)), LONG_S))
    for each in opened:
        each.close()
    ping = msgpack.packb({"v": 1, "id": 5, "op": "ping", "args": {"nonce": 1}})
    with context.socket(zmq.DEALER) as honest:
        honest.connect(server.address)
        for _ in range(int(LONG_S * 10)):  # its first try may come before their places are free
            honest.send(ping)
            if honest.poll(100):
                break
        assert msgpack.unpackb(received(honest)[0])["ok"]
    server.close()


def test_who_connects_without_end_has_to_wait(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = PeerLimits(connections=5, connections_per_s=0, burst_bytes=1_000_000, bytes_per_s=0)
    monkeypatch.setattr("rtface.publish.control._LIMITS", limits)
    server = ControlServer("tcp://127.0.0.1:*", Handler(), context)
    server.open()
    host, port = server.address.removeprefix("tcp://").split(":")
    for _ in range(5):
        with sockets.create_connection((host, int(port)), LONG_S) as one:
            assert one.recv(1), "ZeroMQ greets"
    with contextlib.suppress(ConnectionError):
        wait_for_end(sockets.create_connection((host, int(port)), LONG_S))
    server.close()


def test_who_is_gone_before_anybody_looks_has_come_all_the_same(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZeroMQ has closed its descriptor by then, so that there is nothing to watch."""
    limits = PeerLimits(connections=2, connections_per_s=0, burst_bytes=1_000_000, bytes_per_s=0)
    socket = context.socket(zmq.REP)
    watch = PeerWatch(context, socket, limits, "a test")
    hung_up: list[int] = []
    monkeypatch.setattr(watch, "_hang_up", lambda number, why: hung_up.append(number))
    closed = os.open(os.devnull, os.O_RDONLY)
    os.close(closed)
    for _ in range(2):
        watch._welcome(closed)
    with sockets.socket() as here:
        watch._welcome(here.fileno())
        assert hung_up == [here.fileno()]
    watch.close()
    socket.close()
