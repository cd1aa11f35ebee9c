"""The safety gate as an output: a microcontroller between this computer and the light."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import asdict
from typing import TypeVar

from rtface.config import GateOutputSettings
from rtface.core.check import Check
from rtface.core.clock import NS_PER_MS, NS_PER_S, SYSTEM_CLOCK, Clock
from rtface.core.errors import GateError, OutputError
from rtface.core.latency import StageSummary
from rtface.core.outputs import OutputEvent, OutputInfo, OutputReason, OutputState, Report
from rtface.core.records import Pulse
from rtface.stimulate.base import explain
from rtface.stimulate.gate import protocol
from rtface.stimulate.gate.checks import gate_checks
from rtface.stimulate.gate.codes import BAUD, OLD_PROTOCOL, OLDEST_FIRMWARE, PROTOCOL, Inputs
from rtface.stimulate.gate.firmware import packaged_build
from rtface.stimulate.gate.limits import fingerprint
from rtface.stimulate.gate.link import GateLink, Timing
from rtface.stimulate.gate.portthread import Command, PortThread
from rtface.stimulate.gate.protocol import Message
from rtface.stimulate.gate.requests import PATIENCE, TRIES, Answer
from rtface.stimulate.gate.translate import cause_name, to_reason
from rtface.stimulate.reports import Reports
from rtface.stimulate.serialport import SerialPort

_HELLO_S = 0.25
_END_S = 2.0
_PINGS = 50
_GREETINGS = 3
_HAND_S = 60.0
_FLASH = "`rtface gate flash` puts the right firmware on it"

_Kind = TypeVar("_Kind", bound=Answer)


def _version(firmware: int) -> str:
    return f"{firmware >> 8}.{firmware & 0xFF}"


class _RefusedError(GateError):
    """What was wanted was not done, for this reason."""

    def __init__(self, message: str, reason: OutputReason) -> None:
        super().__init__(message)
        self.reason = reason


class GateOutput:
    """See `rtface.stimulate.base.Output`.

    Parameters
    ----------
    settings : GateOutputSettings
    clock : Clock
        Must run with real time: the port's thread waits by it.
    pinned : bool
        Whether the self-test asks for the limits' fingerprint in `settings`; a rig's does.
    """

    def __init__(
        self, settings: GateOutputSettings, clock: Clock = SYSTEM_CLOCK, *, pinned: bool = True
    ) -> None:
        self._settings = settings
        self._pinned = pinned
        self._clock = clock
        self._reports = Reports()
        self._lifecycle = threading.Lock()
        self._requesting = threading.Lock()
        self._answer_s = TRIES * PATIENCE * settings.answer_ms / 1e3 + 1.0
        self._link: GateLink | None = None
        self._thread: PortThread | None = None
        self._info: OutputInfo | None = None

    @property
    def state(self) -> OutputState:
        """Where the gate stands, by its newest message."""
        link = self._link
        return OutputState.CLOSED if link is None else link.state

    @property
    def limits(self) -> protocol.Limits | None:
        """The limits in force; None while the gate is not open."""
        return None if self._link is None else self._link.limits

    def round_trips(self) -> StageSummary:
        """Return percentiles of the round trips since it was opened."""
        return self._present().reporter.clock.round_trips()

    def open(self) -> OutputInfo:
        """Open the port, wait for the gate, check its protocol and firmware, read its limits.

        Raises
        ------
        OutputError
            The port cannot be had, no gate answers on it, or its protocol or firmware is another.
        """
        with self._lifecycle:
            if self._info is not None:
                return self._info
            settings = self._settings
            port = SerialPort(settings.port, BAUD)
            timing = Timing(
                heartbeat_ns=round(settings.heartbeat_ms * NS_PER_MS),
                answer_ns=round(settings.answer_ms * NS_PER_MS),
                silence_ns=round(settings.silence_ms * NS_PER_MS),
                liveness_ns=round(settings.liveness_ms * NS_PER_MS),
            )
            self._link = link = GateLink(timing, self._reports.add)
            self._thread = thread = PortThread(port, link, self._clock)
            thread.start()
            try:
                welcome = self._first_greeting()
                self._check_firmware(welcome)
                limits = self._request(protocol.GetLimits(), protocol.Limits)
                self._info = self._describe(welcome, limits, port, thread)
            except BaseException:
                self._end()
                raise
            return self._info

    def arm(self) -> None:
        """See `Output.arm`."""
        with self._requesting:
            if self.state in (OutputState.ARMED, OutputState.FIRING):
                return
            link = self._present()
            if not link.fresh(self._clock.now_ns()):
                raise self._cannot("armed", OutputReason.HOST_SILENT)
            self._compare_limits()
            self._with_token("armed", protocol.Arm)

    def clear(self) -> None:
        """See `Output.clear`."""
        with self._requesting:
            self._with_token("cleared", protocol.Clear)

    def self_test(self) -> list[Check]:
        """See `Output.self_test`: identity, round trips, limits, switches."""
        with self._requesting:
            for _ in range(_PINGS):
                status = self._request(protocol.GetStatus(), protocol.Status)
            limits = self._request(protocol.GetLimits(), protocol.Limits)
            info = self._info
            assert info is not None
            return gate_checks(info, status, limits, self.round_trips(), self._pinned)

    def change_limits(
        self,
        proposal: protocol.ProposeLimits,
        hand: Callable[[], None] = lambda: None,
        hand_s: float = _HAND_S,
    ) -> protocol.Limits:
        """Store other limits in the gate, in the protocol's two steps; return those in force then.

        Parameters
        ----------
        proposal : protocol.ProposeLimits
        hand : callable
            Called once the gate waits for a hand: the arm switch on, its button held for a second.
        hand_s : float
            How long to wait for it.

        Raises
        ------
        OutputError
            The gate refused, for instance because it is armed, or no hand came.
        """
        with self._requesting:
            crc = self._request(proposal, protocol.Ack, wanted="given other limits").value
            hand()
            self._commit(protocol.CommitLimits(crc, proposal.counter), hand_s)
            deadline_ns = self._clock.now_ns() + 5 * NS_PER_S
            while True:
                limits = self._request(protocol.GetLimits(), protocol.Limits)
                if limits.counter == proposal.counter:
                    return limits
                if self._clock.now_ns() >= deadline_ns:
                    raise GateError(f"{self._name}: the new limits were accepted but not stored in time")
                self._clock.sleep_until_ns(self._clock.now_ns() + 20 * NS_PER_MS)

    def _compare_limits(self) -> None:
        named = self._settings.limits
        if named is None:
            return  # the self-test, which precedes arming, asks for it
        here = fingerprint(self._request(protocol.GetLimits(), protocol.Limits))
        if here != named:
            raise GateError(
                f"{self._name} cannot be armed: its limits are {here}, output.limits names {named}; "
                "`rtface gate limits` shows them"
            )

    def _commit(self, commit: protocol.CommitLimits, hand_s: float) -> None:
        deadline_ns = self._clock.now_ns() + round(hand_s * NS_PER_S)
        while True:
            try:
                self._request(commit, protocol.Ack, wanted="given other limits")
            except _RefusedError as refusal:
                if refusal.reason is not OutputReason.NO_HAND or self._clock.now_ns() >= deadline_ns:
                    raise
                self._clock.sleep_until_ns(self._clock.now_ns() + 50 * NS_PER_MS)
            else:
                return

    def fire(self, pulse: Pulse) -> int:
        """See `Output.fire`."""
        number, handed_ns = self._reports.number(), self._clock.now_ns()
        return self._hand(number, handed_ns, lambda link, now: link.fire(number, pulse, handed_ns, now))

    def cancel(self) -> int:
        """See `Output.cancel`."""
        return self._command(protocol.Cancel())

    def disarm(self, reason: str) -> int:
        """See `Output.disarm`."""
        return self._command(protocol.Disarm(), reason)

    def stop(self) -> int:
        """See `Output.stop`."""
        return self._command(protocol.Stop())

    def alive(self) -> None:
        """See `Output.alive`."""
        link = self._link
        if link is not None:
            link.alive_ns = self._clock.now_ns()

    def reports(self) -> list[Report]:
        """See `Output.reports`."""
        return self._reports.drain()

    def close(self) -> None:
        """See `Output.close`."""
        with self._lifecycle:
            if self._thread is None:
                return
            try:
                if self._present().failure is None:
                    self._request(protocol.Disarm(), protocol.Ack)
                    self._request(
                        protocol.GetStatus(), protocol.Status
                    )  # comes after what the disarming has ended
            except OutputError:
                pass  # it does not answer: its dead-man turns the light off
            finally:
                self._end()

    @property
    def _name(self) -> str:
        return f"the gate at {self._settings.port}"

    def _end(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.end(_END_S)
        self._link = self._info = None

    def _present(self) -> GateLink:
        if self._link is None:
            raise GateError(f"{self._name} is not open")
        return self._link

    def _first_greeting(self) -> protocol.Welcome:
        """Greet until the gate answers: opening the port may have reset it, and its boot loader takes its time."""
        deadline_ns = self._clock.now_ns() + round(self._settings.open_s * NS_PER_S)
        while True:
            try:
                return self._request(protocol.Hello(), protocol.Welcome, _HELLO_S)
            except OutputError as error:
                if self._present().old_protocol:
                    raise GateError(
                        f"{self._name} has protocol {OLD_PROTOCOL}, this rtface {PROTOCOL}: {_FLASH}"
                    ) from error
                if self._present().failure is not None or self._clock.now_ns() >= deadline_ns:
                    raise GateError(
                        f"{self._settings.port}: no gate answers within {self._settings.open_s:g} s; is the firmware on "
                        "it (`rtface gate flash`), and is it the right port?"
                    ) from error

    def _with_token(self, wanted: str, message: type[protocol.Arm] | type[protocol.Clear]) -> None:
        """Greet and command, anew if the line lost or doubled one of the two: a token is good once."""
        for left in reversed(range(_GREETINGS)):
            welcome = self._request(protocol.Hello(), protocol.Welcome, wanted=wanted)
            try:
                self._request(message(welcome.token), protocol.Ack, wanted=wanted)
            except _RefusedError as refusal:
                if not left or refusal.reason not in (OutputReason.BAD_TOKEN, OutputReason.STALE):
                    raise
            else:
                return

    def _check_firmware(self, welcome: protocol.Welcome) -> None:
        """Refuse another protocol, other firmware where it must be the packaged one, and any whose limits have another form."""
        if welcome.protocol != PROTOCOL:
            raise GateError(f"{self._name} has protocol {welcome.protocol}, this rtface {PROTOCOL}: {_FLASH}")
        ours = packaged_build()
        if welcome.build != ours and self._settings.build == "packaged":
            raise GateError(
                f"{self._name} runs firmware build {welcome.build:08x}, this rtface brings {ours:08x}: "
                "`rtface gate flash`, or output.build: any"
            )
        if welcome.firmware < OLDEST_FIRMWARE:
            raise GateError(
                f"{self._name} runs firmware {_version(welcome.firmware)}, this rtface needs {_version(OLDEST_FIRMWARE)} or "
                f"newer: {_FLASH}; the limits that were signed stay"
            )

    def _describe(
        self, welcome: protocol.Welcome, limits: protocol.Limits, port: SerialPort, thread: PortThread
    ) -> OutputInfo:
        return OutputInfo(
            kind="gate",
            label=f"safety gate {welcome.device_id} at {self._settings.port}",
            drives_light=True,
            enforces_limits=True,
            firmware=_version(welcome.firmware),
            build=f"{welcome.build:08x}",
            protocol=str(welcome.protocol),
            limits=asdict(limits) | {"source": welcome.limits_source.name.lower()},
            settings={
                "port": self._settings.port,
                "baud": BAUD,
                "heartbeat_ms": self._settings.heartbeat_ms,
                "liveness_ms": self._settings.liveness_ms,
                "low_latency": port.low_latency,
                "priority": thread.priority,
                "packaged_build": f"{packaged_build():08x}",
                "limits": self._settings.limits,
                "reset_cause": cause_name(welcome.reset_cause),
                "resets": welcome.resets,
                "state": welcome.state.name.lower(),
                "arm_switch_on": bool(welcome.inputs & Inputs.ARM_SWITCH_ON),
                "stop_open": bool(welcome.inputs & Inputs.STOP_OPEN),
            },
        )

    def _command(self, message: Message, why: str = "") -> int:
        number, handed_ns = self._reports.number(), self._clock.now_ns()
        return self._hand(
            number, handed_ns, lambda link, now: link.command(message, number, handed_ns, now, why)
        )

    def _hand(self, number: int, handed_ns: int, command: Command) -> int:
        thread = self._thread
        if thread is None or not thread.hand(command):
            reason = OutputReason.CLOSED if thread is None else OutputReason.BUSY
            self._reports.add(Report(number, OutputEvent.REFUSED, handed_ns, self.state, reason))
        return number

    def _request(
        self,
        message: Message,
        kind: type[_Kind],
        timeout_s: float | None = None,
        wanted: str = "",
    ) -> _Kind:
        """Send and wait; `GateError` when there is no answer, or a refusal of what was `wanted`."""
        answer: Future[Answer] = Future()
        thread = self._thread
        self._present()
        wanted = wanted or f"asked ({type(message).__name__})"
        if thread is None or not thread.hand(lambda link, now: link.request(message, answer, now)):
            raise self._cannot(wanted, OutputReason.BUSY)
        try:
            got = answer.result(self._answer_s if timeout_s is None else timeout_s)
        except FutureTimeoutError:
            raise self._cannot(wanted, OutputReason.NO_ANSWER) from None
        except OutputError as error:
            raise self._cannot(wanted, OutputReason(str(error))) from None
        if isinstance(got, kind):
            return got
        reason = to_reason(got.reason) if isinstance(got, protocol.Nak) else OutputReason.BAD_VALUE
        raise self._cannot(wanted, reason)

    def _cannot(self, wanted: str, reason: OutputReason) -> _RefusedError:
        return _RefusedError(f"{self._name} cannot be {wanted}: {explain(reason)}", reason)
