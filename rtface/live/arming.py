"""Allowing light and forbidding it, from any thread: the light first, then whoever must know."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from rtface.core.errors import ControlError, OutputError, UsageError
from rtface.core.outputs import OutputState
from rtface.live.closed_loop import NOT_READY, RTFACE, WRONG_STATE, ClosedLoop
from rtface.live.loop_status import LoopState
from rtface.live.selftest import Circumstances, Verdict, self_test
from rtface.stimulate.base import Output

NOT_ALLOWED = "not_allowed"

_log = logging.getLogger(__name__)


class Asker(Protocol):
    """What of the pipeline is needed here."""

    def ask(self, command: Callable[[], Any]) -> Any:
        """Have something done by the processing thread, and wait."""

    def post(self, command: Callable[[], Any]) -> None:
        """Have something done by the processing thread, and do not wait."""


class Arming:
    """Arms, disarms, stops and clears.

    `disarm` and `emergency_stop` turn the light off themselves, whatever the processing thread is doing, and wait for
    nobody. The others wait.

    Parameters
    ----------
    loop : ClosedLoop
    output : Output
        The loop's.
    pipeline : Asker
    circumstances : callable
        What the self-test looks at, as it is now.
    clients : bool
        Whether others than the operator may arm.
    """

    def __init__(
        self,
        loop: ClosedLoop,
        output: Output,
        pipeline: Asker,
        circumstances: Callable[[], Circumstances],
        *,
        clients: bool,
    ) -> None:
        self._loop, self._output, self._pipeline = loop, output, pipeline
        self._circumstances = circumstances
        self._clients = clients
        self._slowly = threading.Lock()

    def self_test(self) -> Verdict:
        """Find out whether light may be allowed; the light stays off."""
        with self._slowly:
            return self._tested()

    def arm(self, who: str, *, operator: bool) -> Verdict:
        """Allow light.

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
                self._pipeline.ask(lambda: self._loop.armed(who, verdict.findings()))
            except BaseException:
                self._output.disarm("arming was not completed")
                raise
            return verdict

    def disarm(self, who: str, why: str) -> None:
        """Light off, and no more of it until somebody arms again."""
        self._output.disarm(why or f"asked for by {who}")
        self._tell(lambda: self._loop.disarmed(who, why or "asked for"))

    def emergency_stop(self, who: str) -> None:
        """Light off, latched until `clear`."""
        self._output.stop()
        self._tell(lambda: self._loop.stopped(who, "emergency stop"))

    def clear(self, who: str) -> None:
        """End an emergency stop or a fault; an output that is lost is opened anew.

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
            self._pipeline.ask(lambda: self._loop.cleared(who))

    def mark(self, who: str, text: str, details: Mapping[str, Any]) -> None:
        """Put a remark into the record, and publish it."""
        self._pipeline.ask(lambda: self._loop.mark(who, text, details))

    def _tested(self) -> Verdict:
        return self_test(self._circumstances())

    def _tell(self, command: Callable[[], None]) -> None:
        """Tell the loop; should it hear nothing, it still learns from the output, whose light is off."""
        try:
            self._pipeline.post(command)
        except UsageError as error:
            _log.warning("the loop could not be told by %s: %s", RTFACE, error)
