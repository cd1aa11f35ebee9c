"""What a page may ask of a service; the emergency stop goes its own way."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import zmq

from rtface.core.errors import ControlError, UsageError
from rtface.publish.commands import BUSY, MAX_NAME
from rtface.publish.requester import Requester
from rtface.screen.rigs import ShownRig

OPERATIONS = frozenset(
    {
        "hello",
        "status",
        "self_test",
        "arm",
        "disarm",
        "clear",
        "baseline",
        "mark",
        "set_crop",
        "start",
        "stop",
    }
)
_AT_ONCE = frozenset({"hello", "status", "disarm"})
"""What a service answers at once, whatever else is under way; so here it waits for nothing else either."""

_BY_SOMEBODY = frozenset({"arm", "disarm", "clear", "baseline", "mark", "stop"})
_ANSWER_S = 20.0
"""A self-test takes seconds, and a crop of another size compiles the network anew."""
_AT_ONCE_S = 2.0
_MOST_WAITING = 8
_RELEASED_S = 0.1
"""Longer than one who has its answer keeps the connection."""


def name_for_record(who: object) -> str:
    """Return what a person at a page is called in the record: of what was typed all that a service takes, or the screen."""
    typed = "".join(each for each in str(who or "") if each.isprintable())
    return typed.strip()[:MAX_NAME] or "the screen"


class PageCommands:
    """Sends the commands of pages to one service; used by several threads.

    Parameters
    ----------
    rig : ShownRig
        Whose.
    """

    def __init__(self, rig: ShownRig) -> None:
        self._at_once = _Way(rig, _AT_ONCE_S)
        self._in_turn = _Way(rig, _ANSWER_S)

    def request(self, operation: str, args: Mapping[str, Any], who: object) -> Mapping[str, Any]:
        """Send a command and return its result.

        Raises
        ------
        UsageError
            No such operation, or this screen ends.
        ControlError
            The service refused, or ``busy``: too many commands wait already.
        AddressError, WireError
            As of `rtface.publish.requester.Requester.request`.
        """
        if operation not in OPERATIONS:
            raise UsageError(f"{operation}: no operation of a page")
        named = {"who": name_for_record(who)} if operation in _BY_SOMEBODY else {}
        way = self._at_once if operation in _AT_ONCE else self._in_turn
        return way.request(operation, {**args, **named})

    def close(self) -> None:
        """Close the connections; one that waits for an answer is closed by who waits, and not waited for."""
        self._at_once.close()
        self._in_turn.close()


class _Way:
    """One connection: one request after another, and no more than a few that wait."""

    def __init__(self, rig: ShownRig, answer_s: float) -> None:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._requester = Requester(self._context, rig.control, rig.client_keys(), answer_s)
        self._places = threading.BoundedSemaphore(_MOST_WAITING)
        self._lock = threading.Lock()
        self._closing = False

    def request(self, operation: str, args: Mapping[str, Any]) -> Mapping[str, Any]:
        if not self._places.acquire(blocking=False):
            raise ControlError(BUSY, f"{operation}: {_MOST_WAITING} commands of this screen wait already")
        try:
            with self._lock:
                if self._closing:
                    raise UsageError(f"{operation}: this screen ends")
                try:
                    return self._requester.request(operation, args)
                finally:
                    if self._closing:
                        self._end()
        finally:
            self._places.release()

    def close(self) -> None:
        self._closing = True
        if self._lock.acquire(timeout=_RELEASED_S):
            self._end()
            self._lock.release()

    def _end(self) -> None:
        self._requester.close()
        self._context.destroy(0)
