"""Old and foreign bytes: what was sent in another conversation counts for nothing, on the real firmware in emulation."""

from __future__ import annotations

from itertools import pairwise

import pytest
from support.fake_gate import OLD_HELLO
from support.gate_host import GateHost, gate_host, limits_of, need_simavr

from bench.gate.scripted import ScriptedGate
from rtface.stimulate.gate.codes import Kind, Reason, State
from rtface.stimulate.gate.framing import encode
from rtface.stimulate.gate.protocol import (
    Arm,
    Disarm,
    GetStatus,
    Heartbeat,
    Hello,
    Message,
    Nak,
    Pulse,
    Welcome,
)

LONG = limits_of(max_on_us=400_000, window_on_us=10_000_000)


@pytest.fixture(autouse=True)
def _simavr() -> None:
    need_simavr()


@pytest.mark.parametrize("apart", [100, 32_768 + 60, 65_536, 2**31 + 5])
def test_a_recording_fires_nothing_however_many_numbers_have_passed(apart: int) -> None:
    """A healthy host goes on, falls silent, and a piece of the same conversation is played."""
    with gate_host() as gate:
        gate.arm()
        before = len(gate.gate.log.delivered)
        gate.beat(20)
        gate.fire(5_000)
        gate.beat(40)
        tape = bytes(byte for _, byte, _ in gate.gate.log.delivered[before:])
        fired = len(gate.light)
        gate.seq += apart
        gate.beat(20)
        assert gate.state is State.ARMED
        for frame in tape.split(b"\0"):
            gate.gate.send_bytes(frame + b"\0")
            gate.gate.run_ms(10)
        assert len(gate.light) == fired
        assert gate.status().reason is Reason.SILENCE, "no old heartbeat keeps it armed"


def test_a_second_host_s_greeting_ends_the_first_one_s_word() -> None:
    with gate_host() as gate:
        gate.arm()
        nonce = gate.nonce
        other = GateHost(gate.gate, gate.limits)
        other.seq = 500
        other.arm()
        for message in (Heartbeat(), Pulse(1_000, 0, 1, 255), Arm(other.hello().token), GetStatus()):
            assert _said_under(gate, message, nonce) is Reason.FOREIGN
        other.arm()
        armed = gate.gate.cycle
        for _ in range(20):
            assert _said_under(gate, Heartbeat(), nonce) is Reason.FOREIGN
            gate.gate.run_ms(5)
        assert other.status().reason is Reason.SILENCE
        assert gate.gate.cycle - armed > 0
        assert gate.light == []
        assert _said_under(gate, Disarm(), nonce) is Reason.NONE, "what makes safer is done for anybody"


def _said_under(gate: GateHost, message: Message, nonce: int) -> Reason:
    have = len(gate.gate.log.frames)
    gate.seq += 1_000
    gate.gate.send(message, gate.seq, nonce)
    gate.gate.run_ms(3)
    (answer,) = (
        f.message for _, f in gate.gate.log.frames[have:] if f.seq == gate.seq and f.nonce == nonce
    )  # fmt: skip
    return getattr(answer, "reason", Reason.NONE)


@pytest.mark.parametrize("message", [Heartbeat(), Pulse(1_000, 0, 1, 255), Arm(1)])
def test_a_frame_without_a_nonce_is_nobody_s(message: Message) -> None:
    with gate_host() as gate:
        gate.arm()
        gate.gate.send(message, gate.seq + 1, 0)
        gate.gate.run_ms(3)
        answers = [f.message for _, f in gate.gate.log.frames if f.nonce == 0 and isinstance(f.message, Nak)]
        assert answers[-1].reason is Reason.FOREIGN


def test_no_nonce_comes_twice_through_resets_and_power() -> None:
    with gate_host() as gate:
        had = []
        for turn in range(12):
            for _ in range(4):
                gate.hello()
                had.append(gate.nonce)
            (gate.gate.power_cycle if turn % 3 else gate.gate.reset)()
            gate.gate.run_ms(20)
        assert len(set(had)) == len(had)
        assert 0 not in had


def test_more_conversations_than_a_record_has_room_for() -> None:
    with gate_host() as gate:
        had = set()
        for _ in range(600):
            gate.say(Hello())
            gate.gate.run_ms(2)
        had = [f.nonce for _, f in gate.gate.log.frames if isinstance(f.message, Welcome)]
        assert 560 < len(had) == len(set(had)), "unanswered only while a record is being written"


def test_nonces_of_one_board_say_nothing_of_another_s() -> None:
    """Two boards that are the same but for what their memory holds by chance when they are first switched on."""
    first = []
    for seed in (1, 2):
        with ScriptedGate(seed=seed) as board:
            board.run_ms(30)
            gate = GateHost(board, limits_of())
            nonces = []
            for _ in range(8):
                gate.hello()
                nonces.append(gate.nonce)
            first.append(nonces)
    assert not set(first[0]) & set(first[1])
    steps = {(b - a) % 2**32 for nonces in first for a, b in pairwise(nonces)}
    assert len(steps) > 12, "the next is not the last and a constant"


def test_a_host_of_protocol_1_is_told_which_the_gate_speaks_and_disarms_it() -> None:
    """The answer is in the old form: that host says `rtface gate flash` by itself then."""
    with gate_host(LONG) as gate:
        gate.arm()
        gate.fire(400_000)
        gate.beat(10)
        have = len(gate.gate.log.sent)
        gate.gate.send_bytes(bytes.fromhex(OLD_HELLO))
        gate.gate.run_ms(5)
        assert not gate.gate.log.light_is_on
        assert gate.events(Kind.PULSE_ENDED)[-1].reason is Reason.BAD_FRAME
        pieces = bytes(byte for _, byte in gate.gate.log.sent[have:]).split(b"\0")
        welcomes = [piece for piece in pieces if piece[1:2] == bytes((Welcome.TYPE,)) and len(piece) == 36]
        assert len(welcomes) == 1
        assert welcomes[0][2] == 7, "the number that was asked under"
        assert 2 in welcomes[0][3:6], "the protocol, first of its fields"


def test_frames_of_protocol_1_are_none() -> None:
    with gate_host() as gate:
        gate.arm()
        bad = gate.status().bad_frames
        gate.gate.send_bytes(encode(Heartbeat(), gate.seq + 1, gate.nonce)[:7] + b"\0")
        gate.gate.send_bytes(bytes.fromhex("0302080182c39a00"))
        gate.gate.run_ms(5)
        gate.hello()
        assert gate.status().bad_frames == bad + 2
