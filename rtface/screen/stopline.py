"""The way of the emergency stop: a thread and a connection of its own for each rig, open before it is needed."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass

import zmq

from rtface.core.clock import NS_PER_MS, monotonic_ns
from rtface.core.errors import AddressError, ControlError, RtfaceError, WireError
from rtface.publish.keys import ClientKeys
from rtface.publish.requester import Requester

ANSWER_S = 0.45
"""How long a service may take: with a question that is under way before it less than the second that a page waits."""

_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class StopAnswer:
    """What came of an emergency stop.

    Attributes
    ----------
    ok : bool
        The service says that the light is off and latched.
    text : str
        Why not.
    ms : float
        How long the service took, in milliseconds.
    """

    ok: bool
    text: str
    ms: float


class StopLine:
    """The emergency stop of one rig; `stop` and `ready` may be called from any thread.

    A thread of its own asks the service once a second whether it is there, so that a stop finds an open connection and a
    page can say whether it would arrive.

    Parameters
    ----------
    control : str
        Where the service takes commands.
    keys : ClientKeys or None
        For a service that needs keys.
    """

    def __init__(self, control: str, keys: ClientKeys | None) -> None:
        self._control = control
        self._keys = keys
        self._asked: queue.SimpleQueue[tuple[str, Future[StopAnswer]] | None] = queue.SimpleQueue()
        self._ready = False
        self._thread = threading.Thread(target=self._run, name="rtface-stop", daemon=True)

    @property
    def ready(self) -> bool:
        """Whether the service answered the last question, at most some 1.5 s ago."""
        return self._ready and self._thread.is_alive()

    def open(self) -> None:
        """Begin to keep the connection."""
        self._thread.start()

    def stop(self, who: str) -> Future[StopAnswer]:
        """Have the light stopped by `who`, and return what comes of it."""
        answer: Future[StopAnswer] = Future()
        self._asked.put((who, answer))
        return answer

    def close(self) -> None:
        """End the thread, and do not wait for it."""
        self._asked.put(None)

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        requester = Requester(context, self._control, self._keys, ANSWER_S)
        try:
            self._ping(requester)
            while True:
                try:
                    asked = self._asked.get(timeout=_EVERY_S)
                except queue.Empty:
                    self._ping(requester)
                    continue
                if asked is None:
                    return
                who, answer = asked
                answer.set_result(self._stopped(requester, who))
        finally:
            self._ready = False
            requester.close()
            context.destroy(0)

    def _ping(self, requester: Requester) -> None:
        try:
            requester.request("ping", {"nonce": 0})
            self._ready = True
        except (AddressError, ControlError, WireError):
            self._ready = False

    def _stopped(self, requester: Requester, who: str) -> StopAnswer:
        begun_ns = monotonic_ns()
        try:
            requester.request("emergency_stop", {"who": who})
        except RtfaceError as error:
            return StopAnswer(False, str(error), (monotonic_ns() - begun_ns) / NS_PER_MS)
        return StopAnswer(True, "", (monotonic_ns() - begun_ns) / NS_PER_MS)
