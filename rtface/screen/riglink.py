"""One rig followed: a thread that is a client of its service, and hands on what it publishes to the pages."""

from __future__ import annotations

import json
import logging
import threading
from collections import deque
from typing import Any

import zmq

from rtface.client import Client
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.core.errors import AddressError, ControlError, RtfaceError, WireError
from rtface.publish.as_json import as_json
from rtface.publish.commands import Hello, parse_hello
from rtface.publish.requester import Requester
from rtface.screen.feed import PageFeed
from rtface.screen.pictures import PictureLink
from rtface.screen.rigs import ShownRig

_log = logging.getLogger(__name__)

_ROUND_S = 1 / 30
_SILENT_NS = 2 * NS_PER_S
_ANSWER_S = 1.0
_AGAIN_S = 0.2
"""Before a service that did not answer, or failed, is asked again."""

_AGAIN_NS = NS_PER_S
_MOST_EVENTS = 10_000
_MOST_FEATURES = 3_600
"""Of the last minute, at 60 a second."""

_EVERYWHERE = ("0.0.0.0", "[::]", "*")


class RigLink:
    """Follows one rig from `open` to `close`; finds a service that is started later, or again.

    Parameters
    ----------
    rig : ShownRig
        Which.
    feed : PageFeed
        Where everything goes.

    Attributes
    ----------
    rig : ShownRig
    pictures_address, engine : str
        Where the service publishes pictures, and the engine that it runs; empty until it is found.
    """

    def __init__(self, rig: ShownRig, feed: PageFeed) -> None:
        self.rig = rig
        self.pictures_address = self.engine = ""
        self._found = False
        self._feed = feed
        self._ending = threading.Event()
        self._again = threading.Event()
        self._lock = threading.Lock()
        self._events: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)
        self._features: deque[dict[str, Any]] = deque(maxlen=_MOST_FEATURES)
        self._pictures = PictureLink(rig, feed)
        self._thread = threading.Thread(target=self._run, name=f"rtface-rig-{rig.id}", daemon=True)

    def open(self) -> None:
        """Begin to follow."""
        self._pictures.open()
        self._thread.start()

    def end(self) -> None:
        """End soon; `join` waits for it."""
        self._ending.set()
        self._pictures.end()

    def join(self, timeout_s: float) -> None:
        """Wait for the end, for so long at most."""
        until_ns = monotonic_ns() + round(timeout_s * NS_PER_S)
        self._pictures.join(timeout_s)
        self._thread.join(max(0.0, (until_ns - monotonic_ns()) / NS_PER_S))

    def say_again(self) -> None:
        """Have how the link stands and the newest status sent once more, for a page that has just come; from any thread."""
        self._again.set()

    def history(self) -> dict[str, Any]:
        """Return what a page missed that comes now: the events and the features of the last minute; from any thread."""
        with self._lock:
            return {"events": list(self._events), "features": list(self._features)}

    def _run(self) -> None:
        while not self._ending.is_set():
            try:
                hello = self._greet()
                if hello is not None:
                    self._follow(hello)
            except Exception as error:  # whatever it is, the pages must know, and this rig is asked again
                if not isinstance(error, RtfaceError):
                    _log.exception("the link to %s failed", self.rig.control)
                self._put("link", {"state": "failed", "text": str(error), "found": self._found}, newest=True)
            self._ending.wait(_AGAIN_S)

    def _greet(self) -> Hello | None:
        """Return what the service is, or None while there is none."""
        rig = self.rig
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        requester = Requester(context, rig.control, rig.client_keys(), _ANSWER_S)
        try:
            return parse_hello(requester.request("hello", {}))
        except (AddressError, ControlError, WireError) as error:
            self._put("link", {"state": "waiting", "text": str(error), "found": self._found}, newest=True)
            return None
        finally:
            requester.close()
            context.destroy(0)

    def _follow(self, hello: Hello) -> None:
        """Hand on what the service publishes until it is another one, or this ends."""
        rig = self.rig
        address = as_reached(hello.keypoints_address, rig.control)
        self.pictures_address, self.engine = as_reached(hello.pictures_address, rig.control), hello.engine
        with Client(address, rig.control, keys=rig.keys, timeout_s=_ANSWER_S) as client:
            offset_ns = client.ping().offset_ns
            self._found = True
            self._pictures.look_at(self.pictures_address, offset_ns)
            self._put("link", self._linked(hello, "up"), newest=True)
            heard_ns = said_ns = status_ns = monotonic_ns()
            state, status = "up", None
            while not self._ending.is_set():
                keypoints = client.next(_ROUND_S)
                now_ns = monotonic_ns()
                found = client.latest_status
                if keypoints is not None or found is not status:
                    heard_ns = now_ns
                if (keypoints is not None and keypoints.session != hello.session) or (
                    found is not None and found.session != hello.session
                ):
                    return
                before, state = state, "up" if now_ns - heard_ns < _SILENT_NS else "lost"
                again = self._again.is_set()
                self._again.clear()
                if state != before or again or now_ns - said_ns > _AGAIN_NS:
                    said_ns = now_ns
                    self._put("link", self._linked(hello, state), newest=True)
                    if state == "lost" and self._is_another(client, hello):
                        return
                if found is not None and (found is not status or again):
                    if found is not status:
                        status, status_ns = found, now_ns
                    self._put("status", as_json(found) | {"received": {"t_ns": status_ns}}, newest=True)
                if keypoints is not None:
                    self._put("keypoints", as_json(keypoints), newest=True)
                self._hand_on(client)

    def _is_another(self, client: Client, hello: Hello) -> bool:
        """Return whether another service answers now, which may publish elsewhere."""
        try:
            return client.hello().session != hello.session
        except (AddressError, ControlError, WireError):
            return False

    def _hand_on(self, client: Client) -> None:
        events = [as_json(each) for each in client.events()]
        features = []
        if self._feed.watched:
            features = [as_json(each) for each in client.features()]
        else:
            client.end_features()
        neural = [as_json(each) for each in client.neural()]
        with self._lock:
            self._events.extend(events)
            self._features.extend(features)
        for topic, found in (("events", events), ("features", features), ("neural", neural)):
            if found:
                self._put(topic, found, newest=False)

    def _linked(self, hello: Hello, state: str) -> dict[str, Any]:
        return {"state": state, "hello": hello.as_map(), "pictures": bool(hello.pictures_address)}

    def _put(self, topic: str, data: Any, *, newest: bool) -> None:
        text = json.dumps({"topic": topic, "rig": self.rig.id, "data": data}, allow_nan=False, default=str)
        self._feed.put(topic, self.rig.id, text, newest=newest)


def as_reached(bound: str, control: str) -> str:
    """Return a bound address as a client reaches it that reached the same service at `control`.

    A service that is bound to every address of its machine says one that is no use elsewhere: the host is then that of
    `control`. Other transports than TCP stay as they are.
    """
    host, _, port = bound.removeprefix("tcp://").rpartition(":")
    if not bound.startswith("tcp://") or host not in _EVERYWHERE:
        return bound
    if not control.startswith("tcp://"):
        return f"tcp://127.0.0.1:{port}"
    return f"tcp://{control.removeprefix('tcp://').rpartition(':')[0]}:{port}"
