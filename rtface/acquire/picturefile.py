"""Picture files as 8-bit gray: stacks of pages, 16-bit files whose camera had fewer bits, and frames written as files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"})
_DEPTHS = (12, 14, 16)
"""Bits that cameras keep in 16-bit files, as `depth_of` tells them apart."""


def is_picture(path: Path) -> bool:
    """Return whether a file's name is a picture's; macOS's ``._`` companions and other hidden files are none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def page_count(path: Path) -> int:
    """Return how many pictures a file holds: more than one only for a stack in one TIFF; 1 where it is unreadable.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 1
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "little", b"MM": "big"}.get(head[:2])
        if order is None or len(head) < 8:
            return 1

        def number(data: bytes) -> int:
            return int.from_bytes(data, "little" if order == "little" else "big")

        big = number(head[2:4]) == 43
        count_bytes, entry_bytes, offset_bytes = (8, 20, 8) if big else (2, 12, 4)
        at = number(head[8:16] if big else head[4:8])
        seen: set[int] = set()
        while at and at not in seen:
            file.seek(at)
            counted = file.read(count_bytes)
            if len(counted) < count_bytes:
                break
            seen.add(at)
            file.seek(at + count_bytes + entry_bytes * number(counted))
            at = number(file.read(offset_bytes))
    return max(1, len(seen))


def read_page(data: NDArray[np.uint8], page: int) -> NDArray[Any] | None:
    """Return one picture of a file's bytes as gray of its own depth, or None if it is none.

    Parameters
    ----------
    data : ndarray, shape (N,), uint8
        The whole file.
    page : int
        Counted from 0.

    Returns
    -------
    ndarray, shape (height, width), uint8 or uint16, or None
    """
    import cv2

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH
    try:
        if page:
            _, pages = cv2.imdecodemulti(data, flags, range=(page, page + 1))
            image = pages[0] if pages else None
        else:
            image = cv2.imdecode(data, flags) if data.size else None
    except cv2.error:
        return None
    if image is None or image.dtype not in (np.uint8, np.uint16):
        return None
    # All three colours of a gray picture are equal; weighting them would round some 16-bit values.
    equal = image.dtype == np.uint16 and np.array_equal(image[..., 0], image[..., 1])
    if equal and np.array_equal(image[..., 0], image[..., 2]):
        return np.ascontiguousarray(image[..., 0])
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY))


def depth_of(images: Iterable[NDArray[np.uint8] | NDArray[np.uint16]]) -> int:
    """Return the bits in use of pictures of one recording: the fewest of 12, 14 and 16 that hold their 16-bit values.

    8 where none has 16 bits.
    """
    deep = [int(image.max(initial=0)) for image in images if image.dtype == np.uint16]
    return next(bits for bits in _DEPTHS if max(deep) < 1 << bits) if deep else 8


def to_8_bits(image: NDArray[np.uint8] | NDArray[np.uint16], bits: int, where: str) -> Image:
    """Return a picture in 8 bits: a 16-bit one's upper 8 of those in use.

    Raises
    ------
    DataError
        A value needs more bits than are in use.
    """
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    bits = max(bits, _DEPTHS[0])
    if (highest := int(image.max(initial=0))) >= 1 << bits:
        raise DataError(
            f"{where} holds the value {highest}, but those before it use {bits} bits; convert all to 8 bits alike"
        )
    return (image >> (bits - 8)).astype(np.uint8)


def write_pictures(folder: Path, frames: Mapping[int, Image]) -> dict[int, Path]:
    """Write frames as .png files named by their numbers, in a folder that is made if need be.

    Parameters
    ----------
    folder : Path
    frames : mapping of int to ndarray, shape (height, width), uint8
        By number.

    Returns
    -------
    dict of int to Path

    Raises
    ------
    DataError
        A picture cannot be written, or is there already with other content in it.
    """
    import cv2

    written = {}
    for number, image in frames.items():
        path = folder / f"frame{number:06d}.png"
        done, data = cv2.imencode(".png", image)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.read_bytes() != data.tobytes():
                raise DataError(f"{path} is there already and is another picture: name another folder")
            if not done:
                raise DataError(f"{path} cannot be written: OpenCV refuses the picture")
            path.write_bytes(data.tobytes())
        except OSError as error:
            raise DataError(f"{path} cannot be written: {error.strerror or error}") from error
        written[number] = path
    return written
