"""The socket that a client receives on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import zmq

from rtface.core.clock import NS_PER_MS, NS_PER_S, monotonic_ns
from rtface.core.errors import UsageError
from rtface.publish.features import TOPIC_FEATURES
from rtface.publish.keypoints import Keypoints, keypoints_topic
from rtface.publish.keys import ClientKeys
from rtface.publish.receiver import TOPICS, Backlog, Numbered, Receiver
from rtface.publish.sockets import Context, Socket, connected_socket

_Message = TypeVar("_Message", bound=Numbered)


class Subscriber:
    """Receives all that a service publishes; belongs to one thread.

    It connects at once, and finds a service that is started later.

    Parameters
    ----------
    context : zmq.Context
        Where the socket lives.
    address : str
        Where the service publishes.
    keys : ClientKeys or None
        For a service that needs keys.
    receiver : Receiver
        Decodes what comes.
    queue : int
        Messages kept while this subscriber does not read.
    cameras : sequence of str
        Of several cameras those whose keypoints are wanted; all when empty.

    Raises
    ------
    AddressError
        The address is malformed.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        keys: ClientKeys | None,
        receiver: Receiver,
        queue: int,
        cameras: Sequence[str] = (),
    ) -> None:
        self._receiver = receiver
        self._queue = queue
        self._with_features = False
        self._socket: Socket = connected_socket(context, zmq.SUB, address, queue, keys)
        of_cameras = tuple(keypoints_topic(camera) for camera in cameras)
        for topic in TOPICS if not of_cameras else (*of_cameras, *TOPICS[1:]):
            self._socket.setsockopt(zmq.SUBSCRIBE, topic)

    def take_features(self) -> None:
        """Subscribe to features too, which are made for who does; may be called any number of times."""
        if not self._with_features:
            self._check_open()
            self._socket.setsockopt(zmq.SUBSCRIBE, TOPIC_FEATURES)
            self._with_features = True

    def leave_features(self) -> None:
        """Subscribe to features no more; may be called any number of times."""
        if self._with_features:
            self._check_open()
            self._socket.setsockopt(zmq.UNSUBSCRIBE, TOPIC_FEATURES)
            self._with_features = False

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._socket.closed

    def close(self) -> None:
        """Close the socket; may be called any number of times."""
        self._socket.close(0)

    def next(self, timeout_s: float | None, *, newest: bool) -> Keypoints | None:
        """Wait for the next keypoints.

        Parameters
        ----------
        timeout_s : float or None
            Seconds to wait; for ever when None.
        newest : bool
            Pass over what has queued up.

        Returns
        -------
        Keypoints or None
            None when none came in time.

        Raises
        ------
        UsageError
            The subscriber is closed.
        """
        self._check_open()
        deadline_ns = _deadline(timeout_s)
        while True:
            keypoints = self._arrived()
            if keypoints is not None:
                return self._newest_after(keypoints) if newest else keypoints
            if not self._wait(deadline_ns):
                return None

    def next_of(self, backlog: Backlog[_Message], timeout_s: float | None) -> _Message | None:
        """Wait for the next message of a backlog of the receiver's, and pass over the keypoints; else as `next`."""
        self._check_open()
        kept, deadline_ns = backlog.waiting, _deadline(timeout_s)
        while not kept:
            while self._arrived() is not None and not kept:
                pass
            if not kept and not self._wait(deadline_ns):
                return None
        return kept.popleft()

    def _check_open(self) -> None:
        if self._socket.closed:
            raise UsageError("the client is closed")

    def _arrived(self) -> Keypoints | None:
        """Return the next keypoints that are there already."""
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return None
            keypoints = self._receiver.take(parts, monotonic_ns())
            if keypoints is not None:
                return keypoints

    def _newest_after(self, keypoints: Keypoints) -> Keypoints:
        """Pass over what is there already, though never more than the queue holds: the sender may be faster."""
        newest, missed, restarted, skipped = keypoints, keypoints.missed, keypoints.restarted, 0
        while skipped < self._queue and (newer := self._arrived()) is not None:
            newest, skipped = newer, skipped + 1
            missed += newer.missed
            restarted = restarted or newer.restarted
        return replace(newest, missed=missed, skipped=skipped, restarted=restarted) if skipped else newest

    def _wait(self, deadline_ns: int | None) -> bool:
        """Wait for a message of any kind; False when the deadline has passed."""
        if deadline_ns is None:
            self._socket.poll()
            return True
        left_ns = deadline_ns - monotonic_ns()
        return left_ns > 0 and bool(self._socket.poll(-(-left_ns // NS_PER_MS)))


def _deadline(timeout_s: float | None) -> int | None:
    return None if timeout_s is None else monotonic_ns() + round(timeout_s * NS_PER_S)
