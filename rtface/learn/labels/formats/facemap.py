"""Facemap's refined data: the ``*_Facemap_refined_data.npy`` that its training window saves.

The file is a pickled dict. ``imgs`` is a list with one array of images, shape (N, height, width), for each stretch of
frames that was refined; they are the tracked box of the frame, padded to a square, scaled so that the stretch's 1st
percentile is 0 and its 99th is 1. ``keypoints`` is a list of arrays, shape (N, K, 3): x, y in pixels of those images,
and a likelihood; NaN where the user deleted a point. ``bodyparts`` names the points. ``frame_ind`` numbers the frames
of the video ``video_path``, which come first; stretches after them are from older files and of unnamed videos. A file
with one frame only may lack the first axis of the images.

Read with `rtface.learn.labels.formats.plainpickle`: a file from elsewhere cannot run code. What the file does not say is
which points the user moved: a point left where the network put it counts as a label, as it does for Facemap.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtface.core.errors import DataError
from rtface.core.records import Image
from rtface.learn.labels.formats.checks import Fault, Row, gather
from rtface.learn.labels.formats.plainpickle import read_npy_object
from rtface.learn.labels.labelset import LabelSet

OLD_NAMES = {
    "whisker(c1)": "whisker(I)",
    "whisker(d1)": "whisker(II)",
    "whisker(c2)": "whisker(III)",
    "whisker(d2)": "whisker(III)",
}
"""Names that older versions of Facemap gave to whiskers, and what they are called today."""


def read_facemap(path: Path) -> LabelSet:
    """Read a file of refined data.

    The images are of Facemap's box, so the labels are pixels of the box too. Each stretch is brought to 0..255 by its
    own minimum and maximum, which keeps apart all gray levels that its video had. Whiskers get Facemap's names of today.

    Raises
    ------
    DataError
        The file cannot be read, is not Facemap's, holds anything but plain data, or a label is wrong; named with
        the stretch (counted from 1) and the frame (from 0), all faults in the one message.
    """
    data = read_npy_object(path)
    wanted = ("imgs", "keypoints", "bodyparts")
    if not isinstance(data, dict) or (missing := [key for key in wanted if key not in data]):
        what = f"a dict without {missing[0]}" if isinstance(data, dict) else f"a {type(data).__name__}"
        raise DataError(f"{path} is not Facemap's refined data (imgs, keypoints, bodyparts): it is {what}")
    names = data["bodyparts"]
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{path}: bodyparts is no list of names")
    keypoints = [OLD_NAMES.get(name, name) for name in map(str, names)]
    return gather(path, keypoints, _rows(path, data, len(keypoints)))


def _rows(path: Path, data: dict[str, Any], count: int) -> Iterator[Row | Fault]:
    images, points = _stretches(data["imgs"], 3), _stretches(data["keypoints"], 3)
    if len(images) != len(points):
        raise DataError(f"{path}: there are {len(images)} stretches of images but {len(points)} of keypoints")
    numbers = _flat(data.get("frame_ind"))
    named = str(data.get("video_path") or "")
    video = PureWindowsPath(named).name.partition(".")[0] if named else path.stem
    frame_ind = data.get("frame_ind")
    each_stretch = (
        frame_ind is not None and len(frame_ind) == len(images) and all(map(np.iterable, frame_ind))
    )
    seen: set[Any] = set()
    passed = 0
    for stretch, (stack, labels) in enumerate(zip(images, points, strict=True), start=1):
        place = f"{path}: stretch {stretch}"
        if stack.ndim == 2:
            stack = stack[np.newaxis]
        length = len(stack) if stack.ndim else 0
        known = passed + length <= len(numbers)
        if known and each_stretch:
            # Numbers that come again in another stretch are of another video, which the file does not name.
            here = set(numbers[passed : passed + length])
            known = seen.isdisjoint(here)
            seen |= here
        of_video = video if known else f"{path.stem} stretch {stretch}"
        try:
            gray = _checked(stack, labels, count, place)
        except DataError as error:
            yield error
            gray = ()
        for index, image in enumerate(gray):
            frame = numbers[passed + index] if known else index
            xy = np.asarray(labels[index, :, :2], np.float64)
            yield Row(f"{place}, frame {index}", f"{of_video} {frame}", of_video, image, xy)
        passed += length


def _stretches(value: Any, dimensions: int) -> list[NDArray[Any]]:
    """Return a list of arrays; Facemap's own may be one array where all stretches have one shape."""
    if isinstance(value, np.ndarray) and (value.ndim > dimensions or value.dtype == object):
        return list(value)
    return [np.asarray(item) for item in value] if isinstance(value, list | tuple) else [np.asarray(value)]


def _flat(numbers: Any) -> list[Any]:
    """Return the numbers of frames of all stretches, whether they are one list or one of each stretch."""
    if numbers is None:
        return []
    if np.iterable(numbers):
        return [number for part in numbers for number in (_flat(part) if np.iterable(part) else [part])]
    return [numbers]


def _checked(stack: NDArray[Any], labels: NDArray[Any], count: int, place: str) -> Iterable[Image]:
    """Return a stretch's images as gray ones; DataError where they, or the keypoints of them, have no such shape."""
    if stack.ndim != 3 or 0 in stack.shape[1:]:
        raise DataError(f"{place}: images of shape {stack.shape}, not (frames, height, width)")
    if labels.shape != (len(stack), count, 3):
        raise DataError(
            f"{place}: keypoints of shape {labels.shape}, not ({len(stack)}, {count}, 3) as for its images"
        )
    return _gray(stack, place)


def _gray(stack: NDArray[Any], place: str) -> Image:
    if stack.dtype == np.uint8:
        return stack
    if stack.dtype.kind not in "iuf" or not np.isfinite(stack).all():
        raise DataError(f"{place}: the images hold values that are no finite numbers")
    low, high = float(stack.min(initial=np.inf)), float(stack.max(initial=-np.inf))
    scale = 255.0 / (high - low) if high > low else 0.0
    return np.rint((stack - low) * scale).astype(np.uint8)
