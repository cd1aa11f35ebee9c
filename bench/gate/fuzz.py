"""Random sessions with the shipped firmware in emulation, looking for light that must not be.

A host that knows the protocol and keeps breaking it: pulses and trains within the limits and beyond, frames that are
flipped, cut, repeated, out of order, of another conversation or host, random bytes, bytes without a stop bit,
switches, the button, the photodiode, the cable, resets, power, hangs, a damaged EEPROM. `gate_proof` judges each session by what
came to the chip and what left its pins. A seed makes the same session each time.

    python -m bench.gate.fuzz --minutes 10 --out bench/results
    python -m bench.gate.fuzz --minutes 10 --boot BOOT.hex
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.gate.proof import Violation, flashes, violations
from bench.gate.scripted import LIMITS_AT, ScriptedGate, limits_cells
from bench.result import parser_of, write
from rtface.core.clock import NS_PER_S, monotonic_ns
from rtface.stimulate.gate.codes import State
from rtface.stimulate.gate.emulator import CYCLES_PER_MS, Photodiode
from rtface.stimulate.gate.framing import encode
from rtface.stimulate.gate.protocol import (
    DEFAULT_LIMITS,
    Arm,
    Cancel,
    Clear,
    CommitLimits,
    Disarm,
    Event,
    GetLimits,
    GetStatus,
    Heartbeat,
    Hello,
    Limits,
    Message,
    ProposeLimits,
    Pulse,
    Status,
    Stop,
    Welcome,
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a session came to.

    Attributes
    ----------
    pulses : int
        Times that the light went on.
    ms : float
        Emulated time.
    states : dict
        How often each state was reported.
    """

    seed: int
    pulses: int
    ms: float
    states: dict[str, int]
    violations: tuple[Violation, ...]


def random_limits(chance: random.Random) -> Limits:
    """Return limits that a session of a second or so comes up against."""
    window_ms = 16 * chance.randint(10, 40)
    return replace(
        DEFAULT_LIMITS,
        max_on_us=chance.choice((500, 5_000, 20_000, 80_000)),
        min_off_us=chance.choice((1_000, 3_000, 10_000)),
        window_ms=window_ms,
        window_on_us=window_ms * chance.choice((50, 200, 800)),
        session_pulses=chance.choice((5, 40, 1_000)),
        session_dose_us=chance.choice((20_000, 150_000, 10_000_000)),
        deadman_ms=chance.choice((20, 50, 100)),
        max_amplitude=chance.choice((100, 255)),
        amplitude_wired=chance.choice((0, 1)),
        photodiode_wired=chance.choice((0, 1)),
        light_rise_us=chance.choice((100, 1_000, 5_000)),
        light_fall_us=chance.choice((100, 1_000)),
        counter=1,
        signed_off_by="the fuzzer",
    )


class Host:
    """A host of the gate that now and then goes mad."""

    def __init__(self, gate: ScriptedGate, limits: Limits, seed: int, booted: bool) -> None:
        self.gate = gate
        self.booted = booted
        self.limits = limits
        self.chance = random.Random(seed)
        self.seq = 0
        self.nonce = 0
        self.said: list[bytes] = []
        self.stop_open = False
        self.arm_on = True
        self.plugged = True

    def say(self, message: Message, seq: int | None = None, nonce: int | None = None) -> None:
        """Send a frame with the next sequence number and the newest conversation's nonce, or those given."""
        if seq is None:
            self.seq = seq = self.seq + 1
        frame = encode(message, seq, self.nonce if nonce is None else nonce)
        self.said.append(frame)
        self.gate.send_bytes(frame)

    def wait(self) -> None:
        """Let time pass as a host does that says how it is, or as one that has fallen silent."""
        if self.chance.random() < 0.9:
            for _ in range(self.chance.randint(1, 6)):
                self.say(Heartbeat())
                self.gate.run_ms(self.chance.uniform(1, 12))
        else:
            self.gate.run_ms(self.chance.uniform(0, 150))

    def arm(self) -> None:
        """Do all that it takes, and start at ease."""
        self.switches(stop_open=False, arm_on=True)
        self.cable(True)
        for _ in range(2):
            self.say(Hello())
            self.gate.run_ms(3)
            self.say(Arm(self.token()))
            self.gate.run_ms(1)
            if self.gate.log.frames and self.state() is not State.STOPPED:
                break
            self.say(Hello())
            self.gate.run_ms(3)
            self.say(Clear(self.token()))
            self.gate.run_ms(1)

    def token(self) -> int:
        """Return that of the newest welcome, and take up its conversation."""
        for _, frame in reversed(self.gate.log.frames):
            if isinstance(frame.message, Welcome):
                self.nonce = frame.nonce
                return frame.message.token
        return 0

    def state(self) -> State:
        """Return what the gate said last."""
        said = (getattr(f.message, "state", None) for _, f in reversed(self.gate.log.frames))
        return next((state for state in said if state is not None), State.DISARMED)

    def pulse(self) -> Pulse:
        """Return one that should be fine, or nearly."""
        on_us = self.chance.choice((20, self.limits.max_on_us // 4 + 20, self.limits.max_on_us))
        count = self.chance.choice((1, 1, 2, 5, 50))
        period = on_us + self.limits.min_off_us + self.chance.choice((0, 0, 7, 5_000)) if count > 1 else 0
        amplitude = self.chance.randint(1, self.limits.max_amplitude)
        pulse = Pulse(on_us, period, count, amplitude)
        spoils: tuple[Callable[[], Pulse], ...] = (
            lambda: replace(pulse, on_us=self.limits.max_on_us + self.chance.choice((1, 1_000, 2**31))),
            lambda: replace(pulse, amplitude=self.chance.choice((0, 255))),
            lambda: replace(pulse, period_us=self.chance.choice((0, 1, on_us, 2**32 - 1))),
            lambda: replace(pulse, count=self.chance.choice((0, 65_535))),
            lambda: replace(pulse, on_us=self.chance.choice((0, 1, 19))),
        )
        return self.chance.choice(spoils)() if self.chance.random() < 0.2 else pulse

    def damaged(self) -> bytes:
        """Return a frame of before, or a new one, with something wrong in it."""
        frame = bytearray(self.chance.choice(self.said) if self.said else encode(Heartbeat(), 1))
        match self.chance.randrange(5):
            case 0:
                frame[self.chance.randrange(len(frame))] ^= 1 << self.chance.randrange(8)
            case 1:
                del frame[self.chance.randrange(len(frame)) :]
            case 2:
                frame.insert(self.chance.randrange(len(frame)), self.chance.randrange(256))
            case 3:
                del frame[self.chance.randrange(len(frame))]
            case _:
                frame = bytearray(self.chance.randbytes(self.chance.randint(1, 300)))
        return bytes(frame)

    def switches(self, *, stop_open: bool, arm_on: bool) -> None:
        """Turn those that stand otherwise."""
        if stop_open != self.stop_open:
            self.gate.stop_switch(stop_open)
        if arm_on != self.arm_on:
            self.gate.arm_switch(arm_on)
        self.stop_open, self.arm_on = stop_open, arm_on

    def cable(self, plugged: bool) -> None:
        """Pull or plug it."""
        if plugged != self.plugged:
            self.gate.cable(plugged)
        self.plugged = plugged

    def old_nonce(self) -> int:
        """Return that of any conversation so far, or none's."""
        had = [frame.nonce for _, frame in self.gate.log.frames if isinstance(frame.message, Welcome)]
        return self.chance.choice([0, *had])

    def another_host(self) -> None:
        """Let another greet; this one goes on as if nothing had been."""
        self.gate.send(Hello(), self.chance.randrange(2**32))
        self.gate.run_ms(3)

    def hold_button(self) -> None:
        """Hold it for a while, with the arm switch on or off."""
        self.switches(stop_open=self.stop_open, arm_on=self.chance.random() < 0.5)
        self.gate.button(held=True)
        for _ in range(self.chance.choice((1, 12, 60))):
            self.say(Heartbeat())
            self.gate.run_ms(90)
        self.gate.button(held=False)

    def power_cycle(self) -> None:
        """Switch the power off and on; behind a boot loader it takes a hand to go on."""
        self.gate.power_cycle()
        if self.booted and self.chance.random() < 0.8:
            self.switches(stop_open=False, arm_on=False)
            self.gate.run_ms(30)
            self.gate.button(held=True)
            self.gate.run_ms(self.chance.choice((500, 1_020, 5_020, 5_020, 5_020)))
            self.gate.button(held=False)

    def see_light(self) -> None:
        """Let the photodiode see what is so, in time."""
        limits = self.limits
        self.gate.photodiode(Photodiode.FOLLOWS, 0.9 * limits.light_rise_us, 0.9 * limits.light_fall_us)

    def photodiode(self) -> None:
        """Let it see what is not so, for a while or for good; then, as a rule, somebody comes and sees to it."""
        if self.chance.random() < 0.2:
            self.gate.photodiode(
                Photodiode.FOLLOWS, self.chance.uniform(0, 9_000), self.chance.uniform(0, 9_000)
            )
        else:
            self.gate.photodiode(self.chance.choice((Photodiode.DARK, Photodiode.LIT, Photodiode.ABSENT)))
        self.say(self.pulse())
        self.wait()
        if self.chance.random() < 0.5:
            self.see_light()
        if self.chance.random() < 0.7:
            self.see_light()
            self.switches(stop_open=False, arm_on=False)
            self.gate.run_ms(5)
            self.gate.button(held=True)
            self.gate.run_ms(self.chance.choice((500, 1_020)))
            self.gate.button(held=False)

    def mishap(self) -> None:
        """Let something go wrong."""
        chance = self.chance
        flipped = {"stop_open": not self.stop_open, "arm_on": self.arm_on}
        turned = {"stop_open": self.stop_open, "arm_on": not self.arm_on}
        chance.choice(
            (
                lambda: self.gate.send_bytes(self.damaged()),
                lambda: self.gate.send_bytes(self.damaged() + b"\0"),
                lambda: self.gate.send_bytes(chance.choice(self.said) if self.said else b"\0"),
                lambda: self.gate.garble(chance.randrange(256)),
                lambda: self.switches(**flipped),
                lambda: self.switches(**turned),
                lambda: self.cable(not self.plugged),
                self.gate.reset,
                self.power_cycle,
                lambda: self.gate.hang(chance.random() < 0.5),
                lambda: self.say(Heartbeat(), chance.randrange(2 * self.seq + 2)),
                lambda: self.say(self.pulse(), chance.randrange(2 * self.seq + 2)),
                lambda: self.say(self.pulse(), nonce=self.old_nonce()),
                lambda: self.say(Heartbeat(), nonce=self.old_nonce()),
                lambda: self.gate.send_bytes(b"".join(self.said[-40:])),
                lambda: self.gate.send_bytes(b"".join(self.said[:40])),
                self.another_host,
                self.hold_button,
                self.photodiode,
                lambda: self.say(Arm(chance.randrange(2**32))),
                lambda: self.say(Arm(self.token())),
                lambda: self.say(Clear(self.token())),
                lambda: self.say(chance.choice((Hello, Disarm, Stop, Cancel, GetStatus, GetLimits))()),
                lambda: self.say(
                    replace(_proposal(random_limits(chance)), counter=chance.choice((0, 1, 3, 2**32 - 1)))
                ),
                lambda: self.say(_proposal(random_limits(chance))),
                lambda: self.say(CommitLimits(chance.randrange(2**16), chance.randrange(4))),
                lambda: self.say(Status(State.ARMED, 0, 0, 0, 0, 0, 0, 0, 0)),  # type: ignore[arg-type]
                self.flood,
            )
        )()

    def flood(self) -> None:
        """Send more heartbeats than the gate's queue holds."""
        for _ in range(60):
            self.say(Heartbeat())


def _proposal(limits: Limits) -> ProposeLimits:
    return ProposeLimits(*(asdict(replace(limits, counter=2)).values()))


def fuzz(seed: int, steps: int = 60, boot: Path | None = None) -> Outcome:
    """Return what a random session comes to, behind a boot loader if one is given."""
    chance = random.Random(seed)
    limits = random_limits(chance) if chance.random() < 0.95 else DEFAULT_LIMITS
    with ScriptedGate(seed=seed, boot=boot) as gate:
        host = Host(gate, limits, seed, booted=boot is not None)
        host.see_light()
        if limits is not DEFAULT_LIMITS:
            for address in chance.choice((LIMITS_AT, LIMITS_AT[:1], LIMITS_AT[1:])):
                gate.write_eeprom(address, limits_cells(limits))
            host.power_cycle()
        gate.run_ms(chance.choice((0, 1, 15)))
        for _ in range(steps):
            match chance.randrange(10):
                case 0 | 1:
                    host.arm()
                case 2 | 3 | 4 | 5:
                    host.say(host.pulse())
                    host.wait()
                case 6 | 7:
                    host.wait()
                case _:
                    host.mishap()
                    gate.run_ms(chance.choice((0, 0.05, 0.3, 2, 10)))
        gate.run_ms(300)
        log = gate.log
        wrong = violations(log, limits, gate.cycle, power_is_seen=boot is None)
        if limits is DEFAULT_LIMITS and flashes(log, gate.cycle):
            wrong.append(Violation(gate.cycle, "unsigned", "light without signed limits"))
        if log.light_is_on:
            wrong.append(Violation(gate.cycle, "dead-man", "on after 300 ms of silence"))
    states = Counter(f.message.state.name for _, f in log.frames if isinstance(f.message, Status | Event))
    return Outcome(
        seed, len(flashes(log, gate.cycle)), gate.cycle / CYCLES_PER_MS, dict(states), tuple(wrong)
    )


def fuzz_for(seconds: float, first_seed: int, jobs: int, boot: Path | None) -> list[Outcome]:
    """Return the outcomes of as many sessions as fit."""
    until = monotonic_ns() + round(seconds * NS_PER_S)
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(jobs) as pool:
        seed = first_seed
        while monotonic_ns() < until:
            outcomes += pool.map(partial(fuzz, boot=boot), range(seed, seed + 8 * jobs))
            seed += 8 * jobs
    return outcomes


def report(outcomes: list[Outcome]) -> dict[str, Any]:
    """Return the numbers of all sessions."""
    states: Counter[str] = Counter()
    for outcome in outcomes:
        states.update(outcome.states)
    wrong = [{"seed": o.seed, **asdict(v)} for o in outcomes for v in o.violations]
    return {
        "sessions": len(outcomes),
        "seeds": [min(o.seed for o in outcomes), max(o.seed for o in outcomes)],
        "emulated_seconds": round(sum(o.ms for o in outcomes) / 1000, 1),
        "pulses": sum(o.pulses for o in outcomes),
        "states_reported": dict(states),
        "violations": len(wrong),
        "first_violations": wrong[:20],
    }


def main() -> None:
    """Run."""
    parser = parser_of(__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--boot", type=Path, help="a boot loader, as Intel hex, from which each reset begins")
    parser.add_argument("--out", type=Path, help="folder for gate_fuzz.json, or gate_fuzz_boot.json")
    options = parser.parse_args()
    result = report(fuzz_for(60 * options.minutes, options.seed, options.jobs, options.boot))
    result["boot_loader"] = options.boot.name if options.boot else None
    print(json.dumps(result, indent=1))
    if options.out:
        write(options.out / ("gate_fuzz_boot.json" if options.boot else "gate_fuzz.json"), result)
    sys.exit(1 if result["violations"] else 0)


if __name__ == "__main__":
    main()
