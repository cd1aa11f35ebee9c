"""Opening ZeroMQ sockets so that nothing about them is unbounded, and reading their errors."""

from __future__ import annotations

import errno
from collections.abc import Callable

import zmq

from rtface.core.errors import AddressError
from rtface.publish.address import check_address
from rtface.publish.keys import ClientKeys, Guard
from rtface.publish.wire import MAX_BODY

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

_LONGEST_SUBSCRIPTION = 640
"""Bytes of a topic, or of a handshake's longest part; who sends more is disconnected by ZeroMQ."""
_SUBSCRIPTIONS_WAITING = 64
_SUBSCRIPTION_BYTES_WAITING = 8_192


def bound_socket(
    context: Context,
    kind: int,
    address: str,
    setting: str,
    queue: int,
    guard: Guard | None,
    watch: Callable[[Socket], Callable[[], None]] = lambda socket: lambda: None,
) -> tuple[Socket, str]:
    """Return a socket that is bound, and the address that it got.

    Parameters
    ----------
    context : zmq.Context
        Where the socket lives.
    kind : int
        The socket's type: ``zmq.XPUB``, ``zmq.ROUTER``.
    address : str
        What to bind; port ``*`` takes a free one.
    setting : str
        Where the address comes from, for messages: ``publish.keypoints``.
    queue : int
        Messages kept for each peer that does not take them.
    guard : Guard or None
        Admits known clients alone; needed for an address beyond loopback.
    watch : callable, optional
        Is given the socket while nobody can have connected yet, and returns what ends that, called if binding fails.

    Raises
    ------
    AddressError
        The address cannot be bound, or would need keys.
    """
    check_address(address, setting, guard is not None)
    socket = limited_socket(context, kind, queue)
    end_watch: Callable[[], None] | None = None
    try:
        if guard is not None:
            guard.protect(socket)
        socket.ipv6 = address.startswith("tcp://[")
        end_watch = watch(socket)
        socket.bind(address)
        return socket, socket.getsockopt_string(zmq.LAST_ENDPOINT)
    except BaseException as error:
        if end_watch is not None:
            end_watch()
        socket.close(0)
        if isinstance(error, zmq.ZMQError):
            raise _translated(error, address, setting) from error
        raise


def limited_socket(context: Context, kind: int, queue: int) -> Socket:
    """Return a socket with bounded queues that drops what is not sent when it closes."""
    socket = context.socket(kind)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, queue)
    socket.setsockopt(zmq.RCVHWM, queue)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_BODY)
    if kind == zmq.XPUB:  # what comes in are subscriptions, which the sending thread has to sort
        socket.setsockopt(zmq.XPUB_VERBOSER, 1)  # notice every subscriber, not the first to a topic
        socket.setsockopt(zmq.MAXMSGSIZE, _LONGEST_SUBSCRIPTION)
        socket.setsockopt(zmq.RCVHWM, _SUBSCRIPTIONS_WAITING)
        socket.setsockopt(zmq.RCVBUF, _SUBSCRIPTION_BYTES_WAITING)
    return socket


def connected_socket(
    context: Context,
    kind: int,
    address: str,
    queue: int,
    keys: ClientKeys | None,
    *,
    longest: int = MAX_BODY,
    buffer: int | None = None,
) -> Socket:
    """Return a socket that is connected; a service that is not there yet is found when it comes.

    Parameters
    ----------
    context, kind, queue
        As of `bound_socket`.
    address : str
        Where the service is bound.
    keys : ClientKeys or None
        For a service that needs keys.
    longest : int
        Bytes of a message's part; the connection is closed that brings a longer one.
    buffer : int or None
        Bytes that the system keeps of what has come; its own choice when None.

    Raises
    ------
    AddressError
        The address is malformed.
    """
    socket = limited_socket(context, kind, queue)
    socket.setsockopt(zmq.MAXMSGSIZE, longest)
    if buffer is not None:
        socket.setsockopt(zmq.RCVBUF, buffer)
    try:
        if keys is not None:
            keys.protect(socket)
        socket.ipv6 = address.startswith("tcp://[")
        socket.connect(address)
        return socket
    except BaseException as error:
        socket.close(0)
        if isinstance(error, zmq.ZMQError):
            raise AddressError(f"{address!r} cannot be connected to: {error}") from error
        raise


def _translated(error: zmq.ZMQError, address: str, setting: str) -> AddressError:
    if error.errno == errno.EADDRINUSE:
        advice = "it is in use: stop the other service, or take another port (* for a free one)"
    elif error.errno == errno.EACCES:
        advice = "this user may not: take a port above 1023, or a path that can be written"
    elif error.errno in (errno.EADDRNOTAVAIL, errno.ENODEV):
        advice = "this machine has no such network address"
    else:
        advice = str(error)
    return AddressError(f"{setting}: {address} cannot be bound; {advice}")
