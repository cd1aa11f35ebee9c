"""Commands from any thread to the one thread that carries them out."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TypeVar

from rtface.core.errors import ControlError, UsageError

TIMEOUT = "timeout"

_WAITING = 16

_log = logging.getLogger(__name__)

_Result = TypeVar("_Result")


class _EndedError(UsageError):
    """The owner ended before it came to the command."""


class Mailbox:
    """A bounded queue of commands; whoever asks waits for the answer, which is the command's result or its error.

    Parameters
    ----------
    owner : str
        What messages call the one who carries the commands out.
    answer_within_s : float
        Seconds that `ask` waits.
    """

    def __init__(self, owner: str, answer_within_s: float = 30.0) -> None:
        self._owner = owner
        self._answer_within_s = answer_within_s
        self._commands: queue.Queue[tuple[Callable[[], object], Future[object]]] = queue.Queue(_WAITING)
        self._asking = threading.Lock()
        self._closed = False

    def __len__(self) -> int:
        """Return how many commands wait."""
        return self._commands.qsize()

    def ask(self, command: Callable[[], _Result]) -> _Result:
        """Have a command carried out by the owner's thread and return its result.

        Raises
        ------
        UsageError
            The owner has ended, or too many commands are waiting.
        ControlError
            ``timeout``: no answer came within `answer_within_s`. A command that had not begun by then is never
            carried out; the message says whether it had.
        Exception
            What the command itself raises.
        """
        answer: Future[_Result] = Future()
        self._put(command, answer)  # type: ignore[arg-type]  # Future is invariant
        try:
            return answer.result(self._answer_within_s)
        except FutureTimeoutError:
            withdrawn = answer.cancel()
            if answer.done() and not withdrawn:  # at the last moment, or it was the command that raised this
                return answer.result()
        within = f"within {self._answer_within_s:g} s"
        if withdrawn:
            raise ControlError(
                TIMEOUT, f"the {self._owner} did not take the command {within}; it was withdrawn"
            )
        raise ControlError(
            TIMEOUT,
            f"the {self._owner} has begun the command but not ended it {within}; it may yet take effect",
        )

    def post(self, command: Callable[[], object]) -> None:
        """Have a command carried out by the owner's thread, and do not wait for it; its error is logged.

        Raises
        ------
        UsageError
            The owner has ended, or too many commands are waiting.
        """
        answer: Future[object] = Future()
        answer.add_done_callback(_log_error)
        self._put(command, answer)

    def _put(self, command: Callable[[], object], answer: Future[object]) -> None:
        with self._asking:
            if self._closed:
                raise UsageError(f"the {self._owner} has ended")
            try:
                self._commands.put_nowait((command, answer))
            except queue.Full:
                raise UsageError("too many commands are waiting") from None

    def serve(self, wait_s: float) -> None:
        """Carry out the next command, if one comes within `wait_s`; called by the owner's thread."""
        try:
            command, answer = self._commands.get(timeout=wait_s) if wait_s else self._commands.get_nowait()
            while not answer.set_running_or_notify_cancel():
                command, answer = self._commands.get_nowait()
        except queue.Empty:
            return
        try:
            answer.set_result(command())
        except Exception as error:  # belongs to whoever asked
            answer.set_exception(error)

    def close(self) -> None:
        """Refuse what is waiting and all that would come; may be called any number of times."""
        with self._asking:
            self._closed = True
        while True:
            try:
                _, answer = self._commands.get_nowait()
            except queue.Empty:
                return
            if answer.set_running_or_notify_cancel():
                answer.set_exception(_EndedError(f"the {self._owner} has ended"))


def _log_error(answer: Future[object]) -> None:
    error = answer.exception()
    if error is not None and not isinstance(error, _EndedError):
        _log.error("a command that nobody waited for failed", exc_info=error)
