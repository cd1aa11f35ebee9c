"""A subscriber: all that a running service publishes, and its commands, with numpy, pyzmq and msgpack alone.

A machine that only subscribes needs nothing else: the package rtface-client has this module and those it imports
(``python -m tools.release OUT`` in a checkout builds it).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import zmq

from rtface.core.defaults import LOOPBACK_CONTROL, LOOPBACK_KEYPOINTS
from rtface.core.errors import AddressError, UsageError
from rtface.core.records import Crop
from rtface.publish.address import is_loopback
from rtface.publish.clock_offset import ClockOffset, measure_offset
from rtface.publish.commands import Hello, crop_map, parse_hello
from rtface.publish.events import EventMessage
from rtface.publish.features import FeaturesMessage
from rtface.publish.keypoints import Keypoints
from rtface.publish.keys import load_client_keys
from rtface.publish.neural import NeuralMessage
from rtface.publish.pictures.message import PictureMessage
from rtface.publish.pictures.subscriber import PictureSubscriber
from rtface.publish.receiver import Receiver
from rtface.publish.requester import Requester
from rtface.publish.status import ServiceStatus, StatusMessage, parse_status
from rtface.publish.subscriber import Subscriber
from rtface.publish.wire import Fields

__all__ = [
    "Client",
    "ClockOffset",
    "EventMessage",
    "FeaturesMessage",
    "Keypoints",
    "NeuralMessage",
    "PictureMessage",
    "PictureSubscriber",
]

_ANSWER_WITHIN_S = 5.0
_PINGS = 8


class Client:
    """Receives keypoints from a service and commands it. Belongs to one thread; use it in a ``with`` block.

    It connects at once and finds a service that is started later. Iterating yields `Keypoints` as they come::

        with rtface.Client() as client:
            client.hello()
            for keypoints in client:
                print(dict(zip(client.names, keypoints.xy)))

    Call `hello` at the start, and again when keypoints come that are `restarted`: it measures the service's clock,
    without which the age of keypoints from another host is None. A loopback address is taken for this host's,
    but may be the end of a tunnel (``ssh -L``): then the age is wrong until `hello` or `ping` measured the clock.

    Parameters
    ----------
    address : str
        Where the service publishes.
    control : str
        Where the service takes commands.
    keys : path, optional
        The folder that was handed over to this client, for a service that needs keys.
    newest : bool
        Pass over what has queued up and yield the newest, with the number of those `skipped`.
    timeout_s : float, optional
        Seconds that iterating waits for keypoints, and commands for an answer. When absent, iterating waits for
        ever and commands 5 s.
    queue : int
        Messages kept while this reader does not read; more are lost, and counted as `missed`.
    cameras : sequence of str
        Of a service with several cameras those whose keypoints are wanted; all of them when empty. `Keypoints.camera` says
        which each is of.

    Raises
    ------
    AddressError
        An address is malformed, or the keys cannot be loaded.
    """

    def __init__(
        self,
        address: str = LOOPBACK_KEYPOINTS,
        control: str = LOOPBACK_CONTROL,
        keys: Path | str | None = None,
        newest: bool = False,
        timeout_s: float | None = None,
        queue: int = 1_000,
        cameras: Sequence[str] = (),
    ) -> None:
        loaded = None if keys is None else load_client_keys(Path(keys))
        self._address = address
        self._newest = newest
        self._timeout_s = timeout_s
        self._hello: Hello | None = None
        self._receiver = Receiver(0 if is_loopback(address) else None, cameras)
        self._context = zmq.Context()
        try:
            self._subscriber = Subscriber(self._context, address, loaded, self._receiver, queue, cameras)
        except BaseException:
            self._context.destroy(0)
            raise
        answer_within_s = _ANSWER_WITHIN_S if timeout_s is None else timeout_s
        self._requester = Requester(self._context, control, loaded, answer_within_s)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the sockets; may be called any number of times. Iterating ends."""
        self._subscriber.close()
        self._requester.close()
        self._context.term()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the keypoints, in the order of the rows of ``xy``; known once `hello` was called."""
        if self._hello is None:
            raise UsageError("the names of the keypoints are known once hello() was called")
        return tuple(point.name for point in self._hello.skeleton)

    def names_of(self, camera: str) -> tuple[str, ...]:
        """Return the names of the keypoints of one of several cameras; as `names`, and `UsageError` where there is none such."""
        if self._hello is None:
            raise UsageError("the names of the keypoints are known once hello() was called")
        if camera not in self._hello.cameras:
            there = ", ".join(self._hello.cameras) or "it has one, without a name"
            raise UsageError(f"the service has no camera {camera!r}; there are: {there}")
        return tuple(point.name for point in self._hello.cameras[camera].skeleton)

    @property
    def malformed(self) -> int:
        """Messages so far that were not of rtface's protocol, and passed over."""
        return self._receiver.malformed

    @property
    def latest_status(self) -> StatusMessage | None:
        """The last status that came while keypoints were waited for; the service sends one each second."""
        return self._receiver.latest_status

    @property
    def missed_events(self) -> int:
        """Events so far that were lost on the way, or because they were not taken."""
        return self._receiver.events.missed

    def events(self) -> list[EventMessage]:
        """Return the events that have come since the last call: decisions, light, arming, marks, faults.

        They come in while keypoints are waited for; see `next_event` for who waits for events alone.
        """
        return self._receiver.events.drain()

    def next_event(self, timeout_s: float | None = None) -> EventMessage | None:
        """Wait for the next event, and pass over the keypoints that come meanwhile.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds to wait; for ever when absent.

        Returns
        -------
        EventMessage or None
            None when none came in time.
        """
        return self._subscriber.next_of(self._receiver.events, timeout_s)

    @property
    def missed_neural(self) -> int:
        """Neural predictions so far that were lost on the way, or because they were not taken."""
        return self._receiver.neural.missed

    def neural(self) -> list[NeuralMessage]:
        """Return the neural predictions that have come since the last call, from a service with an encoder.

        They come in while keypoints are waited for; see `next_neural` for who waits for them alone.
        """
        return self._receiver.neural.drain()

    def next_neural(self, timeout_s: float | None = None) -> NeuralMessage | None:
        """Wait for the next neural prediction, and pass over the keypoints that come meanwhile; as `next_event`."""
        return self._subscriber.next_of(self._receiver.neural, timeout_s)

    @property
    def missed_features(self) -> int:
        """Features so far that were lost on the way, or because they were not taken."""
        return self._receiver.features.missed

    def features(self) -> list[FeaturesMessage]:
        """Return the features and states of rules that have come since the last call, from a service with rules.

        They are made only for who takes them: from the first call on, and they begin within about a second. They come in
        while keypoints are waited for; see `next_features` for who waits for them alone.
        """
        self._subscriber.take_features()
        return self._receiver.features.drain()

    def end_features(self) -> None:
        """Take no more features, until `features` or `next_features` is called again: then nobody makes them for this client."""
        self._subscriber.leave_features()
        self._receiver.features.forget()

    def next_features(self, timeout_s: float | None = None) -> FeaturesMessage | None:
        """Wait for the next features, and pass over the keypoints that come meanwhile; as `next_event`."""
        self._subscriber.take_features()
        return self._subscriber.next_of(self._receiver.features, timeout_s)

    def __iter__(self) -> Iterator[Keypoints]:
        """Yield keypoints until the client is closed; `AddressError` when none came within `timeout_s`."""
        while not self._subscriber.closed:
            keypoints = self.next(self._timeout_s)
            if keypoints is None:
                raise AddressError(
                    f"no keypoints from {self._address} within {self._timeout_s} s; is the service running there, "
                    "and does it know this client's key if it asks for one?"
                )
            yield keypoints

    def next(self, timeout_s: float | None = None) -> Keypoints | None:
        """Return the next keypoints, or the newest if the client was made so.

        Parameters
        ----------
        timeout_s : float, optional
            Seconds to wait; for ever when absent.

        Returns
        -------
        Keypoints or None
            None when none came in time.

        Raises
        ------
        UsageError
            The client is closed.
        """
        return self._subscriber.next(timeout_s, newest=self._newest)

    def hello(self) -> Hello:
        """Return what the service is, and measure the offset of its clock; errors as of `start`."""
        self._hello = parse_hello(self._request("hello", {}))
        self._measure(_PINGS, self._hello.session)
        return self._hello

    def status(self) -> ServiceStatus:
        """Return how the service is; errors as of `start`."""
        return parse_status(Fields(self._request("status", {})))

    def start(self) -> Mapping[str, Any]:
        """Make the service track.

        Raises
        ------
        ControlError
            The service refused; `code` says why.
        AddressError
            No service answered in time.
        """
        return self._request("start", {})

    def stop(self, who: str = "") -> Mapping[str, Any]:
        """Make the service stop tracking, which disarms; `who` is recorded. Errors as of `start`."""
        return self._request("stop", {"who": who} if who else {})

    def set_crop(self, crop: Crop | None, camera: str = "") -> Mapping[str, Any]:
        """Give the network another part of the frame, or all of it, of one of several cameras; errors as of `start`."""
        of_camera = {"camera": camera} if camera else {}
        return self._request("set_crop", ({"crop": None} if crop is None else crop_map(crop)) | of_camera)

    def self_test(self) -> Mapping[str, Any]:
        """Test whether stimulation may be armed, and what speaks against it; errors as of `start`.

        Returns
        -------
        mapping
            ``ready`` (bool) and ``findings``, each with ``what``, ``verdict`` (ok, warn, fail), ``text`` and ``mend``.
        """
        return self._request("self_test", {})

    def arm(self, who: str) -> Mapping[str, Any]:
        """Allow stimulation; `who` is recorded. `ControlError` names what the self-test found against it."""
        return self._request("arm", {"who": who})

    def disarm(self, who: str, why: str = "") -> Mapping[str, Any]:
        """Light off, and no more of it until `arm`; errors as of `start`."""
        return self._request("disarm", {"who": who, "why": why})

    def emergency_stop(self, who: str) -> Mapping[str, Any]:
        """Light off, latched until `clear`; errors as of `start`."""
        return self._request("emergency_stop", {"who": who})

    def clear(self, who: str) -> Mapping[str, Any]:
        """End an emergency stop or a fault that was seen to; it arms nothing. Errors as of `start`."""
        return self._request("clear", {"who": who})

    def baseline(self, who: str) -> Mapping[str, Any]:
        """Take the baseline that thresholds rest on anew; refused while armed. Errors as of `start`."""
        return self._request("baseline", {"who": who})

    def mark(self, who: str, text: str, details: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        """Put a remark into the session's record, and out as an event; errors as of `start`."""
        return self._request("mark", {"who": who, "text": text, "details": details or {}})

    def ping(self, times: int = _PINGS) -> ClockOffset:
        """Measure the offset of the service's clock, which the age of keypoints is corrected by until a restart.

        The quickest of `times` exchanges counts. Two hosts' clocks drift apart by some 10 microseconds a second:
        measure again now and then. On one host the offset is zero exactly. Errors as of `start`.
        """
        return self._measure(times, None)

    def _measure(self, times: int, session: str | None) -> ClockOffset:
        """Measure the offset of the service's clock; `session` names the service if it is known."""
        measured = measure_offset(lambda nonce: self._request("ping", {"nonce": nonce}), times)
        self._receiver.correct(measured.offset_ns, session)
        return measured

    def _request(self, op: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if self._subscriber.closed:
            raise UsageError("the client is closed")
        return self._requester.request(op, args)
