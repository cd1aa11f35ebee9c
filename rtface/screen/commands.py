"""What a page may ask of a service, one request after another for each rig; the emergency stop goes its own way."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import zmq

from rtface.core.errors import UsageError
from rtface.publish.commands import MAX_NAME
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
_BY_SOMEBODY = frozenset({"arm", "disarm", "clear", "baseline", "mark", "stop"})
_ANSWER_S = 20.0
"""A self-test takes seconds, and a crop of another size compiles the network anew."""


class Commands:
    """Sends the commands of pages to one service; used by several threads.

    Parameters
    ----------
    rig : ShownRig
        Whose.
    """

    def __init__(self, rig: ShownRig) -> None:
        self._lock = threading.Lock()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._requester = Requester(self._context, rig.control, rig.client_keys(), _ANSWER_S)

    def request(self, operation: str, args: Mapping[str, Any], who: str) -> Mapping[str, Any]:
        """Send a command and return its result.

        Raises
        ------
        UsageError
            No such operation.
        ControlError, AddressError, WireError
            As of `rtface.publish.requester.Requester.request`.
        """
        if operation not in OPERATIONS:
            raise UsageError(f"{operation}: no operation of a page")
        named = {"who": who[:MAX_NAME] or "the screen"} if operation in _BY_SOMEBODY else {}
        with self._lock:
            return self._requester.request(operation, {**args, **named})

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._requester.close()
        self._context.destroy(0)
