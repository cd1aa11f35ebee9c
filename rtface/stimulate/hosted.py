"""Outputs that are guarded by a thread of this process: any device that can be turned on and off."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Protocol

from rtface.core.check import Check
from rtface.core.clock import NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import OutputError
from rtface.core.outputs import OutputInfo, OutputReason, OutputState
from rtface.core.realtime import prefer_this_thread
from rtface.core.records import Pulse
from rtface.stimulate.softgate import Lamp, SoftGate, SoftLimits
from rtface.stimulate.softoutput import Action, SoftOutput

_MOST_WAITING = 256
_ANSWER_S = 5.0


class HostedLamp(Lamp, Protocol):
    """A light with a beginning and an end; one thread calls it.

    Attributes
    ----------
    name : str
        What messages call it.
    limits : SoftLimits
        Kept by this process alone.
    """

    name: str
    limits: SoftLimits

    def open(self) -> OutputInfo:
        """Take the device; `OutputError` if it cannot be had."""

    def prepare(self) -> None:
        """Bring the device, its light off, to a state in which nothing is assumed; called before each arming.

        Raises
        ------
        OutputError
            It could not be brought there.
        """
        return

    def played(self, pulse: Pulse) -> Pulse | None:
        """Return what the device makes of a pulse, in its own grain of time; None for one that it cannot play."""
        return pulse

    def tend(self, now_ns: int) -> int | None:
        """Do what the device needs from time to time; return when it needs it next, None for never.

        Raises
        ------
        OutputError
            The device failed.
        """
        return None

    def check(self) -> list[Check]:
        """Check the device, the light off."""

    def close(self) -> None:
        """Light off, and give the device back; never raises."""


class HostedOutput(SoftOutput):
    """See `rtface.stimulate.base.Output`. One thread owns the lamp and times what the lamp does not.

    Parameters
    ----------
    lamp : HostedLamp
    liveness_ns : int
    clock : Clock
        Must run with real time: the thread waits by it.
    """

    def __init__(self, lamp: HostedLamp, liveness_ns: int, clock: Clock = SYSTEM_CLOCK) -> None:
        super().__init__(lamp.name, clock)
        self._lamp = lamp
        self._liveness_ns = liveness_ns
        self._actions: queue.SimpleQueue[Action | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._info: OutputInfo | None = None

    def open(self) -> OutputInfo:
        """See `Output.open`."""
        if self._info is not None:
            return self._info
        opened: Future[OutputInfo] = Future()
        self._actions = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._run, args=(opened, self._actions), name="rtface-output", daemon=True
        )
        self._thread.start()
        try:
            self._info = opened.result()
        except BaseException:
            self._thread.join()
            raise
        return self._info

    def arm(self) -> None:
        """See `Output.arm`."""
        self._require("armed", self._arm)

    def self_test(self) -> list[Check]:
        """See `Output.self_test`."""
        found: list[Check] = []
        self._require("tested", lambda gate: self._check(found))
        return found

    def alive(self) -> None:
        """See `Output.alive`."""
        gate = self._gate
        if gate is not None:
            gate.alive_ns = self._now()

    def close(self) -> None:
        """See `Output.close`."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        self._actions.put(None)
        thread.join(_ANSWER_S)
        self._gate = self._info = None
        if thread.is_alive():
            raise OutputError(
                f"{self._name} does not come back from a call of its driver; turn its light off"
            )

    def _do(self, action: Action) -> bool:
        if self._actions.qsize() >= _MOST_WAITING:
            return False
        self._actions.put(action)
        return True

    def _request(self, action: Callable[[SoftGate], OutputReason]) -> OutputReason:
        answer: Future[OutputReason] = Future()

        def do(gate: SoftGate) -> None:
            try:
                answer.set_result(action(gate))
            except OutputError as error:
                answer.set_exception(error)

        if not self._do(do):
            return OutputReason.BUSY
        try:
            return answer.result(_ANSWER_S)
        except FutureTimeoutError:
            return OutputReason.NO_ANSWER

    def _arm(self, gate: SoftGate) -> OutputReason:
        if gate.state is OutputState.DISARMED:
            self._lamp.prepare()
        return gate.arm(self._now())

    def _check(self, found: list[Check]) -> OutputReason:
        found += self._lamp.check()
        info = self._info
        if info is not None and not info.guarded:
            found.append(
                Check(
                    "guard",
                    "warn",
                    "the device has no limits or dead-man of its own: if this computer hangs or rtface is "
                    "killed while the light is on, nothing here turns it off",
                    "use the safety gate (output.kind: gate)",
                )
            )
        return OutputReason.NONE

    def _run(self, opened: Future[OutputInfo], actions: queue.SimpleQueue[Action | None]) -> None:
        prefer_this_thread()
        try:
            info = self._lamp.open()
        except BaseException as error:  # belongs to the caller of open
            self._lamp.close()
            opened.set_exception(error)
            return
        gate = SoftGate(
            self._lamp, self._lamp.limits, self._liveness_ns, self._reports.add, played=self._lamp.played
        )
        self._gate = gate
        opened.set_result(info)
        try:
            while (action := self._next(gate, actions)) is not None:
                action(gate)
        except (
            BaseException
        ) as error:  # whoever asks learns of it, and of no state that nobody keeps any more
            gate.lose(OutputError(f"the output's thread has ended: {error!r}"), self._now())
        finally:
            now_ns = self._now()
            gate.disarm(self._reports.number(), now_ns, now_ns, "closed")
            self._lamp.close()

    def _next(self, gate: SoftGate, actions: queue.SimpleQueue[Action | None]) -> Action | None:
        """Return what to do next, None to end; does what is due meanwhile."""
        while True:
            gate.advance(self._now())
            due = [each for each in (gate.due_ns, self._tend(gate)) if each is not None]
            try:
                wait_s = max(0.0, (min(due) - self._now()) / NS_PER_S) if due else None
                return actions.get(timeout=wait_s)
            except queue.Empty:
                continue

    def _tend(self, gate: SoftGate) -> int | None:
        if gate.state is OutputState.FAULT:
            return None
        try:
            return self._lamp.tend(self._now())
        except OutputError as error:
            gate.lose(error, self._now())
            return None
