"""Allowing light and forbidding it, from any thread: the output first, then the loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rtface.core.errors import ControlError, OutputError, UsageError
from rtface.core.outputs import OutputState
from rtface.live.loop.core import LoopCore
from rtface.live.loop.standing import NOT_READY, WRONG_STATE
from rtface.live.loop.status import LoopState
from rtface.live.selftest import Verdict
from rtface.stimulate.base import Output

NOT_ALLOWED = "not_allowed"

_log = logging.getLogger(__name__)


class ProcessingThread(Protocol):
    """What of the pipeline is needed here."""

    def ask(self, command: Callable[[], Any]) -> Any:
        """Have something done by the processing thread, and wait."""

    def post(self, command: Callable[[], Any]) -> None:
        """Have something done by the processing thread, and do not wait."""


class Arming:
    """Arms, disarms, stops and clears: the commands of a closed loop, as `rtface.publish.control.LoopCommands`.

    `disarm` and `emergency_stop` turn the light off themselves, whatever the processing thread is doing, and wait for
    nobody. The others wait.

    Parameters
    ----------
    loop : LoopCore
    output : Output
        The loop's.
    pipeline : ProcessingThread
    test : callable
        The self-test, as things are now.
    clients : bool
        Whether others than the operator may arm.
    """

    def __init__(
        self,
        loop: LoopCore,
        output: Output,
        pipeline: ProcessingThread,
        test: Callable[[], Verdict],
        *,
        clients: bool,
    ) -> None:
        self._loop, self._output, self._pipeline = loop, output, pipeline
        self._test = test
        self._clients = clients
        self._slowly = threading.Lock()

    def state(self) -> dict[str, Any]:
        """Return how the loop stands; see `rtface.live.loop.status.LoopStatus.as_map`."""
        return self._loop.status.as_map()

    @property
    def record_fault(self) -> str:
        """Why the session can no longer be recorded, or was not to its end; empty while it can."""
        fault = self._loop.disk_fault
        return "" if fault is None else fault.text

    @contextmanager
    def disarmed(self, command: str) -> Iterator[None]:
        """Keep everybody from arming while a command is carried out; `ControlError` ``wrong_state`` where it is armed."""
        with self._slowly:
            if self._loop.status.state is LoopState.ARMED:
                raise ControlError(WRONG_STATE, f"{command} is refused while the loop is armed: disarm first")
            yield

    def self_test(self) -> dict[str, Any]:
        """Return whether light may be allowed, and what each check found; the light stays off."""
        with self._slowly:
            return self._tested().as_map()

    def arm(self, who: str, *, operator: bool = False) -> dict[str, Any]:
        """Allow light; return what the self-test found, and how the loop stands.

        Parameters
        ----------
        who : str
            Goes into the record.
        operator : bool
            Whether it is the person at the rig.

        Raises
        ------
        ControlError
            ``not_allowed``: clients may not; ``wrong_state``: it is armed, stopped or in fault; ``not_ready``: what
            the self-test found against it, or the output's reason.
        """
        if not operator and not self._clients:
            raise ControlError(
                NOT_ALLOWED, "the rig's file lets only the operator arm (arming.clients: false)"
            )
        with self._slowly:
            state = self._loop.status.state
            if state is not LoopState.DISARMED:
                raise ControlError(WRONG_STATE, f"the loop is {state}: {self._loop.status.why}")
            verdict = self._tested()
            if not verdict.ready:
                against = "; ".join(f"{check.what}: {check.text}" for check in verdict.failures)
                raise ControlError(NOT_READY, against)
            try:
                self._output.arm()
            except OutputError as error:
                raise ControlError(NOT_READY, str(error)) from error
            try:
                self._pipeline.ask(lambda: self._loop.standing.armed(who, verdict.findings()))
            except BaseException:
                self._output.disarm("arming was not completed")
                raise
            return verdict.as_map() | self.state()

    def disarm(self, who: str, why: str) -> dict[str, Any]:
        """Light off, and no more of it until somebody arms again; return how the loop stands."""
        self._loop.standing.note(who, why or "asked for")
        self._output.disarm(why or f"asked for by {who}")
        self._post(self._loop.standing.take_acts)
        return self.state()

    def emergency_stop(self, who: str) -> dict[str, Any]:
        """Light off, latched until `clear`; return how the loop stands."""
        self._loop.standing.note(who, "emergency stop", stop=True)
        self._output.stop()
        self._post(self._loop.standing.take_acts)
        return self.state()

    def clear(self, who: str) -> dict[str, Any]:
        """End an emergency stop or a fault; an output that is lost is opened anew. Return how the loop stands.

        Raises
        ------
        ControlError
            ``wrong_state``: there is nothing to clear; ``not_ready``: the output is not clear.
        """
        with self._slowly:
            state = self._loop.status.state
            if state not in (LoopState.STOPPED, LoopState.FAULT):
                raise ControlError(WRONG_STATE, f"there is nothing to clear: the loop is {state}")
            try:
                if self._output.state in (OutputState.FAULT, OutputState.CLOSED):
                    self._output.close()
                    self._output.open()
                if self._output.state is OutputState.STOPPED:
                    self._output.clear()
            except OutputError as error:
                raise ControlError(NOT_READY, str(error)) from error
            self._pipeline.ask(lambda: self._loop.standing.cleared(who))
            return self.state()

    def baseline(self, who: str) -> dict[str, Any]:
        """Take the baseline of thresholds anew; return how the loop stands.

        Raises
        ------
        ControlError
            ``wrong_state``: the loop is armed, or no rule names a baseline.
        """
        with self._slowly:
            self._pipeline.ask(lambda: self._loop.take_baseline(who))
            return self.state()

    def mark(self, who: str, text: str, details: Mapping[str, Any]) -> dict[str, Any]:
        """Put a remark into the record, and publish it."""
        self._pipeline.ask(lambda: self._loop.mark(who, text, details))
        return {}

    def _tested(self) -> Verdict:
        return self._test()

    def _post(self, command: Callable[[], object]) -> None:
        """Post to the loop; if that fails, the loop still reads it from the output, whose light is off."""
        try:
            self._pipeline.post(command)
        except UsageError as error:
            _log.warning("the loop takes no command: %s", error)
