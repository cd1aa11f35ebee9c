"""Pictures in which there is no face, made by code: no engine may be sure of a point in any of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtface.core.records import FloatArray, Image

_GRAYS = (0, 60, 128, 255)
_PERIODS = (6, 16, 48)
_NOISES = (4, 30, 90)
_BLOB_SIGMAS = (0.02, 0.06, 0.15)
_SEED = 0


def no_face_pictures(height: int, width: int) -> dict[str, Image]:
    """Return pictures without a face, the same in every call.

    Uniform grays, noise of several strengths and coarsenesses, gratings and checks, and fields of blurred blobs.

    Parameters
    ----------
    height, width : int
        Of every picture, in pixels.

    Returns
    -------
    dict of str to ndarray, shape (height, width), uint8
        By a name that says what it shows.
    """
    random = np.random.default_rng(_SEED)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    pictures = {f"uniform {gray}": np.full((height, width), gray, np.uint8) for gray in _GRAYS}
    for strength in _NOISES:
        pictures[f"noise {strength}"] = _image(128 + random.normal(0, strength, (height, width)))
        pictures[f"dark noise {strength}"] = _image(random.normal(0, strength, (height, width)))
    for cell in (4, 16):
        coarse = random.uniform(0, 255, (-(-height // cell), -(-width // cell)))
        pictures[f"noise in cells of {cell}"] = _image(
            np.kron(coarse, np.ones((cell, cell)))[:height, :width]
        )
    for period in _PERIODS:
        pictures[f"upright grating {period}"] = _image(128 + 100 * _wave(columns, period))
        pictures[f"level grating {period}"] = _image(128 + 100 * _wave(rows, period))
        pictures[f"slanted grating {period}"] = _image(
            128 + 100 * _wave((rows + columns) / np.float32(np.sqrt(2)), period)
        )
        pictures[f"checks {period}"] = _image(
            128 + 100 * np.sign(_wave(rows, period) * _wave(columns, period))
        )
    for sigma in _BLOB_SIGMAS:
        for sign, ground in ((1, 30), (-1, 220)):
            field = np.zeros((height, width), np.float32)
            for y, x in random.uniform(0, 1, (12, 2)) * (height, width):
                field += np.exp(
                    -((rows - y) ** 2 + (columns - x) ** 2) / (2 * (sigma * max(height, width)) ** 2)
                )
            pictures[f"{'bright' if sign > 0 else 'dark'} blobs {sigma:g}"] = _image(
                ground + sign * 190 * np.minimum(field, 1)
            )
    return pictures


def _wave(at: FloatArray, period: float) -> FloatArray:
    return np.asarray(np.sin(2 * np.pi * at / period), np.float32)


def _image(gray: FloatArray | NDArray[np.float64]) -> Image:
    return np.clip(np.rint(gray), 0, 255).astype(np.uint8)
