"""From the parts of received messages to records that say what is missing before them. No socket, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from rtface.core.errors import WireError
from rtface.publish.events import TOPIC_EVENTS, EventMessage, decode_event
from rtface.publish.features import TOPIC_FEATURES, FeaturesMessage, decode_features
from rtface.publish.keypoints import TOPIC_KEYPOINTS, Keypoints, decode_keypoints, keypoints_topic
from rtface.publish.neural import TOPIC_NEURAL, NeuralMessage, decode_neural
from rtface.publish.status import TOPIC_STATUS, StatusMessage, decode_status

TOPICS = (TOPIC_KEYPOINTS, TOPIC_STATUS, TOPIC_EVENTS, TOPIC_NEURAL)
"""What a client subscribes to from the start; features are made only for who asks for them."""

_OF_CAMERA = TOPIC_KEYPOINTS + b"."
_MOST_WAITING = 10_000
_MOST_FEATURES = 1_000


class Numbered(Protocol):
    """A message with its place in its session and topic."""

    @property
    def session(self) -> str:
        """Names one life of the service."""

    @property
    def seq(self) -> int:
        """Number, from 0."""


_Message = TypeVar("_Message", bound=Numbered)


class Gaps:
    """Finds what is missing between the messages of one topic."""

    def __init__(self) -> None:
        self._session: str | None = None
        self._seq = -1

    def before(self, message: Numbered) -> tuple[int, bool]:
        """Take the next message; return how many are missing before it, and whether the service has restarted.

        What was sent before the very first message is not missed.
        """
        first = self._session is None
        restarted = not first and message.session != self._session
        expected = message.seq if first else 0 if restarted else self._seq + 1
        self._session, self._seq = message.session, message.seq
        return max(0, message.seq - expected), restarted


class Backlog(Generic[_Message]):
    """The messages of one topic.

    Parameters
    ----------
    most : int
        Of more than these the oldest goes, and counts as missed.

    Attributes
    ----------
    waiting : deque
        Oldest first.
    missed : int
        Lost so far: on the way, or because they were not asked for.
    """

    def __init__(self, most: int) -> None:
        self.waiting: deque[_Message] = deque(maxlen=most)
        self.missed = 0
        self._gaps = Gaps()

    def keep(self, message: _Message) -> None:
        """Take the next message."""
        self.missed += self._gaps.before(message)[0] + (len(self.waiting) == self.waiting.maxlen)
        self.waiting.append(message)

    def forget(self) -> None:
        """Drop what waits, and miss nothing of what is sent until the next message comes."""
        self.waiting.clear()
        self._gaps = Gaps()

    def drain(self) -> list[_Message]:
        """Return what waits, and keep it no longer."""
        drained = list(self.waiting)
        self.waiting.clear()
        return drained


class Ages:
    """From exposure to reception, by the clock of the service's host.

    Parameters
    ----------
    offset_ns : int or None
        The service's monotonic clock less this host's: 0 when both are one clock, None when it is not known.
    """

    def __init__(self, offset_ns: int | None) -> None:
        self._offset_ns = offset_ns
        self._measured_in: str | None = None

    def correct(self, offset_ns: int, session: str | None = None) -> None:
        """Take a measured offset for the ages to come.

        It holds until the service restarts, or for one `session` alone where that is known; 0, which only one and
        the same clock has, holds for good.
        """
        self._offset_ns, self._measured_in = offset_ns, session

    def restarted(self, session: str) -> None:
        """Forget an offset that was not measured in the `session` that has begun."""
        if self._offset_ns != 0 and self._measured_in != session:
            self._offset_ns = None

    def of(self, session: str, exposure_ns: int, received_ns: int) -> int | None:
        """Return the time from exposure to reception; None unless the offset of the clock of `session` is known."""
        if self._offset_ns is None or (self._offset_ns != 0 and self._measured_in not in (None, session)):
            return None
        return received_ns + self._offset_ns - exposure_ns


class Receiver:
    """Decodes what a subscriber receives, counts what is missing, passes over what is malformed.

    Parameters
    ----------
    offset_ns : int or None
        The service's monotonic clock less this host's: 0 when both are one clock, None when it is not known.
    cameras : sequence of str
        Of several cameras those whose keypoints are taken; all when empty.

    Attributes
    ----------
    malformed : int
        Messages so far that were not of rtface's protocol.
    latest_status : StatusMessage or None
    events, neural, features : Backlog
        Those that wait to be asked for.
    """

    def __init__(self, offset_ns: int | None, cameras: Sequence[str] = ()) -> None:
        self.malformed = 0
        self.latest_status: StatusMessage | None = None
        self.events: Backlog[EventMessage] = Backlog(_MOST_WAITING)
        self.neural: Backlog[NeuralMessage] = Backlog(_MOST_WAITING)
        self.features: Backlog[FeaturesMessage] = Backlog(_MOST_FEATURES)
        self._ages = Ages(offset_ns)
        self._gaps: dict[str, Gaps] = {}
        self._cameras = frozenset(cameras)

    def correct(self, offset_ns: int, session: str | None = None) -> None:
        """Take a measured offset for the ages to come; as `Ages.correct`."""
        self._ages.correct(offset_ns, session)

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
        if topic == TOPIC_KEYPOINTS or topic.startswith(_OF_CAMERA):
            found = decode_keypoints(body)
            if topic != keypoints_topic(found.camera):
                raise WireError(f"keypoints of camera {found.camera!r} under the topic {topic!r:.40}")
            if self._cameras and found.camera not in self._cameras:
                return None  # a subscription takes whatever begins like it
            return self._placed(found, received_ns)
        if topic == TOPIC_STATUS:
            self.latest_status = decode_status(body)
        elif topic == TOPIC_EVENTS:
            self.events.keep(decode_event(body))
        elif topic == TOPIC_NEURAL:
            predicted = decode_neural(body)
            age_ns = self._ages.of(predicted.session, predicted.exposure_ns, received_ns)
            self.neural.keep(replace(predicted, received_ns=received_ns, age_ns=age_ns))
        elif topic == TOPIC_FEATURES:
            seen = decode_features(body)
            age_ns = self._ages.of(seen.session, seen.exposure_ns, received_ns)
            self.features.keep(replace(seen, received_ns=received_ns, age_ns=age_ns))
        else:
            raise WireError(f"topic {topic!r:.40} is none of keypoints, status, events, neural and features")
        return None

    def _placed(self, found: Keypoints, received_ns: int) -> Keypoints:
        missed, restarted = self._gaps.setdefault(found.camera, Gaps()).before(found)
        if restarted:
            self._ages.restarted(found.session)
        return replace(
            found,
            received_ns=received_ns,
            age_ns=self._ages.of(found.session, found.stamps.exposure_ns, received_ns),
            missed=missed,
            restarted=restarted,
        )
