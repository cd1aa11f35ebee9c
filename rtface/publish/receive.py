"""From the parts of received messages to keypoints that know what is missing before them. No socket, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import WireError
from rtface.core.records import FloatArray, Losses, Stamps
from rtface.publish.backlog import Backlog
from rtface.publish.events import TOPIC_EVENTS, EventMessage, decode_event
from rtface.publish.neural import TOPIC_NEURAL, NeuralMessage, decode_neural
from rtface.publish.wire import (
    TOPIC_KEYPOINTS,
    TOPIC_STATUS,
    KeypointsMessage,
    StatusMessage,
    decode_keypoints,
    decode_status,
)


@dataclass(frozen=True, slots=True)
class Keypoints:
    """The keypoints of one frame as a subscriber got them.

    Attributes
    ----------
    session : str
        Names one life of the service.
    seq : int
        Number of the message in its session.
    frame_id : int
        The camera's number of the frame.
    camera_ns : int or None
        The camera's own time stamp in nanoseconds of its own clock.
    xy : ndarray, shape (K, 2), float32
        Pixels of the full camera frame; NaN for a keypoint that the network was never trained on. Not writable.
    score : ndarray, shape (K,), float32
        In [0, 1], as the engine's manifest defines it. Not writable.
    outside : ndarray, shape (K,), bool
        The point lies outside the camera frame. Not writable.
    stamps : Stamps
        When each stage was passed: nanoseconds of the monotonic clock of the service's host.
    published_ns : int
        When the message began to be made, just before it was encoded and sent; same clock.
    lost : Losses
        Frames that the service lost so far in the session.
    received_ns : int
        When the message was received: nanoseconds of this host's monotonic clock.
    age_ns : int or None
        From exposure to reception; may be None, so test for it before you compare. It is None while the offset
        between this host's clock and the service's is not known: until `Client.hello` or `Client.ping` measured
        it, and again after a restart, since the service may have come back on a host whose clock began anew. A
        loopback address counts as this host's until it was measured: through a tunnel (``ssh -L``) the age is
        right only after that.
    missed : int
        Messages lost between the service and this reader since the keypoints before.
    skipped : int
        Messages that arrived but were passed over for this newer one.
    restarted : bool
        The service has restarted since the message before: everything learnt by `Client.hello` is stale.
    """

    session: str
    seq: int
    frame_id: int
    camera_ns: int | None
    xy: FloatArray
    score: FloatArray
    outside: NDArray[np.bool_]
    stamps: Stamps
    published_ns: int
    lost: Losses
    received_ns: int
    age_ns: int | None
    missed: int
    skipped: int
    restarted: bool


_MOST_EVENTS = 10_000
_MOST_NEURAL = 10_000


class Receiver:
    """Decodes what a subscriber receives, counts what is missing, passes over what is malformed.

    Parameters
    ----------
    offset_ns : int or None
        The service's monotonic clock less this host's: 0 when both are one clock, None when it is not known.
    """

    def __init__(self, offset_ns: int | None) -> None:
        self._offset_ns = offset_ns
        self._measured_in: str | None = None
        self.malformed = 0
        self.latest_status: StatusMessage | None = None
        self.events: Backlog[EventMessage] = Backlog(_MOST_EVENTS)
        self.neural: Backlog[NeuralMessage] = Backlog(_MOST_NEURAL)
        self._session: str | None = None
        self._seq = -1

    def correct(self, offset_ns: int, session: str | None = None) -> None:
        """Take a measured offset for the ages to come.

        It holds until the service restarts, or for one `session` alone where that is known; 0, which only one and
        the same clock has, holds for good.
        """
        self._offset_ns, self._measured_in = offset_ns, session

    def take(self, parts: Sequence[bytes], received_ns: int) -> Keypoints | None:
        """Take one message; None when it holds no keypoints."""
        try:
            return self._keypoints(parts, received_ns)
        except WireError:
            self.malformed += 1
            return None

    def _keypoints(self, parts: Sequence[bytes], received_ns: int) -> Keypoints | None:
        if len(parts) != 2:
            raise WireError(f"a message has two parts, not {len(parts)}")
        topic, body = parts
        if topic == TOPIC_STATUS:
            self.latest_status = decode_status(body)
            return None
        if topic == TOPIC_EVENTS:
            self.events.keep(decode_event(body))
            return None
        if topic == TOPIC_NEURAL:
            self.neural.keep(self._aged(decode_neural(body), received_ns))
            return None
        if topic != TOPIC_KEYPOINTS:
            raise WireError(f"topic {topic!r:.40} is none of keypoints, status, events and neural")
        return self._placed(decode_keypoints(body), received_ns)

    def _aged(self, message: NeuralMessage, received_ns: int) -> NeuralMessage:
        """Return a message with its age; a restart is for the keypoints to find, which come before it."""
        known = self._offset_ns is not None and (
            self._offset_ns == 0 or self._measured_in in (None, message.session)
        )
        age_ns = received_ns + (self._offset_ns or 0) - message.exposure_ns if known else None
        return replace(message, received_ns=received_ns, age_ns=age_ns)

    def _placed(self, message: KeypointsMessage, received_ns: int) -> Keypoints:
        first = self._session is None
        restarted = not first and message.session != self._session
        expected = message.seq if first else 0 if restarted else self._seq + 1
        self._session, self._seq = message.session, message.seq
        offset_ns = self._offset_for(message.session, restarted)
        return Keypoints(
            session=message.session,
            seq=message.seq,
            frame_id=message.frame_id,
            camera_ns=message.camera_ns,
            xy=message.xy,
            score=message.score,
            outside=message.outside,
            stamps=message.stamps,
            published_ns=message.published_ns,
            lost=message.lost,
            received_ns=received_ns,
            age_ns=None if offset_ns is None else received_ns + offset_ns - message.stamps.exposure_ns,
            missed=max(0, message.seq - expected),
            skipped=0,
            restarted=restarted,
        )

    def _offset_for(self, session: str, restarted: bool) -> int | None:
        """Return the offset if it is that of the clock which stamped `session`; forget it with its service."""
        if self._offset_ns == 0:
            return 0
        if restarted and self._measured_in != session:
            self._offset_ns = None
        return self._offset_ns if self._measured_in in (None, session) else None
