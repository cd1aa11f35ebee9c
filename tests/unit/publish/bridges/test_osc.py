"""OSC as Bonsai, Max and python-osc read it: addresses, type tags, values to the bit, and the narrowest parser's rules."""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pythonosc.osc_message import OscMessage
from support.publishing import LOSSES, make_pose

from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.publish.bridges.osc import PointMessages, error_message, event_message, osc_names
from rtface.publish.events import KINDS, EventMessage
from rtface.publish.keypoints import Keypoints, decode_keypoints, encode_keypoints


def keypoints(frame_id: int = 5) -> Keypoints:
    return decode_keypoints(encode_keypoints(msgpack.Packer(), "a", 0, make_pose(frame_id), LOSSES, 9))


def as_bonsai_reads(body: bytes) -> tuple[str, list[object]]:
    """Read a message by the published rules of Bonsai.Osc, and refuse what its parser refuses.

    Of its MessageParser and Dispatcher: an address and a type tag are ASCII that ends at the first NUL and is filled up to four
    bytes; a stated type tag has eight arguments at most, no arrays, and none of T, F, N and I; a blob's padding is misread. In
    an address ``?*[]{}!,`` make a pattern of it.
    """

    def text(at: int) -> tuple[str, int]:
        end = body.index(0, at)
        return body[at:end].decode("ascii"), end + 4 - end % 4

    assert body[:1] == b"/"
    assert len(body) % 4 == 0
    address, at = text(0)
    assert not set(address) & set("?*[]{}!, #")
    tags, at = text(at)
    assert tags[0] == ","
    assert 1 <= len(tags) - 1 <= 8
    values: list[object] = []
    for tag in tags[1:]:
        if tag == "s":
            value, at = text(at)
            values.append(value)
            continue
        form = {"h": ">q", "i": ">i", "f": ">f", "d": ">d"}[tag]
        values.append(struct.unpack_from(form, body, at)[0])
        at += struct.calcsize(form)
    assert at == len(body)
    return address, values


def test_a_keypoint_is_one_message_that_bonsai_and_python_osc_read_alike() -> None:
    message = keypoints()
    bodies = list(PointMessages(FACEMAP_KEYPOINTS).of(message, message.stamps.exposure_ns + 2_500_000))
    assert len(bodies) == len(message.xy) == 15
    for body, xy, score in zip(bodies, message.xy, message.score, strict=True):
        address, values = as_bonsai_reads(body)
        assert re.fullmatch(r"/rtface/point/[A-Za-z0-9_]+", address)
        np.testing.assert_array_equal(np.array(values, np.float32), [5, *xy, score, 2.5])
        foreign = OscMessage(body)
        assert foreign.address == address
        np.testing.assert_array_equal(np.array(foreign.params, np.float32), [5, *xy, score, 2.5])
    assert as_bonsai_reads(bodies[0])[0] == "/rtface/point/eye_back"


def test_a_frame_of_more_than_32_bits_keeps_its_number() -> None:
    message = replace(keypoints(), frame_id=(1 << 40) + 1)
    (body, *_) = PointMessages(FACEMAP_KEYPOINTS).of(message, 0)
    assert as_bonsai_reads(body)[1][0] == (1 << 40) + 1


@pytest.mark.parametrize(
    ("names", "safe"),
    [
        (("nose(tip)", "nose_tip", "nose tip"), ("nose_tip", "nose_tip_2", "nose_tip_3")),
        (("whisker(I)", "(((", "", "/a/*"), ("whisker_I", "point_2", "point_3", "a")),
        (("a", "a_2", "(a)"), ("a", "a_2", "a_3")),
        (("x_3", "x", "(x)"), ("x_3", "x", "x_3_")),
        (("Schnäuzchen",), ("Schn_uzchen",)),
    ],
)
def test_names_are_made_safe_and_stay_different(names: tuple[str, ...], safe: tuple[str, ...]) -> None:
    assert osc_names(names) == safe


@given(st.lists(st.text(max_size=8), max_size=12))
def test_any_names_make_different_addresses_that_are_no_pattern(names: list[str]) -> None:
    found = osc_names(names)
    assert len(found) == len(names) == len(set(found))
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", each) for each in found)


def test_an_event_is_a_time_and_three_texts() -> None:
    details = {"rule": "blink", "action": "trial", "inputs": [["ear", 1.0, 1.0, 7]]}
    body = event_message(EventMessage("a", 0, 1 << 45, "decision", details))
    assert as_bonsai_reads(body) == ("/rtface/event", [1 << 45, "decision", "blink", "trial"])
    assert OscMessage(body).params == [1 << 45, "decision", "blink", "trial"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_event_has_a_form_and_none_is_required_to_have_its_details(kind: str) -> None:
    body = event_message(EventMessage("a", 0, 1, kind, {}))  # type: ignore[arg-type]
    assert as_bonsai_reads(body)[1] == [1, kind, "", ""]


@given(st.text(max_size=2_000))
def test_whatever_a_client_marks_is_a_message(text: str) -> None:
    body = event_message(EventMessage("a", 0, 1, "mark", {"who": text, "text": text}))
    _, (_, _, who, what) = as_bonsai_reads(body)
    assert who == what
    assert len(str(what)) <= 1_000
    assert len(error_message(text)) % 4 == 0


def test_what_is_not_known_is_nan() -> None:
    last = list(PointMessages(FACEMAP_KEYPOINTS).of(keypoints(), 0))[-1]
    _, (_, x, y, score, _) = as_bonsai_reads(last)
    assert math.isnan(float(str(x)))
    assert math.isnan(float(str(y)))
    assert score == 0
