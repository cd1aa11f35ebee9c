"""Frames and messages: what goes in comes out, and nothing else does."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.fake_gate import OLD_BOOT, OLD_HELLO, OLD_WELCOME

from rtface.core.errors import UsageError, WireError
from rtface.stimulate.gate import protocol
from rtface.stimulate.gate.codes import (
    MAX_FRAME,
    SIGNER_BYTES,
    Inputs,
    Kind,
    LimitsSource,
    Reason,
    ResetCause,
    State,
)
from rtface.stimulate.gate.framing import Decoder, LineFrame, crc16, encode
from rtface.stimulate.gate.protocol import DEFAULT_LIMITS, MESSAGES, Disarm, Heartbeat, Message, Pulse

_BITS = {"B": 8, "H": 16, "I": 32, "Q": 64}
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=SIGNER_BYTES)


@st.composite
def messages(draw: st.DrawFn) -> Message:
    kind = draw(st.sampled_from(MESSAGES))
    codes = [code for code in kind.LAYOUT if code in "BHIQs"]
    values: list[Any] = []
    for field, code in zip(fields(kind), codes, strict=True):
        match str(field.type):
            case "State" | "Reason" | "Kind" | "LimitsSource" as name:
                enumeration = {"State": State, "Reason": Reason, "Kind": Kind, "LimitsSource": LimitsSource}[
                    name
                ]
                values.append(draw(st.sampled_from(list(enumeration))))
            case "Inputs":
                values.append(Inputs(draw(st.integers(0, 3))))
            case "ResetCause":
                values.append(ResetCause(draw(st.integers(0, 15))))
            case "str":
                values.append(draw(_NAMES.filter(lambda text: len(text.encode()) <= SIGNER_BYTES)))
            case _:
                values.append(draw(st.integers(0, 2 ** _BITS[code] - 1)))
    return kind(*values)


@given(message=messages(), seq=st.integers(0, 0xFFFF_FFFF))
def test_a_message_comes_out_as_it_went_in(message: Message, seq: int) -> None:
    frame = encode(message, seq)
    assert len(frame) <= MAX_FRAME
    assert frame.index(0) == len(frame) - 1, "a zero ends a frame and is nowhere else"
    decoder = Decoder()
    assert decoder.feed(frame) == [LineFrame(seq, message)]
    assert decoder.rejected == 0


@given(said=st.lists(st.tuples(messages(), st.integers(0, 0xFFFF_FFFF)), max_size=6), data=st.data())
def test_it_does_not_matter_how_bytes_are_cut(said: list[tuple[Message, int]], data: st.DataObject) -> None:
    stream = b"".join(encode(message, seq) for message, seq in said)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    decoder, frames = Decoder(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        frames += decoder.feed(stream[begin:end])
    assert frames == [LineFrame(seq, message) for message, seq in said]


@given(garbage=st.binary(max_size=300), message=messages())
def test_after_garbage_the_next_zero_is_a_beginning(garbage: bytes, message: Message) -> None:
    decoder = Decoder()
    decoder.feed(garbage + b"\0")
    assert decoder.feed(encode(message, 7)) == [LineFrame(7, message)]


@given(message=messages(), seq=st.integers(0, 0xFFFF_FFFF), data=st.data())
def test_up_to_three_flipped_bits_are_never_a_message(
    message: Message, seq: int, data: st.DataObject
) -> None:
    frame = bytearray(encode(message, seq))
    bits = data.draw(st.sets(st.integers(0, 8 * (len(frame) - 1) - 1), min_size=1, max_size=3))
    for bit in bits:
        frame[bit // 8] ^= 1 << bit % 8
    assert Decoder().feed(bytes(frame)) == []


@given(message=messages(), data=st.data())
def test_a_part_of_a_frame_is_never_a_message(message: Message, data: st.DataObject) -> None:
    frame = encode(message, 3)[:-1]
    begin = data.draw(st.integers(0, len(frame)))
    end = data.draw(st.integers(begin, len(frame)))
    if (begin, end) != (0, len(frame)):
        assert Decoder().feed(frame[begin:end] + b"\0") == []


def test_pieces_that_are_no_frame_are_counted() -> None:
    decoder = Decoder()
    decoder.feed(b"\0\0")
    assert decoder.rejected == 0, "nothing between zeros is nothing"
    decoder.feed(b"\x05" * (MAX_FRAME + 30) + b"\0" + b"\x01\x02\0")
    decoder.feed(encode(Heartbeat(), 1)[:-2] + b"\0")
    assert decoder.rejected == 3
    assert decoder.feed(encode(Disarm(), 2)) == [LineFrame(2, Disarm())]


@given(message=messages(), nonce=st.integers(1, 0xFFFF_FFFF))
def test_a_frame_is_of_its_conversation(message: Message, nonce: int) -> None:
    assert Decoder().feed(encode(message, 1, nonce)) == [LineFrame(1, message, nonce)]


def test_frames_of_a_gate_of_protocol_1_are_counted_and_never_messages() -> None:
    """A Welcome, a BOOT event and a Hello as rtface 0.1 made them; a Hello is a host's, not a gate's."""
    decoder = Decoder()
    assert decoder.feed(bytes.fromhex(OLD_WELCOME + OLD_BOOT + OLD_HELLO)) == []
    assert (decoder.rejected, decoder.old) == (3, 2)


def test_the_crc_is_the_usual_one() -> None:
    assert crc16(b"123456789") == 0x29B1


@pytest.mark.parametrize("seq", [-1, 0x1_0000_0000])
def test_a_sequence_number_out_of_range_is_refused(seq: int) -> None:
    with pytest.raises(UsageError, match="sequence number"):
        encode(Heartbeat(), seq)
    with pytest.raises(UsageError, match="nonce"):
        encode(Heartbeat(), 1, seq)


@pytest.mark.parametrize(
    "pulse", [Pulse(-1, 0, 1, 1), Pulse(2**32, 0, 1, 1), Pulse(1, 0, 2**16, 1), Pulse(1, 0, 1, 256)]
)
def test_a_field_out_of_range_is_refused(pulse: Pulse) -> None:
    with pytest.raises(UsageError, match="Pulse"):
        encode(pulse, 1)


@pytest.mark.parametrize("name", ["x" * 21, "ü" * 11, "a\0b"])
def test_a_name_that_does_not_fit_is_refused(name: str) -> None:
    from dataclasses import replace

    with pytest.raises(UsageError, match="20 bytes"):
        encode(replace(DEFAULT_LIMITS, signed_off_by=name), 1)


def test_values_that_are_none_of_their_kind_are_refused() -> None:
    payload = bytearray(protocol.to_payload(protocol.Ack(1, Reason.NONE, State.ARMED, 0, 0, 0)))
    payload[1] = 200
    with pytest.raises(WireError, match="Ack: 200 is not a valid Reason"):
        protocol.from_payload(protocol.Ack.TYPE, bytes(payload))
    with pytest.raises(WireError, match="Arm: 3 bytes instead of 4"):
        protocol.from_payload(protocol.Arm.TYPE, b"123")


def test_no_two_messages_share_a_type_and_the_gate_s_have_the_top_bit() -> None:
    types = [message.TYPE for message in MESSAGES]
    assert len(set(types)) == len(types)
    names = {message.__name__ for message in MESSAGES if message.TYPE & 0x80}
    assert names == {"Ack", "Nak", "Status", "Welcome", "Limits", "Event"}
