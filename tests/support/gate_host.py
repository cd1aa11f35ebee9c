"""A well-behaved host of a scripted gate, for tests of its firmware."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from bench.gate.proof import Flash, flashes, violations
from bench.gate.scripted import LIMITS_AT, ScriptedGate, limits_cells
from rtface.core.errors import GateError
from rtface.stimulate.gate.codes import Kind, Reason, State
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, CYCLES_PER_US
from rtface.stimulate.gate.framing import encode
from rtface.stimulate.gate.harness import harness_path
from rtface.stimulate.gate.protocol import (
    DEFAULT_LIMITS,
    Ack,
    Arm,
    CommitLimits,
    Event,
    Heartbeat,
    Hello,
    Limits,
    Message,
    Nak,
    ProposeLimits,
    Pulse,
    Status,
    Welcome,
)


def need_simavr() -> None:
    """Skip where the emulation cannot be built."""
    try:
        harness_path()
    except GateError as error:
        pytest.skip(str(error))


def need_avr_gcc() -> None:
    """Skip where the firmware cannot be compiled."""
    for tool in ("avr-gcc", "make"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (apt-get install make gcc-avr avr-libc)")


def limits_of(**changes: Any) -> Limits:
    """Return the default limits with changes, as someone signed them."""
    return replace(DEFAULT_LIMITS, **{"counter": 1, "signed_off_by": "a test", **changes})


SIGNED = limits_of()
"""The packaged limits, signed."""
HAND_MS = 1_020
"""What it takes to hold the button so that it counts."""


class GateHost:
    """A scripted gate and its host; whoever leaves it has its whole log judged."""

    def __init__(self, gate: ScriptedGate, limits: Limits) -> None:
        self.gate = gate
        self.limits = limits
        self.seq = 0

    @property
    def nonce(self) -> int:
        """Of the newest conversation."""
        welcomes = (f.nonce for _, f in reversed(self.gate.log.frames) if isinstance(f.message, Welcome))
        return next(welcomes, 0)

    def say(self, message: Message, seq: int | None = None) -> int:
        """Send a frame of the newest conversation and return its sequence number."""
        if seq is None:
            self.seq = seq = self.seq + 1
        self.gate.send(message, seq, self.nonce)
        return seq

    def ask(self, message: Message, seq: int | None = None, ms: float = 3) -> Message:
        """Send a frame and return the last answer to it."""
        have = len(self.gate.log.frames)
        said = self.say(message, seq)
        self.gate.run_ms(ms)
        answers = [
            frame.message
            for _, frame in self.gate.log.frames[have:]
            if frame.seq == said and not isinstance(frame.message, Event)
        ]
        assert answers, f"no answer to {message} in {ms} ms"
        return answers[-1]

    def reason(self, message: Message, seq: int | None = None) -> Reason:
        """Send a command and return why it was refused, or NONE."""
        answer = self.ask(message, seq)
        assert isinstance(answer, Ack | Nak), answer
        assert isinstance(answer, Ack) == (answer.reason is Reason.NONE)
        return answer.reason

    def hello(self) -> Welcome:
        """Greet."""
        answer = self.ask(Hello())
        assert isinstance(answer, Welcome)
        return answer

    def hold(self, ms: float, *, key: bool = True, every: float = 10) -> None:
        """Hold the button with the arm switch on or off, it having been up before; let go afterwards."""
        self.gate.button(held=False)
        self.gate.arm_switch(on=key)
        self.beat(5)
        self.gate.button(held=True)
        self.beat(ms, every)
        self.gate.button(held=False)
        self.gate.arm_switch(on=True)
        self.beat(2)

    def sign(self, limits: Limits) -> None:
        """Propose limits, hold the button with the key on, and commit them."""
        answer = self.ask(proposal(limits))
        assert isinstance(answer, Ack), answer
        self.beat(3)
        self.gate.button(held=True)
        self.beat(HAND_MS)
        assert self.reason(CommitLimits(answer.value, limits.counter)) is Reason.NONE
        self.gate.button(held=False)

    def arm(self) -> None:
        """Greet and arm."""
        assert self.reason(Arm(self.hello().token)) is Reason.NONE

    def fire(self, on_us: int = 5_000, period_us: int = 0, count: int = 1, amplitude: int = 255) -> None:
        """Order pulses that must be accepted."""
        assert self.reason(Pulse(on_us, period_us, count, amplitude)) is Reason.NONE

    def beat(self, ms: float, every: float = 10) -> None:
        """Let time pass with a heartbeat now and then."""
        while ms > 0:
            self.say(Heartbeat())
            self.gate.run_ms(min(every, ms))
            ms -= every

    def status(self) -> Status:
        """Ask by a heartbeat."""
        answer = self.ask(Heartbeat())
        assert isinstance(answer, Status)
        return answer

    @property
    def state(self) -> State:
        """As it says itself."""
        return self.status().state

    @property
    def light(self) -> list[Flash]:
        """When it was on so far."""
        return flashes(self.gate.log, self.gate.cycle)

    def events(self, kind: Kind) -> list[Event]:
        """Events of a kind so far."""
        messages = (frame.message for _, frame in self.gate.log.frames)
        return [m for m in messages if isinstance(m, Event) and m.kind is kind]

    def judge(self) -> None:
        """Fail if the light was ever on when it must not be."""
        assert violations(self.gate.log, self.limits, self.gate.cycle) == []


@contextmanager
def gate_host(
    limits: Limits | None = SIGNED, *, seed: int = 0, judged: bool = True, boot: Path | None = None
) -> Iterator[GateHost]:
    """A gate with these limits in its EEPROM, 20 ms after power-on; None: as new."""
    with ScriptedGate(seed=seed, boot=boot) as gate:
        if limits is not None:
            for address in LIMITS_AT:
                gate.write_eeprom(address, limits_cells(limits))
            gate.power_cycle()
        limits = limits or DEFAULT_LIMITS
        gate.run_ms(1 + max(19, limits.min_off_us / 1000))
        host = GateHost(gate, limits)
        yield host
        if judged:
            host.judge()


def proposal(limits: Limits) -> ProposeLimits:
    """The first step of a change to these."""
    return ProposeLimits(**asdict(limits))


def ms(cycles: int) -> float:
    """Cycles as milliseconds."""
    return cycles / CYCLES_PER_MS


def us(cycles: int) -> float:
    """Cycles as microseconds."""
    return cycles / CYCLES_PER_US


def damaged(message: Message, seq: int) -> bytes:
    """A frame whose CRC does not match."""
    frame = bytearray(encode(message, seq, 1))
    frame[-2] ^= 1
    return bytes(frame)
