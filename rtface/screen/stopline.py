"""The way of the emergency stop: a thread and a connection of its own for each rig, open before it is needed."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass

import zmq

from rtface.core.clock import NS_PER_MS, monotonic_ns
from rtface.core.errors import ControlError
from rtface.publish.commands import NO_LOOP
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
        The service says that the light is off and latched, or that it has no loop, and so no light.
    text : str
        Why not; or that there is no light.
    ms : float
        How long the service took, in milliseconds.
    """

    ok: bool
    text: str
    ms: float


_Asked = tuple[str, "Future[StopAnswer]"]


class StopLine:
    """The emergency stop of one rig; `stop` and `ready` may be called from any thread.

    A thread of its own asks the service once a second whether it is there, so that a stop finds an open connection and a
    page can say whether it would arrive. Stops that wait are carried out as one: many presses are no queue.

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
        self._asked: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
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
        """Have the light stopped by `who`, and return what comes of it; a future that may be cancelled."""
        answer: Future[StopAnswer] = Future()
        self._asked.put((who, answer))
        return answer

    def close(self) -> None:
        """End the thread, and do not wait for it; a stop that was asked for before is carried out."""
        self._asked.put(None)

    def _run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        requester = Requester(context, self._control, self._keys, ANSWER_S)
        try:
            self._ping(requester)
            ending = False
            while not ending:
                asked, ending = self._waiting()
                if asked:
                    self._stop(requester, asked)
                elif not ending:
                    self._ping(requester)
        finally:
            self._ready = False
            requester.close()
            context.destroy(0)

    def _waiting(self) -> tuple[list[_Asked], bool]:
        """Return all stops that wait, after a second none; and whether this line was closed."""
        found: list[_Asked] = []
        try:
            each = self._asked.get(timeout=_EVERY_S)
            while each is not None:
                found.append(each)
                each = self._asked.get_nowait()
        except queue.Empty:
            return found, False
        return found, True

    def _ping(self, requester: Requester) -> None:
        try:
            requester.request("ping", {"nonce": 0})
        except Exception:  # whatever it is, a stop would not arrive; and this thread goes on
            self._ready = False
        else:
            self._ready = True

    def _stop(self, requester: Requester, asked: list[_Asked]) -> None:
        answer = _stopped(requester, asked[0][0])
        self._ready = answer.ok
        for _, waiting in asked:
            if waiting.set_running_or_notify_cancel():
                waiting.set_result(answer)


def _stopped(requester: Requester, who: str) -> StopAnswer:
    begun_ns = monotonic_ns()
    ok, text = True, ""
    try:
        requester.request("emergency_stop", {"who": who})
    except ControlError as error:
        ok, text = error.code == NO_LOOP, str(error)
    except Exception as error:  # a stop fails in words, and the thread lives on for the next
        ok, text = False, str(error) or type(error).__name__
    return StopAnswer(ok, text, (monotonic_ns() - begun_ns) / NS_PER_MS)
