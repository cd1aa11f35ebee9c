"""A thread that opens, works and closes, and between two frames does what other threads ask of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from typing import TypeVar

from rtface.core.errors import UsageError
from rtface.core.status import PipelineState
from rtface.live.mailbox import Mailbox

_Result = TypeVar("_Result")


class LoopThread:
    """The processing thread; what it does is for those to say who build on this."""

    def __init__(self) -> None:
        self._mailbox = Mailbox("pipeline")
        self._stopping = threading.Event()
        self._started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, name="rtface-process", daemon=True)
        self._state = PipelineState.STARTING
        self._error: BaseException | None = None

    @property
    def error(self) -> BaseException | None:
        """What ended the pipeline, if it was an error."""
        return self._error

    def start(self) -> None:
        """Open everything and begin.

        Raises
        ------
        RtfaceError
            Whatever camera, engine, back end or sink could not do; all that had been opened is closed again.
        """
        self._thread.start()
        try:
            self._started.result()
        except BaseException:  # an interrupt of this thread too must not leave the other one running
            self._stopping.set()
            self._thread.join()
            raise

    @property
    def ended(self) -> bool:
        """Whether nothing of the pipeline runs: it was never started, or its thread has ended."""
        return not self._thread.is_alive()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end: of the source, by an error, or by `stop`; True when it has come."""
        if self._thread.ident is None:
            raise UsageError("the pipeline has not been started")
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """End everything; True when all threads have ended in time."""
        self._stopping.set()
        if self._thread.ident is None:
            return True
        return self.wait(timeout_s)

    def ask_to_stop(self) -> None:
        """Begin what `stop` waits for: no further frame is taken, waiting commands are refused."""
        self._stopping.set()

    def ask(self, command: Callable[[], _Result]) -> _Result:
        """Have something done by the processing thread, between two frames, and return its result.

        Raises
        ------
        UsageError
            The pipeline is not running.
        Exception
            As of `Mailbox.ask`, and what the command itself raises.
        """
        if not self._thread.is_alive():
            raise UsageError("the pipeline is not running")
        return self._mailbox.ask(command)

    def post(self, command: Callable[[], object]) -> None:
        """Have something done by the processing thread, between two frames, and do not wait; as `Mailbox.post`."""
        self._mailbox.post(command)

    def _run(self) -> None:
        try:
            with ExitStack() as opened:
                self._work(opened)
        except BaseException as error:  # of closing: everything has been tried all the same
            self._fail(error)
        self._mailbox.close()
        if not self._started.done():
            self._started.set_exception(self._error or UsageError("stopped before it had started"))

    def _work(self, opened: ExitStack) -> None:
        try:
            self._begin(opened)
            self._started.set_result(None)
            self._loop()
            self._state = PipelineState.ENDED
        except BaseException as error:  # kept for the owner: start() raises it, or `error` tells it
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._error is None:
            self._state, self._error = PipelineState.FAILED, error

    def _begin(self, opened: ExitStack) -> None:
        """Open everything and begin; what is to be closed is put upon `opened`."""
        raise NotImplementedError

    def _loop(self) -> None:
        """Work until the end."""
        raise NotImplementedError
