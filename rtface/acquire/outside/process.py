"""A camera's process as its parent has it: begun from a thread that lives as long, ended when told, and how it died."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from rtface.acquire.outside.passage import ELSEWHERE, close_handles
from rtface.core.errors import CameraError

KILLED_WITHIN_S = 2.0
"""How long a process that was killed may take to end, in seconds; one that takes longer is stuck inside the kernel."""

_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from rtface.acquire.outside.child import main; main(sys.argv[2:])"
)

_log = logging.getLogger(__name__)


class CameraProcess:
    """A process that runs `rtface.acquire.outside.child`.

    It is a new program, not a copy of this one, and finds modules where this process does. The system ends it with the
    thread that began it, which lives for nothing else; so that it cannot outlive this process.

    Parameters
    ----------
    handles : sequence of int
        What it is given, as of `Passage.make`; closed here.

    Raises
    ------
    CameraError
        The system begins no process.
    """

    def __init__(self, handles: Sequence[int]) -> None:
        self._handles = tuple(handles)
        self._begun: Future[subprocess.Popen[bytes]] = Future()
        self._ended = threading.Event()
        self._reaping = threading.Lock()
        try:
            threading.Thread(target=self._keep, name="rtface-camera-process", daemon=True).start()
        except RuntimeError as error:  # as many as this user may have
            close_handles(self._handles)
            raise CameraError(f"no process could be begun for the camera: {error}") from error
        try:
            self._process = self._begun.result()
        except OSError as error:
            raise CameraError(f"no process could be begun for the camera: {error}") from error

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._ended.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end; True when it has ended."""
        return self._ended.wait(timeout_s)

    def kill(self) -> None:
        """End it, whatever it is doing."""
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        with self._reaping:
            if self._process.returncode is None:
                os.kill(self.pid, signal.SIGKILL)
        if not self.wait(KILLED_WITHIN_S):
            _log.error(
                "the camera's process %d was killed and does not end: its driver is stuck inside the kernel",
                self.pid,
            )

    def death_in_words(self) -> str:
        """Return how it ended."""
        if not self.wait(KILLED_WITHIN_S):
            return "closed its side and goes on"
        status = self._process.returncode
        return f"ended with status {status}" if status >= 0 else f"was ended by {_signal_name(-status)}"

    def _keep(self) -> None:
        if sys.platform != "linux":
            raise NotImplementedError(ELSEWHERE)
        path = json.dumps([str(each) for each in sys.path])  # notebooks put other things there
        command = [sys.executable, "-X", "faulthandler", "-P", "-c", _BEGIN, path]
        arguments = [str(os.getpid()), *map(str, self._handles)]
        try:
            process = subprocess.Popen(
                [*command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=2,  # what a vendor's library prints is none of a command's output
                pass_fds=[handle for handle in self._handles if handle >= 0],
                process_group=0,  # Ctrl-C is for the parent, which ends the camera in order
            )
        except BaseException as error:
            self._begun.set_exception(error)
            return
        finally:
            close_handles(self._handles)
        self._begun.set_result(process)
        with suppress(ChildProcessError):  # somebody ignores SIGCHLD: the system reaps by itself
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with (
            self._reaping
        ):  # nobody may send a signal to a number that the system can give to another process
            process.wait()
        self._ended.set()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
