"""Where each keypoint is: a drawn face with its keypoints as rtface names them, for who labels the first time."""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np

from rtface.core.records import FACEMAP_KEYPOINTS
from rtface.simulate.face import MouseFace

_WIDTH, _HEIGHT = 480, 360
_FRAMES = 600
"""Of a drawn film, in which one is sought that shows every keypoint."""


@cache
def drawn_face() -> tuple[bytes, dict[str, Any]]:
    """Return a picture as png, and its ``width``, ``height`` and ``points``: x and y in its pixels by name."""
    face = MouseFace(_WIDTH, _HEIGHT, 30.0, seed=0)
    truths = (face.truth(index) for index in range(_FRAMES))
    index, xy = next(
        ((index, xy) for index, xy in enumerate(truths) if np.isfinite(xy).all()), (0, face.truth(0))
    )
    image = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    face.render(index, image)
    points = {
        name: [round(float(x), 1), round(float(y), 1)]
        for name, (x, y) in zip(FACEMAP_KEYPOINTS, xy, strict=True)
        if np.isfinite(x)
    }
    return cv2.imencode(".png", image)[1].tobytes(), {"width": _WIDTH, "height": _HEIGHT, "points": points}
