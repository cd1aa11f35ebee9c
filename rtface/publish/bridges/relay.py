"""The turn of a bridge: from the socket that it subscribes with, through a bounded queue, to what it hands on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import zmq

from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.publish.as_json import Published
from rtface.publish.bridges.base import Bridge
from rtface.publish.features import TOPIC_FEATURES
from rtface.publish.receiver import Receiver
from rtface.publish.sockets import Socket

_LOOK_NS = 100 * NS_PER_MS
_REPORT_NS = NS_PER_S


class Relay:
    """Takes what comes and has the bridge hand it on, one message after another, in one thread.

    What comes is always taken first: so nothing waits in the service for a bridge that is slow, and of what waits here beyond
    `queue` messages the oldest are dropped.

    Parameters
    ----------
    bridge : Bridge
        Opened.
    upstream : zmq.Socket
        A SUB socket that is connected to the service.
    queue : int
        Messages that may wait.
    report : callable
        Called about once a second with the bridge's counts.
    clock : Clock, optional
    """

    def __init__(
        self,
        bridge: Bridge,
        upstream: Socket,
        queue: int,
        report: Callable[[dict[str, Any]], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._bridge, self._upstream, self._report, self._clock = bridge, upstream, report, clock
        self._receiver = Receiver(0)  # a bridge runs on the service's host
        self._waiting: deque[Published] = deque(maxlen=queue)
        self._most = queue
        self._features = False
        self._look_ns = self._report_ns = clock.now_ns()
        self._missed = 0
        for topic in bridge.topics:
            if topic != TOPIC_FEATURES:
                upstream.setsockopt(zmq.SUBSCRIBE, topic)

    def turn(self) -> None:
        """Take what has come, hand one message on, and look around where it is time."""
        now_ns = self._clock.now_ns()
        if now_ns >= self._look_ns:
            self._look_ns = now_ns + _LOOK_NS
            self._look(now_ns)
        if not self._waiting:
            self._upstream.poll(max(1, (self._look_ns - now_ns) // NS_PER_MS))
        self._take()
        if self._waiting:
            self._bridge.take(self._waiting.popleft())

    def finish(self, until_ns: int) -> None:
        """Hand on what has come and what waits, for as long as there is time."""
        self._take()
        while self._waiting and self._clock.now_ns() < until_ns:
            self._bridge.take(self._waiting.popleft())

    def _look(self, now_ns: int) -> None:
        self._bridge.look()
        if self._bridge.takes_features() != self._features:
            self._features = not self._features
            change = zmq.SUBSCRIBE if self._features else zmq.UNSUBSCRIBE
            self._upstream.setsockopt(change, TOPIC_FEATURES)
            self._receiver.features.forget()
        if now_ns >= self._report_ns:
            self._report_ns = now_ns + _REPORT_NS
            counts = self._bridge.counts
            backlogs = (self._receiver.events, self._receiver.neural, self._receiver.features)
            counts.missed = self._missed + sum(each.missed for each in backlogs)
            self._report(counts.as_map())

    def _take(self) -> None:
        """Take what has come, though never more than may wait: the service may be faster."""
        for _ in range(self._most):
            try:
                parts = self._upstream.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            for message in self._messages(parts):
                self._bridge.counts.dropped += len(self._waiting) == self._waiting.maxlen
                self._waiting.append(message)

    def _messages(self, parts: list[bytes]) -> list[Published]:
        receiver, before = self._receiver, self._receiver.latest_status
        keypoints = receiver.take(parts, self._clock.now_ns())
        if keypoints is not None:
            self._missed += keypoints.missed
            return [keypoints]
        if receiver.latest_status is not None and receiver.latest_status is not before:
            return [receiver.latest_status]
        return [*receiver.events.drain(), *receiver.neural.drain(), *receiver.features.drain()]
