"""Pictures that say their own number, so that a test knows which one it was given."""

from __future__ import annotations

import numpy as np

from rtface.core.records import Image

WIDTH, HEIGHT = 64, 48
_BITS, _PIXELS = 16, 4


def image_of(number: int) -> Image:
    """Return the picture of a number: each stripe is a bit of it."""
    image = np.full((HEIGHT, WIDTH), 16, np.uint8)
    for bit in range(_BITS):
        if number >> bit & 1:
            image[:, _PIXELS * bit : _PIXELS * (bit + 1)] = 235
    return image


def number_of(image: Image) -> int:
    """Return the number that a picture says, also after a lossy codec."""
    middle = image[HEIGHT // 2, _PIXELS // 2 :: _PIXELS][:_BITS]
    return sum(1 << bit for bit, pixel in enumerate(middle.tolist()) if pixel > 128)
