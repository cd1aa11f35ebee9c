"""Judges an emulated gate's log: was the light ever on when it must not be? Pure, and written without the firmware.

Its input is what came to the chip (bytes, switches, resets) and what left its light's pins, both by cycle, and nothing of
the firmware's own state. What is fresh it finds by its own means: a piece whose very bytes have come before is a
repetition, whatever its number, and one that answers no greeting that was answered last is another's. So it takes
neither sequence numbers nor nonces at their word: nonces that come twice are a violation of their own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rtface.stimulate.gate.emulator import CYCLES_PER_MS, CYCLES_PER_US, EmulationLog
from rtface.stimulate.gate.framing import Decoder
from rtface.stimulate.gate.protocol import (
    Ack,
    Arm,
    Cancel,
    Disarm,
    Heartbeat,
    Hello,
    Limits,
    Message,
    Pulse,
    Stop,
    Welcome,
)

JITTER_US = 20
"""How much later than commanded a pulse may end: what another interrupt takes."""
SWITCH_MS = 1.1
"""How long a switch may take: it is read each millisecond, and before each pulse."""
LINE_MS = 0.1
"""How long a byte with a framing error, or one that is lost by overrun, may take."""
SETTLING = 5 * CYCLES_PER_US
"""How shortly before a pulse a switch may turn without being seen."""
WATCHDOG_MS = 17.0
"""How long the light may stay on in a program that hangs, whatever the limits: the watchdog alone is left to end it."""
TURN_MS = 1.0
PIECE_MS = 0.7
"""How long a frame may take: a turn of the main loop, and each piece that waits before it."""
QUEUE = 256
NEW_SESSION_MS = 4_990
"""How long a hand holds the button, at least, to begin a session."""
HAND_MS = 990
"""How long it holds it, at least, to see to a fault."""
STARTING_MS = 150
"""How long after a reset the chip may be busy with its EEPROM and see no light."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must never happen, and the cycle at which it did."""

    cycle: int
    rule: str
    detail: str


@dataclass(frozen=True, slots=True)
class Flash:
    """The light was on from one cycle to another (exclusive), at this amplitude."""

    on: int
    off: int
    amplitude: int

    @property
    def us(self) -> float:
        """How long."""
        return (self.off - self.on) / CYCLES_PER_US


@dataclass(frozen=True, slots=True)
class _Ending:
    """After `by` the light may not be on because of anything that came before `cycle`."""

    cycle: int
    by: float
    why: str


@dataclass(frozen=True, slots=True)
class Received:
    """A piece that came to the chip, complete at `cycle`; None if it was no frame that a host sends."""

    cycle: int
    message: Message | None
    waiting: int
    """Pieces in the chip's queue when it came, at most."""
    fresh: bool = False
    """Whether it never came before and belongs to the conversation that the gate has begun last."""


def flashes(log: EmulationLog, end: int) -> list[Flash]:
    """Return when the light was on; one that still is counts as on until the cycle `end`."""
    found: list[Flash] = []
    on: int | None = None
    amplitude = 0
    for change in log.light:
        if change.ttl and on is None:
            on, amplitude = change.cycle, 0
        if change.ttl:
            amplitude = max(amplitude, change.amplitude)
        elif on is not None:
            found.append(Flash(on, change.cycle, amplitude))
            on = None
    return found if on is None else [*found, Flash(on, end, amplitude)]


def received(log: EmulationLog) -> list[Received]:
    """Return the pieces that came to the chip. What it had of one is forgotten when it is reset."""
    found: list[Received] = []
    decoder, rejected, broken = Decoder(), 0, False
    piece, had = bytearray(), set[bytes]()
    welcomes = _welcomes(log)
    greeted = [cycle for cycle, _ in welcomes]
    resets, ends, had_lost = iter([*log.resets[1:], None]), [0], 0
    reset = next(resets)
    for index, (cycle, byte, garbled) in enumerate(log.delivered):
        while reset is not None and cycle > reset:
            decoder, rejected, broken, reset = Decoder(), 0, False, next(resets)
        lost = bisect_right(log.overruns, cycle)
        broken, had_lost = broken or garbled or lost > had_lost, lost
        piece.append(byte)
        frames = decoder.feed(bytes((byte,)))
        if byte != 0:
            continue
        message = frames[0].message if frames and not broken else None
        if message is not None and message.TYPE & 0x80:
            message = None
        if message is not None or broken or decoder.rejected > rejected:
            waiting = len(ends) - bisect_right(ends, index - QUEUE)
            fresh = False
            if message is not None:
                at = bisect_right(greeted, cycle) - 1
                fresh = at >= 0 and frames[0].nonce == welcomes[at][1] and bytes(piece) not in had
                had.add(bytes(piece))
            found.append(Received(cycle, message, waiting, fresh))
            ends.append(index)
        piece.clear()
        rejected, broken = decoder.rejected, False
    return found


def _welcomes(log: EmulationLog) -> list[tuple[int, int]]:
    """Cycles at which the gate answered a greeting, and the nonces of what began then."""
    return [(cycle, frame.nonce) for cycle, frame in log.frames if isinstance(frame.message, Welcome)]


def violations(log: EmulationLog, limits: Limits, end: int, *, power_is_seen: bool = True) -> list[Violation]:
    """Return all that is wrong in a log that ends at the cycle `end` and was made under these limits.

    `power_is_seen` is false behind a boot loader, which hides the cause of a reset: no power-on begins a session then.
    """
    lit = flashes(log, end)
    pieces = received(log)
    powers = log.powers if power_is_seen else log.powers[:1]
    own = [flash for flash in lit if not _ended_by_watchdog(log, flash)]
    return [
        *_amplitudes(log),
        *_widths(own, limits),
        *_gaps(lit, limits),
        *_nonces(log),
        *_windows(log, lit, limits, powers),
        *_sessions(log, lit, limits, [*powers, *_hands(log, NEW_SESSION_MS)]),
        *_silences(own, pieces, limits),
        *_permissions(log, lit, pieces, limits),
        *_unseen(log, lit, limits, powers, end),
    ]


def _ended_by_watchdog(log: EmulationLog, flash: Flash) -> bool:
    return any(flash.on <= hang < flash.off <= hang + WATCHDOG_MS * CYCLES_PER_MS for hang in log.hangs)


def _beyond(log: EmulationLog, session: Sequence[Flash]) -> float:
    """Microseconds that a session may have had beyond its limits."""
    hung = sum(_ended_by_watchdog(log, flash) for flash in session)
    return JITTER_US + len(session) + hung * WATCHDOG_MS * 1000


def _amplitudes(log: EmulationLog) -> Iterator[Violation]:
    for change in log.light:
        if change.amplitude and not change.ttl:
            yield Violation(change.cycle, "amplitude", f"{change.amplitude} while the TTL is low")


def _widths(lit: Sequence[Flash], limits: Limits) -> Iterator[Violation]:
    for flash in lit:
        if flash.us > limits.max_on_us + JITTER_US:
            yield Violation(flash.on, "max on", f"{flash.us} us")
        if flash.amplitude > limits.max_amplitude:
            yield Violation(flash.on, "max amplitude", f"{flash.amplitude}")


def _gaps(lit: Sequence[Flash], limits: Limits) -> Iterator[Violation]:
    for before, after in pairwise(lit):
        gap = after.on - before.off
        if gap < limits.min_off_us * CYCLES_PER_US:
            yield Violation(after.on, "min off", f"{gap / CYCLES_PER_US} us")


def _nonces(log: EmulationLog) -> Iterator[Violation]:
    had: set[int] = set()
    for cycle, nonce in _welcomes(log):
        if nonce in had or nonce == 0:
            yield Violation(cycle, "nonce", f"{nonce:08x} was had before")
        had.add(nonce)


def _hands(log: EmulationLog, ms: int) -> Iterator[int]:
    """When a hand has held the button for so long with the arm switch off."""
    for now, later in pairwise([*log.switches, None]):
        if now is not None and now.button and not now.arm_on:
            began = now.cycle + ms * CYCLES_PER_MS
            if later is None or later.cycle >= began:
                yield began


def _between(lit: Sequence[Flash], bounds: Sequence[int]) -> Iterator[list[Flash]]:
    for begin, until in pairwise([*sorted(bounds), 2**63]):
        yield [flash for flash in lit if begin <= flash.on < until]


def _windows(
    log: EmulationLog, lit: Sequence[Flash], limits: Limits, bounds: Sequence[int]
) -> Iterator[Violation]:
    for session in _between(lit, bounds):
        for last, flash in enumerate(session):
            begin = flash.off - limits.window_ms * CYCLES_PER_MS
            inside = [f for f in session[: last + 1] if f.off > begin]
            us = sum(f.off - max(f.on, begin) for f in inside) / CYCLES_PER_US
            if us > limits.window_on_us + _beyond(log, inside):
                yield Violation(flash.off, "window", f"{us} us within {limits.window_ms} ms")


def _sessions(
    log: EmulationLog, lit: Sequence[Flash], limits: Limits, bounds: Sequence[int]
) -> Iterator[Violation]:
    for session in _between(lit, bounds):
        if len(session) > limits.session_pulses:
            yield Violation(session[-1].on, "session pulses", f"{len(session)}")
        dose = sum(flash.us * (flash.amplitude / 255 if limits.amplitude_wired else 1) for flash in session)
        if dose > limits.session_dose_us + _beyond(log, session):
            yield Violation(session[-1].off, "session dose", f"{dose} us")


def _silences(lit: Sequence[Flash], pieces: Sequence[Received], limits: Limits) -> Iterator[Violation]:
    alive = [piece.cycle for piece in pieces if piece.fresh and isinstance(piece.message, Heartbeat | Arm)]
    for flash in lit:
        at = bisect_right(alive, flash.off) - 1
        silence = flash.off - alive[at] if at >= 0 else flash.off
        if silence > limits.deadman_ms * CYCLES_PER_MS:
            yield Violation(flash.off, "dead-man", f"on {silence / CYCLES_PER_MS} ms after a sign of life")


def _permissions(
    log: EmulationLog, lit: Sequence[Flash], pieces: Sequence[Received], limits: Limits
) -> Iterator[Violation]:
    """Each flash needs an arm with the right token, a pulse after it, and nothing since that ends either."""
    forbidden = list(_forbidden(log))
    endings = list(_endings(log, pieces, forbidden))
    arms = list(_arms(log, pieces))
    pulses = [(p.cycle, p.message) for p in pieces if p.fresh and isinstance(p.message, Pulse)]
    for flash in lit:
        armed = max((arm for arm in arms if arm < flash.on), default=None)
        if armed is None:
            yield Violation(flash.on, "not armed", "no arm with a token that was still good")
            continue
        over = [ending for ending in endings if armed < ending.cycle and ending.by < flash.off]
        since = armed
        for ending in over:
            if ending.why == "Cancel":
                since = max(since, ending.cycle)
            else:
                late = (flash.off - ending.cycle) / CYCLES_PER_MS
                yield Violation(flash.off, ending.why, f"on until {late} ms after")
        us = 0.0 if _ended_by_watchdog(log, flash) else flash.us
        ordered = (pulse for cycle, pulse in pulses if since < cycle < flash.on)
        if not any(us <= p.on_us + JITTER_US and flash.amplitude in (p.amplitude, 0) for p in ordered):
            yield Violation(flash.on, "not commanded", f"{flash.us} us at {flash.amplitude}")
    for cycle, until, why in forbidden:
        for flash in lit:
            if cycle + SETTLING < flash.on < until:
                yield Violation(flash.on, why, "began while it was so")


def _unseen(
    log: EmulationLog, lit: Sequence[Flash], limits: Limits, powers: Sequence[int], end: int
) -> Iterator[Violation]:
    """Where a photodiode is wired: no pulse after light that was not commanded, or after a lack of light, until a hand came."""
    if not limits.photodiode_wired:
        return
    edges = pairwise([(0, True), *log.photodiode, (end, False)])
    seen = [(cycle, later) for (cycle, light), (later, _) in edges if light and later > cycle]
    remedies = sorted([*powers, *_hands(log, HAND_MS)])
    found = {"light uncommanded": _uncommanded, "light missing": _missing}
    for why, cycle in ((why, cycle) for why, find in found.items() for cycle in find(log, seen, lit, limits)):
        until = next((remedy for remedy in remedies if remedy > cycle), 2**63)
        for flash in lit:
            if cycle < flash.off and flash.on < until:
                yield Violation(flash.off, why, f"until {(flash.off - cycle) / CYCLES_PER_MS} ms after")


def _blind(log: EmulationLog) -> list[tuple[int, int]]:
    """From when to when a program that hangs or begins may see no light."""
    starting = [(reset, reset + STARTING_MS * CYCLES_PER_MS) for reset in log.resets]
    return [*starting, *((hang, round(hang + WATCHDOG_MS * CYCLES_PER_MS)) for hang in log.hangs)]


def _uncommanded(
    log: EmulationLog, seen: Sequence[tuple[int, int]], lit: Sequence[Flash], limits: Limits
) -> Iterator[int]:
    """By when the gate must have found light while it commanded none."""
    fall = limits.light_fall_us * CYCLES_PER_US
    ms = round(SWITCH_MS * CYCLES_PER_MS)
    dark = pairwise([0, *(bound for flash in lit for bound in (flash.on, flash.off + fall)), 2**63])
    for begin, until in list(dark)[::2]:
        for cycle, later in seen:
            since = max(cycle, begin)
            for blind, sighted in sorted(_blind(log)):
                if blind - ms < since < sighted:
                    since = sighted
            if since + ms < min(later, until):
                yield since + ms


def _missing(
    log: EmulationLog, seen: Sequence[tuple[int, int]], lit: Sequence[Flash], limits: Limits
) -> Iterator[int]:
    """By when the gate must have found that a pulse is not seen; one that a hang ended is the watchdog's."""
    patience = limits.light_rise_us * CYCLES_PER_US + round(SWITCH_MS * CYCLES_PER_MS)
    for flash in lit:
        if any(flash.on <= begin < flash.off or begin <= flash.on < until for begin, until in _blind(log)):
            continue
        since = flash.on
        for cycle, later in [*seen, (flash.off, flash.off)]:
            if flash.on <= later and cycle <= flash.off:
                if cycle - since > patience:
                    yield since + patience
                since = max(since, later)


def _arms(log: EmulationLog, pieces: Sequence[Received]) -> Iterator[int]:
    """Arms with the newest token, unless an arm with it was acknowledged before."""
    welcomes = [
        (cycle, frame.message.token) for cycle, frame in log.frames if isinstance(frame.message, Welcome)
    ]
    acks = [
        cycle
        for cycle, frame in log.frames
        if isinstance(frame.message, Ack) and frame.message.command == Arm.TYPE and not frame.message.repeated
    ]
    for piece in pieces:
        if piece.fresh and isinstance(piece.message, Arm):
            made, token = max((w for w in welcomes if w[0] < piece.cycle), default=(0, None))
            if token == piece.message.token and not any(made < ack < piece.cycle for ack in acks):
                yield piece.cycle


def _forbidden(log: EmulationLog) -> Iterator[tuple[int, int, str]]:
    """From when to when a switch forbade light."""
    for index, now in enumerate(log.switches):
        if now.stop_open or not now.arm_on:
            later = (each.cycle for each in log.switches[index + 1 :] if not each.stop_open and each.arm_on)
            yield now.cycle, next(later, 2**63), "stop switch" if now.stop_open else "arm switch"


def _endings(
    log: EmulationLog, pieces: Sequence[Received], forbidden: Sequence[tuple[int, int, str]]
) -> Iterator[_Ending]:
    hanging = [(hang, min((r for r in log.resets if r >= hang), default=2**63)) for hang in log.hangs]

    def ending(cycle: int, ms: float, why: str) -> _Ending:
        by = cycle + ms * CYCLES_PER_MS
        for hang, reset in hanging:
            if hang - CYCLES_PER_MS < cycle < reset:
                by = max(by, hang + WATCHDOG_MS * CYCLES_PER_MS)
        return _Ending(cycle, by, why)

    for reset in log.resets:
        yield _Ending(reset, reset, "reset")
    for hang in log.hangs:
        yield ending(hang, WATCHDOG_MS, "hang")
    for cycle, until, why in forbidden:
        if until - cycle > SWITCH_MS * CYCLES_PER_MS:
            yield ending(cycle, SWITCH_MS, why)
    for cycle, _, garbled in log.delivered:
        if garbled:
            yield ending(cycle, LINE_MS, "line error")
    yield from (ending(overrun, LINE_MS, "overrun") for overrun in log.overruns)
    for piece in pieces:
        if piece.message is None:
            yield ending(piece.cycle, TURN_MS + PIECE_MS * piece.waiting, "bad frame")
        elif isinstance(piece.message, Hello | Disarm | Stop | Cancel):
            yield ending(piece.cycle, TURN_MS + PIECE_MS * piece.waiting, type(piece.message).__name__)
