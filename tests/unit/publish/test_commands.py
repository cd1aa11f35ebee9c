from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.publishing import HELLO

from rtface import __version__
from rtface.config import CropSettings
from rtface.core.errors import ControlError, WireError
from rtface.core.records import Crop
from rtface.publish import commands
from rtface.publish.wire import MAX_TEXT, unpack

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats()
    | st.text()
    | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def through_the_wire(values: Any) -> dict[str, Any]:
    return unpack(msgpack.packb(values))


@given(st.integers(0, commands.MAX_ID), st.text(max_size=64), st.dictionaries(st.text(), st.integers(0, 9)))
def test_a_request_arrives_as_it_was_sent(request_id: int, op: str, args: dict[str, int]) -> None:
    request = commands.Request(request_id, op, args)
    assert commands.parse_request(unpack(commands.encode_request(request))) == request


def test_a_reply_arrives_as_it_was_sent() -> None:
    assert commands.decode_reply(commands.encode_result(5, {"a": 1})) == (5, {"a": 1})
    for request_id in (6, None):
        got, error = commands.decode_reply(commands.encode_refusal(request_id, "not_ready", "wait"))
        assert got == request_id
        assert isinstance(error, ControlError)
        assert (error.code, str(error)) == ("not_ready", "wait")


def test_a_long_refusal_is_cut_to_what_a_reader_accepts() -> None:
    _, error = commands.decode_reply(commands.encode_refusal(1, "c" * 1000, "m" * 100_000))
    assert isinstance(error, ControlError)
    assert len(str(error)) == MAX_TEXT


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_reply(body: bytes) -> None:
    with pytest.raises(WireError):
        commands.decode_reply(body)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.just(1) | VALUES
            for name in ("v", "id", "op", "args", "ok", "result", "error", "crop", "x")
        },
    )
)
def test_arbitrary_maps_raise_nothing_but_a_wire_error(values: dict[str, Any]) -> None:
    with suppress(WireError):
        commands.parse_request(values)
    with suppress(WireError, ControlError):
        commands.parse_crop(values)
    with suppress(WireError):
        commands.decode_reply(msgpack.packb(values))
    with suppress(WireError):
        commands.parse_hello(values | {"session": "s"})
    assert isinstance(commands.id_in(values), int | None)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"v": 1, "op": "start", "args": {}}, "id is missing"),
        ({"v": 1, "id": -1, "op": "start", "args": {}}, "id must be between 0"),
        ({"v": 1, "id": 1, "op": 3, "args": {}}, "op must be text, not int"),
        ({"v": 1, "id": 1, "op": "o" * 65, "args": {}}, "op has 65 characters"),
        ({"v": 1, "id": 1, "op": "start", "args": None}, "args must be a map with text as keys, not nil"),
        ({"v": 9, "id": 1, "op": "start", "args": {}}, "protocol version 9"),
    ],
)
def test_a_wrong_request_is_refused_with_the_field(values: dict[str, Any], text: str) -> None:
    with pytest.raises(WireError, match=text):
        commands.parse_request(through_the_wire(values))


def test_hello_arrives_as_it_was_sent() -> None:
    for hello in (HELLO, replace(HELLO, crop=None)):
        values = through_the_wire(hello.as_map())
        assert commands.parse_hello(values) == hello
    assert values["protocol"] == 1
    assert values["rtface"] == __version__


def test_a_wrong_skeleton_is_refused_with_the_place() -> None:
    values = HELLO.as_map()
    values["skeleton"][1]["trained"] = 1
    with pytest.raises(WireError, match=r"skeleton\[1\]\.trained must be true or false, not int"):
        commands.parse_hello(values)


def test_a_crop_is_four_numbers_or_nil() -> None:
    crop = Crop(1, 2, 30, 40)
    assert commands.parse_crop(commands.crop_map(crop)) == crop
    assert commands.parse_crop({"crop": commands.crop_map(crop)}) == crop
    assert commands.parse_crop({"crop": None}) is None


@pytest.mark.parametrize(
    ("args", "text"),
    [
        ({}, r"args\.x is missing"),
        ({"x": 0, "y": 0, "width": 10}, r"args\.height is missing"),
        ({"x": -1, "y": 0, "width": 10, "height": 10}, r"args\.x must be between 0"),
        ({"x": 0, "y": 0, "width": -1, "height": 10}, r"args\.width must be between 0"),
        ({"x": 0.5, "y": 0, "width": 10, "height": 10}, r"args\.x must be an integer, not float"),
        ({"crop": 3}, r"args\.crop must be a map"),
    ],
)
def test_a_wrong_crop_is_refused_with_the_field(args: dict[str, Any], text: str) -> None:
    with pytest.raises(WireError, match=text):
        commands.parse_crop(args)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (0, 16), (15, 16), (16, 15)])
def test_a_crop_that_a_rig_file_may_not_have_is_refused_here_too(width: int, height: int) -> None:
    values = {"x": 0, "y": 0, "width": width, "height": height}
    for args in (values, {"crop": values}):
        with pytest.raises(ControlError, match=f"{width} x {height} pixels is too small.* 16 x 16") as caught:
            commands.parse_crop(args)
        assert caught.value.code == "bad_request"
    assert commands.parse_crop(values | {"width": 16, "height": 16}) == Crop(0, 0, 16, 16)
    with pytest.raises(ValidationError):
        CropSettings(**values)
    assert CropSettings(x=0, y=0, width=16, height=16).to_crop() == Crop(0, 0, 16, 16)
