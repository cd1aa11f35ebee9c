"""The message of a picture, and what is measured on one."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from typing import Any

import cv2
import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.publishing import PICTURE, make_picture, make_pose

from rtface.core.errors import WireError
from rtface.core.records import Crop
from rtface.publish.pictures.measures import FOCUS_SIDE, fitted, focus_of, histogram_of, jpeg_of
from rtface.publish.pictures.message import (
    MAX_JPEG,
    SHOWS,
    PictureMessage,
    Shows,
    decode_picture,
    encode_picture,
)

NOISE = np.random.default_rng(0).integers(0, 256, (480, 640), np.uint8)
SCENE = cv2.GaussianBlur(NOISE, (0, 0), 1.5)


def parts(message: PictureMessage = PICTURE, **changes: Any) -> tuple[bytes, bytes, bytes]:
    return encode_picture(msgpack.Packer(), replace(message, **changes))


def same(one: PictureMessage, two: PictureMessage) -> bool:
    pairs = ((getattr(one, each.name), getattr(two, each.name)) for each in fields(one))
    return all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if isinstance(a, np.ndarray) else a == b
        for a, b in pairs
    )


@pytest.mark.parametrize("shows", SHOWS)
def test_a_picture_arrives_as_it_was_sent(shows: Shows) -> None:
    message = make_picture(make_pose(7), shows, jpeg=bytes(1000))
    topic, _, jpeg = parts(message)
    assert topic == f"picture.{shows}".encode()
    assert jpeg is message.jpeg
    assert same(decode_picture(parts(message)), message)


def test_what_is_not_known_is_left_out() -> None:
    header = msgpack.unpackb(parts(focus=math.nan, view_ok=math.nan)[1])
    assert not {"focus", "view_ok"} & set(header)
    found = decode_picture(parts(focus=math.nan, view_ok=math.nan, camera_ns=None))
    assert (math.isnan(found.focus), math.isnan(found.view_ok), found.camera_ns) == (True, True, None)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"v": 2}, "protocol version 2"),
        ({"shows": "paw"}, "shows must be one of frame, crop"),
        ({"shows": "crop"}, "topic b'picture.frame' is not that of a picture that shows the crop"),
        ({"width": 0}, "width must be between 1"),
        ({"height": 1 << 20}, "height must be between 1"),
        ({"area": {"x": 0, "y": 0, "width": 0, "height": 5}}, "area.width must be between 1"),
        ({"frame": {"width": 5}}, "frame.height is missing"),
        ({"histogram": bytes(4 * 63)}, "histogram has 63 bins"),
        ({"histogram": bytes(4 * 65)}, "histogram has 65 numbers"),
        ({"saturated": -1}, "saturated must be between 0"),
        ({"xy": bytes(8)}, "xy has 8 bytes; 15 scores go with 120"),
        ({"outside": b"\x02" * 15}, "outside holds a byte"),
        ({"focus": "sharp"}, "focus must be a number"),
        ({"t": {}}, "t.exposure is missing"),
    ],
)
def test_what_is_malformed_is_named(change: dict[str, Any], problem: str) -> None:
    topic, header, jpeg = parts()
    with pytest.raises(WireError, match=problem):
        decode_picture([topic, msgpack.packb(msgpack.unpackb(header) | change), jpeg])


def test_a_picture_is_bounded_both_ways() -> None:
    with pytest.raises(WireError, match="at most 8388608 may be sent"):
        parts(jpeg=bytes(MAX_JPEG + 1))
    topic, header, _ = parts()
    with pytest.raises(WireError, match="at most 8388608 are allowed"):
        decode_picture([topic, header, bytes(MAX_JPEG + 1)])
    with pytest.raises(WireError, match="three parts, not 2"):
        decode_picture([topic, header])
    with pytest.raises(WireError, match="histogram of shape"):
        parts(histogram=np.zeros(256, np.uint32))


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_garbage_raises_nothing_but_wire_errors(garbage: list[bytes]) -> None:
    with pytest.raises(WireError):
        decode_picture(garbage)


@pytest.mark.parametrize("area", [(0, 0, 640, 480), (101, 57, 333, 211)])
def test_a_histogram_counts_each_pixel_once_and_the_saturated_ones(area: tuple[int, int, int, int]) -> None:
    x, y, width, height = area
    image = NOISE[y : y + height, x : x + width]  # not contiguous
    histogram, saturated = histogram_of(image)
    assert histogram.tolist() == np.bincount(image.ravel() // 4, minlength=64).tolist()
    assert histogram.dtype == np.uint32
    assert saturated == np.count_nonzero(image == 255)


def test_focus_falls_with_blur_and_not_with_light() -> None:
    blurred = [focus_of(cv2.GaussianBlur(SCENE, (0, 0), sigma)) for sigma in (0.5, 1, 2, 4, 8)]
    assert blurred == sorted(blurred, reverse=True)
    assert blurred[0] > 10 * blurred[-1]
    assert focus_of(SCENE // 2) == pytest.approx(focus_of(SCENE), rel=0.1)


def test_focus_is_the_squared_gradient_over_the_squared_mean() -> None:
    ramp = np.tile(np.arange(50, 150, dtype=np.uint8), (40, 1))
    inner = 98 / 100  # the outermost columns mirror the next ones: no gradient there
    assert focus_of(ramp) == pytest.approx(inner / ramp.mean() ** 2, rel=1e-3)


def test_focus_is_measured_in_the_middle() -> None:
    wide = np.full((2 * FOCUS_SIDE, 3 * FOCUS_SIDE), 100, np.uint8)
    wide[:, :100] = NOISE[0, 0]
    assert focus_of(wide) == 0
    side = FOCUS_SIDE // 2
    wide[FOCUS_SIDE - side : FOCUS_SIDE + side - 100, FOCUS_SIDE + side] = 255
    assert focus_of(wide) > 0


@pytest.mark.parametrize(
    "image", [np.zeros((48, 64), np.uint8), np.ones((2, 64), np.uint8), np.ones((64, 1), np.uint8)]
)
def test_what_cannot_be_measured_is_not_a_number(image: np.ndarray) -> None:
    assert math.isnan(focus_of(image))


@pytest.mark.parametrize(
    ("shape", "longest", "expected"),
    [
        ((480, 640), 960, (480, 640)),
        ((480, 640), 640, (480, 640)),
        ((480, 640), 320, (240, 320)),
        ((1216, 1936), 960, (603, 960)),
        ((1944, 2592), 64, (48, 64)),
        ((2000, 3), 64, (64, 1)),
        ((3, 2001), 64, (1, 64)),
    ],
)
def test_a_picture_keeps_its_shape_and_is_never_enlarged(
    shape: tuple[int, int], longest: int, expected: tuple[int, int]
) -> None:
    image = cv2.resize(SCENE, shape[::-1])
    made = fitted(image, longest)
    assert made.shape == expected
    assert made.dtype == np.uint8
    if shape == expected:
        assert made is image


def test_a_scaled_picture_shows_a_point_where_the_area_says() -> None:
    size = 600
    image = np.zeros((size, 2 * size), np.uint8)
    x, y = 801, 222
    cv2.circle(image, (x, y), 20, 255, -1)
    made = fitted(image, 500)
    rows, columns = np.nonzero(made > 127)
    u, v = columns.mean(), rows.mean()
    area = Crop(0, 0, 2 * size, size)
    assert area.x + (u + 0.5) * area.width / made.shape[1] - 0.5 == pytest.approx(x, abs=0.5)
    assert area.y + (v + 0.5) * area.height / made.shape[0] - 0.5 == pytest.approx(y, abs=0.5)


def test_a_picture_is_a_jpeg_of_its_size() -> None:
    jpeg = jpeg_of(SCENE, 90)
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded.shape == SCENE.shape
    assert np.abs(decoded.astype(int) - SCENE).mean() < 3
    assert len(jpeg_of(SCENE, 30)) < len(jpeg)
