"""A lab's own command when a loop that nobody watches ends by itself: a mail, a message, a lamp."""

from __future__ import annotations

import logging
import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from rtface.live.loop.closed_loop import SESSION_ENDED
from rtface.live.loop.record import Announce
from rtface.live.loop.standing import RTFACE
from rtface.publish.events import EventKind

_LONGEST_S = 30.0
_ENDS = "fault", "disarmed", "emergency"

_log = logging.getLogger(__name__)


class Alert:
    """Passes events on, and runs a command for those that no person caused: a fault, a device that disarmed itself.

    The command gets no shell and no input. Its environment has ``RTFACE_EVENT`` (``fault``, ``disarmed``,
    ``emergency``), ``RTFACE_WHY`` and ``RTFACE_SERVICE``, the id of the service's life. It runs in a thread of its own,
    one at a time: what happens meanwhile is logged alone. After 30 s it is killed. That it failed is logged.

    Parameters
    ----------
    announce : callable
        Publishes an event.
    command : sequence of str
        Program and arguments.
    output : str
        What the loop calls its output.
    service : str
        Id of the service's life.
    longest_s : float
        After which the command is killed.
    """

    def __init__(
        self,
        announce: Announce,
        command: Sequence[str],
        output: str,
        service: str,
        longest_s: float = _LONGEST_S,
    ) -> None:
        self._announce = announce
        self._command = tuple(command)
        self._nobody = RTFACE, output
        self._service = service
        self._longest_s = longest_s
        self._running: threading.Thread | None = None

    def __call__(self, kind: EventKind, t_ns: int, details: Mapping[str, Any]) -> None:
        """Publish an event, and begin the command if it is one for that."""
        self._announce(kind, t_ns, details)
        ended = kind == "arming" and details["event"] in _ENDS and details["why"] != SESSION_ENDED
        if ended and details["who"] in self._nobody:
            self._begin(details["event"], details["why"])

    def _begin(self, event: str, why: str) -> None:
        if self._running is not None and self._running.is_alive():
            _log.warning("no alert of %s (%s): the one before still runs", event, why)
            return
        self._running = threading.Thread(target=self._run, args=(event, why), name="rtface-alert")
        self._running.start()  # no daemon: the service may end at once, and the alert is of just that

    def _run(self, event: str, why: str) -> None:
        told = {"RTFACE_EVENT": event, "RTFACE_WHY": why, "RTFACE_SERVICE": self._service}
        try:
            done = subprocess.run(
                self._command,
                env=os.environ | told,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self._longest_s,
            )
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            _log.error("the alert of %s (%s) failed: %s", event, why, error)
            return
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-500:]
            _log.error("the alert of %s (%s) ended with %d: %s", event, why, done.returncode, said)
