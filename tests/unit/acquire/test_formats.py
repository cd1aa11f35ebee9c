"""Pixel formats as gray: each against a reference that packs and mixes pixels one at a time, by the words of the standard."""

from __future__ import annotations

from fractions import Fraction
from itertools import chain

import numpy as np
import pytest
from numpy.typing import NDArray

from rtface.acquire.genicam.formats import FORMATS, GrayReader, depth_of

Values = NDArray[np.int64]
SIZES = [(32, 4), (4, 3), (7, 5), (13, 4)]
"""Widths that fill whole groups of pixels, and widths that do not."""


def some(bits: int, width: int, height: int, colours: int = 1) -> Values:
    """Values of all sizes, the smallest and the largest among them."""
    values = np.random.default_rng(bits * width).integers(0, 2**bits, (height, width * colours))
    values[0, 0], values[-1, -1] = 0, 2**bits - 1
    return values


def as_bits(value: int, bits: int) -> list[int]:
    """Bits of a value, lowest first."""
    return [value >> place & 1 for place in range(bits)]


def to_bytes(bits: list[int]) -> bytes:
    """Bytes of a stream of bits, the first one in the lowest bit of the first byte (PFNC, `p`)."""
    bits = bits + [0] * (-len(bits) % 8)
    return bytes(
        sum(bit << place for place, bit in enumerate(bits[at : at + 8])) for at in range(0, len(bits), 8)
    )


def stored(name: str, values: Values, padding: int) -> bytes:
    """Return a picture as a camera would send it in a format."""
    bits = FORMATS[name].bits
    rows = values.tolist()
    if name.endswith("Packed") and not name.startswith(("RGB", "BGR")):
        # GigE Vision: high bits of the first, low bits of both (the first one's lower), high bits of the second.
        low = bits - 8

        def packed(pixels: list[int]) -> bytes:
            out = bytearray()
            for at in range(0, len(pixels), 2):
                first, *rest = pixels[at : at + 2]
                second = rest[0] if rest else 0
                out += bytes([first >> low, (first & (1 << low) - 1) | (second & (1 << low) - 1) << 4])
                out += bytes([second >> low]) if rest else b""
            return bytes(out)

        runs = rows if padding or len(rows[0]) % 2 == 0 else [list(chain(*rows))]
        return b"".join(packed(row) + b"\xaa" * padding for row in runs)
    if name.endswith("p"):
        streams = [[bit for value in row for bit in as_bits(value, bits)] for row in rows]
        if padding == 0:
            return to_bytes(list(chain(*streams)))
        return b"".join(to_bytes(stream) + b"\xaa" * padding for stream in streams)
    wide = 1 if bits == 8 else 2
    return b"".join(
        b"".join(value.to_bytes(wide, "little") for value in row) + b"\xaa" * padding for row in rows
    )


def mixed(bits: int, colours: dict[str, Fraction]) -> Fraction:
    """Return the luma of BT.601, in the steps that OpenCV's arithmetic has: 2^-14 for a mosaic, 2^-15 for three colours."""
    weights = {14: (4899, 9617, 1868), 15: (9798, 19235, 3735)}[bits]
    return (
        sum((weight * colours[each] for weight, each in zip(weights, "RGB", strict=True)), Fraction())
        / 2**bits
    )


def rounded(value: Fraction) -> int:
    return int(value + Fraction(1, 2))


def mosaic_gray(tile: str, values: Values) -> Values:
    """Mix each pixel of a mosaic with the means of its nearest neighbours of the other colours; edges repeat what is inside."""
    height, width = values.shape
    out = np.zeros_like(values)
    for row in range(1, height - 1):
        for column in range(1, width - 1):
            means = {}
            for colour in "RGB":
                near = [
                    (abs(down) + abs(across), int(values[row + down, column + across]))
                    for down in (-1, 0, 1)
                    for across in (-1, 0, 1)
                    if tile[(row + down) % 2 * 2 + (column + across) % 2] == colour
                ]
                nearest = min(distance for distance, _ in near)
                these = [value for distance, value in near if distance == nearest]
                means[colour] = Fraction(sum(these), len(these))
            out[row, column] = rounded(mixed(14, means))
    out[:, 0], out[:, -1] = out[:, 1], out[:, -2]
    out[0], out[-1] = out[1], out[-2]
    return out


def true_gray(name: str, values: Values) -> Values:
    form = FORMATS[name]
    upper = values >> form.bits - 8
    if form.pitch == 24:
        out = np.zeros((values.shape[0], values.shape[1] // 3), np.int64)
        for row, column in np.ndindex(*out.shape):
            shown = dict(
                zip(
                    name[:3],
                    (Fraction(int(value)) for value in upper[row, 3 * column : 3 * column + 3]),
                    strict=True,
                )
            )
            out[row, column] = rounded(mixed(15, shown))
        return out
    if name.startswith("Bayer"):
        return mosaic_gray({"RG": "RGGB", "GR": "GRBG", "GB": "GBRG", "BG": "BGGR"}[name[5:7]], upper)
    return upper


def read(
    name: str, data: bytes, width: int, height: int, padding: int, bits: int | None = None
) -> NDArray[np.uint8]:
    form = FORMATS[name]
    assert form.stored_bytes(width, height, padding) == len(data)
    reader = GrayReader(form, width, height, form.bits if bits is None else bits)
    out = np.full((height, width), 77, np.uint8)
    for _ in range(2):  # in the memory of the picture before, too
        reader.read(np.frombuffer(data, np.uint8), padding, out)
    return out


@pytest.mark.parametrize("padding", [0, 1, 12])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_exact(name: str, width: int, height: int, padding: int) -> None:
    values = some(FORMATS[name].bits, width, height, 3 if FORMATS[name].pitch == 24 else 1)
    shown = read(name, stored(name, values, padding), width, height, padding)
    np.testing.assert_array_equal(shown, true_gray(name, values))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_each_value_of_a_depth_comes_down_to_its_upper_8_bits(bits: int) -> None:
    values = np.arange(2**bits).reshape(32, -1)
    shown = read(f"Mono{bits}", stored(f"Mono{bits}", values, 0), values.shape[1], 32, 0)
    np.testing.assert_array_equal(shown, values >> bits - 8)


def test_a_value_beyond_the_bits_in_use_is_white_and_not_dark() -> None:
    values = np.array([[1023, 1024, 4095, 65535]] * 3)
    shown = read("Mono16", stored("Mono16", values, 0), 4, 3, 0, bits=10)
    np.testing.assert_array_equal(shown, [[255] * 4] * 3)


@pytest.mark.parametrize(
    ("name", "largest", "bits"),
    [
        ("Mono16", None, 16),
        ("Mono16", 4095, 12),
        ("Mono16", 4000, 12),
        ("Mono16", 65535, 16),
        ("Mono12", 1023, 10),
        ("BayerRG16", 1023, 10),
        ("Mono10", 65535, 10),
        ("Mono12", 0, 12),
        ("Mono12", 100, 12),
        ("Mono8", 4095, 8),
        ("Mono12p", 1023, 12),
    ],
)
def test_the_bits_in_use_are_those_that_the_device_tells_where_that_can_be(
    name: str, largest: int | None, bits: int
) -> None:
    assert depth_of(FORMATS[name], largest) == bits


def test_an_even_gray_seen_through_a_mosaic_stays_as_it_is() -> None:
    for name in FORMATS:
        bits = FORMATS[name].bits
        values = np.full((6, 24 if FORMATS[name].pitch == 24 else 8), 3 << bits - 4)
        shown = read(name, stored(name, values, 0), 8, 6, 0)
        np.testing.assert_array_equal(shown, 48, err_msg=name)
